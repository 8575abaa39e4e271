"""Where the actor is in one frame, and how two such places differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freeavatar.capture.align import CropFrame, frame_from_pose
from freeavatar.capture.coast import Look
from freeavatar.capture.headpose import HeadPose, nearest_rotation
from freeavatar.capture.landmarks import Region

_CALM_SHIFT = 0.04
_CALM_TURN_RAD = 0.06
"""A head that moved less between two readings (sides of the crop, radians) went straight."""


@dataclass(frozen=True)
class Sighting:
    """The actor in one frame."""

    pose: HeadPose
    frame: CropFrame
    confidence: float
    region: Region
    """Where to look for the mesh in the next frame."""
    look: Look | None = None
    """Only where the place was guessed: what the face looked like when it was last read."""


def is_calm(before: Sighting, after: Sighting) -> bool:
    """Whether a head can only have gone straight from the one to the other."""
    turned = (np.trace(before.pose.rotation.T @ after.pose.rotation) - 1.0) / 2.0
    return (
        distance(before.frame, after.frame) <= _CALM_SHIFT
        and float(np.arccos(np.clip(turned, -1.0, 1.0))) <= _CALM_TURN_RAD
    )


def between(before: Sighting, after: Sighting, share: float) -> Sighting:
    """Where the head was on its way between two readings that are near to each other."""
    one, other = before.pose, after.pose
    pose = HeadPose(
        nearest_rotation((1.0 - share) * one.rotation + share * other.rotation),
        float(one.scale_px ** (1.0 - share) * other.scale_px**share),
        (1.0 - share) * one.mid_eye_px + share * other.mid_eye_px,
    )
    confidence = min(before.confidence, after.confidence)
    return Sighting(pose, frame_from_pose(pose), confidence, after.region)


def distance(one: CropFrame, other: CropFrame) -> float:
    """How different two places of a face are: shift in sides of the larger, or log of the sizes."""
    shift = np.linalg.norm(one.center_px - other.center_px) / max(one.side_px, other.side_px)
    return float(max(shift, abs(np.log(one.side_px / other.side_px)) / 2.0))
