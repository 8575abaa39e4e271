"""Pretrain the trunk as a masked autoencoder on unlabelled faces (PAPER.md section 1a)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

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
from freeavatar.training.loop import LoopConfig, Losses, Run, folder_log

KIND = "freeavatar-mae"
WIDTH_PX, HEIGHT_PX, EDGE_PX = 720, 320, 60
"""Of the plot of a run's loss, and of its margin with the numbers."""


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
    """Train or go on training; writes `final.safetensors`, `reconstructions.png`, `loss.png`."""
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
    if run.workers.is_first:
        _draw_reconstructions(model, draw(np.random.default_rng(0))[:16], run_folder)
        curve = loss_curve(folder_log(run_folder))
        cv2.imwrite(str(run_folder / "loss.png"), curve[..., ::-1])
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


def loss_curve(log: Path) -> UInt8[np.ndarray, "height width 3"]:
    """The loss over the steps of a run's log, from zero to its highest value."""
    text = log.read_text() if log.is_file() else ""  # a run of a few steps logs none
    lines = [json.loads(line) for line in text.splitlines()]
    steps = np.array([line["step"] for line in lines])
    losses = np.array([line["loss"] for line in lines])
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    left, right, top, bottom = EDGE_PX, WIDTH_PX - 20, 30, HEIGHT_PX - 30
    highest = float(losses.max()) if len(losses) else 1.0
    for share in (0.0, 0.5, 1.0):
        height = round(bottom - share * (bottom - top))
        cv2.line(canvas, (left, height), (right, height), (214, 214, 214), 1)
        _write(canvas, f"{share * highest:.3g}", 8, height + 4)
    if len(losses):
        x = left + (right - left) * steps / steps[-1]
        y = bottom - (bottom - top) * losses / max(highest, 1e-9)
        points = np.stack([x, y], axis=1).round().astype(np.int32)
        cv2.polylines(canvas, [points], False, (0, 114, 178), 2, cv2.LINE_AA)
        _write(canvas, f"last {losses[-1]:.3f}", right - 90, top - 10)
        _write(canvas, f"step {steps[-1]:.0f}", right - 90, bottom + 20)
    _write(canvas, "loss on hidden patches", left, top - 10)
    return canvas


def _write(canvas: UInt8[np.ndarray, "height width 3"], words: str, x: int, y: int) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, words, (x, y), font, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
