"""The geometric link between two control sets on one topology: which values of one rig move the
skin most nearly as a control of the other does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from freeavatar.rig import ARKIT_NAMES, region_of
from heads.anatomy import BODY
from heads.shape import Shape

SMALLEST = 0.02
"""Weights below this are left out: they are fitted noise."""

PARTNERS = {
    "brow": {"brow"},
    "eye": {"eye"},
    "jaw": {"mouth"},
    "mouth": {"mouth", "other"},
    "cheek": {"mouth", "eye"},
    "nose": {"nose", "mouth"},
    "tongue": set[str](),
    "gaze": set[str](),
}
"""Regions of the target rig that may answer to a region of ARKit: a raised brow is never a lid."""


def arkit_to_rig(
    shape: Shape, arkit: np.ndarray, units: np.ndarray, names: Sequence[str]
) -> np.ndarray:
    """Non-negative weights [unit, 52]: controls = clamp(weights @ ARKit values).

    Every ARKit unit is fitted by itself, on the skin that its region and its partners move.
    """
    weights = np.zeros((len(units), len(ARKIT_NAMES)))
    regions = [region_of(name) for name in names]
    skin = units[:, BODY]
    for column, name in enumerate(ARKIT_NAMES):
        region = region_of(name)
        target = arkit[column, BODY]
        allowed = [i for i, r in enumerate(regions) if r in PARTNERS[region]]
        if not allowed:
            continue
        moved = np.linalg.norm(target, axis=1)
        # Where the unit itself moves counts in full; elsewhere only enough to forbid side effects.
        importance = np.sqrt(0.15 + moved / max(moved.max(), 1e-12))
        rows = (moved > 0) | (np.abs(skin[allowed]).max(axis=(0, 2)) > 0)
        matrix = (skin[allowed][:, rows] * importance[rows][:, None]).reshape(len(allowed), -1)
        aim = (target[rows] * importance[rows][:, None]).ravel()
        weights[allowed, column] = nnls(matrix.T, aim)[0]
    weights[weights < SMALLEST] = 0.0
    return weights
