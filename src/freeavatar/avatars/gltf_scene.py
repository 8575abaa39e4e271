"""The node tree of a glTF file: world transforms, and skins baked at rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from freeavatar.avatars.gltf_buffers import BrokenGltf, GltfFile, item


@dataclass(frozen=True)
class Node:
    """One node of the default scene, in world space."""

    index: int
    name: str
    parent: int | None
    world: Float[np.ndarray, "4 4"]
    mesh: int | None
    skin: int | None


@dataclass(frozen=True)
class Scene:
    """Nodes reachable from the default scene, by their index in the file."""

    nodes: dict[int, Node]

    def below(self, index: int) -> set[int]:
        """A node and all nodes under it."""
        found = {index}
        for number, node in self.nodes.items():  # parents come before their children
            if node.parent in found:
                found.add(number)
        return found


@dataclass(frozen=True)
class Skinning:
    """How each vertex of a primitive hangs on joints."""

    joints: Int[np.ndarray, "vertex influence"]
    """Node indices."""
    weights: Float[np.ndarray, "vertex influence"]

    def share(self, nodes: set[int]) -> Float[np.ndarray, "vertex"]:
        """How much of every vertex follows these nodes, 0 to 1."""
        inside = np.isin(self.joints, list(nodes))
        return (self.weights * inside).sum(axis=1)


def rotation_from_quaternion(quaternion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "3 3"]:
    """Rotation matrix of a glTF quaternion (x, y, z, w), normalised first."""
    x, y, z, w = quaternion / max(float(np.linalg.norm(quaternion)), 1e-12)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _local(node: dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # glTF is column-major
    local = np.eye(4)
    quaternion = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64).reshape(4)
    scale = np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    local[:3, :3] = rotation_from_quaternion(quaternion) * scale
    local[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return local


def read_scene(file: GltfFile) -> Scene:
    """Walk the default scene (or every root when there is none)."""
    entries = file.json.get("nodes", [])
    if file.json.get("scenes"):
        roots = item(file.json, "scenes", file.json.get("scene", 0)).get("nodes", [])
    else:
        children = {child for node in entries for child in node.get("children", [])}
        roots = [index for index in range(len(entries)) if index not in children]
    nodes: dict[int, Node] = {}
    waiting: list[tuple[int, int | None]] = [(root, None) for root in reversed(roots)]
    while waiting:
        index, parent = waiting.pop()
        if index in nodes:
            raise BrokenGltf(f"node {index} is reached twice")
        entry = item(file.json, "nodes", index)
        world = _local(entry)
        if parent is not None:
            world = nodes[parent].world @ world
        if not np.isfinite(world).all():
            raise BrokenGltf(f"node {index} has an infinite transform")
        name = str(entry.get("name", f"node_{index}"))
        nodes[index] = Node(index, name, parent, world, entry.get("mesh"), entry.get("skin"))
        waiting.extend((child, index) for child in reversed(entry.get("children", [])))
    return Scene(nodes)


def read_skinning(file: GltfFile, skin: int, attributes: dict[str, int]) -> Skinning | None:
    """Joints and weights of a primitive; None when it has none."""
    joint_nodes = np.array(item(file.json, "skins", skin)["joints"], np.int64)
    joints, weights = [], []
    for number in range(4):
        if f"JOINTS_{number}" not in attributes or f"WEIGHTS_{number}" not in attributes:
            break
        joints.append(file.accessor(attributes[f"JOINTS_{number}"]).astype(np.int64))
        weights.append(file.accessor(attributes[f"WEIGHTS_{number}"]).astype(np.float32))
    if not joints:
        return None
    all_joints, all_weights = np.concatenate(joints, axis=1), np.concatenate(weights, axis=1)
    if all_joints.shape != all_weights.shape:
        raise BrokenGltf("joints and weights differ in number")
    if all_joints.size and (all_joints.min() < 0 or all_joints.max() >= len(joint_nodes)):
        raise BrokenGltf(f"a vertex hangs on joint {all_joints.max()} of {len(joint_nodes)}")
    total = all_weights.sum(axis=1, keepdims=True)
    return Skinning(joint_nodes[all_joints], all_weights / np.where(total > 0, total, 1))


def vertex_transforms(
    file: GltfFile, scene: Scene, node: Node, skinning: Skinning | None
) -> Float[np.ndarray, "... 4 4"]:
    """World-from-mesh at rest: one matrix, or one for every vertex of a skinned primitive."""
    if skinning is None or node.skin is None:
        return node.world
    skin = item(file.json, "skins", node.skin)
    inverse_bind = np.tile(np.eye(4), (len(skin["joints"]), 1, 1))
    if "inverseBindMatrices" in skin:
        stored = file.accessor(skin["inverseBindMatrices"]).astype(np.float64)
        if stored.shape[1] != 16 or len(stored) < len(inverse_bind):
            raise BrokenGltf(f"{len(stored)} inverse bind matrices for {len(inverse_bind)} joints")
        inverse_bind = stored[: len(inverse_bind)].reshape(-1, 4, 4).transpose(0, 2, 1)
    by_node = np.zeros((len(file.json["nodes"]), 4, 4))
    for joint, inverse in zip(skin["joints"], inverse_bind, strict=True):
        if joint not in scene.nodes:
            raise BrokenGltf(f"joint {joint} is not part of the scene")
        by_node[joint] = scene.nodes[joint].world @ inverse
    return np.einsum("vi,vijk->vjk", skinning.weights, by_node[skinning.joints])
