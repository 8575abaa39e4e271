"""A small face drawn by formula, and a GLB writer of the tests' own that stores it in many ways."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FLOAT, UINT16, UINT32, INT16, UINT8 = 5126, 5123, 5125, 5122, 5121


@dataclass
class ToyFace:
    """A curved sheet, symmetric about x = 0, with morphs under ARKit's names."""

    vertices: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray
    names: list[str]
    deltas: np.ndarray


def toy_face() -> ToyFace:
    xs, ys = np.meshgrid(np.linspace(-0.06, 0.06, 9), np.linspace(-0.09, 0.09, 11))
    x, y = xs.ravel(), ys.ravel()
    vertices = np.stack([x, y, 0.05 - 6 * x**2 - 2 * y**2], axis=1).astype(np.float32)
    grid = np.arange(99).reshape(11, 9)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    triangles = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )

    def bump(px: float, py: float, move: tuple[float, float, float]) -> np.ndarray:
        near = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 2e-4)
        near[near < 0.05] = 0
        return near[:, None] * np.array(move)

    morphs = {
        "eyeBlinkLeft": bump(0.03, 0.045, (0, -0.01, 0)),
        "eyeBlinkRight": bump(-0.03, 0.045, (0, -0.01, 0)),
        "mouthSmileLeft": bump(0.03, -0.03, (0.005, 0.008, -0.002)),
        "mouthSmileRight": bump(-0.03, -0.03, (-0.005, 0.008, -0.002)),
        "mouthPucker": bump(0, -0.018, (0, 0, 0.01)),
        "jawOpen": bump(0, -0.07, (0, -0.02, -0.005)),
    }
    deltas = np.stack(list(morphs.values())).astype(np.float32)
    uvs = np.stack([x / 0.12 + 0.5, 0.5 - y / 0.18], axis=1).astype(np.float32)
    return ToyFace(vertices, triangles, uvs, list(morphs), deltas)


@dataclass
class ToyGltf:
    """A glTF document under construction."""

    json: dict[str, Any] = field(
        default_factory=lambda: {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": [],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
        }
    )
    binary: bytearray = field(default_factory=bytearray)

    def view(self, data: bytes, **extra: Any) -> int:
        self.binary.extend(b"\0" * (-len(self.binary) % 4))
        self.json["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)} | extra
        )
        self.binary.extend(data)
        return len(self.json["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, component: int = FLOAT, **extra: Any) -> int:
        dtype = {FLOAT: "<f4", UINT16: "<u2", UINT32: "<u4", INT16: "<i2", UINT8: "u1"}[component]
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
        width = 1 if array.ndim == 1 else array.shape[1]
        self.json["accessors"].append(
            {
                "bufferView": self.view(array.astype(dtype).tobytes()),
                "componentType": component,
                "count": len(array),
                "type": kind[width],
            }
            | extra
        )
        return len(self.json["accessors"]) - 1

    def sparse(self, array: np.ndarray) -> int:
        """A float accessor without a base, that stores only the rows that are not zero."""
        rows = np.flatnonzero(array.any(axis=1))
        self.json["accessors"].append(
            {
                "componentType": FLOAT,
                "count": len(array),
                "type": "VEC3",
                "sparse": {
                    "count": len(rows),
                    "indices": {
                        "bufferView": self.view(rows.astype("<u2").tobytes()),
                        "componentType": UINT16,
                    },
                    "values": {"bufferView": self.view(array[rows].astype("<f4").tobytes())},
                },
            }
        )
        return len(self.json["accessors"]) - 1

    def mesh(
        self,
        face: ToyFace,
        names: list[str] | None = None,
        store: Callable[[np.ndarray], int] | None = None,
        **primitive: Any,
    ) -> int:
        store = store or self.accessor
        entry = {
            "attributes": {"POSITION": store(face.vertices), "TEXCOORD_0": self.accessor(face.uvs)},
            "indices": self.accessor(face.triangles.ravel(), UINT16),
            "targets": [{"POSITION": store(delta)} for delta in face.deltas],
        } | primitive
        names = face.names if names is None else names
        self.json["meshes"].append({"primitives": [entry], "extras": {"targetNames": names}})
        return len(self.json["meshes"]) - 1

    def node(self, root: bool = True, **entry: Any) -> int:
        self.json["nodes"].append(entry)
        index = len(self.json["nodes"]) - 1
        if root:
            self.json["scenes"][0]["nodes"].append(index)
        return index

    def glb(self) -> bytes:
        document = copy.deepcopy(self.json)
        document.setdefault("buffers", [{"byteLength": len(self.binary)}])
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.binary) + b"\0" * (-len(self.binary) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def save(self, path: Path) -> Path:
        path.write_bytes(self.glb())
        return path


@pytest.fixture
def face() -> ToyFace:
    return toy_face()


@pytest.fixture
def gltf() -> ToyGltf:
    """An empty document."""
    return ToyGltf()


@pytest.fixture
def toy_path(tmp_path: Path, face: ToyFace) -> Path:
    """The toy face in its plainest form."""
    document = ToyGltf()
    document.node(mesh=document.mesh(face), name="face")
    return document.save(tmp_path / "toy.glb")


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "avatars"


@pytest.fixture
def shared_avatars() -> Path:
    """The avatar files beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the avatar files in {SHARED}")
    return SHARED
