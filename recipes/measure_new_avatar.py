"""How well `freeavatar train avatar` teaches a new character: the table of docs/animator.md.

    python recipes/measure_new_avatar.py                      # against ARKit carried over by name
    python recipes/measure_new_avatar.py --full runs/animator-all  # and against joint training

The characters must have been kept out of the joint training. `--full` is a folder of
train_animator.py whose `--extra` had them as well.

Data      White_F_3 (VALID) and Godette below --data; data/faces/fairface, data/renders/avatars
Networks  runs/expression, runs/animator, runs/renderer
Hardware  2 CPU cores: about 10 minutes a character, said in the table
Expected  see docs/animator.md
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from freeavatar.animator.data import encode_crops
from freeavatar.animator.onboard import OnboardConfig, OnProgress, SharedNetworks, onboard
from freeavatar.animator.runtime import Animator, personal_weights
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import bundled_names, resolve
from freeavatar.avatars.gltf import load_avatar
from freeavatar.evaluation.animator_sheets import driven_sheet, real_faces
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import AvatarSet, Sitter, encoder_crops, open_avatar_set, range_shares

Drive = Callable[[np.ndarray], np.ndarray]
"""Features to controls."""
MOVING_STD = 0.05
"""Of a control's range; correlation of what moves less would be noise."""


@dataclass(frozen=True)
class Options:
    """Teach every character, measure it before and after.

    The minutes are those of this run: of a character that an earlier run began, of the rest only.
    """

    data: Path = Path("../shared/data")
    avatars: tuple[str, ...] = (
        "avatars/valid/White_F_3.glb",
        "avatars/godette/Godette_vrm_v4.vrm",
    )
    """Below --data."""
    expression: Path = Path("runs/expression")
    animator: Path = Path("runs/animator")
    renderer: Path = Path("runs/renderer")
    full: Path | None = None
    """Another animator, trained jointly with the characters too."""
    faces: Path = Path("data/faces/fairface")
    sets: Path = Path("data/renders/avatars")
    """Pictures of the avatars of the joint training: their scores before and after."""
    out: Path = Path("runs/new-avatar")
    teach: OnboardConfig = field(default_factory=OnboardConfig)
    num_own: int = 150
    num_faces: int = 48
    threads: int = 2


@dataclass(frozen=True)
class Scores:
    """One way to drive one avatar."""

    own: float
    """Correlation with the controls of its own held-out pictures, mean over those that move."""
    face_distance: float
    """Encoder's distance from a real face to the avatar drawn for it, over the median distance to
    what was drawn for other faces: 1 says nothing of the face."""
    nearest: float
    """Share of faces to which their own picture is nearer than those of at least three quarters of
    the other faces are (chance 0.25)."""


@dataclass(frozen=True)
class FaceJudge:
    """Real faces, encoded once."""

    encoder: ExpressionEncoder
    features: np.ndarray
    embeddings: np.ndarray


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    encoder = ExpressionEncoder.load(options.expression / "expression.onnx")
    crops = real_faces(options.faces, options.num_faces)
    judge = FaceJudge(encoder, *encode_crops(encoder, crops))
    networks = SharedNetworks.of_runs(options.expression, options.animator, options.renderer)
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [
        "| avatar | how | minutes | weights, kB | own controls | real faces, distance | nearest |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    before = others(options, encoder)
    learned: list[Avatar] = []
    for relative in options.avatars:
        avatar = borrowed(options.data / relative, options.out)
        learned.append(avatar)
        started_s = time.monotonic()
        made = onboard(
            avatar,
            options.out / f"work-{avatar.name}",
            networks,
            options.teach,
            on_progress=_told(avatar.name),
        )
        minutes = (time.monotonic() - started_s) / 60
        pictures = open_avatar_set(options.out / f"work-{avatar.name}" / "pictures")
        size = f"{made.weights.stat().st_size / 1e3:.0f}"
        rows = [("after `train avatar`", options.animator, True, f"{minutes:.1f}", size)]
        if avatar.arkit_to_rig is not None:
            rows.insert(0, ("at once, by name", options.animator, False, "0", ""))
        if options.full is not None:
            rows.append(("joint training", options.full, False, "", ""))
        for how, folder, personal, spent, weighs in rows:
            found = scored(driver(folder, avatar, personal), avatar, pictures, judge, options)
            lines.append(
                f"| {avatar.name} | {how} | {spent} | {weighs} | {found.own:.3f} | "
                f"{found.face_distance:.3f} | {found.nearest:.2f} |"
            )
            print(lines[-1], flush=True)
    sheet = driven_sheet(
        crops[:16], [""] * min(16, len(crops)), learned, encoder, Animator.load(options.animator)
    )
    cv2.imwrite(str(options.out / "sheet.png"), sheet[..., ::-1])
    lines += ["", *compared(before, others(options, encoder)), ""]
    (options.out / "table.md").write_text("\n".join(lines))
    print("\n".join(lines))


def borrowed(file: Path, out: Path) -> Avatar:
    """A copy of the character, so that its weights file lies beside the copy."""
    copy = out / file.name
    shutil.copyfile(file, copy)
    return load_avatar(copy)


def driver(folder: Path, avatar: Avatar, personal: bool) -> Animator:
    """The animator of a run; without what was learned of this avatar alone unless `personal`."""
    animator = Animator.load(folder)
    if personal:
        return animator
    weights = personal_weights(Path(avatar.source))
    hidden = weights.with_suffix(".hidden")
    os.replace(weights, hidden)
    try:
        # What lies beside the avatar is read once, now, and remembered.
        animator.knows(avatar)
    finally:
        os.replace(hidden, weights)
    return animator


def scored(
    animator: Animator, avatar: Avatar, pictures: AvatarSet, judge: FaceJudge, options: Options
) -> Scores:
    """All three measures."""
    own = own_score(
        lambda features: animator.controls(features, avatar),
        pictures,
        judge.encoder,
        options.num_own,
    )
    sitter = Sitter.of(avatar)
    drawn = np.stack([sitter.draw(v) for v in animator.controls(judge.features, avatar)])
    _, embeddings = encode_crops(judge.encoder, encoder_crops(drawn))
    apart = np.linalg.norm(judge.embeddings[:, None] - embeddings[None], axis=2)
    right = np.diagonal(apart)
    wrong = apart[~np.eye(len(apart), dtype=bool)].reshape(len(apart), -1)
    nearest = ((right[:, None] < wrong).mean(axis=1) >= 0.75).mean()
    return Scores(own, float(right.mean() / np.median(wrong)), float(nearest))


def own_score(drive: Drive, pictures: AvatarSet, encoder: ExpressionEncoder, num: int) -> float:
    """Correlation on pictures that nothing was trained on."""
    rows = np.arange(pictures.num_train, len(pictures))[:num]
    features, _ = encode_crops(encoder, encoder_crops(pictures.shards.gather(rows)))
    found = range_shares(pictures.rig, drive(features))
    truth = range_shares(pictures.rig, pictures.controls[rows])
    moving = np.flatnonzero(truth.std(axis=0) > MOVING_STD)
    return float(
        np.mean(
            [
                np.corrcoef(found[:, i], truth[:, i])[0, 1] if found[:, i].std() > 1e-6 else 0.0
                for i in moving
            ]
        )
    )


def others(options: Options, encoder: ExpressionEncoder) -> dict[str, tuple[float, str]]:
    """Own-control scores of the avatars trained jointly, and a digest of all their controls."""
    animator = Animator.load(options.animator)
    found = {}
    for name in bundled_names():
        if not (options.sets / name).is_dir():
            continue
        avatar, pictures = resolve(name), open_avatar_set(options.sets / name)
        digests: list[bytes] = []

        def drive(
            features: np.ndarray, avatar: Avatar = avatar, told: list = digests
        ) -> np.ndarray:
            controls = animator.controls(features, avatar)
            told.append(controls.tobytes())
            return controls

        score = own_score(drive, pictures, encoder, options.num_own)
        found[name] = (score, hashlib.sha256(b"".join(digests)).hexdigest()[:12])
    return found


def compared(
    before: dict[str, tuple[float, str]], after: dict[str, tuple[float, str]]
) -> Sequence[str]:
    """The others' scores; `same` when every control of every picture is equal to the last bit."""
    lines = ["| other avatar | own controls before | after | controls |", "|---|---:|---:|---|"]
    for name, (score, digest) in before.items():
        same = "same" if digest == after[name][1] else "CHANGED"
        lines.append(f"| {name} | {score:.3f} | {after[name][0]:.3f} | {same} |")
    return lines


def _told(name: str) -> OnProgress:
    told = {"stage": ""}

    def tell(stage: str, done: int, total: int | None) -> None:
        if stage != told["stage"]:
            told["stage"] = stage
            print(f"{name}: {stage} ({total})", flush=True)

    return tell


if __name__ == "__main__":
    main(tyro.cli(Options))
