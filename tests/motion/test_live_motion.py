"""Curves calmed as they arrive: still things are held, quick things are neither late nor cut."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.evaluation.takes import best_lag_s
from freeavatar.motion.live import LiveMotion, LiveMotionConfig
from freeavatar.motion.one_euro import OneEuro, OneEuroConfig
from freeavatar.rig import ARKIT

BLINK, SMILE = ARKIT.index("eyeBlinkLeft"), ARKIT.index("mouthSmileLeft")
STRAIGHT = np.zeros(3)


def played(values: np.ndarray, rate_hz: float = 30.0) -> np.ndarray:
    filter_ = OneEuro.for_controls(ARKIT)
    return np.array([filter_(i / rate_hz, row) for i, row in enumerate(values)])


def test_a_constant_stays_and_the_first_frame_passes_as_it_is(rng):
    row = rng.random(52)
    calm = played(np.tile(row, (30, 1)))
    np.testing.assert_allclose(calm, np.tile(row, (30, 1)), atol=1e-12)


def test_noise_of_a_still_face_is_calmed(rng):
    noisy = 0.4 + rng.normal(0, 0.01, (300, 52))
    # Standing still, lids are held as much as lips: quickness comes with speed.
    assert np.std(played(noisy)[60:]) < 0.75 * np.std(noisy)


@pytest.mark.parametrize("rate_hz", [30.0, 60.0])
def test_movement_is_late_by_less_than_a_frame(rate_hz):
    times_s = np.arange(round(6 * rate_hz)) / rate_hz
    hz = np.linspace(0.5, 2.0, 52)
    values = 0.5 + 0.35 * np.sin(2 * np.pi * hz * times_s[:, None])
    lag_s = best_lag_s(times_s, played(values, rate_hz), times_s, values, 0.3, 0.1 / rate_hz)
    assert 0.0 <= lag_s < 1.0 / 30.0


def test_a_blink_of_two_frames_keeps_most_of_its_depth():
    values = np.full((60, 52), 0.05)
    values[30:32, BLINK] = 0.95
    calm = played(values)
    assert calm[30:33, BLINK].max() > 0.05 + 0.9 * 0.9


def test_a_lost_face_holds_then_rests_and_comes_back_softly():
    motion = LiveMotion(ARKIT, LiveMotionConfig(), auto_neutral=False)
    face = np.full(52, 0.6)
    for i in range(10):
        shown, _ = motion.seen(i / 30.0, face, STRAIGHT)
    np.testing.assert_allclose(shown, 0.6, atol=1e-6)
    held, _ = motion.lost(10 / 30.0)
    np.testing.assert_allclose(held, 0.6, atol=1e-6)
    for i in range(11, 60):
        resting, _ = motion.lost(i / 30.0)
    np.testing.assert_allclose(resting, ARKIT.rest, atol=1e-6)
    steps = [motion.seen((60 + i) / 30.0, face, STRAIGHT)[0][SMILE] for i in range(10)]
    assert steps[0] < 0.1
    assert steps[-1] == pytest.approx(0.6)
    assert np.diff(steps).min() >= -1e-6


def test_asked_for_the_face_of_the_moment_becomes_neutral():
    motion = LiveMotion(ARKIT, LiveMotionConfig(), auto_neutral=False)
    face, head = np.full(52, 0.3), np.array([0.2, 0.0, 0.0])
    motion.calibrate()
    assert motion.calibrating
    for i in range(20):
        shown, turned = motion.seen(i / 30.0, face, head)
    assert not motion.calibrating
    np.testing.assert_allclose(shown, 0.0, atol=1e-6)
    np.testing.assert_allclose(turned, 0.0, atol=1e-6)


def test_the_first_second_is_neutral_in_part_only():
    motion = LiveMotion(ARKIT, LiveMotionConfig())
    smiling = np.zeros(52)
    smiling[SMILE] = 0.8
    for i in range(45):
        shown, _ = motion.seen(i / 30.0, smiling, STRAIGHT)
    assert shown[SMILE] > 0.7


def test_a_cutoff_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        OneEuroConfig(cutoff_hz=0.0)
