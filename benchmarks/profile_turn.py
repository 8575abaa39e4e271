"""Heads that turn to profile (90 degrees) and back, and the same performance seen from the front.

Drawn with people whose hair does not hide the face from the side; what is drawn once is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.datasets.render_variation import Backgrounds, draw_lights
from heldout import load_person
from takes import FRAME_RATE_HZ
from truth import TruthClip

VERSION = 1
SIZE = 512
SEED = 31
CRF = 12
PROFILE_RAD = np.pi / 2
FRONT_S, TURN_S, AWAY_S = 1.0, 0.6, 0.8
"""Seen from the front, turning, in profile; then turning back and a second from the front."""
BARE_CHEEKS = ("Asian_M_3", "Hispanic_M_2", "ict_1000", "ict_1001")


@dataclass(frozen=True)
class Turn:
    """One performance twice."""

    front: Path
    turning: Path


def draw_turns(clips: Iterable[TruthClip], most: int, folder: Path, data: Path) -> tuple[Turn, ...]:
    """The first clip of each of so many people, their hair out of the way."""
    chosen: dict[str, TruthClip] = {}
    for clip in clips:
        if clip.plan.person in BARE_CHEEKS:
            chosen.setdefault(clip.plan.person, clip)
    return tuple(_drawn(clip, folder / "damaged", data) for clip in list(chosen.values())[:most])


def yaw_rad() -> Float[np.ndarray, " frame"]:
    """The head's turn: soft at both ends."""
    num_front, num_turn, num_away = (round(s * FRAME_RATE_HZ) for s in (FRONT_S, TURN_S, AWAY_S))
    share = (np.arange(num_turn) + 1.0) / (num_turn + 1.0)
    there = share * share * (3.0 - 2.0 * share)
    front, away = np.zeros(num_front), np.ones(num_away)
    return PROFILE_RAD * np.concatenate([front, there, away, there[::-1], front])


def back_frame() -> int:
    """The first frame in which the head looks straight ahead again."""
    return len(yaw_rad()) - round(FRONT_S * FRAME_RATE_HZ)


def _drawn(clip: TruthClip, folder: Path, data: Path) -> Turn:
    name = f"{clip.plan.name}-v{VERSION}"
    turn = Turn(folder / f"{name}-front.mp4", folder / f"{name}-profile.mp4")
    if not (turn.front.is_file() and turn.turning.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        avatar = load_person(clip.plan.person, data)
        values = clip.truth.values[: len(yaw_rad())]
        front, turning = tee(_pictures(avatar, values))
        _write(turn.front, (straight for straight, _ in front))
        _write(turn.turning, (turned for _, turned in turning))
    return turn


def _pictures(
    avatar: Avatar, values: Float[np.ndarray, "frame 52"]
) -> Iterator[tuple[UInt8[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x 3"]]]:
    """Every frame from the front and turned."""
    assert avatar.arkit_to_rig is not None
    rng = np.random.default_rng(SEED)
    lights, background = draw_lights(rng), Backgrounds().draw(SIZE, rng)
    camera, prepared = portrait_camera(avatar.face, margin=1.2), prepare(avatar)
    for arkit, turn_rad in zip(values, yaw_rad(), strict=True):
        controls = avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ arkit)
        both = [
            render(
                prepared,
                pose(avatar, controls, (yaw, 0.0, 0.0)),
                camera,
                lights,
                SIZE,
                SIZE,
                background,
                samples=1,
            ).rgb
            for yaw in dict.fromkeys((0.0, float(turn_rad)))
        ]
        yield both[0], both[-1]


def _write(path: Path, pictures: Iterable[np.ndarray]) -> None:
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=CRF) as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, index / FRAME_RATE_HZ)
