"""What an avatar is once loaded: surfaces with morphs, a rig, eyes that turn, and a face frame.

World space is right-handed, +Y up, metres; the avatar looks along +Z, its left is +X.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

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


@dataclass(frozen=True)
class Eye:
    """An eyeball that turns about its own centre; gaze controls rotate it."""

    side: Side
    node: str | None
    """glTF node that an exported animation rotates; None when the eye is only vertices."""
    pivot: Float[np.ndarray, "3"]
    vertices: tuple[Int[np.ndarray, "moved"], ...]
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


def pose(
    avatar: Avatar,
    controls: Float[np.ndarray, "control"],
    head_rad: Sequence[float] | None = None,
) -> list[Float[np.ndarray, "vertex 3"]]:
    """Vertices of every surface for one frame: morphs, then eyes, then the head about the neck.

    `head_rad` is (yaw, pitch, roll) as in AnimationClip.
    """
    raise NotImplementedError
