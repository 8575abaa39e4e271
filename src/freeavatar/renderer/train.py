"""Train one neural renderer for several avatars, or one for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freeavatar.checkpoints import load_checkpoint
from freeavatar.errors import WeightsError
from freeavatar.images import batch_from_pictures
from freeavatar.renderer.data import AvatarSet, linear_effects, range_shares
from freeavatar.renderer.losses import picture_loss, region_weights
from freeavatar.renderer.model import KIND, LOOKS, NeuralRenderer, RendererConfig
from freeavatar.rig import RigSpec
from freeavatar.training.loop import LoopConfig, Losses, Run


@dataclass(frozen=True)
class RendererTrainConfig:
    """Size, length, batch."""

    model: RendererConfig = field(default_factory=RendererConfig)
    batch_size: int = 32
    avatars_per_step: int = 4
    """Drawn anew each step; each gets an equal share of the batch."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_steps=100_000, learning_rate=2e-3, weight_decay=0.0, warmup_steps=100
        )
    )


@dataclass(frozen=True)
class KnownAvatar:
    """An avatar as the renderer knows it: where its row is, and the rig that was drawn."""

    avatar: str
    rig: RigSpec


def train_renderer(
    sets: Sequence[AvatarSet],
    run_folder: Path,
    config: RendererTrainConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Path:
    """Train or go on training on all but the judging tenth; returns `final.safetensors`."""
    torch.manual_seed(config.loop.seed)
    return fit_renderer(new_renderer(sets, config.model), sets, run_folder, config, report)


def fit_renderer(
    model: NeuralRenderer,
    sets: Sequence[AvatarSet],
    run_folder: Path,
    config: RendererTrainConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Path:
    """Train what of the model is not frozen."""
    described = dataclasses.asdict(config.model) | {
        "avatars": [{"avatar": s.avatar, "rig": s.rig.to_json()} for s in sets]
    }
    run = Run(run_folder, KIND, model, described, config.loop)
    weights = region_weights(torch.from_numpy(np.stack([s.regions for s in sets]))).to(run.device)
    shares = [range_shares(s.rig, s.controls) for s in sets]
    num_groups = min(config.avatars_per_step, len(sets))
    each = max(1, config.batch_size // num_groups)

    def draw(rng: np.random.Generator) -> list[tuple[int, Tensor, Tensor]]:
        chosen = rng.permutation(len(sets))[:num_groups].tolist()
        return [_draw_group(sets[i], shares[i], i, each, rng, run.device) for i in chosen]

    def losses(groups: list[tuple[int, Tensor, Tensor]]) -> Losses:
        drawn = model.draw([(values, avatar) for avatar, values, _ in groups])
        truth = torch.cat([pictures for _, _, pictures in groups])
        heavier = torch.cat([weights[avatar].expand(len(v), -1, -1) for avatar, v, _ in groups])
        return {"loss": picture_loss(drawn.float(), truth, heavier)}

    return run.fit(draw, losses, report)


def new_renderer(sets: Sequence[AvatarSet], config: RendererConfig) -> NeuralRenderer:
    """An untrained network that knows these avatars at rest, and roughly what moves."""
    model = NeuralRenderer(config, [len(s.rig) for s in sets])
    model.rests.copy_(torch.from_numpy(batch_from_pictures(np.stack([s.rest for s in sets]))))
    for row, avatar_set in enumerate(sets):
        rig = avatar_set.rig
        model.neutrals[row].data.copy_(torch.from_numpy(range_shares(rig, rig.rest[None])[0]))
        model.effects[row].data.copy_(torch.from_numpy(linear_effects(avatar_set)))
    return model


def _draw_group(
    avatar_set: AvatarSet,
    shares: np.ndarray,
    number: int,
    num: int,
    rng: np.random.Generator,
    device: torch.device,
) -> tuple[int, Tensor, Tensor]:
    rows = rng.integers(0, avatar_set.num_train, num)
    pictures = batch_from_pictures(avatar_set.shards.gather(rows))
    return number, torch.from_numpy(shares[rows]).to(device), torch.from_numpy(pictures).to(device)


def load_renderer(checkpoint: Path) -> tuple[NeuralRenderer, tuple[KnownAvatar, ...]]:
    """A trained renderer, frozen, and the avatars that it draws, in the order of its rows."""
    loaded = load_checkpoint(checkpoint, KIND)
    known = tuple(
        KnownAvatar(entry["avatar"], RigSpec.from_json(entry["rig"]))
        for entry in loaded.config["avatars"]
    )
    model = NeuralRenderer(renderer_config(loaded.config), [len(k.rig) for k in known])
    # The file that ships leaves out what its avatars look like: enough to fit another one.
    missing = model.load_state_dict(loaded.tensors, strict=False).missing_keys
    if not all(name.startswith(LOOKS) for name in missing):
        raise WeightsError(f"{checkpoint} is no whole neural renderer; it lacks {missing[0]}.")
    return model.eval().requires_grad_(False), known


def renderer_config(described: dict[str, Any]) -> RendererConfig:
    """Inverse of dataclasses.asdict, in which other entries may stand."""
    names = {f.name for f in dataclasses.fields(RendererConfig)}
    values = {k: v for k, v in described.items() if k in names}
    return RendererConfig(**(values | {"widths": tuple(values["widths"])}))
