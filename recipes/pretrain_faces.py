"""Masked-autoencoder pretraining of the expression trunk.

    torchrun --nproc-per-node 2 recipes/pretrain_faces.py --minutes 60 --batch 64

Data      data/faces/fairface (recipes/prepare_faces.py), 27,000 training faces
Hardware  2 CPU cores; the same command with --device cuda runs in bfloat16 on a GPU
Expected  normalised-pixel loss on hidden patches 0.70 after 2.5 minutes; an hour was not tried
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from freeavatar.expression.mae import MAEConfig
from freeavatar.expression.pretrain import PretrainConfig, pretrain
from freeavatar.expression.vit import vit_laptop, vit_small, vit_tiny


@dataclass(frozen=True)
class Options:
    """Pretrain the expression trunk."""

    faces: list[Path] = field(default_factory=lambda: [Path("data/faces/fairface")])
    out: Path = Path("runs/mae-laptop")
    size: Literal["laptop", "tiny", "small"] = "laptop"
    minutes: float | None = 60.0
    steps: int = 20_000
    batch: int = 128
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0


def main(options: Options) -> None:
    trunk = {"laptop": vit_laptop, "tiny": vit_tiny, "small": vit_small}[options.size]()
    defaults = PretrainConfig()
    config = PretrainConfig(
        model=MAEConfig(trunk=trunk),
        batch_size=options.batch,
        loop=dataclasses.replace(
            defaults.loop,
            num_steps=options.steps,
            minutes=options.minutes,
            device=options.device,
            seed=options.seed,
        ),
    )
    print(pretrain(options.faces, options.out, config, lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main(tyro.cli(Options))
