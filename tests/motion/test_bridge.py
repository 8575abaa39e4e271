"""Bridging: seen frames stay, lost ones hold, relax, and come back without a jump."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeavatar.animation import AnimationClip
from freeavatar.motion.bridge import bridge, lost_intervals
from freeavatar.rig import ARKIT, Control, RigSpec

RIG = RigSpec("two", (Control("lid", "eye"), Control("jaw", "jaw", None, 0.0, 1.0, 0.25)))


def take(
    found: list[bool] | np.ndarray, level: float = 0.8, rate_hz: float = 50.0
) -> AnimationClip:
    found = np.asarray(found, bool)
    values = np.full((len(found), 2), np.nan)
    values[found] = level
    head = np.full((len(found), 3), np.nan)
    head[found] = (0.4, -0.2, 0.1)
    return AnimationClip(RIG, np.arange(len(found)) / rate_hz, values, found, head)


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=1, max_size=150))
def test_seen_frames_stay_and_the_others_lie_between_rest_and_the_neighbours(found):
    clip = take(found)
    filled = bridge(clip)
    np.testing.assert_allclose(filled.values[clip.found], clip.values[clip.found], atol=1e-7)
    np.testing.assert_allclose(filled.head_rad[clip.found], clip.head_rad[clip.found], atol=1e-12)
    assert np.isfinite(filled.head_rad).all()
    assert (filled.values >= RIG.rest - 1e-6).all()
    assert (filled.values <= 0.8 + 1e-6).all()
    np.testing.assert_array_equal(filled.found, clip.found)


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=2, max_size=150).filter(any))
def test_nothing_jumps(found):
    filled = bridge(take(found))
    # The steepest ramp is the return: 0.8 within 0.15 s, 1.5 times as steep in its middle.
    steepest = 0.8 * 1.5 / 0.15 / 50.0
    assert np.abs(np.diff(filled.values, axis=0)).max() <= steepest + 0.05


def test_a_long_loss_holds_then_rests_then_returns():
    found = [True] * 5 + [False] * 100 + [True] * 5
    filled = bridge(take(found))
    lid, jaw = filled.values.T
    np.testing.assert_allclose(lid[5:14], 0.8, atol=1e-6)
    assert np.abs(lid[46:96]).max() < 1e-6, "0.8 s after the loss the face is at rest"
    np.testing.assert_allclose(jaw[46:96], 0.25, atol=1e-6)
    np.testing.assert_allclose(filled.head_rad[46:96], 0, atol=1e-9)
    assert 0.2 < lid[101] < 0.8


def test_a_short_loss_is_crossed_directly():
    clip = take([True] * 5 + [False] * 10 + [True] * 5)
    filled = bridge(clip)
    np.testing.assert_allclose(filled.values[:, 0], 0.8, atol=1e-6)
    np.testing.assert_allclose(filled.head_rad[:, 0], 0.4, atol=1e-9)


def test_the_first_and_the_last_frames_may_be_lost():
    lid = bridge(take([False] * 60 + [True] * 3 + [False] * 60)).values[:, 0]
    assert np.abs(lid[:50]).max() < 1e-6, "rest until just before the face appears"
    np.testing.assert_allclose(lid[60:63], 0.8, atol=1e-6)
    assert np.abs(lid[-10:]).max() < 1e-6


def test_a_take_without_a_face_is_at_rest():
    filled = bridge(take([False] * 10))
    np.testing.assert_allclose(filled.values, np.tile(RIG.rest, (10, 1)))
    np.testing.assert_allclose(filled.head_rad, 0)


def test_the_head_takes_the_short_way_round():
    found = np.array([True] + [False] * 5 + [True])
    head = np.zeros((7, 3))
    head[0, 2], head[-1, 2] = 3.1, -3.1
    clip = AnimationClip(ARKIT, np.arange(7) / 30, np.zeros((7, 52)), found, head)
    assert np.abs(bridge(clip).head_rad[1:-1, 2]).min() > 3.0


def test_lost_intervals_name_frames_and_times():
    first, second = lost_intervals(take([False, True, False, False, True], rate_hz=10))
    assert (first.first_frame, first.last_frame) == (0, 0)
    assert (second.first_frame, second.last_frame) == (2, 3)
    assert (second.start_s, second.end_s) == (pytest.approx(0.2), pytest.approx(0.4))
    assert lost_intervals(take([True, True])) == ()
