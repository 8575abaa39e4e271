"""The made takes: every channel moves, smoothly, in range, and both eyes look the same way."""

from __future__ import annotations

import numpy as np

from freeavatar.datasets.motion_sources import HELD_OUT_TAKES
from freeavatar.rig import ARKIT
from heldout import ICT_SEEDS, clip_plans, people
from scores import MOVING_STD
from takes import LOOKS, NUM_RANGE_PARTS, gestures, head_motion, range_take


def test_the_range_take_moves_every_channel_within_its_range():
    parts = [range_take(part) for part in range(NUM_RANGE_PARTS)]
    moving = np.any([part.std(0) > MOVING_STD for part in parts], axis=0)
    assert moving.all()
    assert min(part.min() for part in parts) >= 0.0
    assert max(part.max() for part in parts) <= 1.0


def test_movements_are_eased_and_not_cut():
    for part in range(NUM_RANGE_PARTS):
        assert np.abs(np.diff(range_take(part), axis=0)).max() < 0.35


def test_each_side_of_a_pair_moves_alone_in_some_gesture():
    alone = {next(iter(g.controls)) for g in gestures() if len(g.controls) == 1}
    for control in ARKIT.controls:
        # Gaze is a matter of two eyes, and some controls need an open mouth.
        if control.region != "gaze" and control.name not in ("mouthClose", "tongueOut"):
            assert control.name in alone


def test_eyes_look_in_the_same_direction():
    for look in LOOKS:
        value = look.controls.get
        assert value("eyeLookOutLeft") == value("eyeLookInRight")
        assert value("eyeLookInLeft") == value("eyeLookOutRight")


def test_takes_are_the_same_every_time():
    np.testing.assert_array_equal(range_take(1), range_take(1))
    np.testing.assert_array_equal(head_motion(2, 50), head_motion(2, 50))


def test_everybody_plays_a_recorded_and_a_made_take():
    for person in people():
        takes = {plan.take for plan in clip_plans() if plan.person == person}
        assert len(takes & set(HELD_OUT_TAKES)) == 1
        assert "range" in takes
    assert min(ICT_SEEDS) >= 1000
