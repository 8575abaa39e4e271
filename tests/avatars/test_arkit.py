"""What names mean: spellings, tables, sides; the map must commute with mirroring the face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars.arkit import arkit_map, arkit_name, recipes, region_of_control
from freeavatar.avatars.arkit_tables import FAMILIES
from freeavatar.avatars.blendshapes import mirror_partners
from freeavatar.avatars.gltf import load_avatar
from freeavatar.rig import ARKIT, ARKIT_NAMES, mirror_name


@pytest.mark.parametrize(
    ("spelled", "means"),
    [
        ("eyeBlinkLeft", "eyeBlinkLeft"),
        ("EYEBLINKLEFT", "eyeBlinkLeft"),
        ("eyeBlink_L", "eyeBlinkLeft"),
        ("eye_blink_r", "eyeBlinkRight"),
        ("EyeBlink.Left", "eyeBlinkLeft"),
        ("leftEyeBlink", "eyeBlinkLeft"),
        ("BrowInnerUp", "browInnerUp"),
        ("jawLeft", "jawLeft"),
        ("mouthRight", "mouthRight"),
        ("MouthUpperUp_R", "mouthUpperUpRight"),
        ("mouthSmile", None),
        ("eyeLook", None),
        ("Fcl_ALL_Joy", None),
        ("", None),
    ],
)
def test_arkit_names_are_known_in_every_spelling(spelled, means):
    assert arkit_name(spelled) == means


def test_arkits_own_rig_maps_to_itself():
    np.testing.assert_array_equal(arkit_map(ARKIT_NAMES), np.eye(52))


@pytest.mark.parametrize("suffix", ["_L/_R", "Left/Right", "_l/_r", ".L/.R"])
def test_a_rig_in_another_spelling_maps_one_to_one(suffix):
    left, right = suffix.split("/")
    names = [
        n
        if n in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
        else n.replace("Left", left).replace("Right", right)
        for n in ARKIT_NAMES
    ]
    np.testing.assert_array_equal(arkit_map(names), np.eye(52))


def test_a_control_split_in_two_or_joined_from_two_takes_its_share():
    table = recipes(["browInnerUp_L", "browInnerUp_R", "mouthSmile"])
    assert table["browInnerUp_L"] == table["browInnerUp_R"] == {"browInnerUp": 1.0}
    assert table["mouthSmile"] == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}


def test_extras_of_an_arkit_rig_do_not_double_its_own_controls():
    names = [*ARKIT_NAMES, "mouthSmile", "mouthOpen", "eyesClosed", "viseme_aa"]
    mapping = arkit_map(names)
    assert mapping is not None
    np.testing.assert_array_equal(mapping[:52], np.eye(52))
    np.testing.assert_array_equal(mapping[52:], 0)


def test_unknown_names_give_no_map():
    assert arkit_map(["Key 1", "Key 2", "morph_17"]) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_speak_of_arkit_controls_only(family):
    for recipe in FAMILIES[family].values():
        assert set(recipe) <= set(ARKIT_NAMES)
        assert all(-1 <= weight <= 1 for weight in recipe.values())


VALID_SIDED = (
    "eyeClose eyeOpen squint lowLid pityful browUp browDown smileClose smileOpen mouthSad "
    "lipUp lipDown lipSide lipCorner disgust nostril blow jaw"
)
VALID_NAMES = [
    *(f"{side}{stem}_h" for stem in VALID_SIDED.split() for side in "LR"),
    *("LLbrowUp_h", "RRbrowUp_h", "LLbrowDown_h", "RRbrowDown_h", "MouthOpen_h", "Shout_h"),
    *("Chew_h", "JawFront_h", "Kiss_h", "UW_U_h", "SH_CH_h", "Chin_h", "MPB_Up_h", "MPB_Down_h"),
    "OutMiddle_tg_h",
]


def vitruvian_names() -> list[str]:
    sided = "Eyes_Closed Look_In Look_Out Eyebrows_Lower Smile_Lips_Closed Frown Lips_Up_Raised"
    return [f"{stem}_{side}" for stem in sided.split() for side in ("Left", "Right")] + [
        "Mouth_Large_Opened",
        "Kiss",
    ]


@pytest.mark.parametrize(
    "names",
    [
        VALID_NAMES,
        vitruvian_names(),
        ["blink_left", "blink_right", "ah", "ih", "uu", "ee", "oh", "look_left", "look_right"],
        ["eye-left-closure", "eye-right-closure", "eyebrows-left-down", "eyebrows-right-down"],
        list(ARKIT_NAMES),
    ],
    ids=["valid", "vitruvian", "vrm", "makehuman", "arkit"],
)
def test_mirroring_the_actor_mirrors_the_avatar(names):
    mapping = arkit_map(names)
    assert mapping is not None
    partners = mirror_partners(names)
    swap = [names.index(partners[name]) for name in names]
    np.testing.assert_array_equal(mapping[swap], mapping[:, ARKIT.mirror_columns])


def test_every_valid_control_that_has_a_meaning_is_used():
    mapping = arkit_map(VALID_NAMES)
    assert mapping is not None
    assert mapping.any(axis=1).all()
    unmoved = {ARKIT_NAMES[i] for i in np.flatnonzero(~mapping.any(axis=0))}
    assert all(name.startswith("eyeLook") for name in unmoved)


def test_partners_are_found_for_every_way_to_write_a_side():
    names = ["LeyeClose_h", "ReyeClose_h", "LLbrowUp_h", "RRbrowUp_h", "LbrowUp_h", "RbrowUp_h"]
    names += ["brow_L", "brow_R", "smile.l", "smile.r", "eye-left-up", "eye-right-up"]
    names += [
        "CurlLeft_Out",
        "CurlRight_Out",
        "lower",
        "LowerLip",
        "upperRight",
        "cheekL",
        "cheekR",
    ]
    partners = mirror_partners(names)
    for left, right in zip(names[:14:2], names[1:14:2], strict=True):
        assert (partners[left], partners[right]) == (right, left)
    assert partners["cheekL"] == "cheekR"
    for alone in ("lower", "LowerLip", "upperRight"):
        assert partners[alone] == alone


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("LeyeClose_h", "eye"),
        ("RRbrowUp_h", "brow"),
        ("Shout_h", "jaw"),
        ("OutMiddle_tg_h", "tongue"),
        ("eyeLookIn_L", "gaze"),
        ("Look_Up_Left", "gaze"),
        ("Kiss", "mouth"),
        ("Nostrils_Dilated", "nose"),
        ("Key 1", "other"),
    ],
)
def test_regions_are_read_from_meanings(name, region):
    assert region_of_control(name) == region


def test_a_rig_that_calls_the_viewers_left_left_still_winks_on_the_right_side(gltf, face, tmp_path):
    swapped = replace(face, names=[mirror_name(name) for name in face.names])
    gltf.node(mesh=gltf.mesh(swapped))
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert avatar.arkit_to_rig is not None
    wink = avatar.arkit_to_rig[:, ARKIT.index("eyeBlinkLeft")]
    assert [avatar.rig.names[i] for i in np.flatnonzero(wink)] == ["eyeBlinkRight"]


def test_the_jaw_that_goes_the_other_way_is_corrected_too(gltf, face, tmp_path):
    sideways = np.zeros((2, len(face.vertices), 3), np.float32)
    low = face.vertices[:, 1] < -0.05
    sideways[0, low, 0], sideways[1, low, 0] = -0.008, 0.008  # jawLeft moves to its right
    wrong = replace(
        face,
        names=[*face.names, "jawLeft", "jawRight"],
        deltas=np.concatenate([face.deltas, sideways]),
    )
    gltf.node(mesh=gltf.mesh(wrong))
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert avatar.arkit_to_rig is not None
    column = avatar.arkit_to_rig[:, ARKIT.index("jawLeft")]
    assert [avatar.rig.names[i] for i in np.flatnonzero(column)] == ["jawRight"]
