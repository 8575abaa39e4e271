"""Who is in a take: a quick look at a few frames a second, everybody numbered.

Used before tracking, when one of several people is to be chosen or each gets a result of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from freeavatar.capture.align import CropFrame, frame_from_pose
from freeavatar.capture.cascade import Cascade, Searches
from freeavatar.capture.cuts import CutFinder
from freeavatar.capture.detect import Detection
from freeavatar.capture.follow import Anchor, TrackConfig
from freeavatar.capture.headpose import fit_detection
from freeavatar.capture.sighting import distance
from freeavatar.capture.video import Frame
from freeavatar.errors import NoFaceFound

LOOKS_PER_S = 4.0
_SAME = 0.6
"""Up to so many crop sides may a head move between two looks; heads in one picture are further
apart, or one would cover the other."""
_FEWEST_LOOKS = 2
"""Seen only once, in a take of many frames, it was a knot in the wood."""


@dataclass(frozen=True)
class Person:
    """Somebody in a take."""

    number: int
    """From 0, by first appearance; from picture left among those who appear together."""
    anchor: Anchor
    last_s: float
    """When it was last seen."""
    seen: float
    """Share of the looks at the take in which it was there."""
    side_px: float
    """Median side of its face crop."""
    box: Float[np.ndarray, "4"]
    """Left, top, right, bottom of its crop when it was first seen."""


@dataclass
class _Trail:
    times_s: list[float]
    places: list[CropFrame]


def find_people(frames: Iterable[Frame], config: TrackConfig | None = None) -> list[Person]:
    """Everybody in a take; somebody who comes back after a cut to another place counts again.

    A take in which nobody was found is gone through again with less doubt, as tracking does: give
    a Video or a list, not an iterator that ends.
    """
    config = config or TrackConfig()
    return _find(frames, config) or _find(frames, config.eager())


def _find(frames: Iterable[Frame], config: TrackConfig) -> list[Person]:
    looker, cuts = _Looker(config), CutFinder()
    trails: list[_Trail] = []
    num_looks, next_s = 0, 0.0
    for frame in frames:
        cut = cuts.is_cut(frame.rgb)
        if not cut and frame.time_s < next_s - 1e-6:
            continue
        next_s = frame.time_s + 1.0 / LOOKS_PER_S
        num_looks += 1
        for place in looker.places(frame, cut):
            trail = _nearest(trails, place, frame.time_s)
            if trail is None:
                trail = _Trail([], [])
                trails.append(trail)
            trail.times_s.append(frame.time_s)
            trail.places.append(place)
    needed = min(_FEWEST_LOOKS, num_looks)
    trails = [trail for trail in trails if len(trail.times_s) >= needed]
    trails.sort(key=lambda trail: (trail.times_s[0], trail.places[0].center_px[0]))
    return [_person(number, trail, num_looks) for number, trail in enumerate(trails)]


def choose(people: list[Person], number: int) -> Person:
    """NoFaceFound, with how many there are, for a number that nobody has."""
    if not 0 <= number < len(people):
        raise NoFaceFound(
            f"There is no actor {number}: the take shows {len(people)}, counted from 0. "
            "See who they are with: freeavatar animate INPUT --list-actors"
        )
    return people[number]


class _Looker:
    """Finds the faces of single frames; where the plain picture shows none, as thoroughly and as
    often as tracking would."""

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._cascade = Cascade(config.detector_floor)
        self._searches = Searches(config.thorough_s)

    def places(self, frame: Frame, cut: bool) -> list[CropFrame]:
        """Faces that a detector is sure of, each once."""
        if cut:
            self._searches.begin_anew()
        places = self._sure(self._cascade.quick(frame.rgb))
        if not places and self._searches.due(frame.time_s):
            views = map(self._sure, self._cascade.thorough(frame.rgb))
            places = next((found for found in views if found), [])
        if places:
            self._searches.found()
        return places

    def _sure(self, found: list[Detection]) -> list[CropFrame]:
        places: list[CropFrame] = []
        for detection in found:
            if detection.score >= self._config.min_detector_score:
                place = frame_from_pose(fit_detection(detection))
                if all(distance(place, other) > 0.3 for other in places):
                    places.append(place)
        return places


def _nearest(trails: list[_Trail], place: CropFrame, time_s: float) -> _Trail | None:
    """Whose trail goes on here; nobody is at two places at once."""
    free = [trail for trail in trails if trail.times_s[-1] < time_s]
    near = [trail for trail in free if distance(trail.places[-1], place) <= _SAME]
    return min(near, key=lambda trail: distance(trail.places[-1], place), default=None)


def _person(number: int, trail: _Trail, num_looks: int) -> Person:
    first = trail.places[0]
    half = first.side_px / 2.0
    return Person(
        number,
        Anchor(trail.times_s[0], first),
        trail.times_s[-1],
        len(trail.times_s) / num_looks,
        float(np.median([place.side_px for place in trail.places])),
        np.concatenate([first.center_px - half, first.center_px + half]),
    )
