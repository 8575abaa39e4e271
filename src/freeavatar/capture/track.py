"""Follows one actor through a take: a face crop, head rotation and confidence for every frame.

The end of capture: what comes out is all that the later steps ever see of the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from freeavatar.capture.align import CropFrame, crop, whole_picture
from freeavatar.capture.follow import Anchor, Follower, TrackConfig
from freeavatar.capture.sighting import Sighting
from freeavatar.capture.steady import PastSteadier, Placed, Steadier, crop_patch, patch_around
from freeavatar.capture.stride import look_at
from freeavatar.capture.video import Frame

__all__ = [
    "Anchor",
    "Follower",
    "LiveTracker",
    "LostInterval",
    "TrackConfig",
    "TrackedFrame",
    "lost_intervals",
    "track_actor",
]


@dataclass(frozen=True)
class TrackedFrame:
    """What capture knows of one frame."""

    index: int
    time_s: float
    found: bool
    confidence: float
    """Mesh score; half the detector's score where the mesh failed; up to 0.35 where the place was
    only predicted; 0 when lost."""
    crop: UInt8[np.ndarray, "224 224 3"] | None
    head_rad: Float[np.ndarray, "3"]
    """Yaw, pitch, roll; zeros when lost."""
    box: Float[np.ndarray, "4"] | None
    """Left, top, right, bottom of the crop's upright square in the picture."""
    shot: int = 0
    """Counts up at every cut of the take."""


@dataclass(frozen=True)
class LostInterval:
    """From the first frame without the actor to the first with it again."""

    start_s: float
    end_s: float


def track_actor(
    frames: Iterable[Frame], config: TrackConfig | None = None, anchor: Anchor | None = None
) -> Iterator[TrackedFrame]:
    """One TrackedFrame per frame, in order, a few frames late; bounded memory.

    With an anchor that very person is followed, and is not looked for before its time.
    """
    config = config or TrackConfig()
    if config.crop == "whole":
        yield from map(_whole, frames)
        return
    follower = Follower(config, anchor)
    steadier = Steadier(config.steady)
    seen: dict[int, tuple[Sighting | None, int]] = {}
    for looked in look_at(frames, follower, config.gap_s):
        frame, sighting = looked.frame, looked.sighting
        seen[frame.index] = sighting, looked.num_cuts
        place = None if sighting is None else sighting.frame
        patch = None if sighting is None else patch_around(frame.rgb, sighting.frame)
        placed = Placed(frame.index, frame.time_s, place, patch, looked.shot)
        for ready, steady in steadier.push(placed):
            yield _tracked(ready, steady, *seen.pop(ready.index))
    for ready, steady in steadier.flush():
        yield _tracked(ready, steady, *seen.pop(ready.index))


def lost_intervals(
    found: Sequence[bool] | Bool[np.ndarray, "frame"],
    times_s: Sequence[float] | Float[np.ndarray, "frame"],
) -> list[LostInterval]:
    """All stretches without the actor; the last may reach one frame beyond the last time."""
    times = list(map(float, times_s))
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    ends = [*times[1:], times[-1] + step_s] if times else []
    intervals: list[LostInterval] = []
    for seen, start_s, end_s in zip(found, times, ends, strict=True):
        if seen:
            continue
        if intervals and intervals[-1].end_s == start_s:
            intervals[-1] = LostInterval(intervals[-1].start_s, end_s)
        else:
            intervals.append(LostInterval(start_s, end_s))
    return intervals


def _whole(frame: Frame) -> TrackedFrame:
    """The middle square, looked at as if it were a crop."""
    place = whole_picture(frame.rgb)
    face = crop(frame.rgb, place)
    return TrackedFrame(frame.index, frame.time_s, True, 1.0, face, np.zeros(3), _upright(place))


def _tracked(
    placed: Placed, steady: CropFrame | None, sighting: Sighting | None, num_cuts: int
) -> TrackedFrame:
    if steady is None or sighting is None or placed.patch is None:
        return _lost(placed.index, placed.time_s, num_cuts)
    face = crop_patch(placed.patch, steady)
    return _seen(placed.index, placed.time_s, sighting, steady, face, num_cuts)


def _lost(index: int, time_s: float, num_cuts: int) -> TrackedFrame:
    return TrackedFrame(index, time_s, False, 0.0, None, np.zeros(3), None, num_cuts)


def _seen(
    index: int,
    time_s: float,
    sighting: Sighting,
    steady: CropFrame,
    face: np.ndarray,
    num_cuts: int,
) -> TrackedFrame:
    return TrackedFrame(
        index,
        time_s,
        True,
        sighting.confidence,
        face,
        sighting.pose.head_rad,
        _upright(steady),
        num_cuts,
    )


def _upright(place: CropFrame) -> Float[np.ndarray, "4"]:
    half = place.side_px / 2.0
    return np.concatenate([place.center_px - half, place.center_px + half])


class LiveTracker:
    """`track_actor` without waiting: every frame at once, its crop steadied by the past alone."""

    def __init__(self, config: TrackConfig | None = None) -> None:
        config = config or TrackConfig()
        self._follower = None if config.crop == "whole" else Follower(config)
        self._steadier = PastSteadier(config.steady)
        self._shot = 0

    def look(self, frame: Frame) -> TrackedFrame:
        """What capture knows of this frame; frames come in the order of time, some may be left
        out."""
        if self._follower is None:
            return _whole(frame)
        sighting = self._follower.look(frame)
        if self._shot != self._follower.shot:
            self._shot = self._follower.shot
            self._steadier.reset()
        if sighting is None:
            return _lost(frame.index, frame.time_s, self._follower.num_cuts)
        steady = self._steadier.steady(frame.time_s, sighting.frame)
        face = crop(frame.rgb, steady)
        cuts = self._follower.num_cuts
        return _seen(frame.index, frame.time_s, sighting, steady, face, cuts)
