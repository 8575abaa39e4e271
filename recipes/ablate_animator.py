"""What each part of the animator's training brings, on one budget: tables of docs/experiments.md.

    python recipes/ablate_animator.py --steps 600

Data      as train_animator.py, whose encoded features are used again; data/renders/judges
Hardware  1 CPU core: about a minute a row and seed
Expected  see docs/experiments.md
"""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch
import tyro

from freeavatar.animator.data import encode_crops
from freeavatar.animator.export import export_animator, load_animator, save_finished
from freeavatar.animator.identity import ARKIT_MEMBER, Cast, DrivenRig
from freeavatar.animator.model import AnimatorConfig, Conditioning
from freeavatar.animator.runtime import Animator
from freeavatar.animator.train import AnimatorTrainConfig, Lessons, train_animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.evaluation.animator import Shown, correlations, sides, stills
from freeavatar.evaluation.animator_sheets import real_faces
from freeavatar.evaluation.own_controls import OwnPictures, judging_pictures, own_correlation
from freeavatar.evaluation.peers import MediaPipe52, Pictures
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import AvatarSet, Sitter, encoder_crops
from freeavatar.rig import ARKIT
from freeavatar.training.loop import LoopConfig
from train_animator import Options as TrainOptions
from train_animator import find_avatars, prepare

ROWS: dict[str, dict[str, float]] = {
    "all losses": {},
    "no consistency": {"consistency": 0.0},
    "no pixels": {"pixels": 0.0},
    "no consistency, no pixels": {"consistency": 0.0, "pixels": 0.0},
    "no teacher hints on real faces": {"hint": 0.0},
    "no mirror": {"mirror": 0.0},
    "no asymmetry": {"asymmetry": 0.0},
    "no pairs within a person": {"within": 0.0},
    "no own pictures": {"own": 0.0, "pixels": 0.0},
    "no names": {"names": 0.0},
    "no names, no looks": {"names": 0.0, "consistency": 0.0, "pixels": 0.0},
    "no sparsity": {"sparsity": 0.0},
    "no range": {"range": 0.0},
}
NO_LOOKS = ROWS["no consistency, no pixels"]
NO_OVERSAMPLING = "no oversampling of rare shapes"
LINEAR = "a linear map beside it"
"""All other rows are the network alone."""


@dataclass(frozen=True)
class Options:
    """Train and measure every row."""

    train: TrainOptions = field(default_factory=TrainOptions)
    judges: Path = Path("data/renders/judges")
    components: Path = Path("../shared/components")
    """Holds the 52-score net; without it its column is empty."""
    out: Path = Path("runs/ablate-animator")
    steps: int = 600
    num_own: int = 60
    """Held-out pictures of each avatar."""
    num_faces: int = 48
    drawn: tuple[str, ...] = ("ada", "chen", "vit_reptile")
    """Avatars on which real faces are shown and compared."""
    seeds: tuple[int, ...] = (0,)
    """Each row is trained once with each; the table has the means, and half of the spread."""
    rows: tuple[str, ...] = (*ROWS, NO_OVERSAMPLING, LINEAR, "conditioning", "separate")


@dataclass(frozen=True)
class Judge:
    """Everything that a trained network is measured on, encoded once."""

    encoder: ExpressionEncoder
    stills: Shown
    still_features: np.ndarray
    own: dict[str, OwnPictures]
    faces: np.ndarray
    face_embeddings: np.ndarray
    sitters: dict[str, Sitter]
    scores: MediaPipe52 | None
    face_scores: np.ndarray | None
    """An onlooker that no training asked: the 52-score net's answer to the same real faces."""


@dataclass(frozen=True)
class Scores:
    """What one network, or one network for each avatar, is worth; NaN where nobody was asked."""

    arkit: float
    lopsided: float
    own: float
    source: float
    source_by_scores: float

    @staticmethod
    def mean(parts: Sequence[Scores]) -> Scores:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is NaN, rightly
            table = np.array([dataclasses.astuple(part) for part in parts])
            return Scores(*(float(value) for value in np.nanmean(table, axis=0)))


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    unknown = set(options.rows) - {*ROWS, NO_OVERSAMPLING, LINEAR, "conditioning", "separate"}
    if unknown:
        raise SystemExit(f"There are no rows {', '.join(sorted(unknown))}.")
    lessons, cast = prepare(options.train)
    judge = new_judge(options, lessons.sets)
    lines = [
        "| | ARKit correlation, stills | left minus right | own controls, held out | "
        "real faces: source to avatar | the same by 52 scores | weights, M |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    bench = Bench(options, lessons, cast, judge)
    for row in options.rows:
        shown = len(lines)
        if row in ROWS:
            lines.append(bench.joint(row, ROWS[row]))
        elif row == NO_OVERSAMPLING:
            lines.append(bench.joint(row, {}, oversampling=1.0))
        elif row == LINEAR:
            lines.append(bench.joint(row, {}, linear=True))
        elif row == "conditioning":
            for how in get_args(Conditioning):
                lines.append(bench.joint(f"conditioning {how}, no looks", NO_LOOKS, how))
        else:
            lines.append(bench.separate())
        print(*lines[shown:], sep="\n", flush=True)
        (options.out / "table.md").write_text("\n".join(lines) + "\n")


def new_judge(options: Options, sets: Sequence[AvatarSet]) -> Judge:
    encoder = ExpressionEncoder.load(options.train.expression / "expression.onnx")
    shown = stills(options.judges, 800)
    pictures = real_faces(options.train.faces, options.num_faces)
    faces, embeddings = encode_crops(encoder, pictures)
    avatars: list[Avatar] = [a for a in find_avatars(options.train) if a.name in options.drawn]
    scores = MediaPipe52(options.components) if options.components.is_dir() else None
    return Judge(
        encoder,
        shown,
        encode_crops(encoder, shown.pictures.crops)[0],
        {s.avatar: judging_pictures(s, encoder, options.num_own) for s in sets},
        faces,
        embeddings,
        {avatar.name: Sitter.of(avatar) for avatar in avatars},
        scores,
        scores.encode(Pictures(pictures, pictures)).embeddings if scores is not None else None,
    )


@dataclass(frozen=True)
class Bench:
    """Trains rows of the table and measures them."""

    options: Options
    lessons: Lessons
    cast: Cast
    judge: Judge

    def joint(
        self,
        name: str,
        off: dict[str, float],
        conditioning: Conditioning | None = None,
        oversampling: float | None = None,
        linear: bool = False,
    ) -> str:
        """One network for all avatars; `linear`: and a linear map beside it."""
        folder = self.options.out / name.replace(" ", "-").replace(",", "")
        config = self.config(self.options.steps, off, conditioning, oversampling)
        found, size = [], 0.0
        for seed in self.options.seeds:
            size = self.train(folder / str(seed), self.cast, config, seed, linear)
            found.append(scores(Animator.load(folder / str(seed)), self.cast, self.judge))
        return table_row(name, found, size)

    def separate(self) -> str:
        """A network for each avatar, which sees as many of its batches as it does in the joint
        training: ARKit's curves every step, the others a share of the rest."""
        of_others = self.options.steps * 2 / (len(self.cast.members) - 1)
        by_seed, size = [], 0.0
        for seed in self.options.seeds:
            parts, size = [], 0.0
            for member in self.cast.members:
                is_arkit = member.avatar == ARKIT_MEMBER
                steps = self.options.steps if is_arkit else max(1, round(of_others))
                alone, folder = Cast((member,)), self.options.out / "separate" / member.avatar
                size += self.train(folder / str(seed), alone, self.config(steps, NO_LOOKS), seed)
                parts.append(scores(Animator.load(folder / str(seed)), alone, self.judge))
            by_seed.append(Scores.mean(parts))
        return table_row("separate networks, no looks", by_seed, size)

    def config(
        self,
        steps: int,
        off: dict[str, float],
        conditioning: Conditioning | None = None,
        oversampling: float | None = None,
    ) -> AnimatorTrainConfig:
        """As it ships but for what is asked."""
        defaults = AnimatorTrainConfig()
        return AnimatorTrainConfig(
            AnimatorConfig(
                self.lessons.renders.features.shape[1],
                conditioning=conditioning or self.options.train.conditioning,
            ),
            dataclasses.replace(self.options.train.weights, **off),
            oversampling=defaults.oversampling if oversampling is None else oversampling,
            loop=LoopConfig(num_steps=steps, learning_rate=1e-3, weight_decay=0.02, ema_decay=0.99),
        )

    def train(
        self,
        folder: Path,
        cast: Cast,
        config: AnimatorTrainConfig,
        seed: int,
        linear: bool = False,
    ) -> float:
        """Millions of weights of the network that `folder` has afterwards."""
        shutil.rmtree(folder, ignore_errors=True)
        config = dataclasses.replace(
            config,
            avatars_per_step=min(config.avatars_per_step, len(cast.members)),
            loop=dataclasses.replace(config.loop, seed=seed),
        )
        checkpoint = train_animator(self.lessons, cast, folder, config)
        if linear:
            save_finished(checkpoint, checkpoint, self.lessons, share=0.0)
        export_animator(checkpoint, folder)
        return sum(p.numel() for p in load_animator(checkpoint)[0].parameters()) / 1e6


def scores(animator: Animator, cast: Cast, judge: Judge) -> Scores:
    """NaN where this cast has nobody to measure."""
    nan = float("nan")
    arkit = lopsided = nan
    members = {m.avatar: m for m in cast.members}
    if ARKIT_MEMBER in members:
        guess = animator.controls(judge.still_features, ARKIT)
        arkit = float(np.nanmean(correlations(guess, judge.stills)[0]))
        lopsided = sides(judge.stills, {"ours": guess})["ours"]
    own = [
        own_correlation(pictures, animator.member_controls(name, pictures.features))
        for name, pictures in judge.own.items()
        if name in members
    ]
    distances = [
        face_distance(animator, sitter, members[name], judge)
        for name, sitter in judge.sitters.items()
        if name in members
    ]
    seen, by_scores = np.array(distances).T if distances else (np.array([nan]),) * 2
    return Scores(
        arkit,
        lopsided,
        float(np.mean(own)) if own else nan,
        float(np.mean(seen)),
        float(np.mean(by_scores)),
    )


def face_distance(
    animator: Animator, sitter: Sitter, member: DrivenRig, judge: Judge
) -> tuple[float, float]:
    """Distance from a real face to the avatar drawn for it, over the median distance from that
    face to what was drawn for others: 1 means that the avatar says nothing. By the encoder, which
    the training asks too, and by the 52-score net, which it does not (NaN without)."""
    controls = animator.member_controls(member.avatar, judge.faces)
    drawn = np.stack([sitter.draw(values) for values in controls])
    crops = encoder_crops(drawn)
    by_encoder = _own_over_others(judge.face_embeddings, encode_crops(judge.encoder, crops)[1])
    if judge.scores is None or judge.face_scores is None:
        return by_encoder, float("nan")
    answers = judge.scores.encode(Pictures(crops, drawn)).embeddings
    seen = ~np.isnan(answers).any(axis=1) & ~np.isnan(judge.face_scores).any(axis=1)
    if seen.sum() < 8:
        return by_encoder, float("nan")
    return by_encoder, _own_over_others(judge.face_scores[seen], answers[seen])


def _own_over_others(faces: np.ndarray, avatars: np.ndarray) -> float:
    apart = np.linalg.norm(faces[:, None] - avatars[None], axis=2)
    return float(np.diagonal(apart).mean() / np.median(apart[~np.eye(len(apart), dtype=bool)]))


def table_row(name: str, found: Sequence[Scores], size: float) -> str:
    """Means over the seeds, with half of the spread where there are several."""
    table = np.array([dataclasses.astuple(one) for one in found])
    cells = []
    for values in table.T:
        spread = f" ± {np.ptp(values) / 2:.3f}" if len(values) > 1 else ""
        cells.append("" if np.isnan(values).any() else f"{values.mean():.3f}{spread}")
    return f"| {name} | " + " | ".join([*cells, f"{size:.3f}"]) + " |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Options))
