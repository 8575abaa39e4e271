"""Corruptions, recovery, blinks and lag: what the harness measures is what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from corruptions import CORRUPTIONS, STRENGTHS, Shown, corrupted, covered
from damage import covered_frame, liveliest_window, uncovered_frame
from footage import repeated
from freeavatar.animation import AnimationClip
from freeavatar.capture.align import CropFrame
from freeavatar.capture.video import open_video
from freeavatar.rig import ARKIT
from heldout import ClipPlan
from profile_turn import back_frame, yaw_rad
from quick import (
    GAZE_BLINKS,
    LAUGH,
    PLOSIVE_JAW,
    PLOSIVES,
    blink_depth,
    blink_take,
    gaze_change,
    gaze_take,
    laughter_amplitude,
    laughter_take,
    plosive_depths,
    plosive_take,
)
from robustness import (
    CLEAN,
    Outcome,
    Recovery,
    Robustness,
    recovery_frames,
    robustness_markdown,
    verdict,
)
from steadiness import Quick, Steadiness, jitter_of, lags, steadiness_markdown
from takes import range_take
from truth import TruthClip


def clip_of(values: np.ndarray, found: np.ndarray | None = None) -> AnimationClip:
    num = len(values)
    seen = np.ones(num, bool) if found is None else found
    return AnimationClip(ARKIT, np.arange(num) / 30.0, values, seen, np.zeros((num, 3)))


def shown() -> Shown:
    y, x = np.mgrid[:240, :320]
    picture = np.stack([100 + x / 4, 60 + y / 2, 0 * x + 90], axis=2).astype(np.uint8)
    return Shown(3, picture, CropFrame(np.array([160.0, 120.0]), 140.0, 0.1))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_change_the_picture_the_same_way_each_time_and_more_with_strength(name):
    frame = shown()
    changes = []
    for strength in STRENGTHS:
        once, again = (next(corrupted(name, strength, [frame])) for _ in range(2))
        assert once.shape == frame.picture.shape
        assert once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)
        changes.append(np.abs(once.astype(float) - frame.picture).mean())
    # On a smooth gradient blur shows little and JPEG rounds both ways: only not less.
    assert changes[0] > 0
    assert changes[2] >= 0.9 * changes[0]


def test_the_board_hides_the_whole_face():
    frame = shown()
    hidden = covered(frame).astype(float)
    assert hidden[70:170, 110:210].std() < 12.0


def test_recovery_counts_from_the_first_frame_without_the_board_and_must_last():
    start = uncovered_frame()
    num = start + 40
    values = 0.5 * np.ones((num, len(ARKIT)))
    clear = clip_of(values)
    late = values.copy()
    late[: start + 3] = 0.1
    assert recovery_frames(clear, clip_of(values), start) == 0
    assert recovery_frames(clear, clip_of(late), start) == 3
    late[start + 5] = 0.1
    assert recovery_frames(clear, clip_of(late), start) == 6
    found = np.ones(num, bool)
    found[start:] = False
    assert recovery_frames(clear, clip_of(values, found), start) is None


def test_the_head_turns_to_profile_and_back_without_a_jump():
    yaw = yaw_rad()
    assert yaw.max() == np.pi / 2
    assert np.abs(np.diff(yaw)).max() < np.radians(10.0)
    assert (yaw[back_frame() :] == 0.0).all()
    assert yaw[back_frame() - 1] > 0.0
    assert 0 < covered_frame() < uncovered_frame()


def test_the_verdict_names_what_falls_short():
    good, bad = Outcome(0.05, 0.5, 1.0, 0.01), Outcome(0.2, 0.1, 0.9, 0.1)
    ours = {CLEAN: good} | {(n, s): good for n in CORRUPTIONS for s in STRENGTHS}
    ours["mask", "middle"] = bad
    peer = {key: Outcome(0.1, 0.4, 0.8, 0.05) for key in ours}
    found = Robustness(
        {"ours": ours, "peer": peer},
        {
            "ours": {"to profile": Recovery([0, None], 1.0)},
            "peer": {"to profile": Recovery([9, 2], 0.625)},
        },
    )
    said = verdict(found)
    assert "more than 25 % under mask;" in said
    assert "not below peer's under mask;" in said
    assert "without output under mask." in said
    text = robustness_markdown(found)
    assert "| to profile | 100 | 62 | 0, not at all | 9, 2 |" in text
    assert "| mask middle | 0.200 | 0.100 | +300 % | +0 % |" in text


def test_a_blink_is_as_deep_as_it_rises_above_open_lids():
    assert blink_depth(clip_of(0.1 + 0.7 * blink_take())) == pytest.approx(0.7)


def test_the_truth_of_quick_movements_comes_out_whole():
    assert blink_depth(clip_of(blink_take())) == pytest.approx(1.0)
    depths = plosive_depths(clip_of(plosive_take()))
    assert depths == pytest.approx(dict.fromkeys(PLOSIVES, 1.0))
    assert laughter_amplitude(clip_of(laughter_take())) == pytest.approx(1.0)
    assert gaze_change(clip_of(gaze_take())) == 0.0


def test_lips_that_close_by_the_jaw_count_as_much_as_lips_over_an_open_jaw():
    values = plosive_take()
    closed = values[:, ARKIT.index("mouthClose")] > 0
    values[:, ARKIT.index("mouthClose")] = 0.0
    values[closed, ARKIT.index("jawOpen")] = PLOSIVE_JAW / 2
    assert plosive_depths(clip_of(values)) == pytest.approx(dict.fromkeys(PLOSIVES, 0.5))


def test_longer_closures_are_told_apart_from_short_ones():
    values = plosive_take()
    for start in PLOSIVES[1]:
        values[start, ARKIT.index("mouthClose")] = 0.0
    assert plosive_depths(clip_of(values)) == pytest.approx({1: 0.0, 2: 1.0, 3: 1.0})


def test_calmed_and_late_laughter_loses_amplitude_by_what_was_calmed_only():
    values = laughter_take()
    for name, (middle, _) in LAUGH.items():
        column = values[:, ARKIT.index(name)]
        column[:] = middle + 0.25 * (np.roll(column, 2) - middle)
    assert laughter_amplitude(clip_of(values)) == pytest.approx(0.25)


def test_a_gaze_that_drops_in_one_blink_is_found():
    values = gaze_take()
    values[GAZE_BLINKS[2] + 2, ARKIT.index("eyeLookDownLeft")] = 0.4
    assert gaze_change(clip_of(values)) == pytest.approx(0.4)


def test_jitter_is_that_of_white_noise_and_none_of_smooth_curves():
    truth = range_take(0)
    clip = TruthClip(ClipPlan("x", "range", 0), None, clip_of(truth), np.ones(52, bool))
    noise = 0.03 * np.random.default_rng(2).standard_normal(truth.shape)
    of_truth = jitter_of([clip], [clip_of(truth)])
    assert of_truth < 0.002
    assert jitter_of([clip], [clip_of(truth + noise)]) == pytest.approx(0.03, rel=0.1)


def test_steadiness_says_nothing_of_what_was_not_measured():
    ours = Steadiness(
        {"drawn": 0.01}, {"drawn": 0.001}, quick=Quick(0.7, {1: 0.6}, 0.5), gaze_change=0.1
    )
    kept = ours.quick.share_of(Quick(0.7, {1: 1.2}, 1.0))
    assert kept == Quick(1.0, {1: 0.5}, 0.5)
    text = steadiness_markdown({"ours": ours, "truth": Steadiness(jitter=0.002)})
    assert "| lips meet for 1 frame, depth of 1 | 0.60 | – |" in text
    assert "| moving clips, jitter | – | 0.0020 |" in text
    cells = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert cells == {4}


def test_lag_is_that_of_the_curves():
    truth = range_take(0)
    clip = TruthClip(ClipPlan("x", "range", 0), None, clip_of(truth), np.ones(52, bool))
    late = np.vstack([truth[:1]] * 2 + [truth[:-2]])
    mean, worst = lags([clip], [clip_of(late)])
    assert mean == worst == pytest.approx(2.0, abs=0.1)


def test_the_liveliest_window_holds_the_movement():
    values = np.zeros((200, len(ARKIT)))
    values[100:130, 20] = np.sin(np.arange(30))
    window = liveliest_window(
        TruthClip(ClipPlan("x", "range", 0), None, clip_of(values), np.ones(52, bool)), 60
    )
    assert window.start <= 100
    assert window.start + window.num >= 130
    assert window.truth.times_s[0] == 0.0
    assert window.truth.values.std() > 0


def test_repeated_footage_goes_on_without_a_gap(make_video, tmp_path):
    pictures = [np.full((64, 96, 3), 20 * i, np.uint8) for i in range(10)]
    video = make_video("short.mp4", pictures)
    frames = list(open_video(repeated(video, 3.0, tmp_path)))
    assert len(frames) == 30
    times_s = np.array([frame.time_s for frame in frames])
    np.testing.assert_allclose(np.diff(times_s), 0.1, atol=0.002)
    levels = [frame.rgb.mean() for frame in frames]
    np.testing.assert_allclose(levels[10:20], levels[:10], atol=2.0)
