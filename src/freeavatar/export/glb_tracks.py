"""From an animation clip to the curves of glTF nodes: morph weights, eye and head rotations."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, Eye, gaze_angles, rotation
from freeavatar.avatars.blendshapes import target_names
from freeavatar.avatars.gltf import HEAD_NAMES
from freeavatar.avatars.gltf_buffers import GltfFile
from freeavatar.avatars.gltf_scene import Scene, read_scene
from freeavatar.avatars.vrm import VrmFacts, read_vrm

log = logging.getLogger(__name__)

HEAD_WRAPPER = "freeavatar_head"
"""Node put above everything when the file has no head bone to turn."""


@dataclass(frozen=True)
class Track:
    """One animated property of one node."""

    node: int
    path: Literal["weights", "rotation", "translation"]
    values: Float[np.ndarray, "frame component"]


def performance_tracks(
    file: GltfFile, document: dict[str, Any], avatar: Avatar, clip: AnimationClip
) -> list[Track]:
    """Everything that moves; nodes of `document` that turn are changed from matrix to rotation,
    translation and scale, and a node is added above a character that has no head bone."""
    if clip.rig.names != avatar.rig.names:
        raise ValueError(f"the clip is for rig {clip.rig.name!r}, not for {avatar.name!r}")
    scene = read_scene(file)
    vrm = read_vrm(file)
    # VRM 0 characters look along -Z in their file; the avatar was turned round when loaded.
    turned = np.diag([-1.0, 1.0, -1.0]) if vrm is not None and vrm.version == 0 else np.eye(3)
    return [
        *_weight_tracks(file, scene, avatar, clip),
        *_eye_tracks(document, scene, avatar, clip, turned),
        *_head_tracks(document, scene, avatar, clip, turned, vrm),
    ]


def _weight_tracks(
    file: GltfFile, scene: Scene, avatar: Avatar, clip: AnimationClip
) -> list[Track]:
    weights = clip.values.astype(np.float32) @ avatar.bindings.T.astype(np.float32)
    column = {name: index for index, name in enumerate(avatar.morph_names)}
    tracks = []
    for node in scene.nodes.values():
        if node.mesh is None:
            continue
        mesh = file.json["meshes"][node.mesh]
        num_targets = max(len(p.get("targets", [])) for p in mesh["primitives"])
        if num_targets:
            names = target_names(mesh, node.mesh, num_targets)
            tracks.append(
                Track(node.index, "weights", weights[:, [column[name] for name in names]])
            )
    return tracks


def _eye_tracks(
    document: dict[str, Any],
    scene: Scene,
    avatar: Avatar,
    clip: AnimationClip,
    turned: Float[np.ndarray, "3 3"],
) -> list[Track]:
    tracks: list[Track] = []
    for eye in avatar.eyes:
        angles = np.array([gaze_angles(avatar, eye, controls) for controls in clip.values])
        if not angles.any():
            continue
        nodes = eye_nodes(scene, avatar, eye)
        if not nodes:
            log.warning(
                "The %s eye of %s has no node of its own; its gaze is not in the GLB.",
                eye.side,
                avatar.name,
            )
            continue
        turns = np.array([rotation(yaw_rad, pitch_rad) for yaw_rad, pitch_rad in angles])
        pivot = turned @ eye.pivot.astype(np.float64)
        for node in nodes:
            tracks += turn_node(document, scene, node, turned @ turns @ turned, pivot)
    return tracks


def eye_nodes(scene: Scene, avatar: Avatar, eye: Eye) -> list[int]:
    """The eye's own node, and nodes beside it whose whole mesh turns with it: iris, cornea."""
    whole = {
        surface.name
        for surface, moving in zip(avatar.surfaces, eye.vertices, strict=True)
        if len(moving) == len(surface.vertices)
    }
    own = [node.index for node in scene.nodes.values() if node.name == eye.node][:1]
    if not own:
        return []
    carried = scene.below(own[0])
    nodes = own
    for node in scene.nodes.values():  # parents come before their children
        unskinned_mesh = node.mesh is not None and node.skin is None
        if unskinned_mesh and node.name in whole and node.index not in carried:
            nodes.append(node.index)
            carried |= scene.below(node.index)
    return nodes


def _head_tracks(
    document: dict[str, Any],
    scene: Scene,
    avatar: Avatar,
    clip: AnimationClip,
    turned: Float[np.ndarray, "3 3"],
    vrm: VrmFacts | None,
) -> list[Track]:
    if not clip.head_rad.any():
        return []
    turns = turned @ np.array([rotation(*head) for head in clip.head_rad]) @ turned
    joint = head_joint(document, scene, vrm)
    if joint is not None:
        return turn_node(document, scene, joint, turns, scene.nodes[joint].world[:3, 3])
    wrapper = _wrap(document, scene)
    neck = turned @ avatar.face.neck.astype(np.float64)
    return [
        Track(wrapper, "rotation", quaternions_from_rotations(turns)),
        Track(wrapper, "translation", neck - turns @ neck),
    ]


def head_joint(document: dict[str, Any], scene: Scene, vrm: VrmFacts | None) -> int | None:
    """The bone or node that carries the face; None when the file has none."""
    named = [vrm.head] if vrm is not None and vrm.head in scene.nodes else []
    for node in scene.nodes.values():
        plain = "".join(letter for letter in node.name.lower() if letter.isalnum())
        if plain in HEAD_NAMES and node.mesh is None:
            named.append(node.index)
    for index in named:
        if index is not None and _carries_face(document, scene, index):
            return index
    return None


def _carries_face(document: dict[str, Any], scene: Scene, index: int) -> bool:
    """Whether every mesh with morph targets hangs on the node, as its child or by its skin."""
    below = scene.below(index)
    for node in scene.nodes.values():
        if node.mesh is None:
            continue
        mesh = document["meshes"][node.mesh]
        if not any(primitive.get("targets") for primitive in mesh["primitives"]):
            continue
        joints = document["skins"][node.skin]["joints"] if node.skin is not None else [node.index]
        if not below.intersection(joints):
            return False
    return True


def _wrap(document: dict[str, Any], scene: Scene) -> int:
    """Add a node above all roots of the scene that is shown."""
    roots = [node.index for node in scene.nodes.values() if node.parent is None]
    document["nodes"].append({"name": HEAD_WRAPPER, "children": roots})
    wrapper = len(document["nodes"]) - 1
    for entry in document.get("scenes", []):
        if set(roots) & set(entry.get("nodes", [])):
            others = [index for index in entry["nodes"] if index not in roots]
            entry["nodes"] = [wrapper, *others]
    return wrapper


def turn_node(
    document: dict[str, Any],
    scene: Scene,
    index: int,
    turns: Float[np.ndarray, "frame 3 3"],
    pivot: Float[np.ndarray, " 3"],
) -> list[Track]:
    """Tracks that turn a node, and all below it, in world axes about a point of the world.

    With P the parent's axes in the world and L the node's own rotation, a turn R of the world is
    the local rotation P^-1 R P L. Parents that turn as well carry this with them.
    """
    node = scene.nodes[index]
    parent = np.eye(4) if node.parent is None else scene.nodes[node.parent].world
    axes = parent[:3, :3]
    local = np.linalg.inv(parent) @ node.world
    rest, scale = _rotation_and_scale(local[:3, :3])
    entry = document["nodes"][index]
    if "matrix" in entry:
        # An animated node may not have a matrix.
        del entry["matrix"]
        entry["translation"] = local[:3, 3].tolist()
        entry["rotation"] = quaternions_from_rotations(rest[None])[0].tolist()
        entry["scale"] = scale.tolist()
    local_turns = _nearest_rotations(np.linalg.inv(axes) @ turns @ axes)
    tracks = [Track(index, "rotation", quaternions_from_rotations(local_turns @ rest))]
    arm = node.world[:3, 3] - pivot
    # A thousandth of a millimetre in a world of metres.
    if np.abs(arm).max() > 1e-6:
        origins = turns @ arm + pivot - parent[:3, 3]
        tracks.append(Track(index, "translation", origins @ np.linalg.inv(axes).T))
    return tracks


def _rotation_and_scale(
    linear: Float[np.ndarray, "3 3"],
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    scale = np.linalg.norm(linear, axis=0)
    if np.linalg.det(linear) < 0:
        scale = scale * np.array([-1.0, 1.0, 1.0])
    return _nearest_rotations((linear / scale)[None])[0], scale


def _nearest_rotations(
    matrices: Float[np.ndarray, "frame 3 3"],
) -> Float[np.ndarray, "frame 3 3"]:
    """Parents that are scaled unevenly would shear; a node can only turn."""
    left, _, right = np.linalg.svd(matrices)
    sign = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= sign[:, None]
    return left @ right


def quaternions_from_rotations(
    rotations: Float[np.ndarray, "frame 3 3"],
) -> Float[np.ndarray, "frame 4"]:
    """Unit quaternions (x, y, z, w) that never jump to the opposite sign from frame to frame."""
    diagonal = np.einsum("fii->fi", rotations)
    trace = diagonal.sum(axis=1, keepdims=True)
    # 4 q_i^2 for x, y, z and w; the largest is divided by, so that nothing is divided by zero.
    squares = np.hstack([1.0 - trace + 2.0 * diagonal, 1.0 + trace])
    r = rotations
    x, y, z, w = range(4)
    products = np.empty((len(r), 4, 4))
    products[:, range(4), range(4)] = squares
    for i, j, value in (
        (x, y, r[:, 1, 0] + r[:, 0, 1]),
        (x, z, r[:, 0, 2] + r[:, 2, 0]),
        (y, z, r[:, 2, 1] + r[:, 1, 2]),
        (x, w, r[:, 2, 1] - r[:, 1, 2]),
        (y, w, r[:, 0, 2] - r[:, 2, 0]),
        (z, w, r[:, 1, 0] - r[:, 0, 1]),
    ):
        products[:, i, j] = products[:, j, i] = value
    quaternions = products[np.arange(len(r)), squares.argmax(axis=1)]
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(axis=1))
    signs = np.concatenate([[1.0], np.cumprod(np.where(flips < 0, -1.0, 1.0))])
    return quaternions * signs[:, None]
