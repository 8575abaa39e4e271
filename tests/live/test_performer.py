from __future__ import annotations

import numpy as np
import pytest

from freeavatar.avatars import catalog
from freeavatar.capture.track import TrackConfig
from freeavatar.capture.video import Frame
from freeavatar.live.performer import Performer, PerformerConfig
from freeavatar.pipeline import Models

pytestmark = pytest.mark.usefixtures("stand_in_networks")


def test_a_face_becomes_controls_of_both_rigs(face_pictures, toy_avatar_file):
    avatar = catalog.resolve(str(toy_avatar_file))
    performer = Performer(Models.load(), avatar)
    frames = [performer.show(Frame(i, i / 5, rgb), 0.0) for i, rgb in enumerate(face_pictures[:3])]
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert all(frame.found for frame in frames)
    assert frames[0].arkit.shape == (52,)
    assert frames[0].controls.shape == (len(avatar.rig),)
    assert performer.rig is avatar.rig


def test_no_face_is_rest(no_face_pictures):
    performer = Performer(Models.load())
    frame = performer.show(Frame(0, 0.0, no_face_pictures[0]), 0.0)
    assert not frame.found
    np.testing.assert_array_equal(frame.arkit, 0)


def test_without_an_avatar_the_controls_are_arkits(face_pictures):
    performer = Performer(
        Models.load(), config=PerformerConfig(TrackConfig(crop="whole"), auto_neutral=False)
    )
    frame = performer.show(Frame(0, 0.0, face_pictures[0]), 0.0)
    assert frame.found
    np.testing.assert_array_equal(frame.controls, frame.arkit)
