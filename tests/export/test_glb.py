"""The exported GLB, played by a small reader of its own, moves as `pose` says."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.gltf_writer import (
    GltfMaterial,
    GltfMesh,
    GltfNode,
    GltfSurface,
    pack_glb,
    write_glb,
)
from freeavatar.errors import AvatarError
from freeavatar.export.glb import write_glb as write_performance

AVATARS = Path(__file__).resolve().parents[3] / "shared" / "data" / "avatars"
REAL = (
    "godette/Godette_vrm_v4.vrm",
    "valid/White_M_3.glb",
    pytest.param("ict/ict_f_fair.glb", marks=pytest.mark.slow),
    pytest.param("vitruvian/vit_reptile.glb", marks=pytest.mark.slow),
)


def ball(name: str, centre: tuple[float, float, float], radius: float, *targets: str) -> GltfMesh:
    """An octahedron-like ball; each target moves it along its own direction."""
    axis = np.concatenate([np.eye(3), -np.eye(3)])
    points = np.concatenate([axis, (axis[:, None] + axis[None]).reshape(-1, 3) * 0.5])
    vertices = (np.array(centre) + radius * points).astype(np.float32)
    triangles = np.array([[i, i + 1, i + 2] for i in range(len(vertices) - 2)])
    rng = np.random.default_rng(len(name))
    deltas = 0.1 * radius * rng.normal(size=(len(targets), len(vertices), 3))
    surface = GltfSurface(
        vertices,
        triangles,
        np.zeros((len(vertices), 2), np.float32),
        GltfMaterial(name),
        deltas=deltas.astype(np.float32) if targets else None,
    )
    return GltfMesh(name, (surface,), targets)


def head_file(path: Path, *, head_bone: bool) -> Path:
    """A face with eyes and irises of their own nodes, which lie at the pivots or at the origin."""
    at = (0.0, 1.5, 0.02) if head_bone else (0.0, 0.0, 0.0)
    there = np.subtract((0.0, 1.6, 0.0), at)
    face = ball("face", tuple(there), 0.1, "jawOpen", "mouthSmileLeft", "mouthSmileRight")
    eyes = [
        GltfNode(
            f"{part}{side}",
            (x, 0.12, 0.08) if head_bone else (0.0, 0.0, 0.0),
            ball(f"{part}{side}", (0, 0, 0) if head_bone else (x, 1.62, 0.1), radius),
        )
        for side, x in (("Left", 0.03), ("Right", -0.03))
        for part, radius in (("eye", 0.012), ("iris", 0.006))
    ]
    root = GltfNode(
        "Head" if head_bone else "group", at, children=(GltfNode("face", mesh=face), *eyes)
    )
    write_glb(path, (root,))
    return path


def acted(avatar: Avatar, frames: int = 9) -> AnimationClip:
    rng = np.random.default_rng(3)
    return AnimationClip(
        avatar.rig,
        np.cumsum(rng.choice([1 / 60, 1 / 30], frames)),
        avatar.rig.clamp(rng.random((frames, len(avatar.rig))).astype(np.float32)),
        np.ones(frames, bool),
        rng.uniform(-0.5, 0.5, (frames, 3)),
    )


@dataclass
class Player:
    """Reads a GLB by hand: JSON, binary chunk, animation 0."""

    path: Path

    def __post_init__(self) -> None:
        data = self.path.read_bytes()
        (length,) = struct.unpack_from("<I", data, 12)
        self.json: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.binary = data[28 + length :]
        self.animation = self.json["animations"][0]

    def floats(self, accessor: int) -> np.ndarray:
        entry = self.json["accessors"][accessor]
        view = self.json["bufferViews"][entry["bufferView"]]
        size = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[entry["type"]] * entry["count"]
        return np.frombuffer(self.binary, "<f4", size, view["byteOffset"])

    @property
    def times_s(self) -> np.ndarray:
        return self.floats(self.animation["samplers"][0]["input"])

    def tracks(self) -> dict[tuple[int, str], np.ndarray]:
        """Frames x components, by node and property."""
        return {
            (channel["target"]["node"], channel["target"]["path"]): self.floats(
                self.animation["samplers"][channel["sampler"]]["output"]
            ).reshape(len(self.times_s), -1)
            for channel in self.animation["channels"]
        }

    def freeze(self, frame: int, path: Path) -> tuple[Avatar, dict[int, np.ndarray]]:
        """The character with its nodes as in one frame, and the weights of every node."""
        document = json.loads(json.dumps(self.json))
        weights = {}
        for (node, prop), values in self.tracks().items():
            if prop == "weights":
                weights[node] = values[frame]
            else:
                document["nodes"][node][prop] = values[frame].tolist()
        path.write_bytes(pack_glb(document, self.binary))
        return load_avatar(path), weights


def assert_plays_as_posed(exported: Path, avatar: Avatar, clip: AnimationClip, frame: int) -> None:
    player = Player(exported)
    np.testing.assert_allclose(player.times_s, clip.times_s, atol=1e-6)
    frozen, node_weights = player.freeze(frame, exported.with_name("frozen.glb"))
    expected = pose(avatar, clip.values[frame], clip.head_rad[frame])
    # One weight for each morph name, whichever node it was read from.
    morphs = np.zeros(len(frozen.morph_names))
    for node, weights in node_weights.items():
        mesh = player.json["meshes"][player.json["nodes"][node]["mesh"]]
        listed = (mesh.get("extras") or mesh["primitives"][0].get("extras"))["targetNames"]
        for name, weight in zip(listed, weights, strict=True):
            morphs[frozen.morph_names.index(name.rpartition(".")[2])] = weight
    size = max(np.ptp(vertices, axis=0).max() for vertices in expected)
    for surface, vertices in zip(frozen.surfaces, expected, strict=True):
        moved = surface.vertices + np.tensordot(morphs[surface.morphs], surface.deltas, 1)
        np.testing.assert_allclose(moved, vertices, atol=2e-5 * size)


@pytest.mark.parametrize("head_bone", [True, False])
def test_morphs_eyes_and_head_move_as_posed(tmp_path, head_bone):
    avatar = load_avatar(head_file(tmp_path / "head.glb", head_bone=head_bone))
    assert len(avatar.eyes) == 2
    assert "eyeLookInLeft" in avatar.rig
    clip = acted(avatar)
    if head_bone:
        # The bone is the pivot of the file; `pose` turns about the neck of the face.
        face = replace(avatar.face, neck=np.array([0.0, 1.5, 0.02], np.float32))
        avatar = replace(avatar, face=face)
    write_performance(tmp_path / "out.glb", avatar, clip)
    for frame in (0, 4, 8):
        assert_plays_as_posed(tmp_path / "out.glb", avatar, clip, frame)


def test_nodes_with_a_matrix_below_turned_and_scaled_parents_move_as_posed(tmp_path):
    player_file = head_file(tmp_path / "plain.glb", head_bone=True)
    data = player_file.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    document, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    names = {node["name"]: node for node in document["nodes"]}
    # Blender's usual parent: turned by a quarter and scaled to centimetres; eyes as matrices.
    for eye in ("eyeLeft", "eyeRight"):
        matrix = np.eye(4)
        matrix[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
        matrix[:3, 3] = names[eye].pop("translation")
        names[eye]["matrix"] = matrix.T.ravel().tolist()
    document["nodes"].append(
        {
            "name": "root",
            "rotation": [0.5**0.5, 0, 0, 0.5**0.5],
            "scale": [0.01, 0.01, 0.01],
            "children": document["scenes"][0]["nodes"],
        }
    )
    names["Head"]["rotation"] = [-(0.5**0.5), 0, 0, 0.5**0.5]
    names["Head"]["scale"] = [100, 100, 100]
    names["Head"]["translation"] = [0, 2, -150]
    document["scenes"][0]["nodes"] = [len(document["nodes"]) - 1]
    turned = tmp_path / "turned.glb"
    turned.write_bytes(pack_glb(document, binary))
    avatar = load_avatar(turned)
    avatar = replace(avatar, face=replace(avatar.face, neck=np.array([0.0, 1.5, 0.02], np.float32)))
    clip = acted(avatar)
    write_performance(tmp_path / "out.glb", avatar, clip)
    assert_plays_as_posed(tmp_path / "out.glb", avatar, clip, 5)


def test_the_rest_of_the_file_stays_as_it_was(tmp_path):
    source = head_file(tmp_path / "head.glb", head_bone=True)
    avatar = load_avatar(source)
    write_performance(tmp_path / "out.glb", avatar, acted(avatar))
    before = source.read_bytes()
    (length,) = struct.unpack_from("<I", before, 12)
    old, new = json.loads(before[20 : 20 + length]), Player(tmp_path / "out.glb")
    for table in ("nodes", "meshes", "materials", "scenes"):
        assert new.json[table] == old[table]
    assert new.json["accessors"][: len(old["accessors"])] == old["accessors"]
    assert new.binary.startswith(before[28 + length :])


def test_animations_of_the_file_follow_ours(tmp_path):
    source = head_file(tmp_path / "head.glb", head_bone=True)
    avatar = load_avatar(source)
    write_performance(tmp_path / "once.glb", avatar, acted(avatar), name="first take")
    again = load_avatar(tmp_path / "once.glb")
    write_performance(tmp_path / "twice.glb", again, acted(again), name="second take")
    names = [animation["name"] for animation in Player(tmp_path / "twice.glb").json["animations"]]
    assert names == ["second take", "first take"]


def test_a_gltf_in_parts_becomes_one_file(tmp_path):
    glb = head_file(tmp_path / "head.glb", head_bone=True)
    data = glb.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + length])
    (tmp_path / "head data.bin").write_bytes(data[28 + length :])
    document["buffers"][0]["uri"] = "head%20data.bin"
    (tmp_path / "head.gltf").write_text(json.dumps(document))
    avatar = load_avatar(tmp_path / "head.gltf")
    face = replace(avatar.face, neck=np.array([0.0, 1.5, 0.02], np.float32))
    avatar, clip = replace(avatar, face=face), acted(avatar)
    (tmp_path / "alone").mkdir()
    write_performance(tmp_path / "alone" / "out.glb", avatar, clip)
    assert_plays_as_posed(tmp_path / "alone" / "out.glb", avatar, clip, 3)


def test_a_picture_becomes_one_key_frame(tmp_path):
    avatar = load_avatar(head_file(tmp_path / "head.glb", head_bone=True))
    clip = acted(avatar, frames=1)
    write_performance(tmp_path / "out.glb", avatar, clip)
    assert len(Player(tmp_path / "out.glb").times_s) == 1


def test_an_avatar_without_a_file_cannot_be_exported(tmp_path):
    avatar = load_avatar(head_file(tmp_path / "head.glb", head_bone=True))
    with pytest.raises(AvatarError, match="not loaded from a file"):
        write_performance(tmp_path / "out.glb", replace(avatar, source=""), acted(avatar))


@pytest.mark.parametrize("name", REAL)
def test_real_avatars_move_as_posed(tmp_path, name):
    source = AVATARS / name
    if not source.exists():
        pytest.skip(f"the avatar is not there: {source}")
    avatar = load_avatar(source)
    clip = acted(avatar)
    write_performance(tmp_path / "out.glb", avatar, clip)
    assert_plays_as_posed(tmp_path / "out.glb", avatar, clip, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_validator_of_the_format_finds_no_error(tmp_path, name):
    """Needs node and FREEAVATAR_GLTF_VALIDATOR, a folder in which npm installed gltf-validator."""
    modules = os.environ.get("FREEAVATAR_GLTF_VALIDATOR", "")
    if not shutil.which("node") or not (Path(modules) / "node_modules/gltf-validator").is_dir():
        pytest.skip("node or the npm package gltf-validator is missing")
    if not (AVATARS / name).exists():
        pytest.skip(f"the avatar is not there: {AVATARS / name}")
    avatar = load_avatar(AVATARS / name)
    out = tmp_path / "out.glb"
    write_performance(out, avatar, acted(avatar))
    script = (
        "const v=require('gltf-validator'),fs=require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(r=>console.log(JSON.stringify(r.issues)))"
    )
    result = subprocess.run(
        ["node", "-e", script, str(out)], cwd=modules, capture_output=True, text=True, check=True
    )
    issues = json.loads(result.stdout)
    assert issues["numErrors"] == 0, issues["messages"][:5]
