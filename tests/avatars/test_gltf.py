"""Loading: every way to store a face loads the same face, and broken files say so in a sentence."""

from __future__ import annotations

import base64
import json
import random
import struct
from pathlib import Path
from typing import Any

import cv2
import meshoptimizer
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.gltf import load_avatar
from freeavatar.errors import AvatarError
from freeavatar.rig import ARKIT


def assert_same_face(avatar: Avatar, face: Any, tolerance: float = 1e-7) -> None:
    surface = avatar.surfaces[0]
    np.testing.assert_allclose(surface.vertices, face.vertices, atol=tolerance)
    np.testing.assert_array_equal(surface.triangles, face.triangles)
    assert [avatar.morph_names[m] for m in surface.morphs] == face.names
    np.testing.assert_allclose(surface.deltas, face.deltas, atol=tolerance)


def test_a_plain_file_loads_as_it_was_drawn(toy_path, face):
    avatar = load_avatar(toy_path)
    assert_same_face(avatar, face)
    np.testing.assert_array_equal(avatar.surfaces[0].uvs, face.uvs)
    assert avatar.rig.names == tuple(face.names)


def test_sparse_accessors_load_the_same_face(gltf, face, tmp_path):
    gltf.node(mesh=gltf.mesh(face, store=gltf.sparse))
    assert_same_face(load_avatar(gltf.save(tmp_path / "a.glb")), face)


def test_quantised_positions_load_the_same_face(gltf, face, tmp_path):
    def quantised(array: np.ndarray) -> int:
        whole = np.zeros((len(array), 4))  # padded to a stride of 8 bytes
        whole[:, :3] = np.round(array / 0.1 * 32767)
        index = gltf.accessor(whole, 5122, normalized=True, type="VEC3")
        gltf.json["bufferViews"][-1]["byteStride"] = 8
        return index

    gltf.node(mesh=gltf.mesh(face, store=quantised), scale=[0.1, 0.1, 0.1])
    assert_same_face(load_avatar(gltf.save(tmp_path / "a.glb")), face, tolerance=4e-6)


def test_meshopt_compression_loads_the_same_face(gltf, face, tmp_path):
    gltf.node(mesh=gltf.mesh(face))
    packed = bytearray()
    for accessor in gltf.json["accessors"]:
        view = gltf.json["bufferViews"][accessor["bufferView"]]
        start = view["byteOffset"]
        raw = bytes(gltf.binary[start : start + view["byteLength"]])
        count = accessor["count"]
        if accessor["componentType"] == 5126:
            rows = np.frombuffer(raw, np.float32).reshape(count, -1)
            data = meshoptimizer.encode_vertex_buffer(rows, count, rows.shape[1] * 4)
            mode, stride = "ATTRIBUTES", rows.shape[1] * 4
        else:
            indices = np.frombuffer(raw, np.uint16).astype(np.uint32)
            data = meshoptimizer.encode_index_buffer(indices, count, len(face.vertices))
            mode, stride = "TRIANGLES", 2
        view["extensions"] = {
            "EXT_meshopt_compression": {
                "buffer": 0,
                "byteOffset": len(packed),
                "byteLength": len(bytes(data)),
                "byteStride": stride,
                "mode": mode,
                "count": count,
            }
        }
        view["buffer"] = 1
        packed.extend(bytes(data))
    plain_size = len(gltf.binary)
    gltf.binary[:] = packed
    gltf.json["buffers"] = [{"byteLength": len(packed)}, {"byteLength": plain_size}]
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    surface = avatar.surfaces[0]
    np.testing.assert_array_equal(surface.vertices, face.vertices)
    np.testing.assert_array_equal(surface.deltas, face.deltas)
    # The codec may turn a triangle's corners round, never flip it.
    rolled = {tuple(np.roll(t, k)) for t in face.triangles.tolist() for k in range(3)}
    assert {tuple(t) for t in surface.triangles.tolist()} <= rolled
    assert len(surface.triangles) == len(face.triangles)


@pytest.mark.parametrize("embedded", [True, False])
def test_a_gltf_file_with_its_buffer_inside_or_beside_it_loads(gltf, face, tmp_path, embedded):
    gltf.node(mesh=gltf.mesh(face))
    uri = "my buffer.bin".replace(" ", "%20")
    if embedded:
        uri = "data:application/octet-stream;base64," + base64.b64encode(gltf.binary).decode()
    else:
        (tmp_path / "my buffer.bin").write_bytes(gltf.binary)
    gltf.json["buffers"] = [{"byteLength": len(gltf.binary), "uri": uri}]
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps(gltf.json))
    assert_same_face(load_avatar(path), face)


def test_a_gltf_file_cannot_read_outside_its_folder(gltf, face, tmp_path):
    gltf.node(mesh=gltf.mesh(face))
    (tmp_path / "secret.bin").write_bytes(gltf.binary)
    gltf.json["buffers"] = [{"byteLength": len(gltf.binary), "uri": "../secret.bin"}]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.gltf"
    path.write_text(json.dumps(gltf.json))
    with pytest.raises(AvatarError, match="outside its folder"):
        load_avatar(path)


def test_triangle_strips_and_fans_keep_their_orientation(gltf, face, tmp_path):
    corners = np.array([0, 1, 9, 10, 18])
    for mode in (5, 6):
        indices = gltf.accessor(corners, 5123)
        gltf.node(mesh=gltf.mesh(face, indices=indices, mode=mode))
    gltf.node(mesh=gltf.mesh(face))
    strip, fan, _ = load_avatar(gltf.save(tmp_path / "a.glb")).surfaces
    used = np.unique(corners)
    np.testing.assert_array_equal(used[strip.triangles], [[0, 1, 9], [1, 10, 9], [9, 10, 18]])
    np.testing.assert_array_equal(used[fan.triangles], [[0, 1, 9], [0, 9, 10], [0, 10, 18]])


def test_node_transforms_carry_vertices_and_deltas_into_world_space(gltf, face, tmp_path):
    half = np.sqrt(0.5)
    child = gltf.node(root=False, mesh=gltf.mesh(face), scale=[1, 2, 1])
    gltf.node(translation=[1, 2, 3], rotation=[0, 0, half, half], children=[child])
    surface = load_avatar(gltf.save(tmp_path / "a.glb")).surfaces[0]
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # a quarter turn about z
    stretch = np.array([1, 2, 1])
    np.testing.assert_allclose(
        surface.vertices, (face.vertices * stretch) @ turn.T + [1, 2, 3], atol=1e-6
    )
    np.testing.assert_allclose(surface.deltas, (face.deltas * stretch) @ turn.T, atol=1e-7)


def test_a_skinned_face_is_baked_like_the_slow_formula(gltf, face, tmp_path):
    rng = np.random.default_rng(0)
    count = len(face.vertices)
    joints = np.tile([0, 1, 0, 0], (count, 1))
    share = rng.random(count)
    weights = np.stack([share, 1 - share, 0 * share, 0 * share], axis=1)
    mesh = gltf.mesh(face)
    gltf.json["meshes"][mesh]["primitives"][0]["attributes"] |= {
        "JOINTS_0": gltf.accessor(joints, 5121),
        "WEIGHTS_0": gltf.accessor(weights),
    }
    quarter = [float(np.sin(0.3)), 0.0, 0.0, float(np.cos(0.3))]
    tip = gltf.node(root=False, translation=[0, 0.5, 0], rotation=quarter)
    base = gltf.node(translation=[0.1, 1.0, 0], children=[tip])
    inverse = np.tile(np.eye(4), (2, 1, 1))
    inverse[:, :3, 3] = rng.normal(size=(2, 3))
    columns = inverse.transpose(0, 2, 1).reshape(2, 16)
    gltf.json["skins"] = [{"joints": [base, tip], "inverseBindMatrices": gltf.accessor(columns)}]
    gltf.node(mesh=mesh, skin=0, translation=[9, 9, 9])  # a skinned mesh ignores its own node
    surface = load_avatar(gltf.save(tmp_path / "a.glb")).surfaces[0]

    base_world = np.eye(4)
    base_world[:3, 3] = [0.1, 1.0, 0]
    tip_world = base_world.copy()
    tip_world[:3, 3] += [0, 0.5, 0]
    c, s = np.cos(0.6), np.sin(0.6)
    tip_world[:3, :3] = [[1, 0, 0], [0, c, -s], [0, s, c]]
    for v in range(0, count, 7):
        blend = share[v] * base_world @ inverse[0] + (1 - share[v]) * tip_world @ inverse[1]
        for k, delta in enumerate(face.deltas):
            moved = blend @ np.append(face.vertices[v] + delta[v], 1.0)
            np.testing.assert_allclose(
                surface.vertices[v] + surface.deltas[k, v], moved[:3], atol=1e-5
            )


def test_names_lose_prefixes_and_doubles_and_gaps_become_distinct(gltf, face, tmp_path):
    names = ["rig.face.eyeBlinkLeft", "a", "a", "", "rig.a"]
    mesh = gltf.mesh(face, names=names)
    gltf.json["meshes"][mesh]["name"] = "skin"
    gltf.node(mesh=mesh)
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert avatar.rig.names == ("eyeBlinkLeft", "a", "a_2", "skin_3", "a_3", "skin_5")


def test_one_control_moves_the_same_morph_in_every_mesh(gltf, face, tmp_path):
    gltf.node(mesh=gltf.mesh(face))
    gltf.node(mesh=gltf.mesh(face, names=[f"other.{name}" for name in face.names]))
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert avatar.rig.names == tuple(face.names)
    controls = avatar.rig.rest.copy()
    controls[avatar.rig.index("jawOpen")] = 1.0
    for vertices in pose(avatar, controls):
        np.testing.assert_allclose(vertices - face.vertices, face.deltas[5], atol=1e-7)


def test_teeth_morphs_follow_their_face_morph(gltf, face, tmp_path):
    names = ["Shout_h", "t_Shout_h", "LsmileClose_h", "RsmileClose_h", "t_Alone_h", "MouthOpen_h"]
    gltf.node(mesh=gltf.mesh(face, names=names))
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert avatar.rig.names == (
        "Shout_h",
        "LsmileClose_h",
        "RsmileClose_h",
        "t_Alone_h",
        "MouthOpen_h",
    )
    assert avatar.bindings[:, 0].tolist() == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_textures_keep_their_colours(gltf, face, tmp_path, suffix):
    picture = np.full((16, 16, 3), (200, 80, 30), np.uint8)  # RGB
    encoded = cv2.imencode(suffix, picture[..., ::-1])[1].tobytes()
    gltf.json["images"] = [{"bufferView": gltf.view(encoded)}]
    source = {"extensions": {"EXT_texture_webp": {"source": 0}}}
    gltf.json["textures"] = [source if suffix == ".webp" else {"source": 0}]
    colour = {"baseColorTexture": {"index": 0}}
    gltf.json["materials"] = [{"name": "Skin", "pbrMetallicRoughness": colour}]
    gltf.node(mesh=gltf.mesh(face, material=0))
    material = load_avatar(gltf.save(tmp_path / "a.glb")).surfaces[0].material
    assert material.kind == "skin"
    assert material.texture is not None
    expected = [*(200, 80, 30), 255]
    np.testing.assert_allclose(material.texture[8, 8], expected, atol=6)


def test_vertex_colours_are_seen_through_a_texture(gltf, face, tmp_path):
    rng = np.random.default_rng(1)
    mix = rng.random((len(face.vertices), 1))
    colors = mix * [0.9, 0.2, 0.1] + (1 - mix) * [0.1, 0.3, 0.6]
    mesh = gltf.mesh(face)
    gltf.json["meshes"][mesh]["primitives"][0]["attributes"]["COLOR_0"] = gltf.accessor(colors)
    gltf.node(mesh=mesh)
    surface = load_avatar(gltf.save(tmp_path / "a.glb")).surfaces[0]
    texture = surface.material.texture
    assert texture is not None
    height, width = texture.shape[:2]
    at = np.minimum((surface.uvs * [width, height]).astype(int), [width - 1, height - 1])
    srgb = texture[at[:, 1], at[:, 0], :3] / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(linear, colors, atol=0.02)


def test_a_texture_transform_is_applied_to_the_coordinates(gltf, face, tmp_path):
    transform = {"KHR_texture_transform": {"offset": [0.25, 0.5], "scale": [2, 3]}}
    picture = cv2.imencode(".png", np.zeros((2, 2, 3), np.uint8))[1].tobytes()
    gltf.json["images"] = [{"bufferView": gltf.view(picture)}]
    gltf.json["textures"] = [{"source": 0}]
    gltf.json["materials"] = [
        {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "extensions": transform}}}
    ]
    gltf.node(mesh=gltf.mesh(face, material=0))
    surface = load_avatar(gltf.save(tmp_path / "a.glb")).surfaces[0]
    np.testing.assert_allclose(surface.uvs, face.uvs * [2, 3] + [0.25, 0.5], atol=1e-6)


def test_a_vrm_0_model_is_turned_to_face_the_viewer(gltf, face, tmp_path):
    gltf.node(mesh=gltf.mesh(face))
    gltf.json["extensions"] = {"VRM": {"meta": {"licenseName": "CC_BY", "author": "me"}}}
    avatar = load_avatar(gltf.save(tmp_path / "a.vrm"))
    turn = np.array([-1, 1, -1])
    np.testing.assert_allclose(avatar.surfaces[0].vertices, face.vertices * turn, atol=1e-7)
    np.testing.assert_allclose(avatar.surfaces[0].deltas, face.deltas * turn, atol=1e-7)
    assert avatar.licence == "CC_BY me"


def test_vrm_1_expressions_say_what_unknown_morphs_mean(gltf, face, tmp_path):
    gltf.node(mesh=gltf.mesh(face, names=["m0", "m1", "m2", "m3", "m4", "m5"]))
    bind = [{"node": 0, "index": k, "weight": 1.0} for k in range(6)]
    preset = {
        "blinkLeft": {"morphTargetBinds": [bind[0]]},
        "blinkRight": {"morphTargetBinds": [bind[1]]},
        "aa": {"morphTargetBinds": [bind[5]]},
        "happy": {"morphTargetBinds": bind[2:4]},
    }
    gltf.json["extensions"] = {"VRMC_vrm": {"expressions": {"preset": preset}}}
    avatar = load_avatar(gltf.save(tmp_path / "a.vrm"))
    assert avatar.arkit_to_rig is not None
    for name, morph in (("eyeBlinkLeft", 0), ("eyeBlinkRight", 1), ("jawOpen", 5)):
        column = avatar.arkit_to_rig[:, ARKIT.index(name)]
        assert np.flatnonzero(column).tolist() == [morph]


def test_facts_in_the_file_decide_over_names(gltf, face, tmp_path):
    link = np.zeros((2, 52))
    link[0, ARKIT.index("cheekPuff")] = 0.5
    gltf.json["asset"]["extras"] = {
        "freeavatar": {
            "rig": "two",
            "controls": [{"name": "jawOpen", "maximum": 0.75}, {"name": "mouthPucker"}],
            "arkit_to_rig": link.tolist(),
            "licence": "CC0-1.0",
        }
    }
    gltf.node(mesh=gltf.mesh(face))
    avatar = load_avatar(gltf.save(tmp_path / "a.glb"))
    assert (avatar.rig.name, avatar.rig.names) == ("two", ("jawOpen", "mouthPucker"))
    assert avatar.rig.maximum[0] == 0.75
    assert avatar.licence == "CC0-1.0"
    np.testing.assert_array_equal(avatar.arkit_to_rig, link)
    np.testing.assert_array_equal(np.argwhere(avatar.bindings), [[4, 1], [5, 0]])


def test_the_face_frame_finds_eyes_and_mouth_from_what_moves(toy_path):
    frame = load_avatar(toy_path).face
    np.testing.assert_allclose(frame.left_eye[:2], [0.03, 0.045], atol=4e-3)
    np.testing.assert_allclose(frame.right_eye[:2], [-0.03, 0.045], atol=4e-3)
    np.testing.assert_allclose(frame.mouth[:2], [0, -0.018], atol=4e-3)
    assert frame.neck[1] < frame.left_eye[1]
    assert frame.neck[2] < frame.left_eye[2]


# Bad input


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a glTF file"),
        (b"hello, this is a text file", "not a glTF file"),
        (b"glTF", "ends after 4 bytes"),
        (struct.pack("<4sIIII", b"glTF", 1, 20, 0, 0), "version 1"),
        (struct.pack("<4sIIII", b"glTF", 2, 1 << 31, 0, 0), "declared"),
        (struct.pack("<4sIIII", b"glTF", 2, 20, 1 << 30, 0x4E4F534A), "chunk ends"),
        (b"{", "damaged"),
        (b"[" * 100_000, "not a glTF file"),
        (b'{"asset":' + b"[" * 100_000, "damaged"),
        (b'{"asset": {"version": "2.0"}}', "no morph targets"),
        (b'{"asset": 7}', "asset"),
        (b'{"asset": {"version": "2.0"}, "bufferViews": [{"target": 1e999}]}', "number 1e999"),
        (b'{"asset": {"version": "2.0"}, "bufferViews": [{"target": NaN}]}', "number NaN"),
    ],
)
def test_what_is_not_a_gltf_file_is_told_in_one_sentence(tmp_path, data, says):
    path = tmp_path / "bad.glb"
    path.write_bytes(data)
    with pytest.raises(AvatarError, match=says) as caught:
        load_avatar(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_avatar_errors(tmp_path):
    for path in (tmp_path / "none.glb", tmp_path):
        with pytest.raises(AvatarError, match="Cannot read"):
            load_avatar(path)


def test_a_mesh_without_morphs_is_refused(gltf, face, tmp_path):
    mesh = gltf.mesh(face)
    del gltf.json["meshes"][mesh]["primitives"][0]["targets"]
    gltf.node(mesh=mesh)
    with pytest.raises(AvatarError, match="no morph targets"):
        load_avatar(gltf.save(tmp_path / "a.glb"))


def _damage(document: Any, face: Any, kind: str) -> None:
    accessors, views = document.json["accessors"], document.json["bufferViews"]
    primitive = document.json["meshes"][0]["primitives"][0]
    match kind:
        case "huge count":
            accessors[0]["count"] = 1 << 40
        case "count past the view":
            accessors[0]["count"] += 1
        case "negative offset":
            views[0]["byteOffset"] = -4
        case "view past the buffer":
            views[-1]["byteLength"] = 1 << 40
        case "index out of range":
            wrong = face.triangles.ravel().copy()
            wrong[5] = len(face.vertices)
            primitive["indices"] = document.accessor(wrong, 5123)
        case "not a number":
            wrong = face.vertices.copy()
            wrong[3, 1] = np.nan
            primitive["attributes"]["POSITION"] = document.accessor(wrong)
        case "morph of other length":
            primitive["targets"][2]["POSITION"] = document.accessor(face.deltas[2][:-1])
        case "thousands of morphs":
            primitive["targets"] *= 500
        case "node loop":
            document.json["nodes"][0]["children"] = [0]
        case "missing mesh":
            document.json["nodes"][0]["mesh"] = 5
        case "negative mesh":
            document.json["nodes"][0]["mesh"] = -1
        case "missing material":
            primitive["material"] = 3
        case "no buffer":
            document.json["buffers"] = []
        case "unknown component":
            accessors[0]["componentType"] = 9999
        case "broken picture":
            document.json["images"] = [{"bufferView": document.view(b"no picture")}]
            document.json["textures"] = [{"source": 0}]
            document.json["materials"] = [
                {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
            ]
            primitive["material"] = 0
        case "meshopt bomb":
            views[0]["extensions"] = {
                "EXT_meshopt_compression": {
                    "buffer": 0,
                    "byteOffset": 0,
                    "byteLength": 64,
                    "byteStride": 256,
                    "count": 1 << 26,
                    "mode": "ATTRIBUTES",
                }
            }


@pytest.mark.parametrize(
    "kind",
    [
        "huge count",
        "count past the view",
        "negative offset",
        "view past the buffer",
        "index out of range",
        "not a number",
        "morph of other length",
        "thousands of morphs",
        "node loop",
        "missing mesh",
        "negative mesh",
        "missing material",
        "no buffer",
        "unknown component",
        "broken picture",
        "meshopt bomb",
    ],
)
def test_each_kind_of_damage_is_an_avatar_error(gltf, face, tmp_path, kind):
    gltf.node(mesh=gltf.mesh(face))
    _damage(gltf, face, kind)
    with pytest.raises(AvatarError) as caught:
        load_avatar(gltf.save(tmp_path / "a.glb"))
    assert "a.glb" in str(caught.value)


FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(cut=st.integers(0, 40_000), seed=st.integers(0, 2**32))
def test_cut_and_scrambled_bytes_load_or_say_why(toy_path, cut, seed):
    data = bytearray(toy_path.read_bytes())
    rng = random.Random(seed)
    if seed % 3 == 0:
        del data[cut % len(data) :]
    for _ in range(rng.randint(1, 12)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    _loads_or_says_why(toy_path.with_name("fuzz.glb"), bytes(data))


ODD_VALUES: list[Any] = [None, -1, 0, 1, 7, 1e300, 1 << 62, "x", "", [], {}, [1], True, 0.5]


@FUZZ
@given(seed=st.integers(0, 2**32), value=st.sampled_from(ODD_VALUES))
def test_odd_values_in_the_json_load_or_say_why(gltf, face, tmp_path, seed, value):
    document = type(gltf)()
    skinned = document.mesh(face)
    count = len(face.vertices)
    document.json["meshes"][skinned]["primitives"][0]["attributes"] |= {
        "JOINTS_0": document.accessor(np.zeros((count, 4)), 5121),
        "WEIGHTS_0": document.accessor(np.tile([1.0, 0, 0, 0], (count, 1))),
    }
    document.json["skins"] = [{"joints": [0]}]
    document.json["materials"] = [
        {"name": "m", "alphaMode": "OPAQUE", "pbrMetallicRoughness": {"baseColorFactor": [1] * 4}}
    ]
    document.json["extensions"] = {
        "VRM": {
            "humanoid": {"humanBones": [{"bone": "leftEye", "node": 0}]},
            "blendShapeMaster": {
                "blendShapeGroups": [
                    {"name": "A", "presetName": "a", "binds": [{"mesh": 0, "index": 5}]}
                ]
            },
        }
    }
    document.node(name="LeftEye", translation=[0, 0, 0])
    document.node(mesh=skinned, skin=0, name="face")
    document.node(mesh=document.mesh(face, store=document.sparse, material=0))
    places = list(_places(document.json))
    parent, key = random.Random(seed).choice(places)
    parent[key] = value
    _loads_or_says_why(tmp_path / "fuzz.glb", document.glb())


def _places(value: Any) -> Any:
    """Every (container, key) in a JSON document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(entries):
        yield value, key
        if isinstance(child, dict | list):
            yield from _places(child)


def _loads_or_says_why(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    avatar, sentence = None, ""
    try:
        avatar = load_avatar(path)
    except AvatarError as error:
        sentence = str(error)
    if avatar is not None:
        pose(avatar, avatar.rig.maximum)
    else:
        assert str(path) in sentence
        assert "\n" not in sentence


# Real files


@pytest.mark.parametrize(
    ("file", "num_controls", "num_eyes"),
    [
        ("valid/White_F_3.glb", 85, 2),
        ("ict/ict_f_fair.glb", 55, 0),
        ("vitruvian/vit_reptile.glb", 144, 0),
        ("godette/Godette_vrm_v4.vrm", 15, 0),
    ],
)
def test_real_avatars_wink_smile_and_open_their_mouth(shared_avatars, file, num_controls, num_eyes):
    avatar = load_avatar(shared_avatars / file)
    assert (len(avatar.rig), len(avatar.eyes)) == (num_controls, num_eyes)
    assert avatar.arkit_to_rig is not None
    between = avatar.face.left_eye - avatar.face.right_eye
    assert between[0] > 0.02
    assert abs(between[1]) < 0.1 * between[0]
    for name, sign in (("eyeBlinkLeft", 1), ("eyeBlinkRight", -1)):
        moved, centre = _movement(avatar, name)
        assert sign * (centre[0] - avatar.face.mouth[0]) > 0.2 * between[0]
        assert moved > 0.05 * between[0]
    moved, centre = _movement(avatar, "jawOpen")
    assert moved > 0.05 * between[0]
    assert centre[1] < avatar.face.left_eye[1] - 0.5 * between[0]


def _movement(avatar: Avatar, name: str) -> tuple[float, np.ndarray]:
    """Largest movement under one ARKit control, and the centre of what moves."""
    assert avatar.arkit_to_rig is not None
    controls = avatar.rig.clamp(avatar.arkit_to_rig[:, ARKIT.index(name)])
    rest = np.concatenate([surface.vertices for surface in avatar.surfaces])
    moved = np.linalg.norm(np.concatenate(pose(avatar, controls)) - rest, axis=1)
    return float(moved.max()), (moved**2 @ rest) / (moved**2).sum()
