"""What the held-out people do: stretches of recorded ARKit takes, and a range of motion made here.

The recorded takes hardly move a third of the channels and never turn the head; the range take
moves every channel, one side at a time too, and a smooth made motion turns every head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.export.livelink import read_livelink
from freeavatar.rig import ARKIT

FRAME_RATE_HZ = 30.0
CLIP_S = 8.0
NUM_RANGE_PARTS = 3
RANGE_SEED = 424_242


@dataclass(frozen=True)
class Gesture:
    """One movement of the range take, eased in and out."""

    name: str
    controls: Mapping[str, float]


def _sided(stem: str) -> list[Gesture]:
    """Both sides together, then each alone."""
    left, right = f"{stem}Left", f"{stem}Right"
    return [
        Gesture(stem, {left: 1.0, right: 1.0}),
        Gesture(left, {left: 1.0}),
        Gesture(right, {right: 1.0}),
    ]


def _look(name: str, sideways: float, up: float) -> Gesture:
    """Both eyes together; sideways > 0 is to the character's left."""
    to_left, to_right = max(sideways, 0.0), max(-sideways, 0.0)
    controls = {
        "eyeLookOutLeft": to_left,
        "eyeLookInRight": to_left,
        "eyeLookInLeft": to_right,
        "eyeLookOutRight": to_right,
        "eyeLookUpLeft": max(up, 0.0),
        "eyeLookUpRight": max(up, 0.0),
        "eyeLookDownLeft": max(-up, 0.0),
        "eyeLookDownRight": max(-up, 0.0),
    }
    return Gesture(name, {key: value for key, value in controls.items() if value})


def _both(**stems: float) -> dict[str, float]:
    return {f"{stem}{side}": v for stem, v in stems.items() for side in ("Left", "Right")}


SIDED = (
    *("eyeBlink", "eyeSquint", "eyeWide", "browDown", "browOuterUp", "cheekSquint", "noseSneer"),
    *("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthPress"),
    *("mouthLowerDown", "mouthUpperUp"),
)
MIDDLE = (
    *("browInnerUp", "jawOpen", "jawLeft", "jawRight", "jawForward", "mouthFunnel"),
    *("mouthPucker", "mouthLeft", "mouthRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "cheekPuff"),
)
OPEN_MOUTH = (
    Gesture("tongue", {"jawOpen": 0.45, "tongueOut": 1.0}),
    Gesture("tongue, smaller", {"jawOpen": 0.3, "tongueOut": 0.7}),
    Gesture("closed lips", {"jawOpen": 0.5, "mouthClose": 0.45}),
)
LOOKS = (
    _look("look left", 0.9, 0.0),
    _look("look right", -0.9, 0.0),
    _look("look up", 0.0, 0.8),
    _look("look down", 0.0, 0.8 * -1.0),
    _look("look up left", 0.6, 0.5),
    _look("look down right", -0.6, -0.5),
)
# Emotions as combinations of action units (Ekman and Friesen), in ARKit's words.
EMOTIONS = (
    Gesture("joy", {"jawOpen": 0.15, **_both(mouthSmile=0.9, cheekSquint=0.7, eyeSquint=0.4)}),
    Gesture("sadness", {"browInnerUp": 0.9, "mouthShrugLower": 0.5, **_both(mouthFrown=0.8)}),
    Gesture(
        "surprise", {"browInnerUp": 1.0, "jawOpen": 0.6, **_both(browOuterUp=0.9, eyeWide=0.9)}
    ),
    Gesture("fear", {"browInnerUp": 0.8, "jawOpen": 0.2, **_both(eyeWide=0.8, mouthStretch=0.8)}),
    Gesture("anger", {**_both(browDown=1.0, eyeSquint=0.5, mouthPress=0.7, noseSneer=0.3)}),
    Gesture("disgust", {**_both(noseSneer=0.9, mouthUpperUp=0.7, browDown=0.4)}),
    Gesture("contempt", {"mouthSmileLeft": 0.6, "mouthDimpleLeft": 0.7}),
)


def gestures() -> list[Gesture]:
    """Everything that the range take shows, all parts together."""
    single = [Gesture(name, {name: 1.0}) for name in MIDDLE]
    paired = [gesture for stem in SIDED for gesture in _sided(stem)]
    return [*paired, *single, *OPEN_MOUTH, *LOOKS, *EMOTIONS]


def range_take(part: int) -> Float[np.ndarray, "frame 52"]:
    """One of the parts among which the gestures are dealt out, in an order of its own.

    Gestures overlap by halves, as in life, where one movement starts before another has ended.
    """
    rng = np.random.default_rng(RANGE_SEED)
    everything = gestures()
    order = rng.permutation(len(everything))[part::NUM_RANGE_PARTS]
    rng = np.random.default_rng((RANGE_SEED, part))
    times_s = np.arange(round(CLIP_S * FRAME_RATE_HZ)) / FRAME_RATE_HZ
    gap_s = (CLIP_S - 0.6) / len(order)
    values = np.zeros((len(times_s), len(ARKIT)))
    for place, which in enumerate(order):
        start_s = 0.2 + place * gap_s + rng.uniform(-0.1, 0.1) * gap_s
        shape = _eased(times_s, start_s, 2.0 * gap_s) * rng.uniform(0.6, 1.0)
        for name, value in everything[which].controls.items():
            column = values[:, ARKIT.index(name)]
            np.maximum(column, shape * value, out=column)
    return ARKIT.clamp(values)


def _eased(
    times_s: Float[np.ndarray, " frame"], start_s: float, duration_s: float
) -> Float[np.ndarray, " frame"]:
    """0, up with a soft start and end, a short hold, and down again."""
    phase = (times_s - start_s) / duration_s
    edge = np.clip(np.minimum(phase, 1.0 - phase) / 0.4, 0.0, 1.0)
    return edge * edge * (3.0 - 2.0 * edge)


def recorded_stretch(path: Path, part: int) -> Float[np.ndarray, "frame 52"]:
    """The liveliest stretch of a take, or the next liveliest that overlaps no livelier one."""
    take = read_livelink(path)
    times_s = np.arange(int(take.times_s[-1] * FRAME_RATE_HZ)) / FRAME_RATE_HZ
    values = np.stack([np.interp(times_s, take.times_s, c) for c in take.values.T], 1)
    found = np.interp(times_s, take.times_s, take.found) == 1.0
    num = round(CLIP_S * FRAME_RATE_HZ)
    starts = [s for s in range(0, len(values) - num, 10) if found[s : s + num].all()]
    starts.sort(key=lambda s: -float(values[s : s + num].std(0).sum()))
    chosen: list[int] = []
    for start in starts:
        if all(abs(start - other) >= num for other in chosen):
            chosen.append(start)
    return ARKIT.clamp(values[chosen[part] : chosen[part] + num])


def head_motion(seed: int, num_frames: int) -> Float[np.ndarray, "frame 3"]:
    """A smooth turning head: a few slow waves an axis, up to about 23, 14 and 9 degrees."""
    rng = np.random.default_rng((RANGE_SEED, seed))
    times_s = np.arange(num_frames) / FRAME_RATE_HZ
    head = np.zeros((num_frames, 3))
    for axis, reach in enumerate(np.radians([23.0, 14.0, 9.0])):
        for frequency_hz, share in ((0.13, 0.5), (0.31, 0.35), (0.6, 0.15)):
            turn = 2.0 * np.pi * (frequency_hz * times_s * rng.uniform(0.8, 1.2) + rng.random())
            head[:, axis] += reach * share * np.sin(turn)
    return head


def performance(take: str, part: int, seed: int, data: Path) -> AnimationClip:
    """The truth of one clip."""
    if take == "range":
        values = range_take(part)
    else:
        values = recorded_stretch(data / "motion" / f"{take}.csv", part)
    num = len(values)
    times_s = np.arange(num) / FRAME_RATE_HZ
    return AnimationClip(ARKIT, times_s, values, np.ones(num, bool), head_motion(seed, num))
