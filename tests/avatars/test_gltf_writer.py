"""The GLB writer against two readers that share no code with it: the avatar loader, and a few
lines of NumPy; and against the format's own validator."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.gltf_writer import (
    GltfMaterial,
    GltfMesh,
    GltfNode,
    GltfSurface,
    write_glb,
)

NAMES = ("jawOpen", "eyeBlinkLeft", "cheekPuff")


def parse(data: bytes) -> tuple[dict[str, Any], bytes]:
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    document = json.loads(data[20 : 20 + size])
    start = 20 + size
    size, kind = struct.unpack_from("<I4s", data, start)
    assert kind == b"BIN\0"
    return document, data[start + 8 : start + 8 + size]


def read_accessor(document: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    kinds = {5126: np.float32, 5123: np.uint16, 5125: np.uint32}
    accessor = document["accessors"][index]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]

    def view(number: int, kind: int) -> np.ndarray:
        entry = document["bufferViews"][number]
        start = entry["byteOffset"]
        return np.frombuffer(binary[start : start + entry["byteLength"]], kinds[kind])

    values = np.zeros((accessor["count"], width), kinds[accessor["componentType"]])
    if "bufferView" in accessor:
        values[:] = view(accessor["bufferView"], accessor["componentType"]).reshape(-1, width)
    if "sparse" in accessor:
        sparse = accessor["sparse"]
        rows = view(sparse["indices"]["bufferView"], sparse["indices"]["componentType"])
        values[rows] = view(sparse["values"]["bufferView"], 5126).reshape(-1, width)
    return values


def picture(kind: str = ".png") -> bytes:
    colours = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3) * 5
    return bytes(cv2.imencode(kind, colours)[1])


def patch(num: int = 30, seed: int = 0, deltas: np.ndarray | None = None) -> GltfSurface:
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(num, 3))
    triangles = np.arange(num - num % 3).reshape(-1, 3)
    normals = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    material = GltfMaterial("Skin", picture=picture())
    return GltfSurface(vertices, triangles, rng.uniform(size=(num, 2)), material, normals, deltas)


def some_deltas(num: int = 30) -> np.ndarray:
    """One target moves three vertices, one moves all, one none."""
    deltas = np.zeros((3, num, 3))
    deltas[0, [2, 5, 7]] = [[1, 2, 3], [0, 0, -1], [0.5, 0, 0]]
    deltas[1] = np.random.default_rng(1).normal(size=(num, 3))
    return deltas


def scene(surface: GltfSurface) -> tuple[GltfNode, ...]:
    ball = GltfMesh("Eye", (patch(12, seed=3),))
    head = GltfNode(
        "Head",
        (0.0, 1.5, 0.0),
        GltfMesh("Face", (surface,), NAMES),
        (
            GltfNode("LeftEye", (0.03, 0.1, 0.1), ball),
            GltfNode("RightEye", (-0.03, 0.1, 0.1), ball),
        ),
    )
    return (GltfNode("root", children=(head,)),)


def test_a_written_file_reads_back_equal(tmp_path):
    surface = patch(deltas=some_deltas())
    write_glb(tmp_path / "face.glb", scene(surface), copyright_line="CC0-1.0")
    avatar = load_avatar(tmp_path / "face.glb")
    face = next(s for s in avatar.surfaces if len(s.morphs))
    np.testing.assert_allclose(face.vertices, surface.vertices + np.array([0, 1.5, 0]), atol=1e-6)
    np.testing.assert_array_equal(face.triangles, surface.triangles)
    np.testing.assert_allclose(face.uvs, surface.uvs, atol=1e-7)
    assert [avatar.morph_names[m] for m in face.morphs] == ["jawOpen", "eyeBlinkLeft"]
    np.testing.assert_allclose(face.deltas, some_deltas()[:2], atol=1e-6)
    assert avatar.licence == "CC0-1.0"


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 40), st.floats(0, 1), st.integers(0, 2**16))
def test_every_mixture_of_moved_and_still_vertices_survives(num, share, seed):
    rng = np.random.default_rng(seed)
    deltas = rng.normal(size=(3, num, 3)) * (rng.random((3, num, 1)) < share)
    surface = patch(num, seed, deltas)
    document, binary = parse(write_glb(None, scene(surface)))
    primitive = next(m for m in document["meshes"] if m["name"] == "Face")["primitives"][0]
    for target, delta in zip(primitive["targets"], deltas, strict=True):
        accessor = document["accessors"][target["POSITION"]]
        read = read_accessor(document, binary, target["POSITION"])
        np.testing.assert_array_equal(read, delta.astype(np.float32))
        np.testing.assert_array_equal(accessor["min"], read.min(axis=0))
        np.testing.assert_array_equal(accessor["max"], read.max(axis=0))


def test_a_target_that_moves_little_of_a_large_mesh_costs_little():
    num = 3000
    few, none = np.zeros((3, num, 3)), np.zeros((3, num, 3))
    few[0, :50] = 1.0
    small = len(write_glb(None, scene(patch(num, deltas=none))))
    grown = len(write_glb(None, scene(patch(num, deltas=few)))) - small
    assert grown < 50 * 14 + 600


def test_a_mesh_that_two_nodes_share_is_written_once():
    document, _ = parse(write_glb(None, scene(patch(deltas=some_deltas()))))
    nodes = {node["name"]: node for node in document["nodes"]}
    assert nodes["LeftEye"]["mesh"] == nodes["RightEye"]["mesh"]
    assert len(document["meshes"]) == 2
    assert len(document["images"]) == len(document["materials"]) == 1


def test_facts_about_the_rig_travel_in_the_file():
    facts = {"freeavatar": {"rig": "toy", "controls": [], "arkit_to_rig": [[0.5]]}}
    document, _ = parse(write_glb(None, scene(patch(deltas=some_deltas())), facts))
    assert document["asset"]["extras"] == facts


def test_a_webp_picture_brings_its_extension_and_others_bring_none():
    plain = patch(deltas=some_deltas())
    document, _ = parse(write_glb(None, scene(plain)))
    assert "extensionsUsed" not in document
    modern = replace(plain, material=GltfMaterial("Skin", picture=picture(".webp")))
    document, _ = parse(write_glb(None, scene(modern)))
    assert document["extensionsRequired"] == ["EXT_texture_webp"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vertices": np.full((30, 3), np.nan)}, "NaN"),
        ({"triangles": np.array([[0, 1, 30]])}, "outside"),
        ({"material": GltfMaterial("Skin", picture=b"GIF89a")}, "PNG, JPEG or WebP"),
    ],
)
def test_what_no_viewer_could_open_is_refused(wrong, message):
    surface = replace(patch(deltas=some_deltas()), **wrong)
    with pytest.raises(ValueError, match=message):
        write_glb(None, scene(surface))


def test_deltas_that_do_not_fit_the_names_are_refused():
    with pytest.raises(ValueError, match="expected"):
        GltfMesh("Face", (patch(deltas=some_deltas()[:2]),), NAMES)


def validator_messages(path: Path) -> list[dict[str, Any]]:
    """Needs node and FREEAVATAR_GLTF_VALIDATOR, a folder in which npm installed gltf-validator."""
    modules = Path(os.environ.get("FREEAVATAR_GLTF_VALIDATOR", "."))
    if not shutil.which("node") or not (modules / "node_modules/gltf-validator").is_dir():
        pytest.skip("node or the npm package gltf-validator is missing")
    script = (
        "const v=require('gltf-validator'),fs=require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(r=>console.log(JSON.stringify(r.issues.messages)))"
    )
    done = subprocess.run(
        ["node", "-e", script, str(path.resolve())],
        cwd=modules,
        capture_output=True,
        text=True,
        check=True,
    )
    messages: list[dict[str, Any]] = json.loads(done.stdout)
    return messages


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp"])
def test_the_validator_of_the_format_finds_no_error(tmp_path, kind):
    material = GltfMaterial("Skin", picture=picture(kind), alpha_mode="mask", unlit=True)
    surface = replace(patch(deltas=some_deltas()), material=material)
    write_glb(tmp_path / "face.glb", scene(surface), {"freeavatar": {"rig": "toy"}})
    assert [m for m in validator_messages(tmp_path / "face.glb") if m["severity"] < 2] == []
