"""Which parts of MakeHuman's base mesh make a bust, and where they lie in our texture.

Everything here is measured on the base mesh, so that it holds for every person made from it:
painting and hair are done in these canonical coordinates (decimetres, see anny.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from heads.anny import AnnyData

BODY = slice(0, 13380)
TONGUE = slice(13380, 13606)
JOINT_NECK = slice(14534, 14542)
JOINT_HEAD = slice(14070, 14078)
LEFT_EYE = slice(14598, 14670)
RIGHT_EYE = slice(14670, 14742)
LOWER_TEETH = slice(14992, 15060)
UPPER_TEETH = slice(15060, 15128)

HEAD_AXIS_Z = 0.25
"""The vertical axis through the skull, around which the texture is wrapped."""
HEAD_MIDDLE_Y = 7.0
TEXTURE_TOP, TEXTURE_BOTTOM = 2.3, -2.0


@dataclass(frozen=True)
class Part:
    """Triangles on base-mesh vertices; `source` says which base vertex each vertex copies."""

    source: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray


@dataclass(frozen=True)
class CutPart:
    """Triangles whose vertices lie on edges of the base mesh: (1 - share) * a + share * b."""

    ends: np.ndarray
    share: np.ndarray
    triangles: np.ndarray

    def carry(self, values: np.ndarray) -> np.ndarray:
        """Values of the base mesh's vertices, interpolated to the vertices of the part."""
        t = self.share[:, None]
        return (1 - t) * values[self.ends[:, 0]] + t * values[self.ends[:, 1]]


class Anatomy:
    """The parts of the bust on the base mesh."""

    def __init__(self, data: AnnyData) -> None:
        self.base = data.base
        self.rest = data.base.vertices
        self.lip = data.mask_at_vertices("lips")
        self.ear = data.mask_at_vertices("ears")
        self.eyelid = data.mask_at_vertices("eyelids")
        body = self.base.groups == "body"
        self._quads = self.base.quads[body]
        middle = self.base.quad_uvs[body].mean(axis=1)
        centre = self.rest[self._quads].mean(axis=1)
        self._inside_mouth = (
            (middle[:, 0] > 0.75)
            & (middle[:, 0] < 0.93)
            & (middle[:, 1] < 0.145)
            & (centre[:, 1] > 5.9)
            & (np.abs(centre[:, 0]) < 0.5)
        )
        self._centre = centre

    @cached_property
    def skin(self) -> Part:
        x, y, z = self._centre.T
        # Ends behind the collar: what lies under the shirt turns with the head and comes through.
        shown = (y > neckline(z) + 0.05) & (np.abs(x) < 1.3) & ~self._inside_mouth
        return self._wrapped(self._quads[shown])

    @cached_property
    def mouth(self) -> Part:
        source, triangles = compact(_triangles(self._quads[self._inside_mouth]))
        depth = np.clip((1.45 - self.rest[source, 2]) / 0.9, 0.0, 1.0)
        return Part(source, triangles, np.stack([np.full(len(source), 0.5), depth], axis=1))

    @cached_property
    def shirt(self) -> CutPart:
        """The shoulders below the collar, cut cleanly along it and around the bust."""
        x, y, z = self._centre.T
        near = (y < neckline(z) + 0.6) & (y > 3.4) & (np.abs(x) < 2.4)
        return cut_out(self.rest, _triangles(self._quads[near]), (_below_collar, _in_bust))

    @cached_property
    def teeth(self) -> tuple[Part, Part]:
        """Upper and lower teeth; U runs along the arch, V from the gum (0) to the edge (1)."""
        parts = []
        for name, rows, down in (
            ("helper-upper-teeth", UPPER_TEETH, True),
            ("helper-lower-teeth", LOWER_TEETH, False),
        ):
            source, triangles = compact(_triangles(self.base.quads_of(name)))
            points = self.rest[source]
            low, high = self.rest[rows, 1].min(), self.rest[rows, 1].max()
            angle = np.arctan2(points[:, 0], points[:, 2] - 1.0) / np.pi
            height = (points[:, 1] - low) / (high - low)
            uvs = np.stack([0.5 + 0.8 * angle, 1.0 - height if down else height], axis=1)
            parts.append(Part(source, triangles, np.clip(uvs, 0.0, 1.0)))
        return parts[0], parts[1]

    @cached_property
    def tongue(self) -> Part:
        source, triangles = compact(_triangles(self.base.quads_of("helper-tongue")))
        points = self.rest[source]
        low, high = points.min(axis=0), points.max(axis=0)
        scaled = (points - low) / (high - low)
        return Part(source, triangles, np.stack([scaled[:, 0], 1.0 - scaled[:, 2]], axis=1))

    @cached_property
    def lashes(self) -> Part:
        """Lash strips; U along the lid, V from root (0.5) to tip (0 above, 1 below)."""
        sources, triangles, uvs = [], [], []
        offset = 0
        for side, eye in (("l", LEFT_EYE), ("r", RIGHT_EYE)):
            for strip, below in (("1", True), ("2", False)):
                quads = self.base.quads_of(f"helper-{side}-eyelashes-{strip}")
                source, local = compact(_triangles(quads))
                uvs.append(self._lash_uvs(source, self.rest[eye].mean(axis=0), below))
                sources.append(source)
                triangles.append(local + offset)
                offset += len(source)
        return Part(np.concatenate(sources), np.concatenate(triangles), np.concatenate(uvs))

    def _lash_uvs(self, source: np.ndarray, eye: np.ndarray, below: bool) -> np.ndarray:
        points = self.rest[source] - eye
        distance = np.linalg.norm(points, axis=1)
        along = np.abs(points[:, 0] + eye[0])
        along = (along - along.min()) / np.ptp(along)
        # The strip hugs the lid at about the same distance everywhere, and flares outwards.
        near = np.array([distance[np.abs(along - a) < 0.12].min() for a in along])
        far = np.array([distance[np.abs(along - a) < 0.12].max() for a in along])
        tip = np.clip((distance - near) / np.maximum(far - near, 1e-6), 0.0, 1.0)
        row = 0.5 + 0.5 * tip if below else 0.5 - 0.5 * tip
        return np.stack([along, row], axis=1)

    def _wrapped(self, quads: np.ndarray) -> Part:
        """Quads with head texture coordinates, cut along the midline of the back."""
        uvs = wrap_uv(self.rest)
        triangles = _triangles(quads)
        on_seam = (np.abs(self.rest[:, 0]) < 1e-6) & (self.rest[:, 2] < HEAD_AXIS_Z)
        right = self.rest[triangles][..., 0].mean(axis=1) < 0
        key = triangles + np.where(right[:, None] & on_seam[triangles], len(self.rest), 0)
        uvs = np.concatenate([uvs, uvs])
        uvs[: len(self.rest)][on_seam, 0] = 1.0
        uvs[len(self.rest) :][on_seam, 0] = 0.0
        kept, local = compact(key)
        return Part(kept % len(self.rest), local, uvs[kept])


def neckline(z: np.ndarray) -> np.ndarray:
    """Height of the collar: higher at the back than in front."""
    return 5.98 - 0.42 * np.clip(z + 0.1, -0.6, 1.2)


def _below_collar(points: np.ndarray) -> np.ndarray:
    return neckline(points[:, 2]) - points[:, 1]


def _in_bust(points: np.ndarray) -> np.ndarray:
    return 1.0 - (points[:, 0] / 1.75) ** 2 - ((points[:, 1] - 6.0) / 1.6) ** 2


def cut_out(
    points: np.ndarray,
    triangles: np.ndarray,
    levels: tuple[Callable[[np.ndarray], np.ndarray], ...],
) -> CutPart:
    """The part of a surface where every level is positive; cut edges end exactly at zero.

    A vertex made by one cut is taken as it is by the next, which is right as long as the cuts
    do not cross.
    """
    ends = [(i, i) for i in range(len(points))]
    share = [0.0] * len(points)
    where = [tuple(p) for p in points]
    for level in levels:
        value = level(np.array(where))
        made: dict[tuple[int, int], int] = {}

        def between(a: int, b: int, value: np.ndarray = value, made: dict = made) -> int:
            key = (min(a, b), max(a, b))
            if key not in made:
                a, b = key
                t = float(value[a] / (value[a] - value[b]))
                made[key] = len(ends)
                ends.append((ends[a][0], ends[b][0]))
                share.append(t)
                where.append(tuple((1 - t) * np.array(where[a]) + t * np.array(where[b])))
            return made[key]

        kept: list[list[int]] = []
        for triangle in triangles.tolist():
            outline: list[int] = []
            for a, b in zip(triangle, triangle[1:] + triangle[:1], strict=True):
                if value[a] > 0:
                    outline.append(a)
                if (value[a] > 0) != (value[b] > 0):
                    outline.append(between(a, b))
            kept += [[outline[0], *outline[i : i + 2]] for i in range(1, len(outline) - 1)]
        triangles = np.array(kept)
    used, local = compact(triangles)
    return CutPart(np.array(ends)[used], np.array(share)[used], local)


def wrap_uv(points: np.ndarray) -> np.ndarray:
    """Texture coordinates of canonical points: wrapped around the head, the face in the middle.

    The face gets three times the texels of the back of the head.
    """
    x, y, z = points[:, 0], points[:, 1], points[:, 2] - HEAD_AXIS_Z
    turn = np.arctan2(x, z) / np.pi
    u = 0.5 + 0.5 * (1.5 * turn - 0.5 * turn * np.abs(turn))
    rise = y - HEAD_MIDDLE_Y
    arc = np.where(rise > 0, 1.4 * np.arctan2(rise, np.hypot(x, z)), rise)
    v = (TEXTURE_TOP - arc) / (TEXTURE_TOP - TEXTURE_BOTTOM)
    return np.stack([u, np.clip(v, 0.0, 1.0)], axis=1)


def compact(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices in use, and the triangles in their numbering."""
    source, local = np.unique(triangles, return_inverse=True)
    return source, local.reshape(triangles.shape)


def _triangles(quads: np.ndarray) -> np.ndarray:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
