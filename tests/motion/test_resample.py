"""Another frame rate and the mirror image: the same performance, nothing invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.errors import UsageError
from freeavatar.motion.resample import resample, swap_sides
from freeavatar.rig import ARKIT


def wavy(rate_hz: float, duration_s: float = 2.0) -> AnimationClip:
    times_s = np.arange(round(duration_s * rate_hz) + 1) / rate_hz
    phase = 2 * np.pi * (0.4 * times_s[:, None] + np.linspace(0, 1, 52))
    head = 0.3 * np.sin(times_s[:, None] * [1.0, 1.3, 0.7])
    values = ARKIT.clamp(0.5 + 0.4 * np.sin(phase))
    return AnimationClip(ARKIT, times_s, values, np.ones(len(times_s), bool), head)


@pytest.mark.parametrize("rate_hz", [12.0, 23.976, 30.0, 60.0])
def test_frames_lie_at_the_rate_and_on_the_performance(rate_hz):
    clip, wanted = wavy(30.0), wavy(rate_hz)
    other = resample(clip, rate_hz)
    np.testing.assert_allclose(np.diff(other.times_s), 1.0 / rate_hz, atol=1e-9)
    assert clip.times_s[-1] - other.times_s[-1] < 1.0 / rate_hz
    num = min(len(other), len(wanted))
    np.testing.assert_allclose(other.values[:num], wanted.values[:num], atol=0.003)
    np.testing.assert_allclose(other.head_rad[:num], wanted.head_rad[:num], atol=0.002)


def test_the_same_rate_changes_nothing():
    clip = wavy(30.0)
    same = resample(clip, 30.0)
    np.testing.assert_allclose(same.values, clip.values, atol=1e-6)
    np.testing.assert_allclose(same.times_s, clip.times_s, atol=1e-9)


def test_a_variable_frame_rate_becomes_constant():
    clip = wavy(60.0)
    kept = np.sort(np.random.default_rng(2).permutation(len(clip))[:70])
    kept[0], kept[-1] = 0, len(clip) - 1
    kept = np.unique(kept)
    uneven = AnimationClip(
        ARKIT, clip.times_s[kept], clip.values[kept], clip.found[kept], clip.head_rad[kept]
    )
    even = resample(uneven, 30.0)
    np.testing.assert_allclose(even.values, clip.values[::2][: len(even)], atol=0.08)


def test_nothing_is_mixed_across_a_cut():
    clip = wavy(30.0)
    values = np.where(np.arange(len(clip))[:, None] < 30, 0.0, 1.0) * np.ones((1, 52))
    shot = (np.arange(len(clip)) >= 30).astype(np.int64)
    other = resample(replace(clip, values=values.astype(np.float32), shot=shot), 100.0)
    assert set(np.unique(other.values)) == {0.0, 1.0}
    np.testing.assert_array_equal(other.values[:, 0] > 0.5, other.shot == 1)


def test_a_head_turned_past_half_a_turn_goes_the_short_way():
    clip = wavy(30.0)
    head = np.zeros((len(clip), 3))
    head[:, 2] = np.where(np.arange(len(clip)) % 2, np.pi - 0.01, -np.pi + 0.01)
    other = resample(replace(clip, head_rad=head), 60.0)
    assert np.abs(other.head_rad[:, 2]).min() > np.pi - 0.02


@pytest.mark.parametrize("rate_hz", [0.0, -5.0, 0.5, 100_000.0, float("nan")])
def test_a_rate_of_no_use_is_refused(rate_hz):
    with pytest.raises(UsageError, match="--fps"):
        resample(wavy(30.0), rate_hz)


def test_swapping_sides_twice_is_no_change_and_once_is_the_mirror():
    clip = wavy(30.0)
    mirrored = swap_sides(clip)
    left, right = ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")
    np.testing.assert_array_equal(mirrored.values[:, left], clip.values[:, right])
    np.testing.assert_allclose(mirrored.head_rad, clip.head_rad * [-1, 1, -1])
    np.testing.assert_array_equal(swap_sides(mirrored).values, clip.values)
    np.testing.assert_array_equal(swap_sides(mirrored).head_rad, clip.head_rad)
