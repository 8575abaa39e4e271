"""A trained encoder's embedding, found once more by least squares: it wanders less under damage.

    python recipes/steady_embedding.py --out runs/expression-steady

Features stay as they are: an animator that learned from them stays right.

Data      data/renders/views and data/renders/takes (render_actors.py), data/faces/fairface
Hardware  2 CPU cores: 4 minutes of encoding, a second of least squares
Expected  docs/experiments.md, "Steadier"
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tyro

from freeavatar.animator.data import encode_renders
from freeavatar.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from freeavatar.export.files import finished_file
from freeavatar.expression.augment import AugmentConfig, augment, harsh, plain
from freeavatar.expression.data import FacePool
from freeavatar.expression.encoder import KIND
from freeavatar.expression.export import export_and_measure, load_network
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.expression.steady import DamagedFaces, DamagedRenders, SteadyConfig, steady

BATCH = 32
"""Crops handed to the encoder together."""


@dataclass(frozen=True)
class Options:
    """Steady the embedding and export the encoder to ONNX."""

    checkpoint: Path = Path("runs/expression-refined/final.safetensors")
    """Of refine_expression.py or train_expression.py. What ships has been through this already."""
    encoder: Path = Path("runs/expression-refined/expression.onnx")
    """The same, exported."""
    renders: tuple[Path, ...] = (Path("data/renders/views"), Path("data/renders/takes"))
    faces: Path = Path("data/faces/fairface")
    out: Path = Path("runs/expression-steady")
    num_renders: int = 24_000
    num_faces: int = 6_000
    """Each undamaged and damaged, as it is and mirrored."""
    steady: SteadyConfig = field(default_factory=SteadyConfig)
    processes: int = 2
    seed: int = 0


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    network = load_network(options.checkpoint)
    steady(network, *what_was_seen(options), options.steady)
    loaded = load_checkpoint(options.checkpoint, KIND)
    # Heads of the training know nothing of this; what is left out here ships nowhere.
    weights = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    save_checkpoint(
        options.out / "final.safetensors",
        Checkpoint(KIND, loaded.config, loaded.progress, weights),
    )
    crops = FacePool([options.faces], AugmentConfig(), "test").plain(64)
    print(*export_and_measure(network, options.out, crops), sep="\n")


def what_was_seen(options: Options) -> tuple[DamagedRenders, DamagedFaces]:
    """Features of both, encoded once for all settings of least squares."""
    what = (options.renders, options.faces, options.num_renders, options.num_faces, options.seed)
    made_of = hashlib.sha256(repr(what).encode() + options.encoder.read_bytes()).hexdigest()
    file = options.out / f"seen-{made_of[:12]}.npz"
    if not file.is_file():
        renders = encode_renders(
            options.renders, options.encoder, options.num_renders, options.seed,
            options.processes, _told("renders"),
        )  # fmt: skip
        faces = encode_pairs(options, _told("faces"))
        with finished_file(file) as path, path.open("wb") as stream:
            np.savez(
                stream, features=renders.features, controls=renders.controls,
                clean=faces.clean, damaged=faces.damaged,
            )  # fmt: skip
    with np.load(file) as kept:
        return (
            DamagedRenders(kept["features"], kept["controls"]),
            DamagedFaces(kept["clean"], kept["damaged"]),
        )


def encode_pairs(options: Options, report: Callable[[int, int], None]) -> DamagedFaces:
    """Real faces of the training split, undamaged and damaged."""
    pool = FacePool([options.faces], AugmentConfig())
    encoder, damage = ExpressionEncoder.load(options.encoder), harsh(AugmentConfig())
    chosen = np.random.default_rng(options.seed).permutation(len(pool))[: options.num_faces]
    clean, damaged = [], []
    for start in range(0, len(chosen), BATCH):
        rows = pool.rows[chosen[start : start + BATCH], 1]
        stored = pool.sets[0].gather(rows)
        for mirror in (False, True):
            whole = np.stack([plain(picture) for picture in stored])
            rngs = (np.random.default_rng((options.seed, int(row), mirror)) for row in rows)
            hurt = [augment(p, damage, rng, mirror) for p, rng in zip(stored, rngs, strict=True)]
            seen = np.ascontiguousarray(whole[:, :, ::-1]) if mirror else whole
            clean.append(encoder.encode(seen).features)
            damaged.append(encoder.encode(np.stack(hurt)).features)
        report(start + len(rows), len(chosen))
    return DamagedFaces(np.concatenate(clean), np.concatenate(damaged))


def _told(what: str) -> Callable[[int, int], None]:
    return lambda done, total: print(f"encoded {what} {done} of {total}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
