"""An actor's profile: found in one take, kept in a file, believed only where it fits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.motion.profile import (
    ActorProfile,
    reach_gains,
    read_profile,
    rig_gains,
    write_profile,
)
from freeavatar.rig import ARKIT

SMILE, OTHER_SMILE = ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")
JAW, LOOK = ARKIT.index("jawOpen"), ARKIT.index("eyeLookUpLeft")


@pytest.fixture
def profile(rng) -> ActorProfile:
    gains = np.ones(52)
    gains[SMILE] = gains[OTHER_SMILE] = 1.3
    return ActorProfile("neutral.mp4", "abc", 0.9, rng.random(24), np.array([0.1, 0, -0.1]), gains)


def moving(reach: float) -> AnimationClip:
    values = np.zeros((200, 52), np.float32)
    values[:, SMILE] = reach * (0.5 - 0.5 * np.cos(np.linspace(0, 20, 200)))
    values[:, LOOK] = reach
    found = np.ones(200, bool)
    return AnimationClip(ARKIT, np.arange(200) / 30.0, values, found, np.zeros((200, 3)))


def test_a_small_reach_is_taken_further_on_both_sides_alike():
    gains = reach_gains(moving(0.6))
    assert gains[SMILE] == gains[OTHER_SMILE] == pytest.approx(0.9 / 0.6, rel=0.05)


def test_what_was_not_tried_stays_and_gaze_too():
    gains = reach_gains(moving(0.6))
    assert gains[JAW] == 1.0
    assert gains[LOOK] == 1.0
    assert (reach_gains(moving(0.2)) == 1.0).all()
    assert reach_gains(moving(0.46)).max() == pytest.approx(1.6)
    assert (reach_gains(moving(1.0)) == 1.0).all()


def test_frames_without_a_face_do_not_count():
    clip = moving(0.6)
    clip.values[:20, JAW] = 1.0
    found = clip.found.copy()
    found[:20] = False
    assert reach_gains(replace(clip, found=found))[JAW] == 1.0


def test_a_rig_of_other_names_gets_the_gain_of_what_moves_it():
    gains = np.ones(52)
    gains[SMILE] = 1.5
    mixed = np.zeros((3, 52), np.float32)
    mixed[0, SMILE] = 1.0
    mixed[1, [SMILE, JAW]] = 1.0
    found = rig_gains(gains, ("grin", "half", "horn"), mixed)
    np.testing.assert_allclose(found, [1.5, 1.25, 1.0])
    assert rig_gains(gains, ("mouthSmileLeft", "horn"), None).tolist() == [1.5, 1.0]


def test_a_written_profile_reads_back(profile, tmp_path):
    path = tmp_path / "actor.json"
    write_profile(path, profile)
    read = read_profile(path, "abc")
    np.testing.assert_allclose(read.neutral_features, profile.neutral_features, rtol=1e-5)
    np.testing.assert_allclose(read.gains, profile.gains, atol=1e-4)
    np.testing.assert_allclose(read.neutral_head_rad, profile.neutral_head_rad)
    assert (read.source, read.trust) == (profile.source, profile.trust)


def test_a_profile_of_other_networks_or_versions_is_refused(profile, tmp_path):
    path = tmp_path / "actor.json"
    write_profile(path, profile)
    with pytest.raises(CurveFileError, match="other networks"):
        read_profile(path, "xyz")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"version": 99}))
    with pytest.raises(CurveFileError, match="version 99"):
        read_profile(path, "abc")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "a poem"},
        {"gains": [1, 2]},
        {"neutral_features": ["x"]},
        {"neutral_features": [[1.0]]},
        {"neutral_features": [float("nan")]},
        {"neutral_head_rad": [0.0]},
        {"trust": None},
    ],
)
def test_a_damaged_profile_is_one_sentence(profile, tmp_path, change):
    path = tmp_path / "actor.json"
    write_profile(path, profile)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CurveFileError, match="freeavatar calibrate"):
        read_profile(path, "abc")


@pytest.mark.parametrize("text", ["", "[]", "no json", "3"])
def test_another_file_is_no_profile(tmp_path, text):
    path = tmp_path / "actor.json"
    path.write_text(text)
    with pytest.raises(CurveFileError, match="not an actor's profile"):
        read_profile(path, "abc")
    with pytest.raises(CurveFileError, match="cannot be read"):
        read_profile(tmp_path / "none.json", "abc")
