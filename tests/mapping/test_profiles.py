"""Profiles of names: laws that hold for any face, and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.errors import UsageError
from freeavatar.mapping.profiles import LOOKS, PROFILES, VRM0_NAMES, VRM1_PRESETS, weights
from freeavatar.rig import ARKIT, mirror_name


def face(**values: float) -> np.ndarray:
    row = np.zeros(52, np.float32)
    for name, value in values.items():
        row[ARKIT.index(name)] = value
    return row


def said(profile: str, **values: float) -> dict[str, float]:
    names, row = weights(profile, face(**values))
    return dict(zip(names, row.tolist(), strict=True))


@pytest.mark.parametrize("name", PROFILES)
def test_values_stay_in_range_and_rows_are_independent(name):
    arkit = np.random.default_rng(1).random((2, 7, 52)).astype(np.float32)
    names, values = weights(name, arkit)
    profile = PROFILES[name]
    assert len(set(names)) == len(names)
    assert values.shape == (2, 7, len(names))
    assert values.dtype == np.float32
    assert (values >= profile.minimum).all()
    assert (values <= 1).all()
    np.testing.assert_allclose(weights(name, arkit[1, 3])[1], values[1, 3], atol=1e-6)


@pytest.mark.parametrize("name", PROFILES)
def test_a_neutral_face_is_at_rest(name):
    _, values = weights(name, np.zeros(52))
    np.testing.assert_array_equal(values, PROFILES[name].rest)


def test_perfect_sync_is_arkit_itself():
    arkit = np.random.default_rng(2).random((5, 52)).astype(np.float32)
    names, values = weights("arkit", arkit)
    assert names == ARKIT.names
    np.testing.assert_array_equal(values, arkit)


@pytest.mark.parametrize("name", ["vrm0", "vrm1"])
def test_blinks_add_up_to_each_lid_once(name):
    both, left, right = PROFILES[name].shared_blinks
    blink = said(name, eyeBlinkLeft=0.9, eyeBlinkRight=0.4)
    assert blink[both] == pytest.approx(0.4)
    assert blink[both] + blink[left] == pytest.approx(0.9)
    assert blink[both] + blink[right] == pytest.approx(0.4)


def test_vrm_names_are_those_of_the_specifications():
    assert set(PROFILES["vrm1"].names) | set(PROFILES["vrm1"].unreadable) == set(VRM1_PRESETS)
    assert len(VRM1_PRESETS) == 18
    old = {
        *("Neutral", "A", "I", "U", "E", "O", "Blink", "Blink_L", "Blink_R"),
        *("Joy", "Angry", "Sorrow", "Fun", "LookUp", "LookDown", "LookLeft", "LookRight"),
    }
    assert set(PROFILES["vrm0"].names) | set(PROFILES["vrm0"].unreadable) == old
    assert set(VRM0_NAMES) < set(VRM1_PRESETS)


def test_looking_left_is_out_for_the_left_eye():
    look = said("vrm1", eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    assert {name: look[name] for name in LOOKS} == {
        "lookUp": 0,
        "lookDown": 0,
        "lookLeft": 1,
        "lookRight": 0,
    }


def test_vrchat_gaze_and_lids_follow_unified_expressions():
    right = said("vrchat", eyeLookInLeft=0.5, eyeLookOutRight=0.5, eyeLookUpLeft=0.3)
    assert right["v2/EyeLeftX"] == pytest.approx(0.5)
    assert right["v2/EyeRightX"] == pytest.approx(0.5)
    assert right["v2/EyeLeftY"] == pytest.approx(0.3)
    assert said("vrchat")["v2/EyeLidLeft"] == pytest.approx(0.75)
    assert said("vrchat", eyeBlinkLeft=1)["v2/EyeLidLeft"] == 0
    assert said("vrchat", eyeWideLeft=1)["v2/EyeLidLeft"] == 1
    assert said("vrchat", jawOpen=0.6)["v2/JawOpen"] == pytest.approx(0.6)
    assert said("vrchat", jawLeft=0.6)["v2/JawX"] == pytest.approx(-0.6)
    assert said("vrchat", mouthFrownLeft=1, mouthFrownRight=1)["v2/SmileFrown"] == -1


@pytest.mark.parametrize("name", ["vrm1", "vrchat", "arkit"])
def test_the_mirrored_face_has_mirrored_names(name):
    arkit = np.random.default_rng(4).random(52).astype(np.float32)
    names, values = weights(name, arkit)
    mirrored = dict(zip(*weights(name, arkit[ARKIT.mirror_columns]), strict=True))
    for target, value in zip(names, values, strict=True):
        partner = mirror_name(target)
        if target.endswith("X"):
            # Sideways changes sign: the left eye's becomes the right eye's.
            value = -value
        assert mirrored[partner] == pytest.approx(value, abs=1e-6), target


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean vrm1"):
        weights("vrm2", np.zeros(52))
    with pytest.raises(UsageError, match="arkit, vrm1, vrm0, vrchat"):
        weights("zzz", np.zeros(52))
