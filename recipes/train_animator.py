"""One animator for every shipped avatar, on features of the shipped encoder.

    python recipes/train_animator.py

Data      data/renders/actors, runs/expression-laptop/expression.onnx
Hardware  2 CPU cores: about 4 minutes of encoding, 6 of training
Expected  see docs/experiments.md
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import tyro

from freeavatar.animator.data import encode_pool, load_table, save_table
from freeavatar.animator.export import export_animator
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.model import AnimatorConfig
from freeavatar.animator.train import AnimatorTrainConfig, train_animator
from freeavatar.avatars.catalog import bundled_names, resolve
from freeavatar.expression.augment import AugmentConfig
from freeavatar.expression.data import FacePool
from freeavatar.expression.runtime import ExpressionEncoder


@dataclass(frozen=True)
class Options:
    """Train the animator and export it to ONNX."""

    renders: list[Path] = field(default_factory=lambda: [Path("data/renders/actors")])
    encoder: Path = Path("runs/expression-laptop/expression.onnx")
    out: Path = Path("runs/animator")
    samples: int = 40_000
    steps: int = 5000
    minutes: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    cached = options.out / "features.npz"
    if not cached.is_file():
        pool = FacePool(options.renders, AugmentConfig())
        encoder = ExpressionEncoder.load(options.encoder)
        table = encode_pool(pool, encoder, options.samples, options.seed, _tell)
        save_table(cached, table)
    table = load_table(cached)
    avatars = [resolve(name) for name in bundled_names()]
    members = [
        DrivenRig(avatar.name, avatar.rig, avatar.arkit_to_rig)
        for avatar in avatars
        if avatar.arkit_to_rig is not None
    ]
    config = AnimatorTrainConfig(model=AnimatorConfig(num_features=table.features.shape[1]))
    loop = dataclasses.replace(
        config.loop,
        num_steps=options.steps,
        minutes=options.minutes,
        device=options.device,
        seed=options.seed,
    )
    checkpoint = train_animator(
        table,
        Cast((arkit_member(), *members)),
        options.out,
        dataclasses.replace(config, loop=loop),
        lambda line: print(line, flush=True),
    )
    print(*export_animator(checkpoint, options.out))


def _tell(done: int) -> None:
    if done % 6400 == 0:
        print(f"encoded {done}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
