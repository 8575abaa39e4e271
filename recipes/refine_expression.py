"""The read-out of a trained expression model, taught again on tokens that are computed once.

    python recipes/refine_expression.py

Data      data/renders/actors and rare, data/faces/fairface, runs/expression/final.safetensors
Hardware  2 CPU cores: 7 minutes of encoding, 6 of training
Expected  see docs/experiments.md
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from freeavatar.expression.data import FacePool
from freeavatar.expression.export import export_and_measure, load_network
from freeavatar.expression.finetune import FinetuneConfig
from freeavatar.expression.refine import RefineConfig, refine


@dataclass(frozen=True)
class Options:
    """Refine the read-out and export it to ONNX."""

    checkpoint: Path = Path("runs/expression/final.safetensors")
    renders: list[Path] = field(
        default_factory=lambda: [Path("data/renders/actors"), Path("data/renders/rare")]
    )
    faces: list[Path] = field(default_factory=lambda: [Path("data/faces/fairface")])
    out: Path = Path("runs/expression-refined")
    tokens: Path | None = None
    """Where the tokens lie or are put, --out unless several runs share them."""
    num_renders: int = 56_000
    num_faces: int = 24_000
    steps: int = 6000
    minutes: float | None = None
    learning_rate: float = 1e-3
    triplets: float = 2.0
    face_triplets: float = 0.9
    mixed_triplets: float = 0.5
    sameness: float = 0.5
    mirrors: float = 0.4
    own_faces: float = 0.0
    anonymity: float = 0.0
    companions: float = 0.0
    """Share of crops that show the person of another one again, 0.4 for the two terms above. They
    tell less about the person and cost triplets (docs/experiments.md)."""
    embedding_hidden: int | None = None
    """Teach a new embedding with a hidden layer this wide (0: none); None goes on with the old."""
    only_embedding: bool = False
    """Leave features and controls as they are: an animator that learned from them stays right."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0


def losses_of(options: Options) -> FinetuneConfig:
    """What the read-out is graded on."""
    return FinetuneConfig(
        triplets=options.triplets,
        face_triplets=options.face_triplets,
        mixed_triplets=options.mixed_triplets,
        sameness=options.sameness,
        mirrors=options.mirrors,
        own_faces=options.own_faces,
        anonymity=options.anonymity,
        companions=options.companions,
    )


def main(options: Options) -> None:
    defaults = RefineConfig()
    losses = losses_of(options)
    loop = dataclasses.replace(
        defaults.loop,
        num_steps=options.steps,
        minutes=options.minutes,
        learning_rate=options.learning_rate,
        device=options.device,
        seed=options.seed,
        log_every=100,
    )
    config = dataclasses.replace(
        defaults,
        num_renders=options.num_renders,
        num_faces=options.num_faces,
        embedding_hidden=options.embedding_hidden,
        only_embedding=options.only_embedding,
        losses=losses,
        loop=loop,
    )
    checkpoint = refine(
        options.checkpoint,
        options.renders,
        options.faces,
        options.out,
        config,
        lambda line: print(line, flush=True),
        tokens=options.tokens,
    )
    network = load_network(checkpoint)
    crops = FacePool(options.faces, losses.augmentation, "test").plain(64)
    print(*export_and_measure(network, options.out, crops), sep="\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
