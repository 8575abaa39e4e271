"""One primitive of a glTF mesh as a surface in world space: positions, morphs, skin, colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from freeavatar.avatars.avatar import Surface
from freeavatar.avatars.gltf_buffers import BrokenGltf, GltfFile, item
from freeavatar.avatars.gltf_materials import default_material
from freeavatar.avatars.gltf_scene import Node, Scene, Skinning, read_skinning, vertex_transforms


class Primitive:
    """One primitive of one node, reduced to the vertices that its triangles use."""

    used: Int[np.ndarray, "vertex"]
    triangles: Int[np.ndarray, "triangle 3"]
    skinning: Skinning | None
    colors: Float[np.ndarray, "vertex 4"] | None
    """Linear RGBA of the vertices, if the file has them."""

    def __init__(self, file: GltfFile, scene: Scene, node: Node, primitive: dict[str, Any]) -> None:
        self._file, self._primitive = file, primitive
        attributes = primitive["attributes"]
        positions = file.accessor(attributes["POSITION"])
        triangles = _triangles(file, primitive, len(positions))
        self.used, compact = np.unique(triangles, return_inverse=True)
        self.triangles = compact.reshape(-1, 3).astype(np.int32)
        self.num_all = len(positions)
        self.rest = self._checked(positions, 3)
        skinning = None
        if node.skin is not None:
            skinning = read_skinning(file, node.skin, attributes)
        if skinning is not None:
            if len(skinning.joints) != self.num_all:
                raise BrokenGltf("joints and positions differ in number")
            skinning = Skinning(skinning.joints[self.used], skinning.weights[self.used])
        self.skinning = skinning
        self.transforms = vertex_transforms(file, scene, node, skinning)
        self.colors = None
        if "COLOR_0" in attributes:
            colors = file.accessor(attributes["COLOR_0"])
            if colors.shape[1] == 3:
                colors = np.hstack([colors, np.ones((len(colors), 1), colors.dtype)])
            self.colors = np.clip(self._checked(colors, 4), 0.0, 1.0)

    def _checked(self, values: np.ndarray, components: int) -> Float[np.ndarray, "vertex _"]:
        if values.shape != (self.num_all, components):
            raise BrokenGltf(f"an attribute has shape {values.shape}, not {self.num_all} vertices")
        kept = values[self.used].astype(np.float32)
        if not np.isfinite(kept).all():
            raise BrokenGltf("it contains infinite numbers")
        return kept

    def surface(self, name: str, morphs: Int[np.ndarray, "target"]) -> Surface:
        """The surface at rest; its material is still to be chosen."""
        linear, offset = self.transforms[..., :3, :3], self.transforms[..., :3, 3]
        kept, deltas = [], []
        for morph, target in zip(morphs, self._primitive.get("targets", []), strict=False):
            if "POSITION" not in target:
                continue
            delta = _moved(linear, self._checked(self._file.accessor(target["POSITION"]), 3))
            if delta.any():
                kept.append(morph)
                deltas.append(delta.astype(np.float32))
        uvs = np.zeros((len(self.used), 2), np.float32)
        coordinates = self._primitive["attributes"].get(self._texture_coordinates())
        if coordinates is not None:
            uvs = self._transformed(self._checked(self._file.accessor(coordinates), 2))
        return Surface(
            name=name,
            vertices=(_moved(linear, self.rest) + offset).astype(np.float32),
            triangles=self.triangles,
            uvs=uvs,
            material=default_material(name),
            morphs=np.array(kept, np.int64),
            deltas=np.array(deltas, np.float32).reshape(len(kept), len(self.used), 3),
        )

    def _texture_info(self) -> dict[str, Any]:
        if "material" not in self._primitive:
            return {}
        material = item(self._file.json, "materials", self._primitive["material"])
        info: dict[str, Any] = material.get("pbrMetallicRoughness", {}).get("baseColorTexture", {})
        return info

    def _texture_coordinates(self) -> str:
        info = self._texture_info()
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        return f"TEXCOORD_{transform.get('texCoord', info.get('texCoord', 0))}"

    def _transformed(self, uvs: Float[np.ndarray, "vertex 2"]) -> Float[np.ndarray, "vertex 2"]:
        transform = self._texture_info().get("extensions", {}).get("KHR_texture_transform")
        if not transform:
            return uvs
        scaled = uvs * np.array(transform.get("scale", (1, 1)), np.float32).reshape(2)
        angle = float(transform.get("rotation", 0))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        moved = scaled @ turn.T + np.array(transform.get("offset", (0, 0)), np.float64).reshape(2)
        return moved.astype(np.float32)


def _moved(
    linear: Float[np.ndarray, "... 3 3"], vectors: Float[np.ndarray, "vertex 3"]
) -> Float[np.ndarray, "vertex 3"]:
    if linear.ndim == 2:
        return vectors @ linear.T
    moved = np.zeros((len(vectors), 3))
    rows = np.flatnonzero(vectors.any(axis=1))  # a face morph leaves most of a body alone
    moved[rows] = np.einsum("vij,vj->vi", linear[rows], vectors[rows])
    return moved


def _triangles(
    file: GltfFile, primitive: dict[str, Any], num_vertices: int
) -> Int[np.ndarray, "triangle 3"]:
    if "indices" in primitive:
        indices = file.accessor(primitive["indices"])
        if indices.shape[1] != 1 or indices.dtype.kind != "u":
            raise BrokenGltf("triangle indices are not whole numbers")
        indices = indices[:, 0].astype(np.int64)
    else:
        indices = np.arange(num_vertices)
    mode = primitive.get("mode", 4)
    if mode == 4:
        triangles = indices[: len(indices) // 3 * 3].reshape(-1, 3)
    else:
        count = max(len(indices) - 2, 0)
        steps = np.arange(count)
        if mode == 5:  # every second triangle of a strip runs backwards
            odd = steps % 2
            corners = np.stack([steps, steps + 1 + odd, steps + 2 - odd], axis=1)
        else:
            corners = np.stack([np.zeros_like(steps), steps + 1, steps + 2], axis=1)
        triangles = indices[corners]
    if triangles.size and triangles.max() >= num_vertices:
        raise BrokenGltf(f"a triangle uses vertex {triangles.max()} of {num_vertices}")
    return triangles
