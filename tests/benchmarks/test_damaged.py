"""Corruptions, recovery, blinks and lag: what the harness measures is what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from corruptions import CORRUPTIONS, STRENGTHS, Shown, corrupted, covered
from damage import liveliest_window, uncovered_frame
from footage import repeated
from freeavatar.animation import AnimationClip
from freeavatar.capture.align import CropFrame
from freeavatar.capture.video import open_video
from freeavatar.rig import ARKIT
from heldout import ClipPlan
from robustness import (
    CLEAN,
    Outcome,
    Recovery,
    Robustness,
    recovery_frames,
    robustness_markdown,
    verdict,
)
from steadiness import BLINK_FRAMES, BLINKS, LIDS, blink_depth, lags
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
    num = uncovered_frame() + 40
    values = 0.5 * np.ones((num, len(ARKIT)))
    clear = clip_of(values)
    late = values.copy()
    late[: uncovered_frame() + 3] = 0.1
    assert recovery_frames(clear, clip_of(values)) == 0
    assert recovery_frames(clear, clip_of(late)) == 3
    late[uncovered_frame() + 5] = 0.1
    assert recovery_frames(clear, clip_of(late)) == 6
    found = np.ones(num, bool)
    found[uncovered_frame() :] = False
    assert recovery_frames(clear, clip_of(values, found)) is None


def test_the_verdict_names_what_falls_short():
    good, bad = Outcome(0.05, 0.5, 1.0, 0.01), Outcome(0.2, 0.1, 0.9, 0.1)
    ours = {CLEAN: good} | {(n, s): good for n in CORRUPTIONS for s in STRENGTHS}
    ours["mask", "middle"] = bad
    peer = {key: Outcome(0.1, 0.4, 0.8, 0.05) for key in ours}
    found = Robustness(
        {"ours": ours, "peer": peer}, {"ours": Recovery([0, None]), "peer": Recovery([9, 2])}
    )
    said = verdict(found)
    assert "more than 25 % under mask;" in said
    assert "not below peer's under mask;" in said
    assert "without output under mask." in said
    text = robustness_markdown(found)
    assert "ours 0, not at all." in text
    assert "| mask middle | 0.200 | 0.100 | +300 % | +0 % |" in text


def test_a_blink_is_as_deep_as_it_rises_above_open_lids():
    values = np.zeros((BLINK_FRAMES, len(ARKIT)))
    lids = [ARKIT.index(name) for name in LIDS]
    values[:, lids] = 0.1
    values[np.ix_(BLINKS, lids)] = 0.8
    assert blink_depth(clip_of(values)) == pytest.approx(0.7)


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
