"""Laws of RigSpec: order, range, mirror, and the ARKit rig."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.rig import ARKIT, ARKIT_NAMES, REGIONS, Control, RigSpec, mirror_name, region_of

TOY = RigSpec(
    "toy",
    (
        Control("blinkLeft", "eye", "blinkRight"),
        Control("blinkRight", "eye", "blinkLeft"),
        Control("jawOpen", "jaw", "jawOpen"),
        Control("slide", "mouth", None, minimum=-1.0, maximum=1.0),
    ),
)


def test_arkit_has_the_52_apple_names_once_each_in_range_zero_to_one():
    assert len(ARKIT) == len(set(ARKIT_NAMES)) == 52
    assert (ARKIT.minimum == 0).all()
    assert (ARKIT.maximum == 1).all()
    assert "tongueOut" in ARKIT
    assert "_neutral" not in ARKIT


def test_every_arkit_control_lies_in_exactly_one_region():
    columns = np.concatenate([ARKIT.columns(region) for region in REGIONS])
    assert sorted(columns.tolist()) == list(range(52))
    assert len(ARKIT.columns("gaze")) == 8
    assert len(ARKIT.columns("other")) == 0


def test_mirroring_twice_gives_the_same_face_and_keeps_regions():
    columns = ARKIT.mirror_columns
    np.testing.assert_array_equal(columns[columns], np.arange(52))
    for i, j in enumerate(columns):
        assert ARKIT.controls[i].region == ARKIT.controls[j].region


def test_mirroring_a_left_wink_gives_a_right_wink():
    wink = np.zeros(52, np.float32)
    wink[ARKIT.index("eyeBlinkLeft")] = 1
    mirrored = wink[ARKIT.mirror_columns]
    assert mirrored[ARKIT.index("eyeBlinkRight")] == 1
    assert mirrored[ARKIT.index("eyeBlinkLeft")] == 0


def test_a_control_with_an_unknown_partner_stays_in_place():
    rig = RigSpec("odd", (Control("a", mirror="not there"), Control("b")))
    np.testing.assert_array_equal(rig.mirror_columns, [0, 1])


def test_json_reads_back_equal_through_text():
    assert RigSpec.from_json(json.loads(json.dumps(TOY.to_json()))) == TOY


def test_digest_depends_on_controls_and_order_but_not_on_the_rigs_name():
    renamed = RigSpec("other", TOY.controls)
    reordered = RigSpec("toy", TOY.controls[::-1])
    assert renamed.digest == TOY.digest
    assert reordered.digest != TOY.digest


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_clamped_values_are_inside_the_range_and_clamping_again_changes_nothing(values):
    once = TOY.clamp(np.array(values))
    assert (once >= TOY.minimum).all()
    assert (once <= TOY.maximum).all()
    np.testing.assert_array_equal(TOY.clamp(once), once)


def test_a_control_listed_twice_is_refused_by_name():
    with pytest.raises(ValueError, match="jawOpen"):
        RigSpec("twice", (Control("jawOpen"), Control("jawOpen")))


def test_a_rest_outside_the_range_is_refused():
    with pytest.raises(ValueError, match="is outside"):
        Control("x", rest=2.0)


def test_asking_for_an_unknown_control_names_it():
    with pytest.raises(KeyError, match="wiggleEars"):
        TOY.index("wiggleEars")


@pytest.mark.parametrize(
    ("name", "region", "mirrored"),
    [
        ("eyeLookOutLeft", "gaze", "eyeLookOutRight"),
        ("eyeBlinkRight", "eye", "eyeBlinkLeft"),
        ("browInnerUp", "brow", "browInnerUp"),
        ("noseSneerLeft", "nose", "noseSneerRight"),
        ("tongueOut", "tongue", "tongueOut"),
        ("spin", "other", "spin"),
    ],
)
def test_region_and_mirror_are_read_from_arkit_like_names(name, region, mirrored):
    assert region_of(name) == region
    assert mirror_name(name) == mirrored
