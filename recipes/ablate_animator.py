"""What each part of the animator's training brings, on one budget: the tables of docs/animator.md.

    python recipes/ablate_animator.py --steps 600

Data      as train_animator.py, whose encoded features are used again; data/renders/judges
Hardware  1 CPU core: about a minute a row
Expected  see docs/animator.md
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from freeavatar.animator.data import encode_crops
from freeavatar.animator.export import export_animator, load_animator
from freeavatar.animator.identity import Cast, DrivenRig
from freeavatar.animator.model import AnimatorConfig, Conditioning
from freeavatar.animator.runtime import Animator
from freeavatar.animator.train import AnimatorTrainConfig, Lessons, LossWeights, train_animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.evaluation.animator import correlations, sides, stills
from freeavatar.evaluation.animator_sheets import real_faces
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import AvatarSet, Sitter, encoder_crops, range_shares
from freeavatar.rig import ARKIT
from freeavatar.training.loop import LoopConfig
from train_animator import Options as TrainOptions
from train_animator import find_avatars, prepare

ROWS: dict[str, dict[str, float]] = {
    "all losses": {},
    "no consistency, no pixels": {"consistency": 0.0, "pixels": 0.0},
    "no teacher hints on real faces": {"hint": 0.0},
    "no mirror": {"mirror": 0.0},
    "no asymmetry": {"asymmetry": 0.0},
    "no own pictures": {"own": 0.0, "pixels": 0.0},
    "no names": {"names": 0.0},
    "no names, no looks": {"names": 0.0, "consistency": 0.0, "pixels": 0.0},
    "no priors": {"sparsity": 0.0, "range": 0.0},
}


@dataclass(frozen=True)
class Options:
    """Train and measure every row."""

    train: TrainOptions = field(default_factory=TrainOptions)
    judges: Path = Path("data/renders/judges")
    out: Path = Path("runs/ablate-animator")
    steps: int = 600
    num_own: int = 60
    """Held-out pictures of each avatar."""
    num_faces: int = 48
    drawn: tuple[str, ...] = ("ada", "chen", "vit_reptile")
    """Avatars on which real faces are shown and compared."""
    rows: tuple[str, ...] = (*ROWS, "conditioning", "separate")


@dataclass(frozen=True)
class Judge:
    """Everything that a trained network is measured on, encoded once."""

    encoder: ExpressionEncoder
    stills: object
    still_features: np.ndarray
    own: dict[str, tuple[np.ndarray, np.ndarray]]
    faces: np.ndarray
    face_embeddings: np.ndarray
    sitters: dict[str, Sitter]


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    lessons, cast = prepare(options.train)
    judge = new_judge(options, lessons.sets)
    lines = [
        "| | ARKit correlation, stills | left minus right | own controls, held out | "
        "real faces: source to avatar | weights, M |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in options.rows:
        shown = len(lines)
        if row in ROWS:
            weights = dataclasses.replace(options.train.weights, **ROWS[row])
            lines.append(measured(row, options, lessons, cast, judge, weights=weights))
        elif row == "conditioning":
            cheap = dataclasses.replace(options.train.weights, consistency=0.0, pixels=0.0)
            for how in ("concat", "film", "hyper"):
                name = f"conditioning {how}, no looks"
                lines.append(
                    measured(name, options, lessons, cast, judge, weights=cheap, conditioning=how)
                )
        elif row == "separate":
            lines.append(separate(options, lessons, cast, judge))
        print(*lines[shown:], sep="\n", flush=True)
    (options.out / "table.md").write_text("\n".join(lines) + "\n")


def new_judge(options: Options, sets: Sequence[AvatarSet]) -> Judge:
    encoder = ExpressionEncoder.load(options.train.expression / "expression.onnx")
    shown = stills(options.judges, 800)
    own = {}
    for pictures in sets:
        rows = np.arange(pictures.num_train, len(pictures))[: options.num_own]
        features, _ = encode_crops(encoder, encoder_crops(pictures.shards.gather(rows)))
        own[pictures.avatar] = (features, range_shares(pictures.rig, pictures.controls[rows]))
    faces, embeddings = encode_crops(encoder, real_faces(options.train.faces, options.num_faces))
    avatars: list[Avatar] = [a for a in find_avatars(options.train) if a.name in options.drawn]
    return Judge(
        encoder,
        shown,
        encode_crops(encoder, shown.pictures.crops)[0],
        own,
        faces,
        embeddings,
        {avatar.name: Sitter.of(avatar) for avatar in avatars},
    )


def measured(
    name: str,
    options: Options,
    lessons: Lessons,
    cast: Cast,
    judge: Judge,
    weights: LossWeights | None = None,
    conditioning: Conditioning = "film",
) -> str:
    folder = options.out / name.replace(" ", "-").replace(",", "")
    model = train_one(folder, options.steps, lessons, cast, weights, conditioning, options)
    network, _ = load_animator(model)
    size = sum(p.numel() for p in network.parameters()) / 1e6
    return table_row(name, *scores(Animator.load(folder), cast, judge), size)


def train_one(
    folder: Path,
    steps: int,
    lessons: Lessons,
    cast: Cast,
    weights: LossWeights | None,
    conditioning: Conditioning,
    options: Options,
) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    config = AnimatorTrainConfig(
        AnimatorConfig(lessons.renders.features.shape[1], conditioning=conditioning),
        weights or options.train.weights,
        avatars_per_step=min(3, len(cast.members)),
        loop=LoopConfig(
            num_steps=steps, learning_rate=1e-3, weight_decay=0.02, ema_decay=0.99,
            seed=options.train.seed,
        ),
    )  # fmt: skip
    checkpoint = train_animator(lessons, cast, folder, config)
    export_animator(checkpoint, folder)
    return checkpoint


def separate(options: Options, lessons: Lessons, cast: Cast, judge: Judge) -> str:
    """A network for each avatar, which together have seen as much as the joint one."""
    per_avatar = max(1, round(options.steps * 3 / len(cast.members)))
    cheap = dataclasses.replace(options.train.weights, consistency=0.0, pixels=0.0)
    parts, size = [], 0.0
    for member in cast.members:
        folder = options.out / "separate" / member.avatar
        alone = Cast((member,))
        checkpoint = train_one(folder, per_avatar, lessons, alone, cheap, "film", options)
        parts.append(scores(Animator.load(folder), alone, judge))
        size += sum(p.numel() for p in load_animator(checkpoint)[0].parameters()) / 1e6
    means = [float(np.nanmean([part[i] for part in parts])) for i in range(4)]
    return table_row("separate networks, no looks", *means, size)


def scores(animator: Animator, cast: Cast, judge: Judge) -> tuple[float, float, float, float]:
    """NaN where this cast has nobody to measure."""
    arkit = lopsided = float("nan")
    members = {m.avatar: m for m in cast.members}
    if "arkit" in members:
        guess = animator.controls(judge.still_features, ARKIT)
        arkit = float(np.nanmean(correlations(guess, judge.stills)[0]))
        lopsided = sides(judge.stills, {"ours": guess})["ours"]
    own = [
        own_correlation(animator, members[name], *judge.own[name])
        for name in judge.own
        if name in members
    ]
    distances = [
        face_distance(animator, sitter, members[name], judge)
        for name, sitter in judge.sitters.items()
        if name in members
    ]
    nan = float("nan")
    return (
        arkit,
        lopsided,
        float(np.mean(own)) if own else nan,
        float(np.mean(distances)) if distances else nan,
    )


def own_correlation(
    animator: Animator, member: DrivenRig, features: np.ndarray, shares: np.ndarray
) -> float:
    """Mean over controls that move, of an avatar's own held-out pictures."""
    found = range_shares(member.rig, animator.member_controls(member.avatar, features))
    moving = np.flatnonzero(shares.std(axis=0) > 0.05)
    return float(
        np.mean(
            [
                np.corrcoef(found[:, i], shares[:, i])[0, 1] if found[:, i].std() > 1e-6 else 0.0
                for i in moving
            ]
        )
    )


def face_distance(animator: Animator, sitter: Sitter, member: DrivenRig, judge: Judge) -> float:
    """Encoder's distance from a real face to the avatar drawn for it, over the median distance
    from that face to what was drawn for others: 1 means that the avatar says nothing."""
    controls = animator.member_controls(member.avatar, judge.faces)
    drawn = np.stack([sitter.draw(values) for values in controls])
    _, embeddings = encode_crops(judge.encoder, encoder_crops(drawn))
    apart = np.linalg.norm(judge.face_embeddings[:, None] - embeddings[None], axis=2)
    own = np.diagonal(apart)
    others = apart[~np.eye(len(apart), dtype=bool)]
    return float(own.mean() / np.median(others))


def table_row(
    name: str, arkit: float, lopsided: float, own: float, distance: float, size: float
) -> str:
    cells = [arkit, lopsided, own, distance, size]
    shown = ["" if np.isnan(cell) else f"{cell:.3f}" for cell in cells]
    return f"| {name} | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Options))
