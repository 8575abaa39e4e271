"""The people in training pictures: avatars reduced to what a face crop shows, ready to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.avatars.avatar import Avatar, Eye, Surface, pose
from freeavatar.avatars.catalog import CANONICAL_HEAD, resolve
from freeavatar.avatars.scene import PreparedAvatar, face_unit, prepare
from freeavatar.datasets.render_variation import DOWN_FROM_EYES, SIDE_IN_U
from freeavatar.rig import ARKIT

_REACH_IN_U = 0.5 * SIDE_IN_U * 2.0**0.5 + 0.6
"""Half the crop's diagonal and some more: what is farther from its centre is hardly ever seen."""

_SEEN_MOVE_IN_U = 0.03
"""A control that moves no patch of the face by this much, 2 of 224 pixels, is not shown."""
_PATCH_IN_U2 = 0.02
"""That patch: about 10 x 10 of 224 pixels."""
_LIVING, _MOUTH = ("skin", "eye", "tongue"), ("tongue", "teeth")
_STRONGEST = 1.5
_COMPLETE = (
    "eyeBlink", "eyeLook", "jawOpen", "mouthClose", "tongueOut",
)  # fmt: skip
"""Controls whose end is the same on every face, however far it is: a shut eye is shut."""


@dataclass(frozen=True)
class Actor:
    """An avatar that plays in training pictures."""

    name: str
    avatar: Avatar
    """Cut to the head."""
    prepared: PreparedAvatar
    shows: Bool[np.ndarray, "52"]
    """ARKit controls that change this face visibly."""
    strength: Float[np.ndarray, "52"]
    """How far each moves this face, as a share of what it does to the canonical head."""

    def controls(self, arkit: Float[np.ndarray, "52"]) -> Float[np.ndarray, "control"]:
        """The avatar's own controls for ARKit values."""
        assert self.avatar.arkit_to_rig is not None
        return self.avatar.rig.clamp(self.avatar.rig.rest + self.avatar.arkit_to_rig @ arkit)


def make_actor(avatar: Avatar) -> Actor:
    """Cut, prepare, and find out what this avatar can show."""
    if avatar.arkit_to_rig is None:
        raise ValueError(f"{avatar.name} cannot play: its controls are not known by name")
    small = _one_sided(cut_to_face(avatar))
    reach = control_reach(small)
    shows = np.asarray(reach > _SEEN_MOVE_IN_U)
    return Actor(small.name, small, prepare(small), shows, _strength(reach))


def _one_sided(avatar: Avatar) -> Avatar:
    """Closed surfaces without their inner sides: the same pictures in half of the time."""
    closed = ("skin", "eye", "teeth", "tongue")
    surfaces = tuple(
        replace(s, material=replace(s.material, double_sided=False))
        if s.material.kind in closed and s.material.alpha_mode == "opaque"
        else s
        for s in avatar.surfaces
    )
    return replace(avatar, surfaces=surfaces)


def cut_to_face(avatar: Avatar) -> Avatar:
    """Without the triangles that lie outside every face crop, and without their vertices."""
    unit = face_unit(avatar.face)
    center = (avatar.face.left_eye + avatar.face.right_eye) / 2.0
    center = center - np.array([0.0, DOWN_FROM_EYES * unit, 0.0])
    surfaces: list[Surface] = []
    kept_rows: list[np.ndarray] = []
    for surface in avatar.surfaces:
        near = np.linalg.norm(surface.vertices - center, axis=1) < _REACH_IN_U * unit
        triangles = surface.triangles[near[surface.triangles].any(1)]
        used = np.unique(triangles)
        new_row = np.full(len(surface.vertices), -1, np.int64)
        new_row[used] = np.arange(len(used))
        kept_rows.append(new_row)
        surfaces.append(
            replace(
                surface,
                vertices=surface.vertices[used],
                triangles=new_row[triangles].astype(np.int32).reshape(-1, 3),
                uvs=surface.uvs[used],
                head_share=None if surface.head_share is None else surface.head_share[used],
                deltas=np.ascontiguousarray(surface.deltas[:, used]),
            )
        )
    eyes = tuple(_renumbered(eye, kept_rows) for eye in avatar.eyes)
    filled = [i for i, surface in enumerate(surfaces) if len(surface.triangles)]
    eyes = tuple(replace(eye, vertices=tuple(eye.vertices[i] for i in filled)) for eye in eyes)
    return replace(avatar, surfaces=tuple(surfaces[i] for i in filled), eyes=eyes)


def _renumbered(eye: Eye, kept_rows: list[np.ndarray]) -> Eye:
    vertices = []
    for rows, new_row in zip(eye.vertices, kept_rows, strict=True):
        moved = new_row[rows]
        vertices.append(moved[moved >= 0])
    return replace(eye, vertices=tuple(vertices))


def control_reach(avatar: Avatar) -> Float[np.ndarray, "52"]:
    """How far each ARKit control at 1 moves the face, in u: what the patch of skin, eye or tongue
    that moves most goes at least. A mouth is opened first for its tongue and its closing."""
    living, mouth = (_surfaces_of(avatar, kinds) for kinds in (_LIVING, _MOUTH))
    reach = np.zeros(len(ARKIT))
    for column, name in enumerate(ARKIT.names):
        values = np.zeros(len(ARKIT), np.float32)
        # Lips close over an open jaw, the tongue comes out of one: by themselves they are clamped.
        if name in ("mouthClose", "tongueOut"):
            values[ARKIT.index("jawOpen")] = 0.6
        others = values.copy()
        values[column] = 1.0
        # Some tongues are of one piece with the teeth.
        reach[column] = _reach(avatar, others, values, mouth if name == "tongueOut" else living)
    return reach


def _surfaces_of(avatar: Avatar, kinds: tuple[str, ...]) -> list[int]:
    found = [i for i, s in enumerate(avatar.surfaces) if s.material.kind in kinds]
    return found or list(range(len(avatar.surfaces)))


def _reach(
    avatar: Avatar,
    before: Float[np.ndarray, "52"],
    after: Float[np.ndarray, "52"],
    surfaces: list[int],
) -> float:
    """How far the patch that moves most goes at least between two expressions, in u."""
    assert avatar.arkit_to_rig is not None
    one, other = (
        pose(avatar, avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ values))
        for values in (before, after)
    )
    unit = face_unit(avatar.face)
    moved = np.concatenate([np.linalg.norm(other[i] - one[i], axis=1) for i in surfaces])
    areas = np.concatenate([_vertex_areas(avatar.surfaces[i]) for i in surfaces]) / unit**2
    order = np.argsort(-moved)
    edge = int(np.searchsorted(np.cumsum(areas[order]), _PATCH_IN_U2))
    return float(moved[order[min(edge, len(order) - 1)]] / unit)


def _vertex_areas(surface: Surface) -> Float[np.ndarray, "vertex"]:
    """A third of every triangle that touches it."""
    corners = surface.vertices[surface.triangles].astype(np.float64)
    edges = corners[:, 1:] - corners[:, :1]
    thirds = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 6.0
    return np.bincount(
        surface.triangles.ravel(), np.repeat(thirds, 3), minlength=len(surface.vertices)
    )


@cache
def _canonical_reach() -> Float[np.ndarray, "52"]:
    return control_reach(cut_to_face(resolve(CANONICAL_HEAD)))


def _strength(reach: Float[np.ndarray, "52"]) -> Float[np.ndarray, "52"]:
    """Reach as a share of the canonical head's; 1 for what ends alike on every face."""
    share = np.clip(reach / np.maximum(_canonical_reach(), 1e-6), 0.0, _STRONGEST)
    whole = np.array([name.startswith(_COMPLETE) for name in ARKIT.names])
    return np.where(whole, 1.0, share)
