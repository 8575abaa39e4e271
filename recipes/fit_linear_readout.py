"""A linear map from the features beside a trained animator, whose network stays as it is.

    python recipes/fit_linear_readout.py --out runs/animator-linear

As `train_animator.py` does at its end, but on other pictures, and in minutes.

Data      data/renders/views and data/renders/takes (render_actors.py), data/faces/fairface
Hardware  2 CPU cores: 3 minutes of encoding, 10 seconds of least squares
Expected  docs/experiments.md, "Two guesses"
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import tyro

from freeavatar.animator.data import encode_faces, encode_renders
from freeavatar.animator.export import export_animator, load_animator, save_animator
from freeavatar.animator.linear import add_linear_readout
from freeavatar.animator.train import KIND
from freeavatar.checkpoints import load_checkpoint
from freeavatar.inference import WEIGHTS_FOLDER


@dataclass(frozen=True)
class Options:
    """Fit it and export the animator to ONNX."""

    animator: Path = WEIGHTS_FOLDER / "animator.safetensors"
    """What ships, or final.safetensors of train_animator.py."""
    encoder: Path = WEIGHTS_FOLDER / "expression.onnx"
    """What the animator was trained with."""
    renders: tuple[Path, ...] = (Path("data/renders/views"), Path("data/renders/takes"))
    faces: Path = Path("data/faces/fairface")
    out: Path = Path("runs/animator-linear")
    num_renders: int = 24_000
    num_faces: int = 4_000
    lifelike: float = 1.0
    """How many times as often a render of a recorded take is encoded; nearly half are anyway."""
    processes: int = 2
    seed: int = 0


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    model, cast = load_animator(options.animator)
    how = (options.seed, options.processes)
    renders = encode_renders(
        options.renders, options.encoder, options.num_renders, *how, _told("renders"),
        options.lifelike,
    )  # fmt: skip
    faces = encode_faces(options.faces, options.encoder, options.num_faces, *how, _told("faces"))
    add_linear_readout(model, cast, renders, faces)
    options.out.mkdir(parents=True, exist_ok=True)
    final = options.out / "final.safetensors"
    save_animator(final, model, cast, load_checkpoint(options.animator, KIND).progress)
    print(*export_animator(final, options.out))
    # Beside the animator, so that the folder is all that `--networks` asks for.
    shutil.copyfile(options.encoder, options.out / "expression.onnx")


def _told(what: str) -> Callable[[int, int], None]:
    return lambda done, total: print(f"encoded {what} {done} of {total}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
