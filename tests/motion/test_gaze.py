"""Gaze under blinks: a closing lid is no look down, and a look down is no blink."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.motion.gaze import GazeConfig, hold_gaze
from freeavatar.rig import ARKIT, Control, RigSpec

LID, OTHER_LID = ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")
DOWN, OUT = ARKIT.index("eyeLookDownLeft"), ARKIT.index("eyeLookOutLeft")
OTHER_DOWN = ARKIT.index("eyeLookDownRight")
BLINK = (0.15, 0.5, 0.95, 0.95, 0.5, 0.15)
AT = 20


def looking(num: int = 60) -> AnimationClip:
    """The eye turns slowly outwards and shuts for a moment, during which it seems to look down."""
    values = np.zeros((num, 52), np.float32)
    values[:, OUT] = np.linspace(0.1, 0.5, num)
    values[AT : AT + len(BLINK), LID] = BLINK
    values[AT : AT + len(BLINK), DOWN] = 0.8 * np.array(BLINK)
    values[AT : AT + len(BLINK), OUT] *= 1.0 - np.array(BLINK)
    found = np.ones(num, bool)
    return AnimationClip(ARKIT, np.arange(num) / 30.0, values, found, np.zeros((num, 3)))


def test_gaze_crosses_a_blink_and_the_lid_keeps_its_own():
    clip = looking()
    held = hold_gaze(clip)
    shut = slice(AT + 1, AT + 5)
    assert held.values[shut, DOWN].max() < 0.15
    np.testing.assert_allclose(held.values[shut, OUT], np.linspace(0.1, 0.5, 60)[shut], atol=0.06)
    np.testing.assert_array_equal(held.values[:, LID], clip.values[:, LID])


def test_nothing_changes_away_from_blinks_or_on_the_other_eye():
    clip = looking()
    clip.values[AT : AT + 6, OTHER_DOWN] = 0.4
    held = hold_gaze(clip)
    away = np.r_[0 : AT - 1, AT + 7 : 60]
    np.testing.assert_array_equal(held.values[away], clip.values[away])
    np.testing.assert_array_equal(held.values[:, OTHER_DOWN], clip.values[:, OTHER_DOWN])


def test_looking_down_with_half_closed_lids_is_kept():
    clip = looking()
    clip.values[:, LID] = 0.4
    clip.values[:, DOWN] = 0.7
    np.testing.assert_array_equal(hold_gaze(clip).values, clip.values)


def test_eyes_that_stay_shut_do_not_swallow_the_look_before_and_after():
    clip = looking()
    clip.values[AT : AT + 25, LID] = 1.0
    held = hold_gaze(clip)
    assert np.isfinite(held.values).all()
    np.testing.assert_array_equal(held.values[: AT - 4], clip.values[: AT - 4])
    np.testing.assert_array_equal(held.values[AT + 30 :], clip.values[AT + 30 :])


def test_a_blink_at_the_start_or_at_a_cut_takes_the_side_that_is_there():
    clip = looking()
    values = clip.values.copy()
    values[:3, LID], values[:3, DOWN] = 1.0, 0.9
    held = hold_gaze(clip.with_values(values))
    np.testing.assert_allclose(held.values[:3, OUT], values[3, OUT], atol=1e-6)
    shot = np.zeros(60, np.int64)
    shot[AT + 3 :] = 1
    cut = hold_gaze(replace(clip, shot=shot))
    before = clip.values[AT - 1, OUT]
    assert np.abs(cut.values[AT + 2, OUT] - before) < 0.05


def test_it_can_be_switched_off_and_leaves_other_rigs_alone():
    clip = looking()
    assert hold_gaze(clip, GazeConfig(hold=False)) is clip
    rig = RigSpec("plain", (Control("jaw", "jaw"),))
    plain = AnimationClip(rig, clip.times_s, clip.values[:, :1], clip.found, clip.head_rad)
    assert hold_gaze(plain) is plain
