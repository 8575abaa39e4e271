"""Draws the clips that judge the trackers: held-out people in held-out takes, with exact truth.

    python benchmarks/truth.py --data ../shared/data

Each clip is NAME.mp4 with the truth beside it: NAME.csv (Live Link Face) and NAME.json (who, which
take, which channels this face can show). A clip that exists is not drawn again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import tyro
from jaxtyping import Bool

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import PreparedAvatar, portrait_camera, prepare, render
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.datasets.actors import make_actor
from freeavatar.datasets.render_variation import Backgrounds, draw_lights
from freeavatar.export.files import finished_file
from freeavatar.export.livelink import read_livelink, write_livelink
from freeavatar.rig import ARKIT_NAMES
from heldout import ClipPlan, clip_plans, load_person
from takes import FRAME_RATE_HZ, performance

SIZE = 512
DRAWING_SEED = 77


@dataclass(frozen=True)
class Options:
    """Draw the benchmark's clips."""

    data: Path = Path("../shared/data")
    """Folder with avatars/ and motion/."""
    out: Path = Path("data/bench")
    only: str = ""
    """Draw only clips whose name contains this."""


@dataclass(frozen=True)
class TruthClip:
    """One drawn clip and what it shows."""

    plan: ClipPlan
    video: Path
    truth: AnimationClip
    shown: Bool[np.ndarray, "52"]
    """Channels that move this face at all; the others cannot be judged on it."""


def draw_clips(options: Options, say: Callable[[str], None]) -> list[TruthClip]:
    """Draw what is missing; the value is all clips asked for."""
    plans = [plan for plan in clip_plans() if options.only in plan.name]
    missing = [p for p in plans if not (options.out / f"{p.name}.json").is_file()]
    options.out.mkdir(parents=True, exist_ok=True)
    for person, group in groupby(missing, key=lambda plan: plan.person):
        avatar = load_person(person, options.data)
        prepared = prepare(avatar)
        shows = make_actor(avatar).shows
        for plan in group:
            seed = clip_plans().index(plan)
            truth = performance(plan.take, plan.part, seed, options.data)
            _draw(options.out / f"{plan.name}.mp4", avatar, prepared, truth, seed)
            with finished_file(options.out / f"{plan.name}.csv", overwrite=True) as path:
                write_livelink(path, truth)
            facts = asdict(plan) | {
                "shown": [n for n, s in zip(ARKIT_NAMES, shows, strict=True) if s]
            }
            # Written last: it says that the clip is complete.
            with finished_file(options.out / f"{plan.name}.json") as path:
                path.write_text(json.dumps(facts, indent=1))
            say(f"drew {plan.name}")
    return [read_clip(options.out, plan) for plan in plans]


def read_clip(folder: Path, plan: ClipPlan) -> TruthClip:
    """A clip drawn before."""
    facts = json.loads((folder / f"{plan.name}.json").read_text())
    return TruthClip(
        plan,
        folder / f"{plan.name}.mp4",
        read_livelink(folder / f"{plan.name}.csv"),
        np.isin(ARKIT_NAMES, facts["shown"]),
    )


def _draw(
    path: Path, avatar: Avatar, prepared: PreparedAvatar, truth: AnimationClip, seed: int
) -> None:
    assert avatar.arkit_to_rig is not None
    rng = np.random.default_rng((DRAWING_SEED, seed))
    lights, background = draw_lights(rng), Backgrounds().draw(SIZE, rng)
    camera = portrait_camera(avatar.face, margin=float(rng.uniform(1.05, 1.35)))
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=12) as writer:
        for time_s, values, head_rad in zip(
            truth.times_s, truth.values, truth.head_rad, strict=True
        ):
            controls = avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ values)
            posed = pose(avatar, controls, tuple(head_rad))
            # One sample a pixel: every tracker looks at the face several times smaller than drawn.
            picture = render(
                prepared,
                posed,
                camera,
                lights,
                SIZE,
                SIZE,
                background,
                samples=1,
                shadow_size=160,
            )
            writer.write(picture.rgb, float(time_s))


if __name__ == "__main__":
    cv2.setNumThreads(1)
    draw_clips(tyro.cli(Options), print)
