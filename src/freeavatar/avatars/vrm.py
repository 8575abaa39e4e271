"""What a VRM file (0.x or 1.0) says beyond glTF: humanoid bones and named expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freeavatar.avatars.avatar import Side
from freeavatar.avatars.gltf_buffers import GltfFile, item


@dataclass(frozen=True)
class MorphBind:
    """One morph target that an expression moves."""

    mesh: int
    target: int
    weight: float


@dataclass(frozen=True)
class VrmFacts:
    """The part of a VRM extension that concerns the face."""

    version: int
    """0 or 1; VRM 0 models look along -Z."""
    head: int | None
    eyes: dict[Side, int]
    expressions: dict[str, tuple[MorphBind, ...]]
    """By preset name, or by their own name where they have no preset."""
    licence: str


def read_vrm(file: GltfFile) -> VrmFacts | None:
    """Facts of a VRM file; None for plain glTF."""
    extensions = file.json.get("extensions", {})
    if "VRMC_vrm" in extensions:
        return _vrm1(file, extensions["VRMC_vrm"])
    if "VRM" in extensions:
        return _vrm0(extensions["VRM"])
    return None


def _vrm0(vrm: dict[str, Any]) -> VrmFacts:
    bones = {bone["bone"]: bone["node"] for bone in vrm.get("humanoid", {}).get("humanBones", [])}
    expressions = {}
    for group in vrm.get("blendShapeMaster", {}).get("blendShapeGroups", []):
        preset = group.get("presetName", "unknown")
        name = group.get("name", "") if preset in ("unknown", "") else preset
        expressions[str(name)] = tuple(
            MorphBind(bind["mesh"], bind["index"], float(bind.get("weight", 100)) / 100)
            for bind in group.get("binds") or []
        )
    meta = vrm.get("meta", {})
    licence = " ".join(str(meta[key]) for key in ("licenseName", "author") if meta.get(key))
    return VrmFacts(0, bones.get("head"), _eye_bones(bones), expressions, licence)


def _vrm1(file: GltfFile, vrm: dict[str, Any]) -> VrmFacts:
    bones = {
        name: bone["node"] for name, bone in vrm.get("humanoid", {}).get("humanBones", {}).items()
    }
    listed = vrm.get("expressions", {})
    expressions = {}
    for group in (listed.get("preset") or {}, listed.get("custom") or {}):
        for name, expression in group.items():
            expressions[str(name)] = tuple(
                MorphBind(
                    item(file.json, "nodes", bind["node"])["mesh"],
                    bind["index"],
                    float(bind.get("weight", 1)),
                )
                for bind in expression.get("morphTargetBinds") or []
            )
    licence = str(vrm.get("meta", {}).get("licenseUrl", ""))
    return VrmFacts(1, bones.get("head"), _eye_bones(bones), expressions, licence)


def _eye_bones(bones: dict[str, int]) -> dict[Side, int]:
    eyes: dict[Side, int] = {}
    if "leftEye" in bones:
        eyes["left"] = bones["leftEye"]
    if "rightEye" in bones:
        eyes["right"] = bones["rightEye"]
    return eyes
