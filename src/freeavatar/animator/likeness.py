"""The weak teacher for rigs whose names say nothing: which controls move a face as ARKit's do.

Movements of the skin are compared on a grid laid over the face by its eyes and mouth; each ARKit
movement of a reference head is put together from the rig's own, with weights
from nothing to a little more than all.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import lsq_linear

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import resolve
from freeavatar.rig import ARKIT

REFERENCE_HEAD = "ada"
_COLUMNS, _ROWS = 24, 28
_HALF_WIDTH, _ABOVE, _BELOW = 1.5, 1.0, 2.1
"""Of the grid: in distances between the eyes, and in distances from the eyes to the mouth."""
_RIDGE = 0.15
"""Price of a control's full strength, as a share of the movement that is looked for: faint controls
are not worth it, and two that look the same share a movement evenly."""
MOST = 1.3
"""A control cannot give more than it has; without a bound faint ones would be blown up."""
MIN_EXPLAINED = 0.3
"""A movement of which less can be shown is not shown: half a likeness is none."""
_SMALL = 0.12
"""Weights below this are noise of the fit."""


def movement_grid(
    avatar: Avatar, moves: Float[np.ndarray, "move morph"]
) -> Float[np.ndarray, "move cell_axis"]:
    """How far each cell of the face's front moves, in distances between the eyes.

    `moves` are morph weights. Cells average the skin vertices that face the viewer within them.
    """
    face = avatar.face
    middle = (face.left_eye + face.right_eye) / 2.0
    apart = max(float(np.linalg.norm(face.left_eye - face.right_eye)), 1e-6)
    down = max(float(middle[1] - face.mouth[1]), 0.3 * apart)
    total = np.zeros((len(moves), _ROWS * _COLUMNS, 3))
    count = np.zeros(_ROWS * _COLUMNS)
    front = middle[2] - 1.2 * apart
    for surface in avatar.surfaces:
        if not len(surface.morphs) or surface.material.kind not in ("skin", "other"):
            continue
        x = (surface.vertices[:, 0] - middle[0]) / apart
        y = (middle[1] - surface.vertices[:, 1]) / down
        inside = (np.abs(x) < _HALF_WIDTH) & (y > -_ABOVE) & (y < _BELOW)
        rows = np.flatnonzero(inside & (surface.vertices[:, 2] > front))
        column = ((x[rows] + _HALF_WIDTH) / (2 * _HALF_WIDTH) * _COLUMNS).astype(np.int64)
        row = ((y[rows] + _ABOVE) / (_ABOVE + _BELOW) * _ROWS).astype(np.int64)
        cell = np.minimum(row, _ROWS - 1) * _COLUMNS + np.minimum(column, _COLUMNS - 1)
        moved = np.tensordot(moves[:, surface.morphs], surface.deltas[:, rows], axes=1) / apart
        np.add.at(count, cell, 1.0)
        for number in range(len(moves)):
            np.add.at(total[number], cell, moved[number])
    return (total / np.maximum(count, 1.0)[None, :, None]).reshape(len(moves), -1)


def geometry_map(
    avatar: Avatar, reference: Avatar | None = None
) -> Float[np.ndarray, "control 52"]:
    """Controls = clamp(map @ ARKit values), found by shape alone; zero rows where nothing is like.

    Gaze is left out: eyes turn by their bones, whose controls have ARKit's names.
    """
    reference = reference or resolve(REFERENCE_HEAD)
    assert reference.arkit_to_rig is not None  # bundled heads are understood
    wanted = movement_grid(reference, (reference.bindings @ reference.arkit_to_rig).T)
    own = movement_grid(avatar, avatar.bindings.T)
    strength = np.linalg.norm(own, axis=1)
    # Gaze controls have ARKit's names; the lids that follow them must not pass for a blink.
    looks = np.array([control.region == "gaze" for control in avatar.rig.controls])
    usable = np.flatnonzero((strength > 1e-4) & ~looks)
    mapping = np.zeros((len(avatar.rig), len(ARKIT)), np.float32)
    if not len(usable):
        return mapping
    basis = own[usable].T
    for column, movement in enumerate(wanted):
        length = float(np.linalg.norm(movement))
        if length < 1e-4 or ARKIT.controls[column].region == "gaze":
            continue
        fit = lsq_linear(
            np.vstack([basis, _RIDGE * length * np.eye(len(usable))]),
            np.concatenate([movement, np.zeros(len(usable))]),
            (0.0, MOST),
            method="bvls",
        )
        weights = fit.x
        explained = 1.0 - float(np.sum((basis @ weights - movement) ** 2)) / length**2
        if explained >= MIN_EXPLAINED:
            mapping[usable, column] = np.where(weights > _SMALL, weights, 0.0)
    return mapping


def understood(avatar: Avatar, by_name: bool = True) -> Float[np.ndarray, "control 52"]:
    """The map by name where names are known, by shape for all other controls."""
    if by_name and avatar.arkit_to_rig is not None:
        return avatar.arkit_to_rig
    mapping = geometry_map(avatar)
    if by_name or avatar.arkit_to_rig is None:
        return mapping
    gaze = ARKIT.columns("gaze")
    mapping[:, gaze] = avatar.arkit_to_rig[:, gaze]
    return mapping
