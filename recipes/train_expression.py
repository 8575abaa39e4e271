r"""The expression space: comparisons, exact controls and teachers' hints on a pretrained trunk.

    torchrun --nproc-per-node 2 recipes/train_expression.py --minutes 120 --compiled
    python recipes/watch_expression.py         # how it does on people it never saw, while it trains
    python recipes/train_expression.py --size tiny --pool mean --mae MAE --controls 0 --head 0 \
        --asymmetry 0 --score-teacher 0 --emotion 0 --sameness 0 --mirrors 0  # as the paper does

Data      data/renders/actors and rare (recipes/render_actors.py), data/faces/fairface
          (prepare_faces.py),
          --mae runs/mae-laptop/final.safetensors (pretrain_faces.py) for other trunks than mesh
Hardware  2 CPU cores, one process each; python ... --device cuda on a GPU
Expected  after 7,600 steps of 92 crops: correlation of held-out stills 0.55, triplets 0.79; after
          13,600 0.59 and 0.83; after 19,900 0.61 and 0.83;
          see docs/experiments.md
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import tyro

from freeavatar.expression.data import FacePool
from freeavatar.expression.encoder import EncoderConfig
from freeavatar.expression.export import export_and_measure, load_network
from freeavatar.expression.finetune import FinetuneConfig, finetune
from freeavatar.expression.vit import vit_laptop, vit_mesh, vit_small, vit_tiny

SIZES = {"mesh": vit_mesh, "laptop": vit_laptop, "tiny": vit_tiny, "small": vit_small}


@dataclass(frozen=True)
class Options:
    """Train the expression encoder and export it to ONNX."""

    renders: list[Path] = field(
        default_factory=lambda: [Path("data/renders/actors"), Path("data/renders/rare")]
    )
    faces: list[Path] = field(default_factory=lambda: [Path("data/faces/fairface")])
    mae: Path = Path("none")
    """final.safetensors of recipes/pretrain_faces.py."""
    begin_with: Path | None = None
    """final.safetensors of an earlier run of this recipe, or the shipped expression.safetensors, to
    begin with all of its weights."""
    teacher: Path | None = None
    """final.safetensors of another run, whose embeddings and controls this one is to give too."""
    out: Path = Path("runs/expression")
    size: Literal["mesh", "laptop", "tiny", "small"] = "mesh"
    pool: Literal["grid", "mean"] = "grid"
    minutes: float | None = 60.0
    steps: int = 20_000
    renders_per_batch: int = 36
    """Per process."""
    faces_per_batch: int = 10
    twins: float = 0.25
    oversampling: float = 6.0
    """How often at most a render of a rare control is drawn; the paper has 2 to 10."""
    triplets: float = 0.5
    face_triplets: float = 0.4
    mixed_triplets: float = 0.2
    sameness: float = 0.5
    mirrors: float = 0.2
    controls: float = 1.0
    asymmetry: float = 0.3
    score_teacher: float = 0.5
    """Weight of the 52 scores that another network gave real faces."""
    head: float = 0.2
    emotion: float = 0.2
    learning_rate: float = 1e-3
    compiled: bool = False
    """Fuse layers; needs a C++ compiler."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    config = FinetuneConfig(
        model=EncoderConfig(SIZES[options.size](), pool=options.pool),
        renders_per_batch=options.renders_per_batch,
        faces_per_batch=options.faces_per_batch,
        twins=options.twins,
        oversampling=options.oversampling,
        triplets=options.triplets,
        face_triplets=options.face_triplets,
        mixed_triplets=options.mixed_triplets,
        sameness=options.sameness,
        mirrors=options.mirrors,
        controls=options.controls,
        asymmetry=options.asymmetry,
        teacher=options.score_teacher,
        head=options.head,
        emotion=options.emotion,
        compiled=options.compiled,
    )
    loop = dataclasses.replace(
        config.loop,
        num_steps=options.steps,
        minutes=options.minutes,
        learning_rate=options.learning_rate,
        device=options.device,
        seed=options.seed,
    )
    config = dataclasses.replace(config, loop=loop)
    mae = None if str(options.mae) == "none" else options.mae
    checkpoint = finetune(
        options.renders,
        options.faces,
        mae,
        options.out,
        config,
        lambda x: print(x, flush=True),
        start=options.begin_with,
        teacher=options.teacher,
    )
    if not checkpoint.is_file():  # another process of this run writes it
        return
    network = load_network(checkpoint)
    crops = FacePool(options.faces, config.augmentation, "test").plain(64)
    print(*export_and_measure(network, options.out, crops), sep="\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
