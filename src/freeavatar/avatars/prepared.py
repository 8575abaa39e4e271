"""What every picture of one avatar shares: joined surfaces, welded seams, mip levels, openness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from freeavatar.avatars import rasterize, shading
from freeavatar.avatars.avatar import Avatar, FaceFrame, Surface, pose
from freeavatar.avatars.textures import Textures, pack_textures
from freeavatar.rig import ARKIT


@dataclass(frozen=True)
class PreparedAvatar:
    """An avatar's surfaces as the arrays that the rasterizer wants."""

    surfaces: tuple[Surface, ...]
    triangles: Int[np.ndarray, "triangle 3"]
    triangle_material: Int[np.ndarray, "triangle"]
    uvs: Float32[np.ndarray, "vertex 2"]
    weld: Int[np.ndarray, "vertex"]
    num_welded: int
    openness: Float32[np.ndarray, "vertex"]
    textures: Textures
    kinds: Int[np.ndarray, "material"]
    colors: Float32[np.ndarray, "material 4"]
    unlit: Bool[np.ndarray, "material"]
    both_sides: Bool[np.ndarray, "material"]
    cutoffs: Float32[np.ndarray, "material"]
    shadow_cutoffs: Float32[np.ndarray, "material"]
    blended: Int[np.ndarray, "blended"]
    """Triangles whose material may be see-through."""
    solid: Int[np.ndarray, "solid"]
    tested: Int[np.ndarray, "tested"]
    """Triangles whose texture may have holes; all others are solid."""
    casting: Int[np.ndarray, "casting"]
    """Triangles that throw shadows: not what lies inside the head."""
    near_face: Int[np.ndarray, "near"]
    """Vertices of head and shoulders: what the shadow map has to cover."""


def prepare(avatar: Avatar | Sequence[Surface]) -> PreparedAvatar:
    """Join the surfaces, weld their seams, build mip levels, and bake where light hardly gets."""
    surfaces = avatar.surfaces if isinstance(avatar, Avatar) else tuple(avatar)
    counts = [len(surface.vertices) for surface in surfaces]
    starts = np.concatenate([[0], np.cumsum(counts)])
    triangles = np.concatenate(
        [s.triangles.reshape(-1, 3) + start for s, start in zip(surfaces, starts, strict=False)]
    ).astype(np.int32)
    materials = [surface.material for surface in surfaces]
    weld, num_welded = _weld(surfaces)
    modes = np.array([material.alpha_mode for material in materials])
    kinds = np.array([shading.KINDS.index(material.kind) for material in materials], np.int64)
    # Nearly opaque parts of blended hair go into the z-buffer, so that strands sort themselves.
    cutoffs = np.select(
        [modes == "opaque", modes == "mask"], [-1.0, [m.alpha_cutoff for m in materials]], 0.95
    )
    shadow_cutoffs = np.where(modes == "blend", 0.5, cutoffs)
    shadow_cutoffs[np.isin(kinds, [shading.KINDS.index(k) for k in ("cornea", "lash")])] = 2.0
    cutoffs[kinds == shading.KINDS.index("cornea")] = 2.0
    triangle_material = np.repeat(
        np.arange(len(surfaces)), [len(surface.triangles) for surface in surfaces]
    ).astype(np.int32)
    casts = ~np.isin(
        kinds, [shading.KINDS.index(k) for k in ("eye", "cornea", "teeth", "tongue", "lash")]
    )
    see_through = (modes == "blend") | (cutoffs > 1.0)
    prepared = PreparedAvatar(
        surfaces=surfaces,
        triangles=triangles,
        triangle_material=triangle_material,
        uvs=np.nan_to_num(np.concatenate([s.uvs for s in surfaces])).astype(np.float32),
        weld=weld,
        num_welded=num_welded,
        openness=np.ones(int(starts[-1]), np.float32),
        textures=pack_textures([material.texture for material in materials]),
        kinds=kinds,
        colors=np.array([material.base_color for material in materials], np.float32),
        unlit=np.array([material.emissive for material in materials]),
        both_sides=np.array([material.double_sided for material in materials]),
        cutoffs=cutoffs.astype(np.float32),
        shadow_cutoffs=shadow_cutoffs.astype(np.float32),
        blended=np.flatnonzero(see_through[triangle_material]),
        solid=np.flatnonzero(cutoffs[triangle_material] < 0),
        tested=np.flatnonzero(cutoffs[triangle_material] >= 0),
        casting=np.flatnonzero(casts[triangle_material]),
        near_face=_near_face(avatar, surfaces),
    )
    return _with_openness(prepared, _ajar(avatar))


def _weld(surfaces: Sequence[Surface]) -> tuple[Int[np.ndarray, "vertex"], int]:
    """One number for vertices of a surface that coincide at rest and move alike.

    Lips and lids that only touch at rest move apart, so they keep their own normals.
    """
    numbers: list[np.ndarray] = []
    total = 0
    for surface in surfaces:
        rng = np.random.default_rng(0)
        amounts = rng.uniform(0.5, 1.0, len(surface.morphs)).astype(np.float32)
        moved = np.tensordot(amounts, surface.deltas, 1) if len(amounts) else 0.0
        places = np.concatenate([surface.vertices, surface.vertices + moved], 1)
        # A hundredth of a millimetre absorbs the rounding of quantised files.
        _, number = np.unique(np.round(places * 1e5), axis=0, return_inverse=True)
        number = number.reshape(-1)
        numbers.append(number + total)
        total += int(number.max()) + 1 if len(number) else 0
    return np.concatenate(numbers).astype(np.int32), total


def _near_face(
    avatar: Avatar | Sequence[Surface], surfaces: Sequence[Surface]
) -> Int[np.ndarray, "chosen"]:
    vertices = np.concatenate([surface.vertices for surface in surfaces])
    if not isinstance(avatar, Avatar):
        return np.arange(len(vertices))
    eyes = (avatar.face.left_eye + avatar.face.right_eye) / 2.0
    return np.flatnonzero(np.linalg.norm(vertices - eyes, axis=1) < 5.0 * face_unit(avatar.face))


def _ajar(avatar: Avatar | Sequence[Surface]) -> list[np.ndarray]:
    """The pose in which openness is measured: jaw half open, or a closed mouth would hide its
    own inside from the light for ever."""
    surfaces = avatar.surfaces if isinstance(avatar, Avatar) else tuple(avatar)
    if isinstance(avatar, Avatar) and avatar.arkit_to_rig is not None:
        arkit = np.zeros(len(ARKIT), np.float32)
        arkit[ARKIT.index("jawOpen")] = 0.5
        arkit[[ARKIT.index("eyeWideLeft"), ARKIT.index("eyeWideRight")]] = 0.5
        return pose(avatar, avatar.rig.clamp(avatar.arkit_to_rig @ arkit))
    return [surface.vertices for surface in surfaces]


def _with_openness(prepared: PreparedAvatar, posed: Sequence[np.ndarray]) -> PreparedAvatar:
    """Share of the directions around each vertex from which it can be seen."""
    mesh = posed_mesh(prepared, posed)
    normals = mesh.attributes[:, rasterize.NORMAL : rasterize.NORMAL + 3]
    num = 48
    index = np.arange(num) + 0.5
    height, turn = 1.0 - 2.0 * index / num, index * np.pi * (1.0 + 5.0**0.5)
    ring = np.sqrt(1.0 - height**2)
    directions = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], 1)
    seen = np.zeros(len(mesh.vertices), np.float32)
    possible = np.full(len(mesh.vertices), 1e-3, np.float32)
    for direction in directions:
        facing = np.maximum(normals @ direction.astype(np.float32), 0.0)
        depths, matrix = shadow_map(prepared, mesh, direction, 256)
        # Look up a little above the surface, or it would hide itself.
        points = mesh.vertices + normals * (3.0 / np.linalg.norm(matrix[0, :3]))
        xy, nearness = rasterize.project_parallel(points, matrix)
        x, y = np.clip(xy.T // rasterize.SUBPIXELS, 0, 255)
        visible = depths[y, x] <= nearness + 1.5 / np.linalg.norm(matrix[0, :3])
        seen += facing * visible
        possible += facing
    openness = np.clip(seen / possible, 0.0, 1.0)
    sums = np.zeros(prepared.num_welded, np.float64)
    np.add.at(sums, prepared.weld, openness)
    mean = sums / np.maximum(np.bincount(prepared.weld, minlength=prepared.num_welded), 1)
    return replace(prepared, openness=mean[prepared.weld].astype(np.float32))


def posed_mesh(prepared: PreparedAvatar, posed: Sequence[np.ndarray]) -> rasterize.Mesh:
    """All surfaces of one frame, with their normals."""
    vertices = np.ascontiguousarray(np.concatenate(list(posed)), dtype=np.float32)
    if len(vertices) != len(prepared.weld):
        raise ValueError(f"{len(vertices)} posed vertices, the avatar has {len(prepared.weld)}")
    attributes = rasterize.vertex_attributes(
        vertices,
        prepared.triangles,
        prepared.weld,
        prepared.num_welded,
        prepared.uvs,
        prepared.openness,
    )
    return rasterize.Mesh(vertices, prepared.triangles, prepared.triangle_material, attributes)


def face_unit(face: FaceFrame) -> float:
    """The length u that crops are measured in (docs/architecture.md), in metres."""
    eyes = (face.left_eye + face.right_eye) / 2.0
    between = float(np.linalg.norm(face.left_eye - face.right_eye))
    return 0.5 * (between + float(np.linalg.norm(eyes - face.mouth)) / 1.1)


def shadow_map(
    prepared: PreparedAvatar, mesh: rasterize.Mesh, to_light: Float[np.ndarray, "3"], size: int
) -> tuple[Float32[np.ndarray, "size size"], Float32[np.ndarray, "3 4"]]:
    """Nearness seen from the light, and the matrix from the world to it."""
    if size == 0:
        return np.zeros((1, 1), np.float32), np.zeros((3, 4), np.float32)
    backward = to_light / np.linalg.norm(to_light)
    side = np.cross((0.0, 1.0, 0.0) if abs(backward[1]) < 0.9 else (0.0, 0.0, 1.0), backward)
    side /= np.linalg.norm(side)
    covered = mesh.vertices[prepared.near_face]
    low, high = covered.min(0), covered.max(0)
    center, radius = (low + high) / 2.0, float(np.linalg.norm(high - low)) / 2.0 + 1e-6
    scale = size / (2.0 * radius)
    rows = np.stack([side * scale, -np.cross(backward, side) * scale, backward])
    matrix = np.concatenate([rows, -(rows @ center)[:, None]], 1)
    matrix[:2, 3] += size / 2.0
    matrix[2, 3] += 2.0 * radius
    matrix = matrix.astype(np.float32)
    xy, nearness = rasterize.project_parallel(mesh.vertices, matrix)
    depths = np.zeros((size, size), np.float32)
    rasterize.draw_ids(
        rasterize.Projection(xy, nearness, np.ones_like(nearness)),
        mesh,
        prepared.casting,
        prepared.both_sides,
        prepared.shadow_cutoffs,
        prepared.textures,
        np.ascontiguousarray(prepared.colors[:, 3]),
        np.empty((size, size), np.int32),
        depths,
    )
    return depths, matrix
