"""VRM and VRMA: what the specifications ask of the JSON, and values read back from it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from freeavatar.avatars.avatar import pose
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.gltf_scene import rotation_from_quaternion
from freeavatar.avatars.gltf_writer import GltfNode, write_glb
from freeavatar.export.vrm import BODY, write_vrm
from freeavatar.export.vrma import write_preset_vrma, write_vrma
from freeavatar.mapping.profiles import LOOKS, VRM1_PRESETS, weights
from freeavatar.rig import ARKIT_NAMES

REQUIRED = {*BODY, "head"}
AVATARS = Path(__file__).resolve().parents[3] / "shared" / "data" / "avatars"


def parse(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def parents(document: dict) -> dict[int, int]:
    return {
        child: index
        for index, node in enumerate(document["nodes"])
        for child in node.get("children", [])
    }


def above(document: dict, node: int) -> list[int]:
    chain, up = [], parents(document)
    while node in up:
        node = up[node]
        chain.append(node)
    return chain


def test_all_required_bones_are_there_in_their_order(tmp_path, avatar):
    write_vrm(tmp_path / "a.vrm", avatar)
    document, _ = parse(tmp_path / "a.vrm")
    vrm = document["extensions"]["VRMC_vrm"]
    bones = {name: bone["node"] for name, bone in vrm["humanoid"]["humanBones"].items()}
    assert set(bones) >= REQUIRED
    assert len(set(bones.values())) == len(bones)
    for name, (parent, _) in {**BODY, "head": ("spine", None)}.items():
        if parent:
            assert bones[parent] in above(document, bones[name]), name
    for eye in {"leftEye", "rightEye"} & set(bones):
        assert bones["head"] in above(document, bones[eye])
    assert vrm["specVersion"] == "1.0"
    assert vrm["meta"]["licenseUrl"] == "https://vrm.dev/licenses/1.0/"
    assert document["extensionsUsed"].count("VRMC_vrm") == 1


def test_expressions_bind_existing_targets_and_keep_preset_names_apart(tmp_path, avatar):
    write_vrm(tmp_path / "a.vrm", avatar)
    document, _ = parse(tmp_path / "a.vrm")
    faces = document["extensions"]["VRMC_vrm"]["expressions"]
    assert set(faces["preset"]) <= set(VRM1_PRESETS)
    assert not set(faces["custom"]) & set(VRM1_PRESETS)
    controls = set(avatar.rig.names)
    assert controls <= set(faces["custom"]) | set(faces["preset"])
    for expression in (*faces["preset"].values(), *faces["custom"].values()):
        for bind in expression.get("morphTargetBinds", []):
            mesh = document["meshes"][document["nodes"][bind["node"]]["mesh"]]
            assert 0 <= bind["index"] < len(mesh["primitives"][0]["targets"])
            assert 0 < bind["weight"] <= 1
    if avatar.name == "elsa":
        assert set(ARKIT_NAMES) - {"tongueOut"} <= set(faces["custom"])
        assert faces["custom"]["jawOpen"]["morphTargetBinds"]
    if avatar.name != "toy":
        assert {"happy", "aa", "blink", "blinkLeft"} <= set(faces["preset"])


def test_the_vrm_loads_as_the_same_character_lifted_to_a_body(tmp_path, avatar):
    write_vrm(tmp_path / "a.vrm", avatar)
    back = load_avatar(tmp_path / "a.vrm")
    assert set(avatar.morph_names) == set(back.morph_names)
    lift = back.surfaces[0].vertices[0] - avatar.surfaces[0].vertices[0]
    assert lift[0] == lift[2] == pytest.approx(0, abs=1e-5)
    for old, new in zip(avatar.surfaces, back.surfaces, strict=True):
        np.testing.assert_allclose(new.vertices, old.vertices + lift, atol=2e-5)
    np.testing.assert_allclose(back.face.neck, avatar.face.neck + lift, atol=0.03)
    assert 1.0 < back.face.neck[1] < 2.2


def test_eyes_in_parts_hang_on_one_bone_each(tmp_path, toy_avatar_file):
    """Irises beside the balls, none at its own centre, turn with them."""
    toy = load_avatar(toy_avatar_file)
    document, _ = parse(toy_avatar_file)
    assert document["nodes"][0]["mesh"] == 0
    parts = eyes_in_parts(tmp_path / "parts.glb", toy)
    avatar = load_avatar(parts)
    assert len(avatar.eyes) == 2
    write_vrm(tmp_path / "a.vrm", avatar)
    document, _ = parse(tmp_path / "a.vrm")
    bones = document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]
    names = {node["name"]: index for index, node in enumerate(document["nodes"])}
    for side in ("Left", "Right"):
        bone = bones[f"{side.lower()}Eye"]["node"]
        for part in ("eye", "iris"):
            assert bone in above(document, names[part + side])
    back = load_avatar(tmp_path / "a.vrm")
    lift = back.surfaces[0].vertices[0] - avatar.surfaces[0].vertices[0]
    for old, new in zip(pose(avatar, avatar.rig.rest), back.surfaces, strict=True):
        np.testing.assert_allclose(new.vertices, old + lift, atol=1e-5)
    assert document["extensions"]["VRMC_vrm"]["lookAt"]["type"] == "bone"


def eyes_in_parts(path: Path, toy) -> Path:
    from freeavatar.avatars.gltf_writer import GltfMaterial, GltfMesh, GltfSurface

    face = toy.surfaces[0]
    surface = GltfSurface(
        face.vertices, face.triangles, face.uvs, GltfMaterial("skin"), deltas=face.deltas
    )
    nodes = [GltfNode("Face", mesh=GltfMesh("Face", (surface,), toy.morph_names))]
    axes = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    triangles = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [0, 5, 1], [1, 5, 3]])
    for side, x in (("Left", 0.03), ("Right", -0.03)):
        for part, radius in (("eye", 0.012), ("iris", 0.006)):
            points = axes * radius + np.array([x, 0.045, 0.03], np.float32)
            uvs = np.zeros((6, 2), np.float32)
            ball = GltfSurface(points, triangles, uvs, GltfMaterial(part))
            nodes.append(GltfNode(part + side, mesh=GltfMesh(part + side, (ball,))))
    write_glb(path, (GltfNode("Head", children=tuple(nodes)),))
    return path


def curves(path: Path) -> tuple[dict, np.ndarray, dict[str, np.ndarray]]:
    """The extension, times, and values of every animated node by name."""
    document, binary = parse(path)
    (animation,) = document["animations"]

    def floats(index: int) -> np.ndarray:
        entry = document["accessors"][index]
        start = document["bufferViews"][entry["bufferView"]]["byteOffset"]
        size = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[entry["type"]]
        return np.frombuffer(binary, "<f4", size * entry["count"], start).reshape(-1, size)

    values = {}
    for channel in animation["channels"]:
        name = document["nodes"][channel["target"]["node"]]["name"]
        sampler = animation["samplers"][channel["sampler"]]
        values[name] = floats(sampler["output"])
        times_s = floats(sampler["input"])[:, 0]
    return document["extensions"]["VRMC_vrm_animation"], times_s, values


def test_a_vrma_holds_every_control_and_the_head(tmp_path, avatar, clip):
    write_vrma(tmp_path / "a.vrma", avatar, clip)
    extension, times_s, values = curves(tmp_path / "a.vrma")
    assert extension["specVersion"] == "1.0"
    assert set(extension["humanoid"]["humanBones"]) == REQUIRED
    np.testing.assert_allclose(times_s, clip.times_s, atol=1e-6)
    for name, column in zip(avatar.rig.names, clip.values.T, strict=True):
        np.testing.assert_allclose(values[name][:, 0], column, atol=1e-6)
        assert not values[name][:, 1:].any()
    turn = rotation_from_quaternion(values["head"][7])
    assert np.arctan2(turn[0, 2], turn[2, 2]) == pytest.approx(clip.head_rad[7, 0], abs=1e-5)
    assert ("lookAt" in extension) == bool(avatar.eyes)


def test_presets_for_any_vrm_leave_the_gaze_to_look_at(tmp_path, arkit_performance):
    write_preset_vrma(tmp_path / "a.vrma", arkit_performance)
    extension, _, values = curves(tmp_path / "a.vrma")
    faces = extension["expressions"]
    assert set(faces) == {"preset"}
    assert not set(faces["preset"]) & set(LOOKS)
    names, expected = weights("vrm1", arkit_performance.values)
    for name in faces["preset"]:
        np.testing.assert_allclose(values[name][:, 0], expected[:, names.index(name)], atol=1e-6)
    assert "lookAt" in extension


def test_presets_are_made_from_arkit_only(tmp_path, avatar, clip):
    if avatar.name == "ada":
        pytest.skip("ada's rig is ARKit's")
    with pytest.raises(ValueError, match="ARKit"):
        write_preset_vrma(tmp_path / "a.vrma", clip)


def test_a_vrm_0_character_becomes_vrm_1(tmp_path):
    source = AVATARS / "godette" / "Godette_vrm_v4.vrm"
    if not source.exists():
        pytest.skip(f"the avatar is not there: {source}")
    avatar = load_avatar(source)
    write_vrm(tmp_path / "a.vrm", avatar)
    document, _ = parse(tmp_path / "a.vrm")
    assert "VRM" not in document["extensions"]
    assert set(document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]) >= REQUIRED
    back = load_avatar(tmp_path / "a.vrm")
    np.testing.assert_allclose(back.face.left_eye, avatar.face.left_eye, atol=1e-4)
    for old, new in zip(avatar.surfaces, back.surfaces, strict=True):
        np.testing.assert_allclose(new.vertices, old.vertices, atol=1e-4)
