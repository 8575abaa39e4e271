"""<avatar>.vrm: the avatar as VRM 1.0, with a humanoid head, gaze and expressions.

Source: VRMC_vrm-1.0 of the VRM Consortium. A VRM needs fifteen bones; a head gets those below its
neck as empty nodes where an average body has them, and is lifted to the height of one.

Expressions: the presets of VRM (moods, vowels, blinks), one custom expression for each control of
the avatar's own rig, and ARKit's 52 ("perfect sync") where the rig speaks another language.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.avatar import Avatar, Side
from freeavatar.avatars.blendshapes import target_names
from freeavatar.avatars.gltf_buffers import GltfFile, read_gltf
from freeavatar.avatars.gltf_scene import Node, Scene, read_scene
from freeavatar.avatars.gltf_writer import pack_glb
from freeavatar.avatars.vrm import read_vrm
from freeavatar.errors import AvatarError
from freeavatar.export.glb import BinaryChunk, forget_extension, repair_bounds
from freeavatar.export.glb_tracks import eye_nodes, head_joint
from freeavatar.mapping.profiles import LOOKS, VRM1_PRESETS, both
from freeavatar.rig import ARKIT, ARKIT_NAMES

LICENCE_URL = "https://vrm.dev/licenses/1.0/"
EYE_DISTANCE_M = 0.062
"""Of an average adult; the body below is scaled by the avatar's own."""

# Bones of an average adult of 1.7 m in T-pose: parent, and where they are in metres.
BODY: dict[str, tuple[str | None, tuple[float, float, float]]] = {
    "hips": (None, (0.0, 0.95, 0.0)),
    "spine": ("hips", (0.0, 1.05, 0.0)),
    "leftUpperArm": ("spine", (0.17, 1.38, 0.0)),
    "leftLowerArm": ("leftUpperArm", (0.42, 1.38, 0.0)),
    "leftHand": ("leftLowerArm", (0.65, 1.38, 0.0)),
    "rightUpperArm": ("spine", (-0.17, 1.38, 0.0)),
    "rightLowerArm": ("rightUpperArm", (-0.42, 1.38, 0.0)),
    "rightHand": ("rightLowerArm", (-0.65, 1.38, 0.0)),
    "leftUpperLeg": ("hips", (0.09, 0.9, 0.0)),
    "leftLowerLeg": ("leftUpperLeg", (0.09, 0.5, 0.0)),
    "leftFoot": ("leftLowerLeg", (0.09, 0.08, 0.0)),
    "rightUpperLeg": ("hips", (-0.09, 0.9, 0.0)),
    "rightLowerLeg": ("rightUpperLeg", (-0.09, 0.5, 0.0)),
    "rightFoot": ("rightLowerLeg", (-0.09, 0.08, 0.0)),
}
HEAD_HEIGHT_M = 1.5
"""Of the head bone, above the same body."""

# What each preset looks like on an ARKit face, chosen to stay pleasant at full weight.
PRESET_POSES: dict[str, dict[str, float]] = {
    "happy": both("mouthSmile", 0.9) | both("cheekSquint", 0.5),
    "angry": both("browDown", 1.0) | both("noseSneer", 0.4) | both("mouthPress", 0.4),
    "sad": {"browInnerUp": 1.0} | both("mouthFrown", 0.8),
    "relaxed": both("mouthSmile", 0.4) | both("eyeBlink", 0.3),
    "surprised": {"browInnerUp": 0.7, "jawOpen": 0.25}
    | both("browOuterUp", 0.8)
    | both("eyeWide", 0.8),
    "neutral": {},
    "aa": {"jawOpen": 0.7},
    "ih": {"jawOpen": 0.2} | both("mouthStretch", 0.5) | both("mouthLowerDown", 0.3),
    "ou": {"jawOpen": 0.1, "mouthPucker": 0.9},
    "ee": {"jawOpen": 0.15}
    | both("mouthSmile", 0.3)
    | both("mouthStretch", 0.3)
    | both("mouthLowerDown", 0.3),
    "oh": {"jawOpen": 0.3, "mouthFunnel": 0.8},
    "blink": both("eyeBlink", 1.0),
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    **{name: dict.fromkeys(recipe, 1.0) for name, recipe in LOOKS.items()},
}

# Thumbs moved by one bone between the versions.
VRM1_BONES = {
    f"{side}Thumb{old}": f"{side}Thumb{new}"
    for side in ("left", "right")
    for old, new in (("Proximal", "Metacarpal"), ("Intermediate", "Proximal"))
}


def write_vrm(path: Path, avatar: Avatar) -> None:
    """The avatar's own file as VRM 1.0: meshes, textures and bones as they are, names added.

    A VRM 1 file keeps what it says and gains the expressions that it lacks; from VRM 0 the bones
    are kept, the character is turned to face +Z, and MToon and spring bones are left behind.
    """
    if not avatar.source:
        raise AvatarError(f"{avatar.name} was not loaded from a file, so no VRM can be written.")
    file = read_gltf(Path(avatar.source))
    document = copy.deepcopy(file.json)
    vrm = read_vrm(file)
    scene = read_scene(file)
    repair_bounds(file, document)
    binary = BinaryChunk(file, document)
    binary.unpack(file)
    extensions = document.setdefault("extensions", {})
    binds = MorphBinds.of(file, scene, avatar)
    if vrm is not None and vrm.version == 1:
        _add_expressions(extensions["VRMC_vrm"], avatar, binds)
    else:
        bones = (
            _converted_bones(document, scene)
            if vrm is not None
            else _new_bones(document, scene, avatar)
        )
        extensions["VRMC_vrm"] = _new_extension(document, avatar, bones, binds)
        extensions.pop("VRM", None)
        forget_extension(document, "VRM")
        document.setdefault("extensionsUsed", []).append("VRMC_vrm")
    document["buffers"][0]["byteLength"] = len(binary.data)
    path.write_bytes(pack_glb(document, bytes(binary.data)))


@dataclass(frozen=True)
class MorphBinds:
    """From morph weights of the avatar to `morphTargetBinds`."""

    nodes: Mapping[int, tuple[int, ...]]
    """For every node with morph targets, which of the avatar's morphs each target is."""

    @staticmethod
    def of(file: GltfFile, scene: Scene, avatar: Avatar) -> MorphBinds:
        column = {name: index for index, name in enumerate(avatar.morph_names)}
        nodes = {}
        for node in scene.nodes.values():
            if node.mesh is None:
                continue
            mesh = file.json["meshes"][node.mesh]
            num_targets = max(len(p.get("targets", [])) for p in mesh["primitives"])
            if num_targets:
                names = target_names(mesh, node.mesh, num_targets)
                nodes[node.index] = tuple(column[name] for name in names)
        return MorphBinds(nodes)

    def expression(self, morph_weights: Float[np.ndarray, "morph"]) -> dict[str, Any]:
        """An expression with these weights; VRM allows 0 to 1, so what subtracts is left out."""
        binds = [
            {"node": node, "index": index, "weight": round(min(float(morph_weights[m]), 1.0), 6)}
            for node, morphs in self.nodes.items()
            for index, m in enumerate(morphs)
            if morph_weights[m] > 1e-6
        ]
        return {"morphTargetBinds": binds} if binds else {}


def expressions(avatar: Avatar, binds: MorphBinds) -> dict[str, dict[str, Any]]:
    """`preset` and `custom` expressions of an avatar."""

    def of_controls(controls: Float[np.ndarray, "control"]) -> dict[str, Any]:
        return binds.expression(avatar.bindings @ controls.astype(np.float32))

    custom = {}
    for column, control in enumerate(avatar.rig.controls):
        only = np.zeros(len(avatar.rig), np.float32)
        only[column] = control.maximum
        custom[control.name] = of_controls(only)
    preset = {}
    if avatar.arkit_to_rig is not None:
        for name in ARKIT_NAMES:
            one_hot = np.zeros(len(ARKIT), np.float32)
            one_hot[ARKIT.index(name)] = 1.0
            posed = of_controls(avatar.rig.clamp(avatar.arkit_to_rig @ one_hot))
            if posed:
                custom.setdefault(name, posed)
        for name, pose in PRESET_POSES.items():
            row = np.array([pose.get(control, 0.0) for control in ARKIT_NAMES], np.float32)
            posed = of_controls(avatar.rig.clamp(avatar.arkit_to_rig @ row))
            if posed or name == "neutral":
                preset[name] = posed
    for name in VRM1_PRESETS:
        # Custom expressions may not be called like presets: the control itself is the preset.
        if name in custom:
            preset[name] = custom.pop(name)
    return {"preset": preset, "custom": custom}


def _add_expressions(extension: dict[str, Any], avatar: Avatar, binds: MorphBinds) -> None:
    listed = extension.setdefault("expressions", {})
    for group, ours in expressions(avatar, binds).items():
        theirs = listed.get(group) or {}
        listed[group] = {**ours, **theirs} if group == "custom" else theirs or ours


def _new_extension(
    document: dict[str, Any], avatar: Avatar, bones: dict[str, int], binds: MorphBinds
) -> dict[str, Any]:
    has_eyes = "leftEye" in bones and "rightEye" in bones
    faces = expressions(avatar, binds)
    if has_eyes:
        # Bones turn the eyes; an expression beside them would move the lids twice.
        for name in LOOKS:
            faces["preset"].pop(name, None)
    return {
        "specVersion": "1.0",
        "meta": _meta(document, avatar),
        "humanoid": {"humanBones": {bone: {"node": node} for bone, node in bones.items()}},
        "lookAt": _look_at(avatar, "bone" if has_eyes else "expression"),
        "expressions": faces,
    }


def _meta(document: dict[str, Any], avatar: Avatar) -> dict[str, Any]:
    """What is known of the licence; without knowledge VRM's strictest terms hold."""
    holder = str(document.get("asset", {}).get("copyright") or "")
    meta: dict[str, Any] = {
        "name": avatar.name,
        "version": "1",
        "authors": [holder if holder and holder != avatar.licence else "unknown"],
        "licenseUrl": LICENCE_URL,
    }
    if avatar.licence:
        meta["copyrightInformation"] = avatar.licence
    if avatar.licence.upper().startswith("CC0"):
        meta |= {
            "avatarPermission": "everyone",
            "allowExcessivelyViolentUsage": True,
            "allowExcessivelySexualUsage": True,
            "commercialUsage": "corporation",
            "allowPoliticalOrReligiousUsage": True,
            "allowAntisocialOrHateUsage": True,
            "creditNotation": "unnecessary",
            "allowRedistribution": True,
            "modification": "allowModificationRedistribution",
            "otherLicenseUrl": "https://creativecommons.org/publicdomain/zero/1.0/",
        }
    return meta


def _look_at(avatar: Avatar, kind: str) -> dict[str, Any]:
    """Eyes follow a target one to one, as far as they turn; expressions grow to 1 there."""
    yaw_deg = float(np.degrees(avatar.eyes[0].yaw_range_rad)) if avatar.eyes else 28.0
    pitch_deg = float(np.degrees(avatar.eyes[0].pitch_range_rad)) if avatar.eyes else 22.0

    def range_map(limit_deg: float) -> dict[str, float]:
        scale = limit_deg if kind == "bone" else 1.0
        return {"inputMaxValue": round(limit_deg, 4), "outputScale": round(scale, 4)}

    face = avatar.face
    middle = 0.5 * (face.left_eye + face.right_eye) - face.neck
    return {
        "type": kind,
        "offsetFromHeadBone": [round(float(x), 6) for x in middle],
        "rangeMapHorizontalInner": range_map(yaw_deg),
        "rangeMapHorizontalOuter": range_map(yaw_deg),
        "rangeMapVerticalDown": range_map(pitch_deg),
        "rangeMapVerticalUp": range_map(pitch_deg),
    }


def _new_bones(document: dict[str, Any], scene: Scene, avatar: Avatar) -> dict[str, int]:
    """Give a head the bones that VRM asks for; nothing moves but for a bust, which is lifted."""
    nodes: list[dict[str, Any]] = document["nodes"]
    head = head_joint(document, scene, None)
    pivot = avatar.face.neck.astype(np.float64) if head is None else scene.nodes[head].world[:3, 3]
    face = avatar.face
    scale = max(float(np.linalg.norm(face.left_eye - face.right_eye)), 1e-4) / EYE_DISTANCE_M
    # A whole figure stands already; a head or bust is lifted to where its body would carry it.
    stands = pivot[1] > 0.6 * HEAD_HEIGHT_M * scale
    lift = 0.0 if stands else HEAD_HEIGHT_M * scale - float(pivot[1])
    where = {name: scale * np.array(place) for name, (_, place) in BODY.items()}
    # Under the neck of this avatar, not of an average one.
    shift = pivot + np.array([0.0, lift - HEAD_HEIGHT_M * scale, 0.0])
    where = {name: place + shift for name, place in where.items()}

    def add(name: str, translation: Float[np.ndarray, "3"], children: list[int]) -> int:
        entry: dict[str, Any] = {"name": name, "translation": [float(x) for x in translation]}
        if children:
            entry["children"] = children
        nodes.append(entry)
        return len(nodes) - 1

    bones = _eye_bones(document, scene, avatar)
    roots = [node.index for node in scene.nodes.values() if node.parent is None]
    if head is None:
        inside = add("model", -pivot, roots)
        head = add("head", pivot, [inside])
        roots = [head]
    bones["head"] = head
    model = add("model", np.array([0.0, lift, 0.0]) - where["spine"], roots)
    below: dict[str, list[int]] = {name: [] for name in BODY}
    below["spine"].append(model)
    for name, (parent, _) in reversed(BODY.items()):
        origin = where[parent] if parent else np.zeros(3)
        bones[name] = add(name, where[name] - origin, below[name])
        if parent:
            below[parent].append(bones[name])
    for entry in document.get("scenes", []):
        if entry.get("nodes"):
            entry["nodes"] = [bones["hips"]]
    document["scenes"] = [document["scenes"][document.get("scene", 0)]]
    document["scene"] = 0
    return bones


def _eye_bones(document: dict[str, Any], scene: Scene, avatar: Avatar) -> dict[str, int]:
    """For each eye one node at its centre; parts that turn together are hung on a new one."""
    bones: dict[str, int] = {}
    for eye in avatar.eyes:
        turning = eye_nodes(scene, avatar, eye)
        if not turning:
            continue
        first = scene.nodes[turning[0]]
        pivot = eye.pivot.astype(np.float64)
        if len(turning) == 1 and np.abs(first.world[:3, 3] - pivot).max() < 1e-4:
            bones[f"{eye.side}Eye"] = first.index
        elif all(scene.nodes[index].parent == first.parent for index in turning):
            bones[f"{eye.side}Eye"] = _hang(document, scene, first, turning, pivot, eye.side)
    return bones


def _hang(
    document: dict[str, Any],
    scene: Scene,
    first: Node,
    turning: list[int],
    pivot: Float[np.ndarray, "3"],
    side: Side,
) -> int:
    """A node at the pivot, above nodes that share a parent; nothing moves."""
    nodes = document["nodes"]
    above = np.eye(4) if first.parent is None else scene.nodes[first.parent].world
    place = (np.linalg.inv(above) @ np.append(pivot, 1.0))[:3]
    for index in turning:
        entry = nodes[index]
        if "matrix" in entry:
            for axis in range(3):
                entry["matrix"][12 + axis] -= float(place[axis])
        else:
            before = entry.get("translation", (0.0, 0.0, 0.0))
            entry["translation"] = [float(x) for x in np.array(before) - place]
    nodes.append({"name": f"{side}Eye", "translation": place.tolist(), "children": list(turning)})
    bone = len(nodes) - 1
    if first.parent is None:
        for listed in document["scenes"]:
            listed["nodes"] = [i for i in listed.get("nodes", []) if i not in turning] + [bone]
    else:
        parent = nodes[first.parent]
        parent["children"] = [i for i in parent["children"] if i not in turning] + [bone]
    return bone


def _converted_bones(document: dict[str, Any], scene: Scene) -> dict[str, int]:
    """Bones of a VRM 0 file under VRM 1's names; a node above turns the character to +Z."""
    bones = {
        VRM1_BONES.get(bone["bone"], bone["bone"]): bone["node"]
        for bone in document["extensions"]["VRM"]["humanoid"]["humanBones"]
        if bone["bone"] != "jaw" or bone["node"] in scene.nodes
    }
    roots = [node.index for node in scene.nodes.values() if node.parent is None]
    document["nodes"].append(
        {"name": "turned", "rotation": [0.0, 1.0, 0.0, 0.0], "children": roots}
    )
    document["scenes"] = [{"nodes": [len(document["nodes"]) - 1]}]
    document["scene"] = 0
    return bones
