"""Curves calmed as they arrive: still things are held, quick things are neither late nor cut."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.evaluation.takes import best_lag_s
from freeavatar.motion.gaze import GazeConfig, LiveGaze
from freeavatar.motion.live import LiveMotion, LiveMotionConfig
from freeavatar.motion.one_euro import OneEuro, OneEuroConfig
from freeavatar.motion.profile import RigProfile
from freeavatar.rig import ARKIT

BLINK, SMILE = ARKIT.index("eyeBlinkLeft"), ARKIT.index("mouthSmileLeft")
DOWN, OUT = ARKIT.index("eyeLookDownLeft"), ARKIT.index("eyeLookOutLeft")
OTHER_DOWN = ARKIT.index("eyeLookDownRight")
STRAIGHT = np.zeros(3)


def played(values: np.ndarray, rate_hz: float = 30.0) -> np.ndarray:
    filter_ = OneEuro.for_controls(ARKIT)
    return np.array([filter_(i / rate_hz, row) for i, row in enumerate(values)])


def performed(motion: LiveMotion, values: np.ndarray, rate_hz: float = 30.0) -> np.ndarray:
    frames = enumerate(values)
    return np.array([motion.seen(i / rate_hz, row, STRAIGHT)[0] for i, row in frames])


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


@pytest.mark.parametrize("rate_hz", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_blink_keeps_nine_tenths_of_its_depth_without_delay(frames, rate_hz):
    values = np.full((60, 52), 0.05)
    values[30 : 30 + frames, BLINK] = 0.95
    motion = LiveMotion(ARKIT, auto_neutral=False)
    shown = performed(motion, values, rate_hz)[:, BLINK]
    assert shown[30] >= 0.05 + 0.9 * 0.9
    assert shown[30 + frames + 1] <= 0.05 + 0.1 * 0.9


EYE_LIDS = (0.15, 0.5, 0.95, 0.95, 0.5, 0.15)
AT = 30


def blinking_and_looking_out() -> np.ndarray:
    """The eye looks outwards; while it is shut it seems to look down."""
    values = np.zeros((60, 52))
    values[:, OUT] = 0.4
    lids = np.array(EYE_LIDS)
    values[AT : AT + 6, BLINK] = lids
    values[AT : AT + 6, DOWN] = 0.8 * lids
    values[AT : AT + 6, OUT] *= 1.0 - lids
    return values


def test_live_a_blink_is_no_look_down():
    values = blinking_and_looking_out()
    shown = performed(LiveMotion(ARKIT, auto_neutral=False), values)
    shut_and_opening = slice(AT + 2, AT + 5)
    assert values[shut_and_opening, DOWN].min() >= 0.4
    assert shown[shut_and_opening, DOWN].max() < 0.2
    np.testing.assert_allclose(shown[shut_and_opening, OUT], 0.4, atol=0.15)
    assert shown[AT + 2, BLINK] > 0.85
    plain = LiveMotionConfig(gaze=GazeConfig(hold=False))
    followed = performed(LiveMotion(ARKIT, plain, auto_neutral=False), values)
    assert followed[AT + 2, DOWN] > 0.6


def test_live_the_frozen_gaze_is_that_of_the_open_eye_and_of_that_eye_alone():
    values = blinking_and_looking_out()
    values[:, OTHER_DOWN] = np.linspace(0.0, 0.6, 60)
    hold = LiveGaze(ARKIT)
    held = np.array([hold(i / 30.0, row) for i, row in enumerate(values)])
    np.testing.assert_array_equal(held[AT + 2 : AT + 5, OUT], values[AT, OUT])
    np.testing.assert_array_equal(held[AT + 2 : AT + 5, DOWN], values[AT, DOWN])
    untouched = [column for column in range(52) if column not in ARKIT.columns("gaze")]
    np.testing.assert_array_equal(held[:, untouched], values[:, untouched])
    np.testing.assert_array_equal(held[:, OTHER_DOWN], values[:, OTHER_DOWN])
    away = np.r_[0 : AT + 2, AT + 5 : 60]
    np.testing.assert_array_equal(held[away], values[away])


def test_live_looking_down_with_half_closed_lids_is_let_through():
    values = np.zeros((40, 52))
    values[10:, BLINK] = 0.45
    values[10:, DOWN] = 0.7
    shown = performed(LiveMotion(ARKIT, auto_neutral=False), values)
    assert shown[11, DOWN] > 0.6


def test_live_an_eye_that_opens_half_looks_again_after_half_a_blink():
    values = np.zeros((40, 52))
    values[10:20, BLINK], values[20:, BLINK] = 0.9, 0.4
    values[10:, DOWN] = 0.7
    shown = performed(LiveMotion(ARKIT, auto_neutral=False), values)
    assert shown[10:20, DOWN].max() < 0.05
    assert shown[25, DOWN] > 0.6


def test_live_a_loss_forgets_where_the_eyes_looked():
    hold, row = LiveGaze(ARKIT), np.zeros(52)
    hold(0.0, row)
    hold.reset()
    shut = row.copy()
    shut[[BLINK, DOWN]] = 0.9
    np.testing.assert_array_equal(hold(1.0, shut), shut)


def test_a_known_actor_has_reach_from_the_first_frame_on():
    gains = np.ones(52)
    gains[SMILE] = 1.5
    motion = LiveMotion(ARKIT)
    motion.use_profile(RigProfile(np.zeros(3), gains))
    assert not motion.collecting
    values = np.full((60, 52), 0.1)
    values[:, SMILE] = 0.5
    shown = performed(motion, values)
    np.testing.assert_allclose(shown[:, SMILE], 1.5 * 0.5, atol=1e-6)
    np.testing.assert_allclose(np.delete(shown, SMILE, axis=1), 0.1, atol=1e-6)


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


def test_of_the_first_second_nothing_is_subtracted_and_its_end_is_told():
    motion = LiveMotion(ARKIT, LiveMotionConfig())
    smiling = np.zeros(52)
    smiling[SMILE] = 0.8
    collecting = []
    for i in range(45):
        shown, _ = motion.seen(i / 30.0, smiling, STRAIGHT)
        assert shown[SMILE] == pytest.approx(0.8)
        collecting.append(motion.collecting)
    assert collecting[:28] == [True] * 28
    assert collecting[-10:] == [False] * 10
    assert motion.neutral is not None


def test_a_neutral_is_said_again_in_other_controls():
    motion = LiveMotion(ARKIT, LiveMotionConfig(), auto_neutral=False)
    motion.restate(np.full(52, 0.5))
    assert motion.neutral is None
    motion.calibrate()
    for i in range(20):
        motion.seen(i / 30.0, np.full(52, 0.3), np.array([0.2, 0.0, 0.0]))
    motion.restate(np.full(52, 0.1))
    for i in range(20, 40):
        shown, turned = motion.seen(i / 30.0, np.full(52, 0.1), np.array([0.2, 0.0, 0.0]))
    np.testing.assert_allclose(shown, 0.0, atol=1e-4)
    np.testing.assert_allclose(turned, 0.0, atol=1e-4)


def test_a_cutoff_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        OneEuroConfig(cutoff_hz=0.0)
