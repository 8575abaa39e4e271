"""Smoothing: what is jitter goes, what is movement stays, and nothing comes late."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.motion.smooth import SmoothingConfig, channel_noise, smooth
from freeavatar.rig import ARKIT

BLINK, JAW, SMILE, CLOSE = (
    ARKIT.index(n) for n in ("eyeBlinkLeft", "jawOpen", "mouthSmileLeft", "mouthClose")
)


def clip_of(values: np.ndarray, times_s: np.ndarray | None = None) -> AnimationClip:
    frames = len(values)
    return AnimationClip(
        ARKIT,
        np.arange(frames) / 30.0 if times_s is None else times_s,
        values,
        np.ones(frames, bool),
        np.zeros((frames, 3)),
    )


def speech(frames: int = 300) -> np.ndarray:
    """Every control moves at its own pace, up to 2 Hz, in phrases with pauses between."""
    t = np.arange(frames)[:, None] / 30.0
    hz = np.linspace(0.3, 2.0, len(ARKIT))[None]
    phrase = np.clip(2 * np.sin(2 * np.pi * t / 3.0), 0, 1)
    return 0.5 + 0.25 * phrase * np.sin(2 * np.pi * hz * t)


def jitter(values: np.ndarray) -> float:
    return float(np.sqrt((np.diff(values, 2, axis=0) ** 2).mean()))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_stays_exactly_constant(level):
    clip = clip_of(np.full((40, 52), level, np.float32))
    np.testing.assert_array_equal(smooth(clip).values, clip.values)


def test_strength_zero_changes_nothing(rng):
    clip = clip_of(rng.random((40, 52)))
    np.testing.assert_array_equal(smooth(clip, SmoothingConfig(strength=0.0)).values, clip.values)


@pytest.mark.parametrize(("strength", "less", "calmer"), [(0.6, 1.8, 2.4), (1.0, 2.2, 3.0)])
def test_jitter_of_a_face_at_rest_falls_by_far(rng, strength, less, calmer):
    still = np.full((300, 52), 0.4)
    noisy = still + rng.normal(0, 0.02, still.shape)
    calm = smooth(clip_of(noisy), SmoothingConfig(strength=strength)).values
    assert np.std(calm - still) < np.std(noisy - still) / less
    assert jitter(calm) < jitter(noisy) / calmer


def test_noisy_movement_comes_nearer_to_the_truth(rng):
    truth = speech()
    noisy = truth + rng.normal(0, 0.03, truth.shape)
    calm = smooth(clip_of(noisy)).values
    assert np.sqrt(((calm - truth) ** 2).mean()) < 0.7 * np.sqrt(((noisy - truth) ** 2).mean())


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_a_blink_of_one_frame_keeps_nine_tenths_of_its_depth(rng, noise):
    values = np.clip(0.05 + rng.normal(0, noise, (200, 52)), 0, 1)
    values[60, BLINK] = 0.85
    calm = smooth(clip_of(values)).values[:, BLINK]
    assert calm[60] - 0.05 >= 0.9 * (0.85 - 0.05)
    assert calm[[58, 59, 61, 62]].max() < 0.15, "the blink does not leak into its neighbours"


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_plosive_closes_the_lips(rng, frames):
    values = speech() * 0.2 + rng.normal(0, 0.015, (300, 52))
    values[:, JAW] = 0.35 + rng.normal(0, 0.015, 300)
    values[100 : 100 + frames, JAW] = 0.08
    values[100 : 100 + frames, CLOSE] = values[99, CLOSE] + 0.3
    calm = smooth(clip_of(np.clip(values, 0, 1))).values
    assert calm[100 : 100 + frames, JAW].max() < 0.08 + 0.1 * 0.27
    assert calm[100 : 100 + frames, CLOSE].min() > values[99, CLOSE] + 0.9 * 0.3 - 0.02


def test_a_step_neither_comes_late_nor_early(rng):
    values = np.full((120, 52), 0.2)
    values[60:] = 0.7
    calm = smooth(clip_of(values + rng.normal(0, 0.02, values.shape))).values[:, SMILE]
    assert calm[59] < 0.25
    assert calm[60] > 0.65
    assert SmoothingConfig().lag_s == 0.0


def test_time_reversed_is_smoothed_reversed(rng):
    values = np.clip(speech(90) + rng.normal(0, 0.03, (90, 52)), 0, 1)
    forward = smooth(clip_of(values)).values
    backward = smooth(clip_of(values[::-1].copy())).values[::-1]
    # The lower quartile of third differences is the same seen from either side.
    np.testing.assert_allclose(forward, backward, atol=1e-5)


def test_irregular_timestamps_follow_a_ramp_in_real_time(rng):
    times = np.cumsum(rng.choice([1 / 60, 1 / 30, 1 / 15], 200))
    truth = np.repeat((0.1 + 0.08 * times / times[-1] * 10)[:, None], 52, axis=1)
    calm = smooth(clip_of(truth + rng.normal(0, 0.02, truth.shape), times)).values
    assert np.abs((calm - truth)[10:-10].mean()) < 0.002
    assert np.std(calm - truth) < 0.012


def test_values_stay_in_range(rng):
    values = np.clip(rng.normal(0.5, 0.6, (100, 52)), 0, 1)
    calm = smooth(clip_of(values), SmoothingConfig(strength=2.0)).values
    assert calm.min() >= 0
    assert calm.max() <= 1


def test_frames_without_a_face_neither_change_nor_count(rng):
    values = np.full((60, 52), 0.3)
    values[20:30] = np.nan
    clip = AnimationClip(
        ARKIT,
        np.arange(60) / 30,
        values,
        ~np.isnan(values[:, 0]),
        np.zeros((60, 3)),
    )
    np.testing.assert_array_equal(smooth(clip).values, values.astype(np.float32))


def test_the_head_passes_half_a_turn_without_a_jump(rng):
    clip = clip_of(np.zeros((90, 52)))
    roll = np.linspace(np.pi - 0.3, np.pi + 0.3, 90)
    wrapped = (roll + rng.normal(0, 0.01, 90) + np.pi) % (2 * np.pi) - np.pi
    head = np.stack([np.zeros(90), np.zeros(90), wrapped], axis=1)
    calm = smooth(AnimationClip(ARKIT, clip.times_s, clip.values, clip.found, head)).head_rad
    error = np.angle(np.exp(1j * (calm[:, 2] - roll)))
    assert np.abs(error).max() < 0.02
    assert np.std(error) < 0.006


def test_the_noise_of_a_channel_is_measured_through_its_movement(rng):
    truth = speech(600)
    for level in (0.01, 0.03):
        noisy = truth + rng.normal(0, level, truth.shape)
        measured = channel_noise(noisy, np.ones(noisy.shape, bool))
        assert abs(np.median(measured) / level - 1) < 0.15


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_takes_work(frames):
    clip = clip_of(np.full((frames, 52), 0.25))
    np.testing.assert_allclose(smooth(clip).values, 0.25)


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match="-1"):
        SmoothingConfig(strength=-1.0)


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.005])
@pytest.mark.parametrize("rate_hz", [4.0, 5.0, 6.0])
def test_laughter_keeps_its_swing(rng, rate_hz, noise):
    """Jaw and smile of who laughs go up and down four to six times a second, by 0.15 here. Noise of
    0.02 would take a third of that at 6 Hz: two such frames differ by less than the jitter."""
    t = np.arange(240) / 30.0
    laughing = (t > 2.0) & (t < 6.0)
    swing = np.where(laughing, np.sin(2 * np.pi * rate_hz * t), 0.0)
    values = np.full((240, 52), 0.3)
    values[:, JAW] += 0.15 * swing
    values[:, SMILE] += 0.15 * swing
    calm = smooth(clip_of(values + rng.normal(0, noise, values.shape))).values
    for channel in (JAW, SMILE):
        kept = swing @ (calm[:, channel] - 0.3) / (swing @ swing)
        assert kept >= 0.9 * 0.15
