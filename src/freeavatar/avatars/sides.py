"""Checks by geometry what names say about left and right, and corrects the ARKit map.

Some rigs call left what the viewer sees on the left, and some get single controls wrong (in the
Vitruvian rig Frown_Left pulls the right corner): a wink must never change sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.avatar import Surface
from freeavatar.rig import ARKIT, mirror_name

# Controls without a side of their own that move things sideways.
SIDEWAYS = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")

CLEAR_SIDE = 0.15
"""A movement is on one side when its centre is this share of its own reach off the middle."""
CLEAR_DRIFT = 0.3
"""A movement goes sideways when this share of it does."""


def with_true_sides(
    mapping: Float[np.ndarray, "control arkit"],
    bindings: Float[np.ndarray, "morph control"],
    surfaces: Sequence[Surface],
) -> Float[np.ndarray, "control arkit"]:
    """The map with Left and Right exchanged for controls that move the other side of the face."""
    middle = _middle(surfaces)
    corrected = mapping.copy()
    for control, row in enumerate(mapping):
        weights = bindings[:, control]
        if said := _said_side(row):
            seen = _seen_side(weights, surfaces, middle)
        elif said := _said_direction(row):
            seen = _seen_direction(weights, surfaces)
        else:
            continue
        if said * seen < 0:
            corrected[control] = row[_MIRROR]
    return corrected


_MIRROR = np.array([ARKIT.index(mirror_name(name)) for name in ARKIT.names])
_SIDE = np.array(
    [
        0
        if name in SIDEWAYS
        else 1
        if name.endswith("Left")
        else -1
        if name.endswith("Right")
        else 0
        for name in ARKIT.names
    ]
)
_DIRECTION = np.array(
    [0 if name not in SIDEWAYS else 1 if name.endswith("Left") else -1 for name in ARKIT.names]
)


def _said_side(row: Float[np.ndarray, "arkit"]) -> int:
    """1 for a control of the left half, -1 for the right, 0 for both or neither."""
    sides = set(_SIDE[row > 0].tolist()) - {0}
    return sides.pop() if len(sides) == 1 else 0


def _said_direction(row: Float[np.ndarray, "arkit"]) -> int:
    directions = set(_DIRECTION[row > 0].tolist()) - {0}
    return directions.pop() if len(directions) == 1 and not _SIDE[row > 0].any() else 0


def _moves(
    weights: Float[np.ndarray, "morph"], surfaces: Sequence[Surface]
) -> list[tuple[Float[np.ndarray, "_ 3"], Float[np.ndarray, "_ 3"]]]:
    """Positions and movements of all vertices that a control moves."""
    moves = []
    for surface in surfaces:
        active = np.flatnonzero(weights[surface.morphs])
        if len(active):
            moved = np.tensordot(weights[surface.morphs[active]], surface.deltas[active], axes=1)
            rows = np.flatnonzero(moved.any(axis=1))
            moves.append((surface.vertices[rows], moved[rows].astype(np.float64)))
    return moves


def _seen_side(
    weights: Float[np.ndarray, "morph"], surfaces: Sequence[Surface], middle: float
) -> int:
    total = mean = spread = 0.0
    for places, moved in _moves(weights, surfaces):
        amount = (moved**2).sum(axis=1)
        off = places[:, 0].astype(np.float64) - middle
        total += float(amount.sum())
        mean += float(amount @ off)
        spread += float(amount @ np.abs(off))
    if total <= 0 or abs(mean) < CLEAR_SIDE * spread:
        return 0
    return 1 if mean > 0 else -1


def _seen_direction(weights: Float[np.ndarray, "morph"], surfaces: Sequence[Surface]) -> int:
    sideways = reach = 0.0
    for _, moved in _moves(weights, surfaces):
        sideways += float(moved[:, 0].sum())
        reach += float(np.linalg.norm(moved, axis=1).sum())
    if reach <= 0 or abs(sideways) < CLEAR_DRIFT * reach:
        return 0
    return 1 if sideways > 0 else -1


def _middle(surfaces: Sequence[Surface]) -> float:
    """x of the plane between left and right: the middle of all that morphs move."""
    moving = [
        surface.vertices[np.abs(surface.deltas).max(axis=(0, 2)) > 0, 0]
        for surface in surfaces
        if len(surface.morphs)
    ]
    xs = np.concatenate([part for part in moving if len(part)] or [np.zeros(1)])
    return 0.5 * float(xs.min() + xs.max())
