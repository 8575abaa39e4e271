"""Loads an avatar from a .glb, .vrm or .gltf file: world-space surfaces, rig, eyes and face."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from freeavatar.avatars.arkit import arkit_map
from freeavatar.avatars.avatar import Avatar, Surface
from freeavatar.avatars.blendshapes import build_rig, target_names
from freeavatar.avatars.eyes import SurfaceOrigin, find_eyes
from freeavatar.avatars.face import find_face
from freeavatar.avatars.gltf_buffers import BrokenGltf, GltfFile, item, read_gltf
from freeavatar.avatars.gltf_materials import (
    bake_vertex_colors,
    default_material,
    for_mesh,
    read_materials,
)
from freeavatar.avatars.gltf_primitives import Primitive
from freeavatar.avatars.gltf_scene import Scene, read_scene
from freeavatar.avatars.rig_facts import RigFacts, bind_by_name, read_facts
from freeavatar.avatars.sides import with_true_sides
from freeavatar.avatars.vrm import VrmFacts, read_vrm
from freeavatar.errors import AvatarError

MAX_MORPHS = 1000
MAX_DELTA_VALUES = 250_000_000
"""1 GB of float32: 60 times the largest avatar that we know."""

FACE_ON_HEAD = 0.5
"""The head node is the right one when at least half of what morphs move follows it."""

HEAD_NAMES = ("head", "mixamorighead", "ccbasehead", "jbipchead", "bip01head")

# What foreign files make the parser below trip over: missing keys, wrong types, absurd numbers.
PARSE_ERRORS = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    np.linalg.LinAlgError,
)


def load_avatar(path: Path | str) -> Avatar:
    """Read a character from a file; AvatarError says in one sentence why it cannot be used."""
    path = Path(path)
    try:
        return _load(path)
    except PARSE_ERRORS as error:
        reason = " ".join(_reason(error).split())[:200]
        raise AvatarError(
            f"{path} is damaged or not valid glTF ({reason}); export it again."
        ) from error


def _reason(error: Exception) -> str:
    match error:
        case BrokenGltf():
            return str(error)
        case json.JSONDecodeError() | UnicodeDecodeError():
            return f"its JSON part does not parse: {error}"
        case KeyError():
            return f"the entry {error} is missing or unknown"
        case MemoryError():
            return "it asks for more memory than there is"
    return f"an entry has the wrong type or size: {error}"


def _load(path: Path) -> Avatar:
    file = read_gltf(path)
    scene = read_scene(file)
    vrm = read_vrm(file)
    turn = np.diag([-1.0, 1.0, -1.0]) if vrm is not None and vrm.version == 0 else np.eye(3)
    scene = _turned(scene, turn)
    morph_names, mesh_morphs = _all_morphs(path, file)
    surfaces, origins = _read_surfaces(file, scene, mesh_morphs)
    if not any(len(surface.morphs) for surface in surfaces):
        raise AvatarError(
            f"{path} has no morph targets (blendshapes) that move anything; "
            "export the head together with its shape keys."
        )
    eyes = find_eyes(scene, surfaces, origins, morph_names, vrm.eyes if vrm else {})
    head = _head_node(scene, vrm.head if vrm else None)
    if head is not None:
        surfaces = _with_head_shares(surfaces, origins, scene.below(head))
    facts = read_facts(file.json["asset"])
    if facts is not None:
        rig, mapping = facts.rig, facts.arkit_to_rig
        bindings = bind_by_name(rig, morph_names)
    else:
        rig, bindings = build_rig(path.stem, morph_names, eyes)
        said = _expressions_of_morphs(vrm, mesh_morphs, morph_names) if vrm else {}
        mapping = arkit_map(rig.names, said)
        if mapping is not None:
            mapping = with_true_sides(mapping, bindings, surfaces)
    morph_map = None if mapping is None else bindings @ mapping
    joint = None if head is None else scene.nodes[head].world[:3, 3]
    return Avatar(
        name=path.stem,
        rig=rig,
        surfaces=tuple(surfaces),
        morph_names=tuple(morph_names),
        bindings=bindings,
        eyes=eyes,
        face=find_face(surfaces, eyes, morph_map, joint),
        arkit_to_rig=mapping,
        licence=_licence(file, facts, vrm),
        source=str(path),
    )


def _licence(file: GltfFile, facts: RigFacts | None, vrm: VrmFacts | None) -> str:
    if facts is not None and facts.licence:
        return facts.licence
    return vrm.licence if vrm is not None else str(file.json["asset"].get("copyright", ""))


def _expressions_of_morphs(
    vrm: VrmFacts, mesh_morphs: list[Int[np.ndarray, "_"]], morph_names: list[str]
) -> dict[str, str]:
    """For morphs that are the whole of one VRM expression, the expression's name."""
    said: dict[str, str] = {}
    for name, binds in vrm.expressions.items():
        # A control is one morph, perhaps in several meshes; a blend of morphs is an emotion.
        moved = {morph_names[mesh_morphs[bind.mesh][bind.target]] for bind in binds}
        if len(moved) == 1:
            said.setdefault(moved.pop(), name)
    return said


def _with_head_shares(
    surfaces: list[Surface], origins: list[SurfaceOrigin], below: set[int]
) -> list[Surface]:
    """Surfaces that know how far they follow the head; all do when the face itself would not."""
    shares = [
        origin.skinning.share(below).astype(np.float32)
        if origin.skinning is not None
        else np.full(len(surface.vertices), float(origin.node in below), np.float32)
        for surface, origin in zip(surfaces, origins, strict=True)
    ]
    moving = [
        share[np.abs(surface.deltas).max(axis=(0, 2)) > 0]
        for surface, share in zip(surfaces, shares, strict=True)
        if len(surface.morphs)
    ]
    if np.concatenate(moving).mean() < FACE_ON_HEAD:
        return surfaces
    return [
        surface if (share == 1).all() else replace(surface, head_share=share)
        for surface, share in zip(surfaces, shares, strict=True)
    ]


def _turned(scene: Scene, rotation: Float[np.ndarray, "3 3"]) -> Scene:
    turn = np.eye(4)
    turn[:3, :3] = rotation
    return Scene({i: replace(node, world=turn @ node.world) for i, node in scene.nodes.items()})


def _head_node(scene: Scene, named: int | None) -> int | None:
    if named in scene.nodes:
        return named
    for index, node in scene.nodes.items():
        plain = "".join(letter for letter in node.name.lower() if letter.isalnum())
        if plain in HEAD_NAMES and node.mesh is None:
            return index
    return None


def _all_morphs(path: Path, file: GltfFile) -> tuple[list[str], list[Int[np.ndarray, "_"]]]:
    """All morph names of the file in order of appearance, and for every mesh its morphs."""
    names: dict[str, int] = {}
    mesh_morphs = []
    for number, mesh in enumerate(file.json.get("meshes", [])):
        num_targets = max((len(p.get("targets", [])) for p in mesh["primitives"]), default=0)
        if num_targets > MAX_MORPHS:
            raise AvatarError(
                f"{path} has {num_targets} morph targets in one mesh; at most {MAX_MORPHS} "
                "can be used: remove those that do not belong to the face."
            )
        found = target_names(mesh, number, num_targets)
        mesh_morphs.append(
            np.array([names.setdefault(name, len(names)) for name in found], np.int64)
        )
    if not names:
        raise AvatarError(
            f"{path} has no morph targets (blendshapes); "
            "export the head together with its shape keys."
        )
    if len(names) > MAX_MORPHS:
        raise AvatarError(f"{path} has {len(names)} morph targets; at most {MAX_MORPHS} are used.")
    return list(names), mesh_morphs


def _read_surfaces(
    file: GltfFile, scene: Scene, mesh_morphs: list[Int[np.ndarray, "_"]]
) -> tuple[list[Surface], list[SurfaceOrigin]]:
    materials = read_materials(file)
    surfaces: list[Surface] = []
    origins: list[SurfaceOrigin] = []
    values_left = MAX_DELTA_VALUES
    for node in scene.nodes.values():
        if node.mesh is None:
            continue
        mesh = item(file.json, "meshes", node.mesh)
        for primitive in mesh["primitives"]:
            if primitive.get("mode", 4) not in (4, 5, 6):
                continue  # points and lines have no surface
            part = Primitive(file, scene, node, primitive)
            values_left -= len(part.used) * 3 * len(primitive.get("targets", []))
            if values_left < 0:
                raise BrokenGltf("its morph targets need more than 1 GB")
            index = primitive.get("material")
            if index is not None:
                item(file.json, "materials", index)
            material = default_material(node.name) if index is None else materials[index]
            surface = part.surface(node.name, mesh_morphs[node.mesh])
            if part.colors is not None and material.texture is None:
                texture, uvs = bake_vertex_colors(part.colors)
                material = replace(material, texture=texture)
                surface = replace(surface, uvs=uvs)
            surfaces.append(replace(surface, material=for_mesh(material, node.name)))
            origins.append(SurfaceOrigin(node.index, part.skinning))
    return surfaces, origins
