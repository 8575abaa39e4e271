"""The face crop that every network sees: upright, centred, of one scale (docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.headpose import HeadPose

CROP_SIZE = 224
SHARD_MARGIN = 9 / 7
"""Crops in training shards are this much wider, so that augmentation can shift them."""
SHARD_CROP_SIZE = 144
"""Of real faces: open sets are small pictures that hold no more; drawn ones are stored at 288."""
SIDE_IN_U = 3.2
CENTER_IN_U = (0.0, -0.65, -0.06)
"""Crop centre in the template's space: below the mid-eye point. The promise counts from the
eyeballs' centres, which lie about 0.06 u behind the eye corners that the template counts from."""
_MAX_SAMPLES = 8
_SAMPLE_STEP_PX = 1.5
"""Samples may be this far apart: bilinear, they still see nearly all between them."""


@dataclass(frozen=True)
class CropFrame:
    """A square of the picture, turned by roll_rad: positive when the head leans to picture left,
    which is towards the character's right shoulder."""

    center_px: Float[np.ndarray, "2"]
    """Pixel coordinates; the first pixel's centre is at (0.5, 0.5)."""
    side_px: float
    roll_rad: float

    def picture_from_crop(self, size: int = CROP_SIZE) -> Float[np.ndarray, "2 3"]:
        """Affine map from crop pixels to picture pixels."""
        cos, sin = np.cos(self.roll_rad), np.sin(self.roll_rad)
        axes = self.side_px / size * np.array([[cos, sin], [-sin, cos]])
        return np.column_stack([axes, self.center_px - axes @ [size / 2, size / 2]])

    def crop_from_picture(self, size: int = CROP_SIZE) -> Float[np.ndarray, "2 3"]:
        """Affine map from picture pixels to crop pixels."""
        return cv2.invertAffineTransform(self.picture_from_crop(size))

    def widened(self, factor: float) -> CropFrame:
        """The same centre and roll with a larger side."""
        return CropFrame(self.center_px, self.side_px * factor, self.roll_rad)


def frame_from_pose(pose: HeadPose) -> CropFrame:
    """Where the crop of a face lies in the picture."""
    up = pose.rotation[:2, 1]
    return CropFrame(
        center_px=pose.project(np.array([CENTER_IN_U]))[0],
        side_px=SIDE_IN_U * pose.scale_px,
        roll_rad=float(np.arctan2(-up[0], up[1])),
    )


def whole_picture(picture: UInt8[np.ndarray, "height width 3"]) -> CropFrame:
    """The middle square of a picture that is a face crop already."""
    height, width = picture.shape[:2]
    return CropFrame(np.array([width, height]) / 2.0, float(min(height, width)), 0.0)


def crop(
    picture: UInt8[np.ndarray, "height width 3"], frame: CropFrame, size: int = CROP_SIZE
) -> UInt8[np.ndarray, "size size 3"]:
    """The framed face at size x size; each pixel averages the area it covers, edges replicated."""
    samples = int(np.clip(np.ceil(frame.side_px / (_SAMPLE_STEP_PX * size)), 1, _MAX_SAMPLES))
    fine = size * samples
    picture_from_fine = frame.picture_from_crop(fine)
    # OpenCV counts from pixel centres, we count from pixel corners.
    half = np.array([0.5, 0.5])
    picture_from_fine[:, 2] += picture_from_fine[:, :2] @ half - half
    turned = cv2.warpAffine(
        picture,
        picture_from_fine,
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples == 1:
        return turned
    return cv2.resize(turned, (size, size), interpolation=cv2.INTER_AREA)


def shard_crop(
    picture: UInt8[np.ndarray, "height width 3"], frame: CropFrame
) -> UInt8[np.ndarray, "144 144 3"]:
    """The crop as training shards store it: its middle is what the product sees."""
    return crop(picture, frame.widened(SHARD_MARGIN), SHARD_CROP_SIZE)
