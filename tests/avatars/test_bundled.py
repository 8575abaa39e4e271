"""The heads that ship: small, valid, under the promised names, and right in what they show."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from freeavatar.avatars.avatar import Avatar, Surface, pose
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.scene import PreparedAvatar, portrait_camera, prepare, render
from freeavatar.rig import ARKIT, ARKIT_NAMES

BUNDLED = Path(__file__).parents[2] / "src" / "freeavatar" / "avatars" / "bundled"
ARKIT_HEADS = ("ada", "basil", "bibi", "bruno", "dara", "finn")
MAKEHUMAN_HEADS = ("chen", "elsa")
HEADS = tuple(sorted(ARKIT_HEADS + MAKEHUMAN_HEADS))
GAZE = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))


@cache
def head(name: str) -> Avatar:
    return load_avatar(BUNDLED / f"{name}.glb")


def surfaces_of(avatar: Avatar, kind: str) -> list[int]:
    return [i for i, s in enumerate(avatar.surfaces) if s.material.kind == kind]


def posed(avatar: Avatar, **arkit: float) -> list[np.ndarray]:
    """The avatar with ARKit values carried to its own rig."""
    values = np.zeros(len(ARKIT), np.float32)
    for name, value in arkit.items():
        values[ARKIT.index(name)] = value
    assert avatar.arkit_to_rig is not None
    return pose(avatar, avatar.rig.clamp(avatar.arkit_to_rig @ values))


@cache
def marked(name: str, kind: str) -> PreparedAvatar:
    """The head in black with the surfaces of one kind in white, unlit."""

    def painted(surface: Surface) -> Surface:
        colour = np.array([1.0, 1.0, 1.0, 1.0] if surface.material.kind == kind else [0, 0, 0, 1.0])
        texture = None
        if surface.material.texture is not None and surface.material.alpha_mode != "opaque":
            texture = surface.material.texture | np.array([255, 255, 255, 0], np.uint8)
        material = replace(
            surface.material, base_color=colour.astype(np.float32), texture=texture, emissive=True
        )
        return replace(surface, material=material)

    return prepare(tuple(painted(surface) for surface in head(name).surfaces))


def visible(name: str, kind: str, yaw_rad: float = 0.0, pitch: float = 0.0, **arkit: float) -> int:
    """Pixels in which surfaces of one kind are seen."""
    camera = portrait_camera(head(name).face, yaw_rad=yaw_rad, pitch_rad=pitch, margin=0.6)
    picture = render(
        marked(name, kind),
        posed(head(name), **arkit),
        camera,
        width=160,
        height=160,
        background=(0.0, 0.0, 0.0),
        shadow_size=0,
    )
    return int((picture.rgb[..., 1] > 60).sum())


def test_all_heads_are_there_and_small():
    sizes = {path.stem: path.stat().st_size for path in BUNDLED.glob("*.glb")}
    assert tuple(sorted(sizes)) == HEADS
    assert max(sizes.values()) < 3e6
    assert sum(sizes.values()) < 12e6


@pytest.mark.parametrize("name", ARKIT_HEADS)
def test_arkit_heads_have_exactly_the_arkit_controls(name):
    assert head(name).rig.names == ARKIT_NAMES
    np.testing.assert_array_equal(head(name).arkit_to_rig, np.eye(52))


@pytest.mark.parametrize("name", MAKEHUMAN_HEADS)
def test_makehuman_heads_have_34_units_and_gaze(name):
    rig = head(name).rig
    assert len(rig) == 42
    assert rig.names[34:] == GAZE
    assert {"eye-left-closure", "mouth-corner-puller", "nose-right-elevation"} < set(rig.names)
    assert rig.controls[rig.index("eye-left-closure")].mirror == "eye-right-closure"
    assert (rig.minimum == 0).all()
    assert (rig.maximum == 1).all()


@pytest.mark.parametrize("name", MAKEHUMAN_HEADS)
def test_the_link_from_arkit_keeps_sides_and_gaze(name):
    rig, link = head(name).rig, head(name).arkit_to_rig
    assert link is not None
    assert (link >= 0).all()
    for gaze in GAZE:
        assert link[rig.index(gaze), ARKIT.index(gaze)] == 1.0
    for side, other in (("left", "right"), ("right", "left")):
        wink = link[:, ARKIT.index(f"eyeBlink{side.capitalize()}")]
        assert wink[rig.index(f"eye-{side}-closure")] > 0.5
        assert wink[rig.index(f"eye-{other}-closure")] == 0.0
    assert link[rig.index("mouth-open"), ARKIT.index("jawOpen")] > 0.5


@pytest.mark.parametrize("name", HEADS)
def test_every_head_has_the_parts_of_a_face(name):
    kinds = {surface.material.kind for surface in head(name).surfaces}
    assert {"skin", "eye", "teeth", "tongue"} <= kinds
    assert name == "basil" or {"hair", "lash"} <= kinds
    assert [eye.node for eye in head(name).eyes] == ["LeftEye", "RightEye"]
    assert head(name).licence.startswith("CC0")


@pytest.mark.parametrize("name", HEADS)
def test_controls_of_the_left_move_the_left(name):
    avatar = head(name)
    rest = pose(avatar, avatar.rig.rest)
    skin = surfaces_of(avatar, "skin")[0]
    for control in avatar.rig.controls:
        if "left" not in control.name.lower() or control.name in ("mouthLeft", "jawLeft"):
            continue
        values = avatar.rig.rest.copy()
        values[avatar.rig.index(control.name)] = 1.0
        moved = np.linalg.norm(pose(avatar, values)[skin] - rest[skin], axis=1)
        assert (moved * rest[skin][:, 0]).sum() > 0, control.name


@pytest.mark.parametrize("name", HEADS)
def test_lower_teeth_go_with_the_jaw_and_upper_teeth_stay(name):
    avatar = head(name)
    upper, lower = surfaces_of(avatar, "teeth")
    opened, rest = posed(avatar, jawOpen=1.0), pose(avatar, avatar.rig.rest)
    np.testing.assert_allclose(opened[upper], rest[upper], atol=2e-4)
    assert (opened[lower] - rest[lower])[:, 1].mean() < -0.008


@pytest.mark.parametrize("name", HEADS)
def test_gaze_turns_both_eyeballs_to_the_left(name):
    avatar = head(name)
    looking = posed(avatar, eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    for eye in avatar.eyes:
        ball = next(i for i, rows in enumerate(eye.vertices) if len(rows))
        front = int(avatar.surfaces[ball].vertices[:, 2].argmax())
        direction = looking[ball][front] - eye.pivot
        yaw = np.degrees(np.arctan2(direction[0], direction[2]))
        assert yaw == pytest.approx(28.0, abs=1.0)


@pytest.mark.parametrize("name", HEADS)
def test_closed_eyes_hide_the_eyeballs(name):
    opened = visible(name, "eye")
    assert opened > 60
    assert visible(name, "eye", eyeBlinkLeft=1.0, eyeBlinkRight=1.0) < 0.06 * opened


@pytest.mark.parametrize("name", HEADS)
def test_a_wink_hides_one_eye(name):
    assert 0.3 < visible(name, "eye", eyeBlinkLeft=1.0) / visible(name, "eye") < 0.7


@pytest.mark.parametrize("name", HEADS)
def test_a_face_at_rest_shows_no_teeth_and_no_tongue(name):
    for yaw, pitch in ((0.0, 0.0), (0.6, 0.0), (-0.3, -0.3)):
        # A few of 25,600 pixels: the corners of the mouth are not sewn shut.
        assert visible(name, "teeth", yaw, pitch) <= 6
        assert visible(name, "tongue", yaw, pitch) <= 2


@pytest.mark.parametrize("name", ARKIT_HEADS)
def test_the_tongue_comes_out(name):
    shown = visible(name, "tongue", jawOpen=0.4, tongueOut=1.0)
    assert shown > visible(name, "tongue", jawOpen=0.4)
    tongue = surfaces_of(head(name), "tongue")[0]
    out = posed(head(name), jawOpen=0.4, tongueOut=1.0)[tongue]
    assert out[:, 2].max() > head(name).face.mouth[2]


@pytest.mark.parametrize("name", HEADS)
def test_the_validator_of_the_format_finds_nothing(name):
    sys.path.insert(0, str(Path(__file__).parent))
    from test_gltf_writer import validator_messages

    messages = validator_messages(BUNDLED / f"{name}.glb")
    assert [m for m in messages if m["severity"] < 2] == []
