"""Neutral calibration: neutral goes to rest, the limits stay, and nothing leaves the range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freeavatar.animation import AnimationClip
from freeavatar.errors import InputError, UsageError
from freeavatar.motion.calibrate import (
    NeutralConfig,
    calibrate,
    find_neutral,
    head_from_rotation,
    parse_neutral,
    rotation_from_head,
    subtract_neutral,
)
from freeavatar.rig import ARKIT, Control, RigSpec

TWO_SIDED = RigSpec(
    "two-sided", (Control("brow", "brow", None, -1.0, 1.0, 0.0), Control("lid", "eye"))
)
unit = st.floats(0, 1, width=32)


def take(values: np.ndarray, found: np.ndarray | None = None) -> AnimationClip:
    frames = len(values)
    return AnimationClip(
        ARKIT,
        np.arange(frames) / 30.0,
        values.astype(np.float32),
        np.ones(frames, bool) if found is None else found,
        np.zeros((frames, 3)),
    )


def acted(rng: np.random.Generator, resting: np.ndarray, frames: int = 300) -> np.ndarray:
    """A resting face with bursts of expression over it, and a quarter of the take at rest."""
    t = np.arange(frames)[:, None]
    phase = rng.uniform(0, 2 * np.pi, (1, 52))
    burst = np.maximum(0, np.sin(2 * np.pi * t / 75 + phase * 0.3)) * rng.uniform(0.2, 0.8, (1, 52))
    burst[: frames // 4] = 0
    return np.clip(resting + (1 - resting) * burst + rng.normal(0, 0.004, burst.shape), 0, 1)


@settings(max_examples=30)
@given(arrays(np.float32, (1, 52), elements=st.floats(0, 0.75, width=32)))
def test_the_neutral_frame_becomes_rest(values):
    clip = calibrate(take(values), NeutralConfig(mode=0))
    np.testing.assert_allclose(clip.values, 0, atol=1e-6)


@settings(max_examples=30)
@given(arrays(np.float32, (52,), elements=unit), arrays(np.float32, (6, 52), elements=unit))
def test_limits_stay_and_the_range_is_never_left(neutral, values):
    values[0] = 1.0
    changed = subtract_neutral(values, neutral, ARKIT)
    np.testing.assert_allclose(changed[0], 1.0, atol=1e-6)
    assert changed.min() >= 0
    assert changed.max() <= 1


@settings(max_examples=30)
@given(arrays(np.float32, (6, 52), elements=unit))
def test_a_neutral_at_rest_changes_nothing(values):
    np.testing.assert_allclose(subtract_neutral(values, np.zeros(52), ARKIT), values, atol=1e-6)


@settings(max_examples=30)
@given(arrays(np.float32, (52,), elements=st.floats(0, 0.5, width=32)), unit, unit)
def test_more_stays_more(neutral, low, high):
    low, high = sorted((low, high))
    pair = np.stack([np.full(52, low), np.full(52, high)])
    changed = subtract_neutral(pair, neutral, ARKIT)
    # Opposed controls are compared one at a time: their partner moves the other way.
    plain = [i for i, n in enumerate(ARKIT.names) if "Look" not in n and n[-4:] not in "LeftRight"]
    assert (changed[1, plain] >= changed[0, plain] - 1e-6).all()


def test_the_formula_is_the_documented_one():
    smile = ARKIT.index("mouthSmileLeft")
    values = np.zeros((1, 52), np.float32)
    values[0, smile] = 0.6
    neutral = np.zeros(52)
    neutral[smile] = 0.2
    assert subtract_neutral(values, neutral, ARKIT)[0, smile] == pytest.approx(0.4 / 0.8)


def test_a_crooked_jaw_moves_as_far_to_the_other_side():
    left, right = ARKIT.index("jawLeft"), ARKIT.index("jawRight")
    neutral = np.zeros(52)
    neutral[left] = 0.2
    values = np.zeros((2, 52), np.float32)
    values[1, right] = 0.3
    changed = subtract_neutral(values, neutral, ARKIT)
    assert changed[0, right] == pytest.approx(0.2 / 1.2), "straight is right of a jaw held left"
    assert changed[1, right] == pytest.approx(0.5 / 1.2)
    assert changed[:, left].max() == 0


def test_two_sided_controls_keep_both_limits():
    values = np.array([[-1, 0], [0.25, 0], [1, 0], [-0.375, 0]], np.float32)
    changed = subtract_neutral(values, np.array([0.25, 0.0]), TWO_SIDED)[:, 0]
    np.testing.assert_allclose(changed, [-1, 0, 1, -0.5], atol=1e-6)


def test_auto_finds_the_resting_face_of_an_actor(rng):
    resting = np.zeros(52)
    for name, value in {"browDownLeft": 0.15, "mouthFrownLeft": 0.12, "eyeBlinkRight": 0.1}.items():
        resting[ARKIT.index(name)] = value
    neutral = find_neutral(take(acted(rng, resting)))
    assert neutral is not None
    seen = ARKIT.columns("gaze")
    # Ten seconds are trusted fully.
    np.testing.assert_allclose(np.delete(neutral.values, seen), np.delete(resting, seen), atol=0.02)


def test_auto_never_moves_the_gaze(rng):
    values = acted(rng, np.zeros(52))
    values[:, ARKIT.index("eyeLookOutLeft")] = 0.4
    values[:, ARKIT.index("eyeLookInRight")] = 0.4
    clip = take(values)
    gaze = ARKIT.columns("gaze")
    np.testing.assert_array_equal(calibrate(clip).values[:, gaze], clip.values[:, gaze])


def test_auto_takes_a_bounded_part_of_a_smile_that_never_ends(rng):
    smile = ARKIT.index("mouthSmileLeft")
    values = acted(rng, np.zeros(52))
    values[:, smile] = 0.7
    assert calibrate(take(values)).values[:, smile].min() == pytest.approx(0.5 / 0.8, abs=0.01)


@pytest.mark.parametrize("frames", [1, 5, 25])
def test_auto_leaves_pictures_and_moments_alone(frames):
    clip = take(np.full((frames, 52), 0.3))
    np.testing.assert_array_equal(calibrate(clip).values, clip.values)


def test_off_is_the_identity(rng):
    clip = take(acted(rng, np.full(52, 0.2)))
    assert calibrate(clip, NeutralConfig(mode="off")) is clip


def test_a_frame_outside_the_take_or_without_a_face_is_explained():
    found = np.array([True, False, True])
    clip = take(np.zeros((3, 52)), found)
    with pytest.raises(InputError, match="frames 0 to 2"):
        calibrate(clip, NeutralConfig(mode=3))
    with pytest.raises(InputError, match="no face was seen"):
        calibrate(clip, NeutralConfig(mode=1))


def test_the_neutral_head_pose_becomes_straight_ahead():
    head = np.array([[0.3, -0.2, 0.1], [0.5, 0.0, 0.0]])
    clip = AnimationClip(ARKIT, np.array([0.0, 0.1]), np.zeros((2, 52)), np.ones(2, bool), head)
    turned = calibrate(clip, NeutralConfig(mode=0, head=True)).head_rad
    np.testing.assert_allclose(turned[0], 0, atol=1e-12)
    np.testing.assert_allclose(
        rotation_from_head(head[:1])[0] @ rotation_from_head(turned)[1],
        rotation_from_head(head)[1],
        atol=1e-12,
    )


def test_head_rotation_has_the_documented_order_and_signs(rng):
    head = rng.uniform(-1.2, 1.2, (50, 3))
    np.testing.assert_allclose(head_from_rotation(rotation_from_head(head)), head, atol=1e-12)
    ahead, up = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    yaw, pitch, roll = rotation_from_head(np.eye(3) * 0.5)
    assert (yaw @ ahead)[0] > 0, "yaw turns towards +X, the character's left"
    assert (pitch @ ahead)[1] < 0, "pitch looks down"
    assert (roll @ up)[0] < 0, "roll tips the head towards its right shoulder"


@pytest.mark.parametrize(("text", "mode"), [("auto", "auto"), ("OFF", "off"), (" 12 ", 12)])
def test_the_option_reads_as_documented(text, mode):
    assert parse_neutral(text) == mode


@pytest.mark.parametrize("text", ["", "-1", "1.5", "first"])
def test_other_words_are_refused(text):
    with pytest.raises(UsageError, match="--neutral"):
        parse_neutral(text)
