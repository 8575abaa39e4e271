"""What an avatar is once loaded: surfaces with morphs, a rig, eyes that turn, and a face frame.

World space is right-handed, +Y up, metres; the avatar looks along +Z, its left is +X.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from freeavatar.avatars.arkit import arkit_name
from freeavatar.rig import RigSpec

MaterialKind = Literal["skin", "eye", "cornea", "teeth", "tongue", "hair", "lash", "brow", "other"]
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Material:
    """How a surface looks: the part of glTF's metallic-roughness model that we draw."""

    name: str
    kind: MaterialKind
    base_color: Float[np.ndarray, "4"]
    """Linear RGBA, multiplied with the texture."""
    texture: UInt8[np.ndarray, "height width 4"] | None = None
    """sRGB colour and straight alpha."""
    alpha_mode: Literal["opaque", "mask", "blend"] = "opaque"
    alpha_cutoff: float = 0.5
    double_sided: bool = False
    roughness: float = 0.6
    emissive: bool = False
    """Unlit (KHR_materials_unlit, MToon): base colour shown without light."""


@dataclass(frozen=True)
class Surface:
    """One drawable part of the avatar, in world space at rest."""

    name: str
    vertices: Float[np.ndarray, "vertex 3"]
    triangles: Int[np.ndarray, "triangle 3"]
    uvs: Float[np.ndarray, "vertex 2"]
    """glTF texture coordinates: (0, 0) is the first texel of the first row."""
    material: Material
    morphs: Int[np.ndarray, "morph"]
    """Which of the avatar's morph weights move this surface."""
    deltas: Float[np.ndarray, "morph vertex 3"]
    head_share: Float[np.ndarray, "vertex"] | None = None
    """How far each vertex follows the turning head, 0 to 1 (a bust stays); None: it all does."""


@dataclass(frozen=True)
class Eye:
    """An eyeball that turns about its own centre; gaze controls rotate it."""

    side: Side
    node: str | None
    """glTF node that an exported animation rotates; None when the eye is only vertices."""
    pivot: Float[np.ndarray, "3"]
    vertices: tuple[Int[np.ndarray, "_"], ...]
    """For every surface of the avatar, the vertices that turn with this eye."""
    yaw_range_rad: float = 0.49
    """Turn at eyeLookIn or eyeLookOut = 1 (28 degrees)."""
    pitch_range_rad: float = 0.38
    """Turn at eyeLookUp or eyeLookDown = 1 (22 degrees)."""


@dataclass(frozen=True)
class FaceFrame:
    """Where the face is at rest; everything that crops or frames a face starts here."""

    left_eye: Float[np.ndarray, "3"]
    """Centre of the character's left eye."""
    right_eye: Float[np.ndarray, "3"]
    mouth: Float[np.ndarray, "3"]
    """Centre between the lips."""
    neck: Float[np.ndarray, "3"]
    """Pivot of head rotation."""


@dataclass(frozen=True)
class Avatar:
    """A character that can be posed by the controls of its rig.

    morph weights = bindings @ controls, so a control may drive several morphs (teeth that follow
    the jaw) and two controls may share one. Gaze controls (eyeLook*) also turn `eyes`.
    """

    name: str
    rig: RigSpec
    surfaces: tuple[Surface, ...]
    morph_names: tuple[str, ...]
    bindings: Float[np.ndarray, "morph control"]
    eyes: tuple[Eye, ...]
    face: FaceFrame
    arkit_to_rig: Float[np.ndarray, "control arkit"] | None
    """Controls = clamp(arkit_to_rig @ ARKit values); None when nothing is known about the names."""
    licence: str = ""
    source: str = ""
    """Path of the file the avatar came from."""

    @cached_property
    def gaze_columns(self) -> dict[tuple[Side, str], int]:
        """Controls that turn the eyes, by side and direction (Down, In, Out, Up)."""
        columns: dict[tuple[Side, str], int] = {}
        for column, name in enumerate(self.rig.names):
            known = arkit_name(name) or ""
            if known.startswith("eyeLook"):
                side: Side = "left" if known.endswith("Left") else "right"
                direction = known.removeprefix("eyeLook").removesuffix(side.capitalize())
                columns[side, direction] = column
        return columns


def pose(
    avatar: Avatar,
    controls: Float[np.ndarray, "control"],
    head_rad: Sequence[float] | Float[np.ndarray, "3"] | None = None,
) -> list[Float[np.ndarray, "_ 3"]]:
    """Vertices of every surface for one frame: morphs, then eyes, then the head about the neck.

    `head_rad` is (yaw, pitch, roll) as in AnimationClip.
    """
    if np.shape(controls) != (len(avatar.rig),):
        raise ValueError(f"{avatar.name} has {len(avatar.rig)} controls, got {np.shape(controls)}")
    weights = avatar.bindings @ np.asarray(controls, np.float32)
    posed = [_morphed(surface, weights[surface.morphs]) for surface in avatar.surfaces]
    for eye in avatar.eyes:
        yaw_rad, pitch_rad = gaze_angles(avatar, eye, controls)
        if yaw_rad or pitch_rad:
            _turn(posed, eye.vertices, rotation(yaw_rad, pitch_rad), eye.pivot)
    if head_rad is not None and any(head_rad):
        turn = rotation(*(float(angle) for angle in head_rad)).T.astype(np.float32)
        for surface, vertices in zip(avatar.surfaces, posed, strict=True):
            turned = (vertices - avatar.face.neck) @ turn + avatar.face.neck
            if surface.head_share is not None:
                turned = vertices + surface.head_share[:, None] * (turned - vertices)
            vertices[:] = turned
    return posed


def _morphed(
    surface: Surface, weights: Float[np.ndarray, "morph"]
) -> Float[np.ndarray, "vertex 3"]:
    vertices = surface.vertices.copy()
    active = np.flatnonzero(weights)
    if 2 * len(active) < len(weights):
        for morph in active:
            vertices += weights[morph] * surface.deltas[morph]
    elif len(weights):
        vertices += np.dot(weights, surface.deltas.reshape(len(weights), -1)).reshape(-1, 3)
    return vertices


def _turn(
    posed: list[Float[np.ndarray, "_ 3"]],
    moving: Sequence[Int[np.ndarray, "_"]],
    turn: Float[np.ndarray, "3 3"],
    pivot: Float[np.ndarray, "3"],
) -> None:
    for vertices, rows in zip(posed, moving, strict=True):
        if len(rows):
            vertices[rows] = (vertices[rows] - pivot) @ turn.T.astype(np.float32) + pivot


def rotation(yaw_rad: float, pitch_rad: float, roll_rad: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """Ry(yaw) @ Rx(pitch) @ Rz(roll): yaw > 0 to its left, pitch > 0 down."""
    (cy, cp, cr) = np.cos([yaw_rad, pitch_rad, roll_rad])
    (sy, sp, sr) = np.sin([yaw_rad, pitch_rad, roll_rad])
    around_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    around_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    around_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return around_y @ around_x @ around_z


def gaze_angles(
    avatar: Avatar, eye: Eye, controls: Float[np.ndarray, "control"]
) -> tuple[float, float]:
    """Turn (yaw, pitch) of one eye in radians for these controls."""
    value = {
        direction: float(controls[column])
        for (side, direction), column in avatar.gaze_columns.items()
        if side == eye.side
    }
    inward = value.get("In", 0.0) - value.get("Out", 0.0)
    down = value.get("Down", 0.0) - value.get("Up", 0.0)
    sign = -1.0 if eye.side == "left" else 1.0  # the left eye turns to its left when it looks out
    return sign * inward * eye.yaw_range_rad, down * eye.pitch_range_rad
