"""Reads the animation of a GLB back into curves: morph weights, gaze from the eyes, head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.blendshapes import target_names
from freeavatar.avatars.gltf import PARSE_ERRORS, load_avatar
from freeavatar.avatars.gltf_buffers import GltfFile, read_gltf
from freeavatar.avatars.gltf_scene import Node, Scene, read_scene, rotation_from_quaternion
from freeavatar.avatars.vrm import read_vrm
from freeavatar.errors import CurveFileError
from freeavatar.export.glb_tracks import HEAD_WRAPPER, head_joint

SAME_TIME_S = 1e-5
"""Key frames closer than this are one: exporters write times as float32."""


@dataclass(frozen=True)
class _Channel:
    node: int
    path: str
    times_s: Float[np.ndarray, " key"]
    values: Float[np.ndarray, "key component"]
    step: bool

    def at(self, times_s: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame component"]:
        """Values at other times; held before the first key frame and after the last."""
        if self.step:
            before = np.searchsorted(self.times_s, times_s + SAME_TIME_S, side="right") - 1
            return self.values[np.maximum(before, 0)]
        columns = [np.interp(times_s, self.times_s, column) for column in self.values.T]
        return np.stack(columns, axis=1)


def read_glb_animation(path: Path) -> AnimationClip:
    """The first animation of a GLB, glTF or VRM on the rig of that file's own character.

    Time starts at 0. Cubic splines are read at their key frames. CurveFileError when the file has
    no animation of morph targets.
    """
    avatar = load_avatar(path)
    try:
        return _read(path, avatar)
    except CurveFileError:
        raise
    except PARSE_ERRORS as error:
        raise CurveFileError(
            f"{path} has an animation that contradicts itself ({error}). Export it again."
        ) from error


def _read(path: Path, avatar: Avatar) -> AnimationClip:
    file = read_gltf(path)
    channels = list(_channels(file))
    faces = [channel for channel in channels if channel.path == "weights"]
    if not faces:
        raise CurveFileError(
            f"{path} has no animation of morph targets. Export it with its animation, "
            "shape keys included."
        )
    times_s = np.concatenate([channel.times_s for channel in faces])
    times_s = np.unique(times_s)
    times_s = times_s[np.concatenate([[True], np.diff(times_s) > SAME_TIME_S])].astype(np.float64)
    scene = read_scene(file)
    vrm = read_vrm(file)
    turned = np.diag([-1.0, 1.0, -1.0]) if vrm is not None and vrm.version == 0 else np.eye(3)
    values = _controls(file, scene, avatar, faces, times_s)
    turns = {c.node: c for c in channels if c.path == "rotation" and c.node in scene.nodes}
    _add_gaze(values, scene, avatar, turns, times_s, turned)
    head_rad = np.zeros((len(times_s), 3))
    wrapper = [node.index for node in scene.nodes.values() if node.name == HEAD_WRAPPER]
    head = wrapper[0] if wrapper else head_joint(file.json, scene, vrm)
    if head in turns:
        matrices = turned @ _world_turns(scene, turns[head], times_s) @ turned
        head_rad = np.array([_angles(matrix) for matrix in matrices])
    found = np.ones(len(times_s), bool)
    times_s = times_s - times_s[0]
    return AnimationClip(avatar.rig, times_s, avatar.rig.clamp(values), found, head_rad)


def _channels(file: GltfFile) -> Iterator[_Channel]:
    for animation in file.json.get("animations", [])[:1]:
        for channel in animation["channels"]:
            sampler: dict[str, Any] = animation["samplers"][channel["sampler"]]
            path = channel["target"]["path"]
            if "node" not in channel["target"] or path not in ("weights", "rotation"):
                continue
            times = file.accessor(sampler["input"]).reshape(-1).astype(np.float64)
            kind = sampler.get("interpolation", "LINEAR")
            values = _floats(file.accessor(sampler["output"])).reshape(len(times), -1)
            if kind == "CUBICSPLINE":
                # In-tangent, value and out-tangent of every key.
                values = values.reshape(len(times), 3, -1)[:, 1]
            node = channel["target"]["node"]
            yield _Channel(node, path, times, values, kind == "STEP")


def _floats(values: np.ndarray) -> np.ndarray:
    """Weights may be stored as normalised integers."""
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    return np.maximum(values.astype(np.float64) / np.iinfo(values.dtype).max, -1.0)


def _controls(
    file: GltfFile,
    scene: Scene,
    avatar: Avatar,
    faces: list[_Channel],
    times_s: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, "frame control"]:
    """Each control from the morphs that it drives alone, weighted back."""
    morphs = np.zeros((len(times_s), len(avatar.morph_names)))
    column = {name: index for index, name in enumerate(avatar.morph_names)}
    for channel in faces:
        mesh_index = scene.nodes[channel.node].mesh
        if mesh_index is None:
            continue
        mesh = file.json["meshes"][mesh_index]
        names = target_names(mesh, mesh_index, channel.values.shape[1])
        morphs[:, [column[name] for name in names]] = channel.at(times_s)
    values = np.tile(avatar.rig.rest.astype(np.float64), (len(times_s), 1))
    for control in range(len(avatar.rig)):
        driven = np.flatnonzero(avatar.bindings[:, control])
        alone = [m for m in driven if np.count_nonzero(avatar.bindings[m]) == 1]
        if alone:
            values[:, control] = morphs[:, alone[0]] / avatar.bindings[alone[0], control]
    return values


def _add_gaze(
    values: Float[np.ndarray, "frame control"],
    scene: Scene,
    avatar: Avatar,
    turns: dict[int, _Channel],
    times_s: Float[np.ndarray, " frame"],
    turned: Float[np.ndarray, "3 3"],
) -> None:
    """Gaze controls that no morph tells of, from how the eyes turn."""
    for eye in avatar.eyes:
        nodes = [n.index for n in scene.nodes.values() if n.name == eye.node and n.index in turns]
        if not nodes:
            continue
        matrices = turned @ _world_turns(scene, turns[nodes[0]], times_s) @ turned
        angles = np.array([_angles(matrix) for matrix in matrices])
        inward = angles[:, 0] / eye.yaw_range_rad * (-1.0 if eye.side == "left" else 1.0)
        down = angles[:, 1] / eye.pitch_range_rad
        for direction, amount in (("In", inward), ("Out", -inward), ("Down", down), ("Up", -down)):
            column = avatar.gaze_columns.get((eye.side, direction))
            if column is not None and not avatar.bindings[:, column].any():
                values[:, column] = np.maximum(amount, 0.0)


def _world_turns(
    scene: Scene, channel: _Channel, times_s: Float[np.ndarray, " frame"]
) -> Float[np.ndarray, "frame 3 3"]:
    """How a node has turned since rest, in world axes: the inverse of `glb_tracks.turn_node`."""
    node: Node = scene.nodes[channel.node]
    parent = np.eye(3) if node.parent is None else scene.nodes[node.parent].world[:3, :3]
    axes, rest = _unscaled(parent), _unscaled(node.world[:3, :3])
    quaternions = channel.values.copy()
    # Neighbours on the same half of the sphere, so that blending goes the short way.
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(axis=1))
    quaternions[1:] *= np.cumprod(np.where(flips < 0, -1.0, 1.0))[:, None]
    smooth = _Channel(channel.node, channel.path, channel.times_s, quaternions, channel.step)
    locals_ = np.array([rotation_from_quaternion(q) for q in smooth.at(times_s)])
    return axes @ locals_ @ rest.T


def _unscaled(linear: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    left, _, right = np.linalg.svd(linear)
    return left @ right


def _angles(turn: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """Yaw, pitch and roll of Ry(yaw) Rx(pitch) Rz(roll)."""
    pitch_rad = float(np.arcsin(np.clip(-turn[1, 2], -1.0, 1.0)))
    yaw_rad = float(np.arctan2(turn[0, 2], turn[2, 2]))
    return yaw_rad, pitch_rad, float(np.arctan2(turn[1, 0], turn[1, 1]))
