"""Looks at a take in strides: landmarks in some frames, the head's place between them.

Landmarks cost more than anything else in capture, and a head that hardly moves is where its
neighbours in time say. One that moves, is covered or cut away is read in every frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from freeavatar.capture.follow import Follower, Sighting
from freeavatar.capture.video import Frame

_RESTLESS_S = 0.4
"""After a movement every frame is read for so long: movements come in rows."""
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
    read_s, restless_until_s = -float("inf"), -float("inf")

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
        stride = gap_s if frame.time_s >= restless_until_s else 0.0
        if frame.time_s - read_s < stride - 1e-3 and len(held) < _MOST_HELD:
            continue
        sightings = follower.stride(held) if len(held) > 1 else None
        if sightings is not None:
            for one, sighting in zip(held, sightings, strict=True):
                yield _seen(follower, one, sighting)
        else:
            if len(held) > 1:
                restless_until_s = frame.time_s + _RESTLESS_S
            yield from each(held)
        read_s, held = frame.time_s, []
    yield from each(held)


def _seen(follower: Follower, frame: Frame, sighting: Sighting | None) -> Looked:
    return Looked(frame, sighting, follower.shot, follower.num_cuts)
