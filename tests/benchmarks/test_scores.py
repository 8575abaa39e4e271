"""The scoring: perfect curves score perfectly, and each kind of fault shows where it should."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.rig import ARKIT, ARKIT_NAMES
from scores import MOVING_STD, PAIRS, Judged, correlations, group_columns, group_mean, judge

ALL_SHOWN = np.ones(len(ARKIT), bool)


@pytest.fixture
def truth() -> AnimationClip:
    """Sixty frames in which every channel but the last moves."""
    rng = np.random.default_rng(3)
    times = np.arange(60) / 30.0
    values = 0.4 + 0.3 * np.sin(
        2 * np.pi * (rng.uniform(0.5, 2, 52) * times[:, None] + rng.random(52))
    )
    values[:, -1] = 0.0
    head = 0.2 * np.sin(times[:, None] * [1.0, 2.0, 3.0])
    return AnimationClip(ARKIT, times, values, np.ones(60, bool), head)


def scored(truth: AnimationClip, curves: AnimationClip, shown: np.ndarray = ALL_SHOWN):
    return judge([Judged("clip", truth, shown, curves)])


def test_the_truth_itself_scores_perfectly(truth):
    scores = scored(truth, truth)
    assert group_mean(scores.correlation, "all") == pytest.approx(1.0)
    assert group_mean(scores.error, "all") == 0.0
    assert np.nanmin(scores.difference) == pytest.approx(1.0)
    assert scores.head_correlation == pytest.approx(1.0)
    assert scores.head_error_deg.max() == 0.0
    assert scores.found.tolist() == [1.0]


def test_gain_and_offset_cost_error_but_neither_correlation_nor_scaled_error(truth):
    scores = scored(truth, truth.with_values(0.5 * truth.values + 0.2))
    assert group_mean(scores.correlation, "all") == pytest.approx(1.0)
    assert group_mean(scores.error, "all") > 0.02
    assert group_mean(scores.fitted_error, "all") == pytest.approx(0.0, abs=1e-9)


def test_swapping_left_and_right_turns_the_difference_around(truth):
    swapped = truth.with_values(truth.values[:, ARKIT.mirror_columns])
    assert np.nanmax(scored(truth, swapped).difference) == pytest.approx(-1.0)


def test_pairs_are_the_two_sides_of_one_movement():
    for left, right in PAIRS:
        assert ARKIT.mirror_columns[left] == right
        assert not ARKIT_NAMES[left].startswith(("eyeLook", "jaw"))
    assert ("mouthSmileLeft", "mouthSmileRight") in [
        (ARKIT_NAMES[left], ARKIT_NAMES[right]) for left, right in PAIRS
    ]


def test_curves_that_never_move_correlate_with_nothing(truth):
    still = truth.with_values(np.full_like(truth.values, 0.4))
    assert group_mean(scored(truth, still).correlation, "all") == 0.0


def test_still_channels_are_judged_by_error_alone(truth):
    noisy = truth.values.copy()
    noisy[:, -1] = 0.25
    scores = scored(truth, truth.with_values(noisy))
    assert truth.values[:, -1].std() < MOVING_STD
    assert np.isnan(scores.correlation[0, -1])
    assert scores.still_error[0, -1] == pytest.approx(0.25)


def test_channels_that_a_face_cannot_show_are_not_judged(truth):
    shown = ALL_SHOWN.copy()
    shown[group_columns("brow")] = False
    scores = scored(truth, truth, shown)
    assert np.isnan(group_mean(scores.correlation, "brow"))
    assert group_mean(scores.correlation, "mouth") == pytest.approx(1.0)


def test_a_lost_face_keeps_its_last_values_and_costs_found(truth):
    lost = AnimationClip(ARKIT, truth.times_s, truth.values, np.arange(60) < 30, truth.head_rad)
    scores = scored(truth, lost)
    assert scores.found.tolist() == [0.5]
    assert group_mean(scores.correlation, "all") < 0.95


def test_curves_at_twice_the_rate_are_read_at_the_times_of_the_truth(truth):
    times = np.arange(120) / 60.0
    fine = AnimationClip(
        ARKIT,
        times,
        np.repeat(truth.values, 2, axis=0),
        np.ones(120, bool),
        np.repeat(truth.head_rad, 2, axis=0),
    )
    assert group_mean(scored(truth, fine).correlation, "all") == pytest.approx(1.0)


def test_correlation_agrees_with_numpy():
    rng = np.random.default_rng(0)
    one, other = rng.random((40, 3)), rng.random((40, 3))
    expected = [np.corrcoef(one[:, i], other[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(correlations(one, other), expected)
