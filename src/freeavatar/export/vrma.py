"""<avatar>.vrma and presets.vrma: a performance as VRM animation, for players of VRM 1.0.

Source: VRMC_vrm_animation-1.0 of the VRM Consortium. Weights of expressions are the X of
translations of empty nodes; the head turns its bone; the gaze, one direction for both eyes, turns
the lookAt node.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, gaze_angles, rotation
from freeavatar.avatars.gltf_buffers import GltfFile
from freeavatar.avatars.gltf_writer import pack_glb
from freeavatar.export.glb import BinaryChunk, add_animation
from freeavatar.export.glb_tracks import Track, quaternions_from_rotations
from freeavatar.export.livelink import GAZE_PITCH_RAD, GAZE_YAW_RAD
from freeavatar.export.vrm import BODY, HEAD_HEIGHT_M
from freeavatar.mapping.profiles import LOOKS, VRM1_PRESETS, weights
from freeavatar.rig import ARKIT


def write_vrma(path: Path, avatar: Avatar, clip: AnimationClip, name: str = "performance") -> None:
    """One expression for each control of the avatar's rig, under the control's name: exact for
    the VRM that `write_vrm` makes of this avatar, and for any VRM with "perfect sync" when the rig
    is ARKit's."""
    scale = np.maximum(avatar.rig.maximum, 1e-6)
    values = np.clip(clip.values / scale, 0.0, 1.0)
    faces = dict(zip(avatar.rig.names, values.T, strict=True))
    gaze = None
    if avatar.eyes:
        each = np.array([[gaze_angles(avatar, e, row) for e in avatar.eyes] for row in clip.values])
        gaze = each.mean(axis=1)
    for look in LOOKS:
        # Not allowed in a VRM animation: the gaze is the lookAt node's.
        faces.pop(look, None)
    _write(path, clip, faces, gaze, name)


def write_preset_vrma(path: Path, arkit: AnimationClip, name: str = "performance") -> None:
    """The presets that every VRM has (moods, vowels, blinks), for VRMs from elsewhere."""
    if arkit.rig.names != ARKIT.names:
        raise ValueError(f"presets are made from the ARKit rig, this clip has {arkit.rig.name!r}")
    names, values = weights("vrm1", arkit.values)
    faces = {n: v for n, v in zip(names, values.T, strict=True) if n not in LOOKS}
    look = dict(zip(names, values.T, strict=True))
    yaw_rad = GAZE_YAW_RAD * (look["lookLeft"] - look["lookRight"])
    pitch_rad = GAZE_PITCH_RAD * (look["lookDown"] - look["lookUp"])
    _write(path, arkit, faces, np.stack([yaw_rad, pitch_rad], axis=1), name)


def _write(
    path: Path,
    clip: AnimationClip,
    faces: Mapping[str, Float[np.ndarray, " frame"]],
    gaze_rad: Float[np.ndarray, "frame 2"] | None,
    name: str,
) -> None:
    nodes, bones = _skeleton()
    tracks = []
    if clip.head_rad.any():
        turns = np.array([rotation(*head) for head in clip.head_rad])
        tracks.append(Track(bones["head"], "rotation", quaternions_from_rotations(turns)))
    groups: dict[str, dict[str, dict[str, int]]] = {"preset": {}, "custom": {}}
    for face, values in faces.items():
        nodes.append({"name": face})
        group = "preset" if face in VRM1_PRESETS else "custom"
        groups[group][face] = {"node": len(nodes) - 1}
        # The first axis is the weight.
        along_x = values[:, None] * np.array([1.0, 0.0, 0.0])
        tracks.append(Track(len(nodes) - 1, "translation", along_x))
    extension: dict[str, Any] = {
        "specVersion": "1.0",
        "humanoid": {"humanBones": {bone: {"node": node} for bone, node in bones.items()}},
        "expressions": {group: listed for group, listed in groups.items() if listed},
    }
    if gaze_rad is not None and gaze_rad.any():
        nodes.append({"name": "lookAt", "translation": [0.0, 0.06, 0.0]})
        nodes[bones["head"]]["children"] = [len(nodes) - 1]
        extension["lookAt"] = {"node": len(nodes) - 1, "offsetFromHeadBone": [0.0, 0.06, 0.0]}
        turns = np.array([rotation(yaw_rad, pitch_rad) for yaw_rad, pitch_rad in gaze_rad])
        tracks.append(Track(len(nodes) - 1, "rotation", quaternions_from_rotations(turns)))
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "freeavatar"},
        "extensionsUsed": ["VRMC_vrm_animation"],
        "extensions": {"VRMC_vrm_animation": extension},
        "scene": 0,
        "scenes": [
            {"nodes": [bones["hips"], *(i["node"] for g in groups.values() for i in g.values())]}
        ],
        "nodes": nodes,
    }
    binary = BinaryChunk(GltfFile(path, document, []), document)
    add_animation(document, binary, name, clip.times_s, tracks)
    document["buffers"][0]["byteLength"] = len(binary.data)
    path.write_bytes(pack_glb(document, bytes(binary.data)))


def _skeleton() -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Nodes of the bones that VRM requires, in T-pose."""
    nodes: list[dict[str, Any]] = []
    bones: dict[str, int] = {}
    places = {**BODY, "head": ("spine", (0.0, HEAD_HEIGHT_M, 0.0))}
    for name, (parent, place) in places.items():
        origin = places[parent][1] if parent else (0.0, 0.0, 0.0)
        offset = [round(a - b, 6) for a, b in zip(place, origin, strict=True)]
        nodes.append({"name": name, "translation": offset})
        bones[name] = len(nodes) - 1
        if parent:
            nodes[bones[parent]].setdefault("children", []).append(bones[name])
    return nodes, bones
