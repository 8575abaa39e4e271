"""Draw avatars with random controls and train one neural renderer for all of them.

    python recipes/train_renderer.py
    python recipes/train_renderer.py --only ada --steps 210 --out runs/renderer-ada

Data      bundled heads; VALID, ICT and Vitruvian from ../shared/data where it is (--extra)
Hardware  1 CPU core: about 8 minutes of drawing, 6 of training
Expected  see docs/experiments.md
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import tyro

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import bundled_names, resolve
from freeavatar.avatars.gltf import load_avatar
from freeavatar.datasets.motion_sources import HELD_OUT_TAKES, load_motion
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import open_avatar_set, write_avatar_set
from freeavatar.renderer.evaluate import fidelity_table, judge_avatar, picture_sheet
from freeavatar.renderer.train import RendererTrainConfig, load_renderer, train_renderer

SHARED = Path("../shared/data")
EXTRA = (
    "avatars/valid/White_M_1.glb",
    "avatars/valid/MENA_F_1.glb",
    "avatars/ict/ict_f_fair.glb",
    "avatars/vitruvian/vit_reptile.glb",
)
"""Beside the bundled heads. Godette and a VALID woman stay out: they judge `train avatar`."""


@dataclass(frozen=True)
class Options:
    """Draw the sets, train the renderer."""

    sets: Path = Path("data/renders/avatars")
    out: Path = Path("runs/renderer")
    data: Path = SHARED
    extra: tuple[str, ...] = EXTRA
    """Further avatars, below --data; missing ones are left out and said."""
    num: int = 2500
    """Pictures of each avatar."""
    steps: int = 2500
    """Of 32 pictures: 80,000 in all, some six minutes of one free core."""
    minutes: float | None = None
    encoder: Path | None = None
    """expression.onnx whose view of the pictures is measured; the shipped one when left out."""
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "bfloat16"
    """bfloat16 took 0.55 of float32's time here (EPYC with AVX-512 BF16)."""
    only: tuple[str, ...] = ()
    """Train on these avatars alone: one name gives a renderer of its own, for comparison."""
    only_draw: bool = False


def avatars(options: Options) -> list[Avatar]:
    """Bundled heads and those of --extra that are there."""
    found = [resolve(name) for name in bundled_names()]
    for relative in options.extra:
        path = options.data / relative
        if path.is_file():
            found.append(load_avatar(path))
        else:
            print(f"left out, not found: {path}")
    return found


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    takes = sorted((options.data / "motion").glob("*.csv"))
    motion = load_motion([path for path in takes if path.stem not in HELD_OUT_TAKES])
    folders = []
    for avatar in avatars(options):
        folders.append(options.sets / avatar.name)
        write_avatar_set(avatar, motion, folders[-1], options.num, options.seed)
        print(f"{avatar.name}: {options.num} pictures", flush=True)
    if options.only_draw:
        return
    folders = [folder for folder in folders if not options.only or folder.name in options.only]
    sets = [open_avatar_set(folder) for folder in folders]
    config = RendererTrainConfig()
    loop = dataclasses.replace(
        config.loop,
        num_steps=options.steps,
        minutes=options.minutes,
        seed=options.seed,
        precision=options.precision,
    )
    checkpoint = train_renderer(
        sets,
        options.out,
        dataclasses.replace(config, loop=loop),
        lambda line: print(line, flush=True) if line["step"] % 100 == 0 else None,
    )
    if os.environ.get("RANK", "0") != "0":
        return
    model, _ = load_renderer(checkpoint)
    encoder = ExpressionEncoder.load(options.encoder)
    table = fidelity_table([judge_avatar(model, i, s, encoder) for i, s in enumerate(sets)])
    (options.out / "fidelity.md").write_text(table)
    cv2.imwrite(str(options.out / "sheet.png"), picture_sheet(model, sets)[..., ::-1])
    print(table)


if __name__ == "__main__":
    main(tyro.cli(Options))
