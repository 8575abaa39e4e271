"""Reading landmarks in some frames only must not show in the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from freeavatar.capture.landmarks import FaceMesh
from freeavatar.capture.track import TrackConfig, TrackedFrame, track_actor
from freeavatar.capture.video import Frame

EVERY_FRAME = TrackConfig(gap_s=0.0)
Place = tuple[float, float]


@pytest.fixture
def num_read(monkeypatch) -> Callable[[], int]:
    """How often the mesh network has run."""
    read, count = FaceMesh.read, [0]

    def counted(*arguments):
        count[0] += 1
        return read(*arguments)

    monkeypatch.setattr(FaceMesh, "read", counted)
    return lambda: count[0]


def wall() -> np.ndarray:
    row = (100 + 20 * np.sin(np.linspace(0, 9, 640))).astype(np.uint8)
    return np.repeat(np.tile(row, (360, 1))[..., None], 3, axis=2)


def take(face_on, places: Sequence[Place | None]) -> list[Frame]:
    pictures = [wall() if p is None else face_on(wall(), *p, 150.0) for p in places]
    return [Frame(i, i / 30.0, picture) for i, picture in enumerate(pictures)]


def centers(tracked: list[TrackedFrame]) -> np.ndarray:
    return np.array([(t.box[:2] + t.box[2:]) / 2.0 for t in tracked])


def test_a_calm_head_is_read_in_few_frames_and_placed_alike_in_all(face_on, num_read):
    t = np.arange(40) / 30.0
    frames = take(face_on, [(300 + 12 * np.sin(3 * s), 180 + 3 * s) for s in t])
    each = list(track_actor(frames, EVERY_FRAME))
    after_each = num_read()
    strided = list(track_actor(frames))
    assert num_read() - after_each < 0.5 * after_each
    assert [s.index for s in strided] == list(range(40))
    np.testing.assert_allclose(centers(strided), centers(each), atol=0.75)
    np.testing.assert_allclose(
        [s.head_rad for s in strided], [e.head_rad for e in each], atol=np.radians(2.0)
    )
    assert min(s.confidence for s in strided) > 0.9


def test_a_quick_head_is_read_in_every_frame(face_on):
    t = np.arange(24) / 30.0
    frames = take(face_on, [(300 + 90 * np.sin(7 * s), 180 + 40 * np.sin(11 * s)) for s in t])
    each, strided = list(track_actor(frames, EVERY_FRAME)), list(track_actor(frames))
    assert np.abs(centers(strided) - centers(each)).max() < 1.0


@pytest.mark.parametrize("gone", [(10,), (10, 11, 12), (21, 22, 23, 24, 25, 26)])
def test_a_face_that_goes_between_two_readings_is_missed_in_no_other_frame(face_on, gone):
    frames = take(face_on, [None if i in gone else (300.0, 180.0) for i in range(40)])
    found = [t.found for t in track_actor(frames)]
    at = max(gone) + 1
    assert all(found[: min(gone)])
    assert all(found[at + 1 :])
    # One frame of an empty wall is a cut to this picture: nothing is placed across it.
    assert not any(found[i] for i in gone)


def test_nothing_is_placed_across_a_cut(face_on):
    before = take(face_on, [(250.0, 180.0)] * 10)
    after = [
        Frame(10 + i, (10 + i) / 30.0, 255 - face_on(wall(), 251.0, 180.0, 150.0)[:, ::-1])
        for i in range(10)
    ]
    tracked = list(track_actor([*before, *after]))
    alone = list(track_actor(before))
    assert {t.shot for t in tracked[:10]} == {0}
    assert {t.shot for t in tracked[10:]} == {1}
    np.testing.assert_allclose(centers(tracked[:10]), centers(alone), atol=1e-6)
