"""Looks at a take in strides: landmarks in some frames, the head's place between them.

Landmarks cost more than anything else in capture, and a head that hardly moves is where its
neighbours in time say. One that moves, is covered or cut away is read in every frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from freeavatar.capture.follow import Follower
from freeavatar.capture.sighting import Sighting
from freeavatar.capture.video import Frame

_RESTLESS_S = 0.4
"""After a movement strides are shorter for so long: movements come in rows."""
_SHORTER = 2 / 3
"""Of the full stride; a head that moves too fast for this too is read in every frame."""
_MOST_HELD = 8
"""Pictures that wait for the next reading, at any frame rate."""


@dataclass(frozen=True)
class Looked:
    """One frame, and the actor in it."""

    frame: Frame
    sighting: Sighting | None
    shot: int
    num_cuts: int


def look_at(frames: Iterable[Frame], follower: Follower, gap_s: float) -> Iterator[Looked]:
    """Every frame in order; up to gap_s passes between two readings of the landmarks."""
    held: list[Frame] = []
    read_s, pace = -float("inf"), _Pace(gap_s)

    def each(some: list[Frame]) -> Iterator[Looked]:
        for frame in some:
            yield _seen(follower, frame, follower.look_after(frame, cut=False))

    for frame in frames:
        if follower.is_cut(frame):
            yield from each(held)
            held = []
            yield _seen(follower, frame, follower.look_after(frame, cut=True))
            read_s = frame.time_s
            continue
        held.append(frame)
        if frame.time_s - read_s < pace.gap_s(frame.time_s) and len(held) < _MOST_HELD:
            continue
        sightings = follower.stride(held) if len(held) > 1 else None
        if sightings is not None:
            for one, sighting in zip(held, sightings, strict=True):
                yield _seen(follower, one, sighting)
        else:
            if len(held) > 1:
                pace.stumbled(frame.time_s)
            yield from each(held)
        read_s, held = frame.time_s, []
    yield from each(held)


class _Pace:
    """How long strides may be just now."""

    def __init__(self, gap_s: float) -> None:
        self._gaps_s = (gap_s, _SHORTER * gap_s, 0.0)
        self._level = 0
        self._until_s = -float("inf")

    def gap_s(self, time_s: float) -> float:
        """A little less than named, so that rounded times make no difference."""
        if time_s >= self._until_s:
            self._level = 0
        return self._gaps_s[self._level] - 0.001

    def stumbled(self, time_s: float) -> None:
        """A stride was too long: shorter ones for a while."""
        self._level = min(self._level + 1, len(self._gaps_s) - 1)
        self._until_s = time_s + _RESTLESS_S


def _seen(follower: Follower, frame: Frame, sighting: Sighting | None) -> Looked:
    return Looked(frame, sighting, follower.shot, follower.num_cuts)
