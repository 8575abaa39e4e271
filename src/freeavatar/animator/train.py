"""Train one animator for all avatars on cached features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from freeavatar.animator.data import FeatureTable, rig_targets
from freeavatar.animator.identity import Cast
from freeavatar.animator.losses import asymmetry_loss
from freeavatar.animator.model import Animator, AnimatorConfig
from freeavatar.expression.losses import known_mse
from freeavatar.training.loop import LoopConfig, Losses, Run

KIND = "freeavatar-animator"


@dataclass(frozen=True)
class AnimatorTrainConfig:
    """Size, length and loss weights."""

    model: AnimatorConfig = field(default_factory=AnimatorConfig)
    batch_size: int = 256
    avatars_per_step: int = 3
    """Drawn anew each step: all of them at once would cost three times as much and teach the shared
    trunk the same expressions."""
    asymmetry: float = 0.5
    feature_noise: float = 0.05
    """Standard deviation added to features: two frames of one expression never match exactly."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_steps=6000, learning_rate=1e-3, weight_decay=0.02, warmup_steps=100
        )
    )


def train_animator(
    table: FeatureTable,
    cast: Cast,
    run_folder: Path,
    config: AnimatorTrainConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Path:
    """Every step drives a few avatars with the same expressions; returns `final.safetensors`."""
    torch.manual_seed(config.loop.seed)
    model = Animator(config.model, len(cast.members), len(cast.control_names))
    described = dataclasses.asdict(config.model) | {"cast": cast.to_json()}
    run = Run(run_folder, KIND, model, described, config.loop)
    features = torch.from_numpy(table.features).to(run.device)
    targets = [
        torch.from_numpy(rig_targets(m, table.controls)).to(run.device) for m in cast.members
    ]
    slots = [torch.from_numpy(cast.slots(m)).to(run.device) for m in cast.members]
    mirrors = [torch.from_numpy(m.rig.mirror_columns).to(run.device) for m in cast.members]
    weights = [_rarity(target) for target in targets]

    num_driven = min(config.avatars_per_step, len(cast.members))

    def draw(rng: np.random.Generator) -> tuple[torch.Tensor, list[int]]:
        rows = torch.from_numpy(rng.integers(0, len(features), config.batch_size)).to(run.device)
        return rows, rng.permutation(len(cast.members))[:num_driven].tolist()

    def losses(drawn: tuple[torch.Tensor, list[int]]) -> Losses:
        rows, driven = drawn
        batch = features[rows]
        batch = batch + config.feature_noise * torch.randn_like(batch)
        controls = asymmetry = batch.new_zeros(())
        for i in driven:
            predicted, target = model(batch, i, slots[i]), targets[i][rows]
            controls = controls + known_mse(predicted, target, weights[i])
            asymmetry = asymmetry + asymmetry_loss(predicted, target, mirrors[i], weights[i])
        controls, asymmetry = controls / num_driven, asymmetry / num_driven
        total = controls + config.asymmetry * asymmetry
        return {"loss": total, "controls": controls, "asymmetry": asymmetry}

    return run.fit(draw, losses, report)


def _rarity(target: torch.Tensor) -> torch.Tensor:
    """1 / variance of each control, so that a cheek puff counts like a jaw."""
    known = ~torch.isnan(target)
    count = known.sum(0).clamp_min(1)
    values = torch.nan_to_num(target)
    mean = values.sum(0) / count
    variance = ((values - mean).square() * known).sum(0) / count
    return 1.0 / (variance + 0.01)
