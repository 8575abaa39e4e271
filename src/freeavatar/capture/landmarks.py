"""The 478-point face mesh: places a rotated square on a face and reads landmarks inside it.

Second step of capture. The square comes from a detection, or from the mesh of the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.detect import MODELS, Detection
from freeavatar.capture.patch import cut_patch
from freeavatar.inference import shared_session

_INPUT_SIDE = 256
_RIGHT_EYE_OUTER, _LEFT_EYE_OUTER = 33, 263
_BOX_TO_REGION = 1.5
"""The network was trained on squares half as large again as the face."""


@dataclass(frozen=True)
class Region:
    """A square of the picture, turned by roll_rad (head roll: positive leans to picture left)."""

    center_px: Float[np.ndarray, "2"]
    side_px: float
    roll_rad: float

    def picture_from_unit(self) -> Float[np.ndarray, "2 3"]:
        """Affine map from the unit square (x right, y down) to pixel coordinates."""
        axes = self.side_px * np.array(
            [
                [np.cos(self.roll_rad), np.sin(self.roll_rad)],
                [-np.sin(self.roll_rad), np.cos(self.roll_rad)],
            ]
        )
        return np.column_stack([axes, self.center_px - axes @ [0.5, 0.5]])


@dataclass(frozen=True)
class Mesh:
    """Landmarks of one face."""

    points: Float[np.ndarray, "478 3"]
    """x, y in pixels of the picture; z in the same unit, smaller is nearer to the camera."""
    score: float
    """How sure the network is that it looks at a face, in [0, 1]."""

    @property
    def box(self) -> Float[np.ndarray, "4"]:
        """Left, top, right, bottom of all points."""
        flat = self.points[:, :2]
        return np.concatenate([flat.min(axis=0), flat.max(axis=0)])


class FaceMesh:
    """The landmark network."""

    def __init__(self) -> None:
        self._session = shared_session(MODELS / "face_landmarks_detector_prelu_as_dwconv.onnx")

    def read(self, picture: UInt8[np.ndarray, "height width 3"], region: Region) -> Mesh:
        """Landmarks of the face inside the region; look at `score` before using them."""
        picture_from_unit = region.picture_from_unit()
        patch = _cut(picture, picture_from_unit)
        batch = np.multiply(patch[None], 1.0 / 255.0, dtype=np.float32)
        raw, logit = self._session.run(["Identity", "Identity_1"], {"input_12": batch})[:2]
        unit = raw.reshape(478, 3).astype(np.float64) / _INPUT_SIDE
        flat = unit[:, :2] @ picture_from_unit[:, :2].T + picture_from_unit[:, 2]
        points = np.column_stack([flat, unit[:, 2] * region.side_px])
        return Mesh(points, float(1.0 / (1.0 + np.exp(-logit.item()))))


def region_from_detection(detection: Detection) -> Region:
    """Square around a detected face, upright with its eyes."""
    left, top, right, bottom = detection.box
    side = _BOX_TO_REGION * max(right - left, bottom - top)
    center = np.array([left + right, top + bottom]) / 2.0
    return Region(center, float(side), _roll(detection.points[0], detection.points[1]))


def region_from_mesh(mesh: Mesh) -> Region:
    """Square for the next frame: around the mesh as seen along its own axes."""
    flat = mesh.points[:, :2]
    roll = _roll(flat[_RIGHT_EYE_OUTER], flat[_LEFT_EYE_OUTER])
    axes = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    along = flat @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    return Region(axes @ ((low + high) / 2.0), _BOX_TO_REGION * float((high - low).max()), roll)


def _roll(right_eye: Float[np.ndarray, "2"], left_eye: Float[np.ndarray, "2"]) -> float:
    """Head roll that puts the eyes on a line; the character's left eye is at picture right."""
    across = left_eye - right_eye
    return float(np.arctan2(-across[1], across[0]))


def _cut(
    picture: UInt8[np.ndarray, "height width 3"], picture_from_unit: Float[np.ndarray, "2 3"]
) -> UInt8[np.ndarray, "256 256 3"]:
    """The region at network size; black outside of the picture."""
    picture_from_patch = picture_from_unit.copy()
    picture_from_patch[:, :2] /= _INPUT_SIDE
    # OpenCV counts from pixel centres, we count from pixel corners.
    half = np.array([0.5, 0.5])
    picture_from_patch[:, 2] += picture_from_patch[:, :2] @ half - half
    shrink = float(np.linalg.norm(picture_from_patch[:, 0]))
    if shrink >= 2.0:  # average first, so that big faces do not alias
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (_INPUT_SIDE - 1)
        seen = corners @ picture_from_patch[:, :2].T + picture_from_patch[:, 2]
        patch = cut_patch(picture, seen.min(axis=0) - 4.0, seen.max(axis=0) + 4.0, shrink)
        picture_from_patch /= patch.shrink
        picture_from_patch[:, 2] += (half - patch.origin_px) / patch.shrink - half
        picture = patch.pixels
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, picture_from_patch, (_INPUT_SIDE, _INPUT_SIDE), flags=flags)
