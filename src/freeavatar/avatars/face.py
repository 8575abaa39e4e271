"""Finds the face of an avatar at rest: eyes, mouth and neck, from eyes, morphs and bones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.avatar import Eye, FaceFrame, Surface
from freeavatar.rig import ARKIT

# What moves the mouth most evenly around its middle, best first.
MOUTH_CONTROLS = (
    ("mouthPucker",),
    ("mouthFunnel",),
    ("mouthSmileLeft", "mouthSmileRight"),
    ("jawOpen",),
)

# A human face in units of the distance between the eyes (average adult, 62 mm).
MOUTH_BELOW_EYES = 1.1
NECK_BELOW_EYES = 1.2
NECK_BEHIND_EYES = 1.3


def find_face(
    surfaces: Sequence[Surface],
    eyes: Sequence[Eye],
    morph_map: Float[np.ndarray, "morph arkit"] | None,
    head_joint: Float[np.ndarray, "3"] | None,
) -> FaceFrame:
    """The face frame, from the best evidence there is.

    `morph_map` says how much each ARKit control moves each morph.
    """
    left, right = _eye_centres(surfaces, eyes, morph_map)
    middle, apart = 0.5 * (left + right), max(float(np.linalg.norm(left - right)), 1e-4)
    mouth = middle - np.array([0, MOUTH_BELOW_EYES * apart, 0])
    if morph_map is not None:
        for names in MOUTH_CONTROLS:
            found = [_moved_centre(surfaces, morph_map, name) for name in names]
            if all(centre is not None for centre in found):
                mouth = np.mean([c for c in found if c is not None], axis=0)
                break
    neck = head_joint
    if neck is None:
        neck = middle - np.array([0, NECK_BELOW_EYES, NECK_BEHIND_EYES]) * apart
    return FaceFrame(*(point.astype(np.float32) for point in (left, right, mouth, neck)))


def _eye_centres(
    surfaces: Sequence[Surface],
    eyes: Sequence[Eye],
    morph_map: Float[np.ndarray, "morph arkit"] | None,
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    pivots = {eye.side: eye.pivot for eye in eyes}
    if "left" in pivots and "right" in pivots:
        return pivots["left"], pivots["right"]
    balls = [s.vertices for s in surfaces if s.material.kind == "eye" and len(s.vertices)]
    if balls:
        points = np.concatenate(balls)
        middle = 0.5 * (points[:, 0].min() + points[:, 0].max())
        halves = [points[points[:, 0] > middle], points[points[:, 0] < middle]]
        if all(len(half) for half in halves):
            left, right = (0.5 * (half.min(axis=0) + half.max(axis=0)) for half in halves)
            return left, right
    if morph_map is not None:
        blinks = [
            _moved_centre(surfaces, morph_map, f"eyeBlink{side}") for side in ("Left", "Right")
        ]
        if blinks[0] is not None and blinks[1] is not None and blinks[0][0] > blinks[1][0]:
            return blinks[0], blinks[1]
    return _guess_from_box(surfaces)


def _moved_centre(
    surfaces: Sequence[Surface], morph_map: Float[np.ndarray, "morph arkit"], name: str
) -> Float[np.ndarray, "3"] | None:
    """Centre of what one ARKit control moves, weighted by the square of the movement."""
    weights = morph_map[:, ARKIT.index(name)]
    total, centre = 0.0, np.zeros(3)
    for surface in surfaces:
        active = np.flatnonzero(weights[surface.morphs])
        if not len(active):
            continue
        moved = np.tensordot(weights[surface.morphs[active]], surface.deltas[active], axes=1)
        amount = (moved.astype(np.float64) ** 2).sum(axis=1)
        total += float(amount.sum())
        centre += amount @ surface.vertices
    return centre / total if total > 1e-12 else None


def _guess_from_box(
    surfaces: Sequence[Surface],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Nothing is known: eyes in the upper half of what the morphs move."""
    moving = [
        s.vertices[np.abs(s.deltas).max(axis=(0, 2)) > 1e-6] for s in surfaces if len(s.morphs)
    ]
    points = np.concatenate([m for m in moving if len(m)] or [s.vertices for s in surfaces])
    low, high = points.min(axis=0), points.max(axis=0)
    centre, size = 0.5 * (low + high), high - low
    eye = centre + np.array([0.22 * size[0], 0.15 * size[1], 0.25 * size[2]])
    return eye, eye * [-1, 1, 1] + np.array([2 * centre[0], 0, 0])
