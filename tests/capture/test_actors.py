"""Who is in a take: everybody once, numbered, and each can be followed by number."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.capture.actors import choose, find_people
from freeavatar.capture.track import track_actor
from freeavatar.capture.video import Frame
from freeavatar.errors import NoFaceFound

RATE_HZ = 10.0


def wall() -> np.ndarray:
    row = (100 + 20 * np.sin(np.linspace(0, 9, 640))).astype(np.uint8)
    return np.repeat(np.tile(row, (360, 1))[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def take(face_on) -> list[Frame]:
    """Somebody at the left throughout, somebody at the right from 1 to 2.4 s."""
    frames = []
    for i in range(30):
        picture = face_on(wall(), 160 + i, 180, 130)
        if 10 <= i < 24:
            picture = face_on(picture, 470, 170, 160)
        frames.append(Frame(i, i / RATE_HZ, picture))
    return frames


def test_everybody_is_found_once_with_place_and_time(take):
    people = find_people(take)
    assert [one.number for one in people] == [0, 1]
    left, right = people
    assert left.anchor.time_s == 0.0
    assert abs(left.anchor.frame.center_px[0] - 160) < 10
    assert left.seen > 0.9
    assert 0.9 <= right.anchor.time_s <= 1.3
    assert right.last_s <= 2.4
    assert abs(right.anchor.frame.center_px[0] - 470) < 10
    assert abs(right.side_px - 160) < 25


def test_an_anchor_follows_that_very_person_and_not_before_its_time(take):
    right = find_people(take)[1]
    tracked = list(track_actor(take, anchor=right.anchor))
    first = round(right.anchor.time_s * RATE_HZ)
    assert not any(t.found for t in tracked[:first])
    seen = [t for t in tracked if t.found]
    assert len(seen) >= 10
    centers = np.array([(t.box[0] + t.box[2]) / 2 for t in seen])
    assert np.abs(centers - 470).max() < 20


def test_a_number_that_nobody_has_is_refused_with_how_many_there_are(take):
    people = find_people(take)
    assert choose(people, 1) is people[1]
    with pytest.raises(NoFaceFound, match="shows 2, counted from 0"):
        choose(people, 2)


def test_nobody_is_nobody():
    assert find_people([Frame(i, i / RATE_HZ, wall()) for i in range(5)]) == []
