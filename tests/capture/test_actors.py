"""Who is in a take: everybody once, numbered, and each can be followed by number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.capture.actors import choose, find_people
from freeavatar.capture.cascade import Cascade
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


def frames_of(picture: np.ndarray, num: int = 8) -> list[Frame]:
    """The same picture, in noise of its own each time."""
    rng = np.random.default_rng(2)
    noisy = [np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255) for _ in range(num)]
    return [Frame(i, i / RATE_HZ, one.astype(np.uint8)) for i, one in enumerate(noisy)]


def dark(picture: np.ndarray) -> np.ndarray:
    return np.clip(0.06 * picture.astype(float), 0, 255).astype(np.uint8)


def on_its_side(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(picture))


@pytest.mark.parametrize("filmed", [dark, on_its_side])
def test_somebody_whom_the_plain_picture_hides_is_listed_and_can_be_chosen(face_on, filmed):
    frames = frames_of(filmed(face_on(wall(), 320, 180, 60 if filmed is on_its_side else 150)))
    plain = Cascade()
    assert not any(face.score >= 0.75 for frame in frames for face in plain.quick(frame.rgb))
    (person,) = find_people(frames)
    assert (person.number, person.anchor.time_s, person.seen) == (0, 0.0, 1.0)
    tracked = list(track_actor(frames, anchor=person.anchor))
    assert all(t.found for t in tracked)
    box = tracked[0].box
    middle = (box[:2] + box[2:]) / 2
    assert np.linalg.norm(person.anchor.frame.center_px - middle) < 0.15 * (box[2] - box[0])


def test_faces_that_are_seen_need_no_thorough_look(take, monkeypatch):
    def thorough(self, picture):
        raise AssertionError("a thorough look at a frame with faces")

    monkeypatch.setattr(Cascade, "thorough", thorough)
    assert len(find_people(take)) == 2


def test_who_is_seen_only_with_less_doubt_is_listed_too(face_on, monkeypatch):
    """As in tracking: detectors that say 0.5 are believed in a take that shows nobody else."""
    quick = Cascade.quick

    def unsure(self, picture):
        return [replace(face, score=0.5) for face in quick(self, picture)]

    monkeypatch.setattr(Cascade, "quick", unsure)
    monkeypatch.setattr(Cascade, "thorough", lambda self, picture: iter(()))
    (person,) = find_people(frames_of(face_on(wall(), 320, 180, 150)))
    assert abs(person.anchor.frame.center_px[0] - 320) < 10
