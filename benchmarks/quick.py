"""Movements that last a few frames, drawn exactly, and how much of them comes out of a tracker.

Blinks of one frame, lips that meet over an open jaw (p, b, m), laughter, and a gaze that rests
while the lids close. Each clip is a few seconds of one held-out person; what is drawn once is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.datasets.render_variation import Backgrounds, draw_lights
from freeavatar.rig import ARKIT
from heldout import load_person
from takes import FRAME_RATE_HZ

SIZE = 512
DRAWING_SEED = 11
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")

BLINKS = (20, 40, 61, 85)
BLINK_FRAMES = 105

PLOSIVES: Mapping[int, tuple[int, ...]] = {1: (20, 47, 78), 2: (29, 56, 87), 3: (38, 66, 97)}
"""First frames of the closures, by how many frames the lips stay together."""
PLOSIVE_FRAMES = 112
PLOSIVE_JAW = 0.4
"""mouthClose of the same value brings the lips together: 1 - 0 of the opening between them."""
REACH = 3
"""Frames before and after a quick movement that do not count as the usual level."""

LAUGH_HZ = 5.0
LAUGH_FRAMES = 96
LAUGH_EDGE = 15
"""Frames at both ends that are not judged: laughter starts there from a mouth at rest."""
LAUGH: Mapping[str, tuple[float, float]] = {
    "jawOpen": (0.25, 0.15),
    "mouthSmileLeft": (0.6, 0.2),
    "mouthSmileRight": (0.6, 0.2),
}
"""Middle and amplitude."""

GAZE_BLINKS = (18, 42, 66, 88)
GAZE_LIDS = (0.3, 0.8, 1.0, 1.0, 0.7, 0.3)
"""A blink of 0.2 s, as people do it."""
GAZE_FRAMES = 106
GAZE_YAW_RAD = 0.4
ASIDE = {"eyeLookOutLeft": 0.7, "eyeLookInRight": 0.7}
LOOKS = tuple(name for name in ARKIT.names if name.startswith("eyeLook"))


@dataclass(frozen=True)
class QuickClips:
    """One video for each kind of movement."""

    blinks: Path
    plosives: Path
    laughter: Path
    gaze: Path


def draw_quick_clips(folder: Path, person: str, data: Path) -> QuickClips:
    """Draw what is missing."""
    kinds = ("blink", "plosives", "laughter", "gaze")
    files = [folder / f"{kind}-{person.lower()}.mp4" for kind in kinds]
    takes = (blink_take(), plosive_take(), laughter_take(), gaze_take())
    yaws = (0.0, 0.0, 0.0, GAZE_YAW_RAD)
    missing = [job for job in zip(files, takes, yaws, strict=True) if not job[0].is_file()]
    if missing:
        avatar = load_person(person, data)
        for path, values, yaw_rad in missing:
            _draw(path, avatar, values, yaw_rad)
    return QuickClips(*files)


def blink_take() -> Float[np.ndarray, "frame 52"]:
    """At rest; both eyes shut for one frame, now and then."""
    values = np.zeros((BLINK_FRAMES, len(ARKIT)))
    values[np.ix_(BLINKS, _columns(LIDS))] = 1.0
    return values


def plosive_take() -> Float[np.ndarray, "frame 52"]:
    """The jaw stays open; the lips meet over it for one to three frames."""
    values = np.zeros((PLOSIVE_FRAMES, len(ARKIT)))
    values[:, ARKIT.index("jawOpen")] = PLOSIVE_JAW
    for length, starts in PLOSIVES.items():
        for start in starts:
            values[start : start + length, ARKIT.index("mouthClose")] = PLOSIVE_JAW
    return values


def laughter_take() -> Float[np.ndarray, "frame 52"]:
    """Jaw and smile go up and down five times a second."""
    phase = 2.0 * np.pi * LAUGH_HZ * np.arange(LAUGH_FRAMES) / FRAME_RATE_HZ
    values = np.zeros((LAUGH_FRAMES, len(ARKIT)))
    for name, (middle, amplitude) in LAUGH.items():
        values[:, ARKIT.index(name)] = middle + amplitude * np.sin(phase + 0.5)
    return values


def gaze_take() -> Float[np.ndarray, "frame 52"]:
    """The eyes rest on something aside; now and then the lids close over them."""
    values = np.zeros((GAZE_FRAMES, len(ARKIT)))
    for name, value in ASIDE.items():
        values[:, ARKIT.index(name)] = value
    for start in GAZE_BLINKS:
        rows = range(start, start + len(GAZE_LIDS))
        values[np.ix_(rows, _columns(LIDS))] = np.array(GAZE_LIDS)[:, None]
    return values


def blink_depth(curves: AnimationClip) -> float:
    """How far the lids rise above their usual level in the blinks, mean of both eyes and all
    blinks; 1 is perfect."""
    lids = curves.values[:, _columns(LIDS)].astype(np.float64)
    usual = np.median(lids[_away(len(lids), [(blink, 1) for blink in BLINKS])], axis=0)
    return float(np.mean([lids[blink - 1 : blink + 2].max(0) - usual for blink in BLINKS]))


def plosive_depths(curves: AnimationClip) -> dict[int, float]:
    """How far the lips come together, as a share of how far they really did, by length in frames.

    The opening between them is jawOpen less mouthClose: a tracker that sees the jaw close instead
    of the lips moves the same lips.
    """
    values = curves.values.astype(np.float64)
    opening = values[:, ARKIT.index("jawOpen")] - values[:, ARKIT.index("mouthClose")]
    spans = [(start, length) for length, starts in PLOSIVES.items() for start in starts]
    usual = float(np.median(opening[_away(len(opening), spans)]))
    return {
        length: float(np.mean([usual - opening[s - 1 : s + length + 1].min() for s in starts]))
        / PLOSIVE_JAW
        for length, starts in PLOSIVES.items()
    }


def laughter_amplitude(curves: AnimationClip) -> float:
    """The size of the 5 Hz movement as a share of the true one, mean of jaw and smile."""
    rows = slice(LAUGH_EDGE, LAUGH_FRAMES - LAUGH_EDGE)
    own = curves.values[rows, _columns(tuple(LAUGH))].astype(np.float64)
    # A whole number of periods (66 frames are 11): the mean and slow drifts drop out.
    turns = np.exp(-2j * np.pi * LAUGH_HZ * np.arange(len(own)) / FRAME_RATE_HZ)
    amplitudes = 2.0 * np.abs(turns @ (own - own.mean(0))) / len(own)
    jaw, *smile = amplitudes / [amplitude for _, amplitude in LAUGH.values()]
    return float(np.mean([jaw, np.mean(smile)]))


def gaze_change(curves: AnimationClip) -> float:
    """The largest change of any eyeLook control inside a blink, from its level just before; the
    eyes did not move: 0 is perfect."""
    looks = curves.values[:, _columns(LOOKS)].astype(np.float64)
    changes = []
    for start in GAZE_BLINKS:
        before = np.median(looks[start - 8 : start - 2], axis=0)
        inside = looks[start - 1 : start + len(GAZE_LIDS) + 1]
        changes.append(np.abs(inside - before).max())
    return float(max(changes))


def _away(num: int, spans: list[tuple[int, int]]) -> np.ndarray:
    """Frames that are near none of the quick movements, given as (first frame, length)."""
    away = np.ones(num, bool)
    for start, length in spans:
        away[start - REACH : start + length + REACH] = False
    return away


def _columns(names: tuple[str, ...]) -> list[int]:
    return [ARKIT.index(name) for name in names]


def _draw(
    path: Path, avatar: Avatar, values: Float[np.ndarray, "frame 52"], yaw_rad: float
) -> None:
    """Equal frames are drawn once."""
    assert avatar.arkit_to_rig is not None
    rng = np.random.default_rng(DRAWING_SEED)
    lights, background = draw_lights(rng), Backgrounds().draw(SIZE, rng)
    camera, prepared = portrait_camera(avatar.face, margin=1.15), prepare(avatar)
    poses, which = np.unique(values.round(6), axis=0, return_inverse=True)
    pictures = []
    for arkit in poses:
        controls = avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ arkit)
        posed = pose(avatar, controls, (yaw_rad, 0.0, 0.0))
        picture = render(prepared, posed, camera, lights, SIZE, SIZE, background, samples=1)
        pictures.append(picture.rgb)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=14) as writer:
        for frame, place in enumerate(which.ravel()):
            writer.write(pictures[place], frame / FRAME_RATE_HZ)
