"""How well `freeavatar train avatar` teaches a new character: the table of docs/animator.md.

    python recipes/measure_new_avatar.py                      # against ARKit carried over by name
    python recipes/measure_new_avatar.py --full runs/animator-all  # and against joint training
    python recipes/measure_new_avatar.py --teach.no-by-name        # meanings by shape alone
    python recipes/measure_new_avatar.py --teach.no-weak-teacher   # neither names nor shape

Each way of teaching has work folders and a table of its own below --out: table.md,
table-by-shape.md, table-no-weak-teacher.md. Stopped, the same command goes on; minutes are those of
all its runs.

The characters must have been kept out of the joint training. `--full` is a folder of
train_animator.py whose `--extra` had them as well.

Data      White_F_3 (VALID) and Godette below --data; data/faces/fairface, data/renders/avatars
Networks  runs/expression, runs/animator, runs/renderer
Hardware  2 CPU cores: about 10 minutes a character, said in the table
Expected  see docs/animator.md
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from freeavatar.animator.data import encode_crops
from freeavatar.animator.onboard import (
    OnboardConfig,
    OnProgress,
    SharedNetworks,
    onboard,
    work_name,
)
from freeavatar.animator.runtime import Animator, personal_weights
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import bundled_names, resolve
from freeavatar.avatars.gltf import load_avatar
from freeavatar.evaluation.animator_sheets import driven_sheet, real_faces
from freeavatar.evaluation.own_controls import OwnPictures, judging_pictures, own_correlation
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import Sitter, encoder_crops, open_avatar_set


@dataclass(frozen=True)
class Options:
    """Teach every character, measure it before and after."""

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
    """evaluation.own_controls.own_correlation on its own judging pictures."""
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
    bystanders = others_pictures(options, encoder)
    before = scores_before(options, bystanders, networks)
    learned: list[Avatar] = []
    for relative in options.avatars:
        avatar = borrowed(options.data / relative, options.out)
        learned.append(avatar)
        work = options.out / work_name(avatar, networks, options.teach)
        made = onboard(avatar, work, networks, options.teach, on_progress=_told(avatar.name))
        own = judging_pictures(open_avatar_set(work / "pictures"), encoder, options.num_own)
        minutes, size = f"{made.worked_s / 60:.1f}", f"{made.weights.stat().st_size / 1e3:.0f}"
        taught = ", ".join(("after `train avatar`", *way(options.teach)))
        rows = [(taught, options.animator, True, minutes, size)]
        if avatar.arkit_to_rig is not None:
            rows.insert(0, ("at once, by name", options.animator, False, "0", ""))
        if options.full is not None:
            rows.append(("joint training", options.full, False, "", ""))
        for how, folder, personal, spent, weighs in rows:
            found = scored(driver(folder, avatar, personal), avatar, own, judge)
            lines.append(
                f"| {avatar.name} | {how} | {spent} | {weighs} | {found.own:.3f} | "
                f"{found.face_distance:.3f} | {found.nearest:.2f} |"
            )
            print(lines[-1], flush=True)
    sheet = driven_sheet(
        crops[:16], [""] * min(16, len(crops)), learned, encoder, Animator.load(options.animator)
    )
    named = "-".join(("", *way(options.teach))).replace(" ", "-")
    cv2.imwrite(str(options.out / f"sheet{named}.png"), sheet[..., ::-1])
    lines += ["", *compared(before, scores_of(options, bystanders)), ""]
    (options.out / f"table{named}.md").write_text("\n".join(lines))
    print("\n".join(lines))


def way(teach: OnboardConfig) -> tuple[str, ...]:
    """What sets this way of teaching apart from the usual one, in words."""
    usual = dataclasses.replace(teach, by_name=True, weak_teacher=True)
    told = () if teach.by_name else ("by shape",)
    told += () if teach.weak_teacher else ("no weak teacher",)
    return told if usual == OnboardConfig() else (*told, "other settings")


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


def scored(animator: Animator, avatar: Avatar, pictures: OwnPictures, judge: FaceJudge) -> Scores:
    """All three measures."""
    own = own_correlation(pictures, animator.controls(pictures.features, avatar))
    sitter = Sitter.of(avatar)
    drawn = np.stack([sitter.draw(v) for v in animator.controls(judge.features, avatar)])
    _, embeddings = encode_crops(judge.encoder, encoder_crops(drawn))
    apart = np.linalg.norm(judge.embeddings[:, None] - embeddings[None], axis=2)
    right = np.diagonal(apart)
    wrong = apart[~np.eye(len(apart), dtype=bool)].reshape(len(apart), -1)
    nearest = ((right[:, None] < wrong).mean(axis=1) >= 0.75).mean()
    return Scores(own, float(right.mean() / np.median(wrong)), float(nearest))


Bystanders = dict[str, tuple[float, str]]
"""Of each avatar of the joint training: its own-control score, and a digest of all its controls."""


def others_pictures(options: Options, encoder: ExpressionEncoder) -> tuple[OwnPictures, ...]:
    """Judging pictures of the bundled heads; says which have none."""
    found = []
    for name in bundled_names():
        if not (options.sets / name).is_dir():
            print(f"{name}: not compared, no pictures in {options.sets}", flush=True)
            continue
        found.append(
            judging_pictures(open_avatar_set(options.sets / name), encoder, options.num_own)
        )
    return tuple(found)


def scores_of(options: Options, bystanders: Sequence[OwnPictures]) -> Bystanders:
    """Every bystander driven by the animator as it lies on the disk now."""
    animator = Animator.load(options.animator)
    found = {}
    for pictures in bystanders:
        controls = animator.controls(pictures.features, resolve(pictures.avatar))
        digest = hashlib.sha256(controls.tobytes()).hexdigest()[:12]
        found[pictures.avatar] = (own_correlation(pictures, controls), digest)
    return found


def scores_before(
    options: Options, bystanders: Sequence[OwnPictures], networks: SharedNetworks
) -> Bystanders:
    """The scores before anything was taught, kept for the runs that go on from there."""
    made_of = hashlib.sha256(repr((options.num_own, [p.avatar for p in bystanders])).encode())
    for file in (networks.encoder, networks.animator, options.animator / "animator.npz"):
        made_of.update(file.read_bytes())
    kept = options.out / f"before-{made_of.hexdigest()[:8]}.json"
    if not kept.is_file():
        kept.write_text(json.dumps(scores_of(options, bystanders)))
    return {name: (score, digest) for name, (score, digest) in json.loads(kept.read_text()).items()}


def compared(before: Bystanders, after: Bystanders) -> Sequence[str]:
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
