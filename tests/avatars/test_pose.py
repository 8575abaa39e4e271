"""Posing: laws of rest, sums, mirrors and turns on a drawn face; real heads where present."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from freeavatar.avatars.avatar import Avatar, Eye, gaze_angles, pose, rotation
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.ict import load_ict
from freeavatar.avatars.ict_paint import random_look
from freeavatar.rig import ARKIT


@pytest.fixture
def avatar(toy_path) -> Avatar:
    return load_avatar(toy_path)


def controls_of(avatar: Avatar, **values: float) -> np.ndarray:
    controls = avatar.rig.rest.copy()
    for name, value in values.items():
        controls[avatar.rig.index(name)] = value
    return controls


def ball(centre: tuple[float, float, float], radius: float = 0.012) -> np.ndarray:
    """Points on an eyeball; the first is the pupil, straight ahead."""
    rng = np.random.default_rng(0)
    away = rng.normal(size=(200, 3))
    away[0] = (0, 0, 1)
    return (np.array(centre) + radius * away / np.linalg.norm(away, axis=1)[:, None]).astype("f4")


@pytest.fixture
def staring(gltf, face, tmp_path) -> Avatar:
    """The toy face with two eyeball meshes below turned nodes, as rigs like to have them."""
    gltf.node(mesh=gltf.mesh(face), name="face")
    for side, x in (("Left", 0.03), ("Right", -0.03)):
        points = ball((x, 0.045, 0.03))
        index = gltf.mesh(
            replace(
                face,
                vertices=points,
                triangles=np.arange(198).reshape(-1, 3),
                uvs=np.zeros((200, 2)),
                names=[],
                deltas=np.zeros((0, 200, 3)),
            )
        )
        half = float(np.sqrt(0.5))
        inner = gltf.node(root=False, mesh=index, name=f"{side}Eye", rotation=[0, 0, -half, half])
        gltf.node(name=f"socket{side[0]}", rotation=[0, 0, half, half], children=[inner])
    return load_avatar(gltf.save(tmp_path / "staring.glb"))


def pupil(avatar: Avatar, side: str, **values: float) -> np.ndarray:
    """How far the pupil moves under these controls."""
    surface = 1 if side == "left" else 2
    posed = pose(avatar, controls_of(avatar, **values))[surface]
    return posed[0] - avatar.surfaces[surface].vertices[0]


def test_rest_controls_leave_the_mesh_at_rest(avatar):
    posed = pose(avatar, avatar.rig.rest)
    np.testing.assert_array_equal(posed[0], avatar.surfaces[0].vertices)


def test_posing_does_not_touch_the_avatar(avatar):
    before = avatar.surfaces[0].vertices.copy()
    pose(avatar, avatar.rig.maximum, (0.3, 0.2, 0.1))
    np.testing.assert_array_equal(avatar.surfaces[0].vertices, before)


@pytest.mark.parametrize("num_active", [1, 2, 5, 6])
def test_blendshapes_add_like_the_slow_sum(avatar, face, num_active):
    values = np.linspace(0.2, 0.9, 6, dtype=np.float32) * (np.arange(6) < num_active)
    expected = face.vertices + sum(v * d for v, d in zip(values, face.deltas, strict=True))
    np.testing.assert_allclose(pose(avatar, values)[0], expected, atol=1e-7)


def test_mirrored_controls_give_the_mirrored_face(avatar):
    rng = np.random.default_rng(3)
    values = rng.random(len(avatar.rig)).astype(np.float32)
    posed = pose(avatar, values)[0]
    mirrored = pose(avatar, values[avatar.rig.mirror_columns])[0]
    # The sheet is a grid of 11 rows of 9: mirroring reverses every row.
    flipped = mirrored.reshape(11, 9, 3)[:, ::-1].reshape(-1, 3) * [-1, 1, 1]
    np.testing.assert_allclose(posed, flipped, atol=1e-6)


def test_the_head_turns_rigidly_about_the_neck(avatar):
    rest, turned = (
        pose(avatar, avatar.rig.rest)[0],
        pose(avatar, avatar.rig.rest, (0.5, 0.0, 0.0))[0],
    )
    neck = avatar.face.neck
    np.testing.assert_allclose(
        np.linalg.norm(turned - neck, axis=1), np.linalg.norm(rest - neck, axis=1), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("head_rad", "axis", "sign"),
    [((0.3, 0.0, 0.0), 0, 1), ((0.0, 0.3, 0.0), 1, -1), ((0.0, 0.0, 0.3), None, 0)],
)
def test_yaw_looks_to_its_left_and_pitch_looks_down(head_rad, axis, sign):
    forward = rotation(*head_rad) @ np.array([0, 0, 1.0])
    if axis is None:
        top = rotation(*head_rad) @ np.array([0, 1.0, 0])
        assert top[0] < 0  # tilts towards its right shoulder
        np.testing.assert_allclose(forward, [0, 0, 1], atol=1e-12)
    else:
        assert sign * forward[axis] > 0.25


def test_rotation_is_yaw_after_pitch_after_roll():
    together = rotation(0.3, 0.2, 0.1)
    apart = rotation(0.3, 0.0) @ rotation(0.0, 0.2) @ rotation(0.0, 0.0, 0.1)
    np.testing.assert_allclose(together, apart, atol=1e-12)


def test_a_bust_stays_when_the_head_turns(gltf, face, tmp_path):
    held = gltf.node(root=False, mesh=gltf.mesh(face), name="Face")
    gltf.node(name="Head", translation=[0, -0.1, 0], children=[held])
    gltf.node(mesh=gltf.mesh(replace(face, names=[], deltas=face.deltas[:0])), name="Bust")
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    np.testing.assert_allclose(avatar.face.neck, [0, -0.1, 0], atol=1e-7)
    head, bust = pose(avatar, avatar.rig.rest, (0.4, 0.0, 0.0))
    assert np.abs(head - avatar.surfaces[0].vertices).max() > 0.01
    np.testing.assert_array_equal(bust, avatar.surfaces[1].vertices)


def test_controls_of_another_rig_are_a_value_error(avatar):
    with pytest.raises(ValueError, match="6 controls"):
        pose(avatar, np.zeros(7, np.float32))


def test_eyes_that_turn_get_the_eight_gaze_controls(staring):
    gaze = [name for name in staring.rig.names if name.startswith("eyeLook")]
    assert sorted(gaze) == sorted(n for n in ARKIT.names if n.startswith("eyeLook"))
    assert {eye.side for eye in staring.eyes} == {"left", "right"}
    for eye, x in zip(staring.eyes, (0.03, -0.03), strict=True):
        np.testing.assert_allclose(eye.pivot, [x, 0.045, 0.03], atol=1e-4)


@pytest.mark.parametrize(
    ("side", "control", "axis", "sign"),
    [
        ("left", "eyeLookOutLeft", 0, 1),
        ("left", "eyeLookInLeft", 0, -1),
        ("right", "eyeLookOutRight", 0, -1),
        ("right", "eyeLookInRight", 0, 1),
        ("left", "eyeLookUpLeft", 1, 1),
        ("left", "eyeLookDownLeft", 1, -1),
        ("right", "eyeLookUpRight", 1, 1),
        ("right", "eyeLookDownRight", 1, -1),
    ],
)
def test_the_pupil_goes_where_the_control_says(staring, side, control, axis, sign):
    moved = pupil(staring, side, **{control: 1.0})
    angle = 28 if axis == 0 else 22
    assert sign * moved[axis] == pytest.approx(0.012 * np.sin(np.radians(angle)), rel=0.02)
    other = "right" if side == "left" else "left"
    np.testing.assert_array_equal(pupil(staring, other, **{control: 1.0}), 0)


def test_both_eyes_follow_a_look_to_the_left_in_parallel(staring):
    controls = controls_of(staring, eyeLookOutLeft=0.7, eyeLookInRight=0.7)
    yaws = [gaze_angles(staring, eye, controls)[0] for eye in staring.eyes]
    assert yaws[0] == pytest.approx(yaws[1])
    assert yaws[0] > 0


def test_eyes_that_morphs_turn_already_are_not_turned_twice(gltf, face, tmp_path):
    points = ball((0.03, 0.045, 0.03))
    moved = np.zeros((1, 200, 3))
    moved[0, :, 0] = 0.004
    eye = replace(
        face,
        vertices=points,
        triangles=np.arange(198).reshape(-1, 3),
        uvs=np.zeros((200, 2)),
        names=["eyeLookOut_L"],
        deltas=moved,
    )
    gltf.node(mesh=gltf.mesh(face))
    gltf.node(mesh=gltf.mesh(eye), name="LeftEye")
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert avatar.eyes == ()
    assert avatar.rig.names == (*face.names, "eyeLookOut_L")


def test_one_mesh_with_both_eyes_is_split_in_the_middle(gltf, face, tmp_path):
    points = np.concatenate([ball((0.03, 0.045, 0.03)), ball((-0.03, 0.045, 0.03))])
    eyes = replace(
        face,
        vertices=points,
        triangles=np.arange(399).reshape(-1, 3),
        uvs=np.zeros((400, 2)),
        names=[],
        deltas=np.zeros((0, 400, 3)),
    )
    gltf.node(mesh=gltf.mesh(face))
    gltf.node(mesh=gltf.mesh(eyes), name="Eyes")
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    left: Eye = avatar.eyes[0]
    assert left.side == "left"
    assert left.vertices[1].tolist() == list(range(200))
    np.testing.assert_allclose(left.pivot, [0.03, 0.045, 0.03], atol=1e-4)


def test_eye_bones_turn_the_vertices_that_hang_on_them(gltf, face, tmp_path):
    mesh = gltf.mesh(face)
    count = len(face.vertices)
    near = np.linalg.norm(face.vertices[:, :2] - [0.03, 0.045], axis=1) < 0.012
    primitive: dict[str, Any] = gltf.json["meshes"][mesh]["primitives"][0]
    primitive["attributes"] |= {
        "JOINTS_0": gltf.accessor(np.stack([near, *[np.zeros(count)] * 3], axis=1), 5121),
        "WEIGHTS_0": gltf.accessor(np.tile([1.0, 0, 0, 0], (count, 1))),
    }
    bone = gltf.node(root=False, name="eye_L", translation=face.vertices[near][0].tolist())
    head = gltf.node(name="root", children=[bone])
    inverse = np.tile(np.eye(4), (2, 1, 1))
    inverse[1, :3, 3] = -face.vertices[near][0]
    gltf.json["skins"] = [
        {
            "joints": [head, bone],
            "inverseBindMatrices": gltf.accessor(inverse.transpose(0, 2, 1).reshape(2, 16)),
        }
    ]
    gltf.node(mesh=mesh, skin=0)
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert [(eye.side, eye.node) for eye in avatar.eyes] == [("left", "eye_L")]
    np.testing.assert_array_equal(avatar.eyes[0].vertices[0], np.flatnonzero(near))


def test_ict_heads_of_any_identity_wink_and_look(shared_avatars):
    path = shared_avatars / "ict" / "ict_facekit_light.npz"
    rng = np.random.default_rng(5)
    head = load_ict(path, rng.normal(size=100).astype(np.float32), "actor", random_look(rng))
    other = load_ict(path, np.zeros(100, np.float32), "mean")
    assert head.rig == other.rig
    assert head.arkit_to_rig is not None
    assert np.abs(head.surfaces[0].vertices - other.surfaces[0].vertices).max() > 2e-3
    assert 0.05 < head.face.left_eye[0] - head.face.right_eye[0] < 0.08
    arkit = np.zeros(52, np.float32)
    arkit[ARKIT.index("eyeLookOutLeft")] = 1.0
    posed = pose(head, head.rig.clamp(head.arkit_to_rig @ arkit))
    names = [surface.name for surface in head.surfaces]
    left = names.index("M_ScleraLeft")
    front = head.surfaces[left].vertices[:, 2].argmax()
    assert posed[left][front, 0] > head.surfaces[left].vertices[front, 0] + 4e-3
    right = names.index("M_ScleraRight")
    np.testing.assert_array_equal(posed[right], head.surfaces[right].vertices)
