"""One actor through a take: drawn takes whose truth is known, from one real face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from freeavatar.capture.align import CropFrame
from freeavatar.capture.steady import (
    PastSteadier,
    Placed,
    Steadier,
    SteadyConfig,
    smooth_frames,
)
from freeavatar.capture.track import LostInterval, TrackConfig, lost_intervals, track_actor
from freeavatar.capture.video import Frame, open_video
from freeavatar.errors import NoFaceFound


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def wall(height: int = 360, width: int = 640) -> np.ndarray:
    """A quiet background with some structure."""
    x = np.linspace(0, 9, width)
    row = (100 + 20 * np.sin(x) + 10 * np.cos(3 * x)).astype(np.uint8)
    return np.repeat(np.tile(row, (height, 1))[..., None], 3, axis=2)


def take(pictures: Iterable[np.ndarray], rate: float = 30.0) -> Iterator[Frame]:
    for i, picture in enumerate(pictures):
        yield Frame(i, i / rate, picture)


def centers(tracked) -> np.ndarray:
    return np.array([(t.box[:2] + t.box[2:]) / 2.0 for t in tracked])


@pytest.mark.parametrize("slack_side", [0.0, SteadyConfig().slack_side])
def test_a_moving_face_is_followed_within_a_pixel_and_what_it_may_leave(face_on, slack_side):
    t = np.arange(20) / 30.0
    x, y = 300 + 80 * np.sin(2 * np.pi * t), 180 + 20 * np.sin(5 * np.pi * t)
    pictures = (face_on(wall(), *place, 150.0) for place in zip(x, y, strict=True))
    config = TrackConfig(steady=SteadyConfig(slack_side=slack_side))
    tracked = list(track_actor(take(pictures), config))
    assert all(t.found and t.confidence > 0.9 for t in tracked)
    error = centers(tracked) - np.stack([x, y], axis=1)
    # The mesh reads this face at a constant offset of its own; movement is what is judged.
    side = np.mean([t.box[2] - t.box[0] for t in tracked])
    assert np.abs(error - error.mean(axis=0)).max() < 1.0 + slack_side * side
    assert np.linalg.norm(error.mean(axis=0)) < 0.02 * 150
    # All crops look alike, since the face never changes.
    crops = np.stack([t.crop for t in tracked]).astype(float)[:, 40:184, 40:184]
    assert np.abs(crops - crops.mean(axis=0)).mean() < 4.0 + 800 * slack_side


def test_frames_come_out_one_for_one_and_in_order(face_on):
    pictures = [wall(), *[face_on(wall(), 300, 180, 150.0)] * 3, wall()]
    tracked = list(track_actor(take(pictures)))
    assert [t.index for t in tracked] == [0, 1, 2, 3, 4]
    assert [t.found for t in tracked] == [False, True, True, True, False]
    assert [t.crop is None for t in tracked] == [True, False, False, False, True]
    assert np.diff([t.time_s for t in tracked]).min() > 0


def test_pictures_are_not_hoarded(face_on):
    """A frame must be handed out after its look-ahead, whatever follows."""
    config = TrackConfig(steady=SteadyConfig(look_ahead=3), gap_s=0.0)
    taken = []

    def pictures() -> Iterator[np.ndarray]:
        for i in range(8):
            taken.append(i)
            yield face_on(wall(), 300, 180, 150.0)

    stream = track_actor(take(pictures()), config)
    assert next(stream).index == 0
    assert taken == [0, 1, 2, 3]
    next(stream)
    assert taken == [0, 1, 2, 3, 4]


def test_the_largest_face_is_the_actor_and_any_other_can_be_chosen(face_on):
    picture = face_on(face_on(wall(), 170, 180, 120.0), 450, 180, 170.0)
    largest = next(track_actor(take([picture])))
    assert centers([largest])[0, 0] == pytest.approx(450, abs=6)
    left = next(track_actor(take([picture]), TrackConfig(actor=0)))
    assert centers([left])[0, 0] == pytest.approx(170, abs=6)
    with pytest.raises(NoFaceFound, match="shows 2"):
        next(track_actor(take([picture]), TrackConfig(actor=2)))


def test_the_actor_is_not_swapped_for_somebody_else_while_covered(face_on):
    """The larger face is covered for a second and a bit, the smaller one stays in view."""

    def pictures() -> Iterator[np.ndarray]:
        for i in range(22):
            picture = face_on(wall(), 150 + 3 * i, 180, 120.0)
            picture = face_on(picture, 450, 180, 170.0)
            if 4 <= i < 18:
                picture[60:320, 340:560] = 128
            yield picture

    tracked = list(track_actor(take(pictures(), rate=10.0)))
    found = [t.found for t in tracked]
    assert all(found[:4])
    assert not any(found[4:18])
    assert all(found[18:])
    x = centers([t for t in tracked if t.found])[:, 0]
    np.testing.assert_allclose(x, 450, atol=6)


def test_the_actor_is_found_again_elsewhere_after_a_loss(face_on):
    here, there = face_on(wall(), 150, 180, 130.0), face_on(wall(), 480, 170, 160.0)
    tracked = list(track_actor(take([here] * 4 + [wall()] * 24 + [there] * 4)))
    assert [t.found for t in tracked] == [True] * 4 + [False] * 24 + [True] * 4
    np.testing.assert_allclose(centers(tracked[:4])[:, 0], 150, atol=4)
    np.testing.assert_allclose(centers(tracked[-4:])[:, 0], 480, atol=4)


def test_crops_are_not_averaged_across_a_cut(face_on):
    """The face jumps by a few pixels only, so nothing but the cut itself can keep them apart."""
    other = 255 - wall()[:, ::-1]
    before, after = face_on(wall(), 300, 180, 150.0), face_on(other, 301.5, 180, 150.0)
    tracked = list(track_actor(take([before] * 5 + [after] * 5)))
    alone = [list(track_actor(take([picture] * 5))) for picture in (before, after)]
    np.testing.assert_allclose(centers(tracked[:5]), centers(alone[0]), atol=1e-6)
    np.testing.assert_allclose(centers(tracked[5:]), centers(alone[1]), atol=1e-6)


def test_smoothing_calms_jitter_and_adds_no_lag():
    rng = np.random.default_rng(3)
    times_s = np.arange(15) / 30.0
    ramp = np.arange(15) * 6.0

    def frames(x: np.ndarray) -> list[CropFrame]:
        return [CropFrame(np.array([v, 50.0]), 100.0, 0.1) for v in x]

    moved = smooth_frames(frames(ramp), times_s, 7, SteadyConfig())
    assert moved.center_px[0] == pytest.approx(ramp[7], abs=1e-9)
    still = [
        smooth_frames(frames(rng.normal(0, 0.5, 15)), times_s, 7, SteadyConfig()).center_px[0]
        for _ in range(100)
    ]
    assert np.std(still) < 0.25


def test_the_more_landmarks_tremble_the_more_is_averaged_away(rng):
    """Tremble of 4 % of the side is beyond sigma_side; most_sigma_side follows it."""
    times_s = np.arange(15) / 30.0
    follows, rigid = SteadyConfig(), SteadyConfig(most_sigma_side=SteadyConfig().sigma_side)

    def spread(tremble_side: float, config: SteadyConfig) -> float:
        steady = []
        for _ in range(150):
            rows = 100.0 * rng.normal(0, tremble_side, (15, 2))
            frames = [CropFrame(row, 100.0, 0.0) for row in rows]
            steady.append(smooth_frames(frames, times_s, 7, config).center_px[0])
        return float(np.std(steady)) / (100.0 * tremble_side)

    assert spread(0.04, rigid) > 0.6
    assert spread(0.04, follows) < 0.75 * spread(0.04, rigid)
    # Little tremble is calmed by either, and as well.
    assert spread(0.005, follows) == pytest.approx(spread(0.005, rigid), rel=0.2)


def test_a_head_that_trembles_in_the_dark_is_still_followed_without_lag(rng):
    """The wider average is symmetric, and a jump among calm frames does not widen it."""
    times_s, jump = np.arange(15) / 30.0, np.zeros(15)
    jump[7:] = 10.0

    def middle(x: np.ndarray) -> float:
        frames = [CropFrame(np.array([v, 0.0]), 100.0, 0.0) for v in x]
        return float(smooth_frames(frames, times_s, 7, SteadyConfig()).center_px[0])

    walking = [middle(3.0 * np.arange(15) + rng.normal(0, 3.0, 15)) for _ in range(200)]
    assert np.mean(walking) == pytest.approx(21.0, abs=0.5)
    assert middle(jump) == pytest.approx(10.0, abs=0.1)


def test_a_crop_rests_while_the_face_wanders_and_trails_a_move_by_the_slack():
    config = SteadyConfig(look_ahead=0, slack_side=0.002)
    wander, move = 0.15 * np.sin(np.arange(30.0)), np.arange(1.0, 11.0)
    x = np.concatenate([wander, move])
    frames = [CropFrame(np.array([v, 50.0]), 100.0, 0.1) for v in x]
    placed = [Placed(i, i / 30, frame, None, shot=0) for i, frame in enumerate(frames)]
    forward = Steadier(config)
    steady = [frame for each in placed for _, frame in forward.push(each)]
    centers_px = np.array([frame.center_px[0] for frame in steady if frame is not None])
    assert np.ptp(centers_px[:30]) <= 0.15
    np.testing.assert_allclose(centers_px[30:], move - 0.2, atol=1e-6)
    live = PastSteadier(config)
    assert live.steady(0.0, frames[0]).center_px[0] == x[0]
    assert live.steady(1.0, frames[4]).center_px[0] == x[0]
    live.reset()
    assert live.steady(2.0, frames[4]).center_px[0] == x[4]


def test_a_leaning_head_is_smoothed_across_half_a_turn():
    frames = [CropFrame(np.zeros(2), 100.0, r) for r in (3.14, -3.14, 3.14)]
    roll = smooth_frames(frames, np.arange(3) / 30.0, 1, SteadyConfig()).roll_rad
    assert abs(roll) > 3.13


def test_lost_intervals_cover_exactly_the_lost_frames():
    times_s = [0.0, 0.1, 0.25, 0.3, 0.4]
    found = [False, True, False, False, True]
    assert lost_intervals(found, times_s) == [LostInterval(0.0, 0.1), LostInterval(0.25, 0.4)]
    assert lost_intervals(np.array([True, False]), np.array([0.0, 0.5])) == [LostInterval(0.5, 1.0)]
    assert lost_intervals([], []) == []


def test_the_demo_clip_is_followed_to_its_end(demo_clip):
    """Every sixth frame: a hand before the mouth, laughter, and fast turns of the head."""
    frames = [frame for frame in open_video(demo_clip) if frame.index % 6 == 0]
    tracked = list(track_actor(frames))
    assert all(t.found and t.confidence > 0.9 for t in tracked)
    assert np.abs(np.array([t.head_rad for t in tracked])).max() < np.radians(35)
