"""The people in training pictures: avatars reduced to what a face crop shows, ready to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.avatars.avatar import Avatar, Eye, Surface, pose
from freeavatar.avatars.scene import PreparedAvatar, face_unit, prepare
from freeavatar.datasets.render_variation import DOWN_FROM_EYES, SIDE_IN_U
from freeavatar.rig import ARKIT

_REACH_IN_U = 0.5 * SIDE_IN_U * 2.0**0.5 + 0.6
"""Half the crop's diagonal and some more: what is farther from its centre is hardly ever seen."""

_SEEN_MOVE_IN_U = 0.012
"""A control that moves nothing by this much (under a pixel) is not shown."""


@dataclass(frozen=True)
class Actor:
    """An avatar that plays in training pictures."""

    name: str
    avatar: Avatar
    """Cut to the head."""
    prepared: PreparedAvatar
    shows: Bool[np.ndarray, "52"]
    """ARKit controls that change this face."""

    def controls(self, arkit: Float[np.ndarray, "52"]) -> Float[np.ndarray, "control"]:
        """The avatar's own controls for ARKit values."""
        assert self.avatar.arkit_to_rig is not None
        return self.avatar.rig.clamp(self.avatar.rig.rest + self.avatar.arkit_to_rig @ arkit)


def make_actor(avatar: Avatar) -> Actor:
    """Cut, prepare, and find out what this avatar can show."""
    if avatar.arkit_to_rig is None:
        raise ValueError(f"{avatar.name} cannot play: its controls are not known by name")
    small = _one_sided(cut_to_face(avatar))
    return Actor(small.name, small, prepare(small), shown_controls(small))


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


def shown_controls(avatar: Avatar) -> Bool[np.ndarray, "52"]:
    """ARKit controls at 1 that move some vertex visibly; a mouth is opened first for its tongue."""
    assert avatar.arkit_to_rig is not None
    smallest = _SEEN_MOVE_IN_U * face_unit(avatar.face)
    shows = np.zeros(len(ARKIT), bool)
    for column, name in enumerate(ARKIT.names):
        values = np.zeros(len(ARKIT), np.float32)
        # Lips close over an open jaw, the tongue comes out of one: by themselves they are clamped.
        if name in ("mouthClose", "tongueOut"):
            values[ARKIT.index("jawOpen")] = 0.6
        before = pose(avatar, avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ values))
        values[column] = 1.0
        after = pose(avatar, avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ values))
        moved = [np.abs(a - b).max(initial=0.0) for a, b in zip(after, before, strict=True)]
        shows[column] = max(moved) > smallest
    return shows
