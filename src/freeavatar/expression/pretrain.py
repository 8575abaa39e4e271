"""Pretrain the trunk as a masked autoencoder on unlabelled faces (PAPER.md section 1a)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from freeavatar.expression.augment import gentle
from freeavatar.expression.data import FacePool
from freeavatar.expression.mae import (
    MAEConfig,
    MaskedAutoencoder,
    draw_masking,
    reconstruction_loss,
    show_reconstruction,
)
from freeavatar.expression.mesh_stem import MeshStem, load_mesh_weights
from freeavatar.images import batch_from_pictures, pictures_from_batch
from freeavatar.training.loop import LoopConfig, Losses, Run

KIND = "freeavatar-mae"


@dataclass(frozen=True)
class PretrainConfig:
    """Recipe of the paper (mask 0.75, pixel reconstruction) at the size of a laptop."""

    model: MAEConfig = field(default_factory=MAEConfig)
    batch_size: int = 128
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_steps=20_000, learning_rate=8e-4, weight_decay=0.05, warmup_steps=50
        )
    )


def pretrain(
    face_folders: list[Path],
    run_folder: Path,
    config: PretrainConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Path:
    """Train or go on training; writes `final.safetensors` and `reconstructions.png`."""
    cv2.setNumThreads(1)
    pool = FacePool(face_folders, gentle(config.model.trunk.image_size))
    torch.manual_seed(config.loop.seed)
    model = MaskedAutoencoder(config.model)
    stem = model.trunk.patch_embed
    slow: list[torch.nn.Parameter] = []
    if isinstance(stem, MeshStem):
        load_mesh_weights(stem)
        slow = list(stem.stages.parameters())
    run = Run(run_folder, KIND, model, dataclasses.asdict(config.model), config.loop, slow)
    patch = config.model.trunk.patch_size

    def draw(rng: np.random.Generator) -> torch.Tensor:
        crops = pool.draw(config.batch_size, rng).crops
        return torch.from_numpy(batch_from_pictures(crops)).to(run.device)

    def losses(batch: torch.Tensor) -> Losses:
        num_tokens = config.model.trunk.grid**2
        masking = draw_masking(len(batch), num_tokens, config.model.mask_share, run.device)
        return {"loss": reconstruction_loss(model(batch, masking), batch, masking, patch)}

    final = run.fit(draw, losses, report)
    _draw_reconstructions(model, draw(np.random.default_rng(0))[:16], run_folder)
    return final


@torch.no_grad()
def _draw_reconstructions(model: MaskedAutoencoder, batch: torch.Tensor, folder: Path) -> None:
    """Rows of original, masked and guessed faces."""
    config = model.config
    masking = draw_masking(len(batch), config.trunk.grid**2, config.mask_share, batch.device)
    predicted = model(batch, masking)
    masked, guessed = show_reconstruction(predicted, batch, masking, config.trunk.patch_size)
    rows: list[Any] = [
        np.concatenate(list(pictures_from_batch(part.float().cpu().numpy())), axis=1)
        for part in (batch, masked, guessed)
    ]
    cv2.imwrite(str(folder / "reconstructions.png"), np.concatenate(rows)[..., ::-1])
