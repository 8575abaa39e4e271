"""Writes heads as GLB files: meshes with morph targets (sparse where that is smaller), materials
with pictures, and a tree of nodes, in core glTF 2.0 so that every viewer opens them."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

AlphaMode = Literal["opaque", "mask", "blend"]

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class GltfMaterial:
    """A metallic-roughness material without metal."""

    name: str
    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Linear RGBA, multiplied with the picture."""
    picture: bytes | None = None
    """A whole PNG, JPEG or WebP file."""
    alpha_mode: AlphaMode = "opaque"
    alpha_cutoff: float = 0.5
    double_sided: bool = False
    roughness: float = 0.6
    unlit: bool = False


@dataclass(frozen=True)
class GltfSurface:
    """Triangles with one material; all surfaces of a mesh share its morph targets."""

    vertices: Float[np.ndarray, "vertex 3"]
    triangles: Int[np.ndarray, "triangle 3"]
    uvs: Float[np.ndarray, "vertex 2"]
    material: GltfMaterial
    normals: Float[np.ndarray, "vertex 3"] | None = None
    deltas: Float[np.ndarray, "target vertex 3"] | None = None
    """None for a surface that no target moves."""


@dataclass(frozen=True)
class GltfMesh:
    """Surfaces that share one set of named morph targets."""

    name: str
    surfaces: tuple[GltfSurface, ...]
    target_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for surface in self.surfaces:
            if surface.deltas is None:
                continue
            expected = (len(self.target_names), *surface.vertices.shape)
            if surface.deltas.shape != expected:
                raise ValueError(
                    f"mesh {self.name!r}: deltas have shape {surface.deltas.shape}, "
                    f"expected {expected}"
                )


@dataclass(frozen=True)
class GltfNode:
    """One joint of the scene tree; its translation is the pivot about which it turns."""

    name: str
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mesh: GltfMesh | None = None
    children: tuple[GltfNode, ...] = ()


def write_glb(
    path: Path | None,
    roots: tuple[GltfNode, ...],
    extras: dict[str, Any] | None = None,
    *,
    copyright_line: str = "",
) -> bytes:
    """The GLB file as bytes, also written to `path` when one is given.

    `extras` becomes asset.extras: facts that travel with the file (rig, licence, credit).
    """
    document = _Document()
    scene_nodes = [document.add_node(root) for root in roots]
    asset: dict[str, Any] = {"version": "2.0", "generator": "freeavatar"}
    if copyright_line:
        asset["copyright"] = copyright_line
    if extras:
        asset["extras"] = extras
    data = pack_glb(document.to_json(asset, scene_nodes), bytes(document.binary))
    if path is not None:
        path.write_bytes(data)
    return data


def pack_glb(document: dict[str, Any], binary: bytes) -> bytes:
    """A GLB container around a glTF document and its binary chunk."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    chunks = [(_JSON, text + b" " * (-len(text) % 4))]
    if binary:
        chunks.append((_BIN, binary + b"\0" * (-len(binary) % 4)))
    body = b"".join(struct.pack("<II", len(part), kind) + part for kind, part in chunks)
    return struct.pack("<III", _MAGIC, 2, 12 + len(body)) + body


@dataclass
class _Document:
    """glTF tables that grow while nodes are added; equal objects are written once."""

    binary: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    materials: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    meshes: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    extensions: set[str] = field(default_factory=set)
    _seen: dict[Any, int] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    """Keeps meshes alive, so that the id() of one is never that of another."""

    def to_json(self, asset: dict[str, Any], scene_nodes: list[int]) -> dict[str, Any]:
        document: dict[str, Any] = {
            "asset": asset,
            "scene": 0,
            "scenes": [{"nodes": scene_nodes}],
            "nodes": self.nodes,
        }
        tables = {
            "meshes": self.meshes,
            "materials": self.materials,
            "accessors": self.accessors,
            "bufferViews": self.views,
        }
        document.update({name: table for name, table in tables.items() if table})
        if self.images:
            document["images"] = self.images
            document["samplers"] = [{"magFilter": 9729, "minFilter": 9987}]
            document["textures"] = [self._texture(i, image) for i, image in enumerate(self.images)]
        if self.binary:
            document["buffers"] = [{"byteLength": len(self.binary)}]
        if self.extensions:
            document["extensionsUsed"] = sorted(self.extensions)
        required = sorted(self.extensions & {"EXT_texture_webp"})
        if required:
            document["extensionsRequired"] = required
        return document

    def add_node(self, node: GltfNode) -> int:
        entry: dict[str, Any] = {"name": node.name}
        index = len(self.nodes)
        self.nodes.append(entry)
        if any(node.translation):
            entry["translation"] = [float(x) for x in node.translation]
        if node.mesh is not None:
            entry["mesh"] = self._mesh(node.mesh)
        if node.children:
            entry["children"] = [self.add_node(child) for child in node.children]
        return index

    def _mesh(self, mesh: GltfMesh) -> int:
        key = ("mesh", id(mesh))
        if key not in self._seen:
            num_targets = len(mesh.target_names)
            entry: dict[str, Any] = {
                "name": mesh.name,
                "primitives": [self._primitive(s, num_targets) for s in mesh.surfaces],
            }
            if num_targets:
                entry["weights"] = [0.0] * num_targets
                entry["extras"] = {"targetNames": list(mesh.target_names)}
            self._seen[key] = len(self.meshes)
            self._kept.append(mesh)
            self.meshes.append(entry)
        return self._seen[key]

    def _primitive(self, surface: GltfSurface, num_targets: int) -> dict[str, Any]:
        vertices = np.asarray(surface.vertices, np.float32)
        triangles = np.asarray(surface.triangles)
        if not np.isfinite(vertices).all():
            raise ValueError(f"surface with material {surface.material.name!r} has NaN vertices")
        if triangles.size and (triangles.min() < 0 or triangles.max() >= len(vertices)):
            raise ValueError(f"triangles name vertices outside 0..{len(vertices) - 1}")
        attributes = {
            "POSITION": self._vertex_accessor(vertices, bounds=True),
            "TEXCOORD_0": self._vertex_accessor(surface.uvs),
        }
        if surface.normals is not None:
            attributes["NORMAL"] = self._vertex_accessor(surface.normals)
        entry: dict[str, Any] = {
            "attributes": attributes,
            "indices": self._index_accessor(triangles, len(vertices)),
            "material": self._material(surface.material),
        }
        if num_targets:
            deltas = surface.deltas
            if deltas is None:
                deltas = np.zeros((num_targets, len(vertices), 3), np.float32)
            entry["targets"] = [{"POSITION": self._delta_accessor(delta)} for delta in deltas]
        return entry

    def _material(self, material: GltfMaterial) -> int:
        if material not in self._seen:
            pbr: dict[str, Any] = {
                "baseColorFactor": [float(x) for x in material.base_color],
                "metallicFactor": 0.0,
                "roughnessFactor": float(material.roughness),
            }
            if material.picture is not None:
                pbr["baseColorTexture"] = {"index": self._image(material.picture)}
            entry: dict[str, Any] = {"name": material.name, "pbrMetallicRoughness": pbr}
            if material.alpha_mode != "opaque":
                entry["alphaMode"] = material.alpha_mode.upper()
            if material.alpha_mode == "mask":
                entry["alphaCutoff"] = float(material.alpha_cutoff)
            if material.double_sided:
                entry["doubleSided"] = True
            if material.unlit:
                self.extensions.add("KHR_materials_unlit")
                entry["extensions"] = {"KHR_materials_unlit": {}}
            self._seen[material] = len(self.materials)
            self.materials.append(entry)
        return self._seen[material]

    def _image(self, picture: bytes) -> int:
        """Index of the image, which is also the index of its texture."""
        if picture not in self._seen:
            self._seen[picture] = len(self.images)
            self.images.append({"bufferView": self._view(picture), "mimeType": _mime(picture)})
        return self._seen[picture]

    def _texture(self, index: int, image: dict[str, Any]) -> dict[str, Any]:
        if image["mimeType"] != "image/webp":
            return {"sampler": 0, "source": index}
        self.extensions.add("EXT_texture_webp")
        return {"sampler": 0, "extensions": {"EXT_texture_webp": {"source": index}}}

    def _view(self, data: bytes, target: int | None = None) -> int:
        self.binary.extend(b"\0" * (-len(self.binary) % 4))
        view: dict[str, Any] = {
            "buffer": 0,
            "byteOffset": len(self.binary),
            "byteLength": len(data),
        }
        if target is not None:
            view["target"] = target
        self.binary.extend(data)
        self.views.append(view)
        return len(self.views) - 1

    def _accessor(self, entry: dict[str, Any]) -> int:
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def _vertex_accessor(self, values: np.ndarray, *, bounds: bool = False) -> int:
        array = np.ascontiguousarray(values, np.float32)
        entry: dict[str, Any] = {
            "bufferView": self._view(array.tobytes(), _VERTICES),
            "componentType": _FLOAT,
            "count": len(array),
            "type": f"VEC{array.shape[1]}",
        }
        return self._accessor(entry | (_bounds(array) if bounds else {}))

    def _index_accessor(self, triangles: np.ndarray, num_vertices: int) -> int:
        # 65535 is the primitive-restart value, which an index must not have.
        small = num_vertices <= 65535
        array = triangles.astype(np.uint16 if small else np.uint32).ravel()
        return self._accessor(
            {
                "bufferView": self._view(array.tobytes(), _INDICES),
                "componentType": _UINT16 if small else _UINT32,
                "count": array.size,
                "type": "SCALAR",
            }
        )

    def _delta_accessor(self, delta: np.ndarray) -> int:
        array = np.ascontiguousarray(delta, np.float32)
        moved = np.flatnonzero(array.any(axis=1))
        small = len(array) <= 65535
        sparse_bytes = len(moved) * (12 + (2 if small else 4))
        if sparse_bytes >= array.nbytes:
            return self._vertex_accessor(array, bounds=True)
        entry: dict[str, Any] = {
            "componentType": _FLOAT,
            "count": len(array),
            "type": "VEC3",
        } | _bounds(array)
        if len(moved):
            indices = moved.astype(np.uint16 if small else np.uint32)
            entry["sparse"] = {
                "count": len(moved),
                "indices": {
                    "bufferView": self._view(indices.tobytes()),
                    "componentType": _UINT16 if small else _UINT32,
                },
                "values": {"bufferView": self._view(array[moved].tobytes())},
            }
        return self._accessor(entry)


def _bounds(array: np.ndarray) -> dict[str, list[float]]:
    return {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}


def _mime(picture: bytes) -> str:
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    if picture.startswith(b"\xff\xd8"):
        return "image/jpeg"
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError(f"a picture must be a PNG, JPEG or WebP file, got {picture[:12]!r}")
