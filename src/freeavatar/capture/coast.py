"""Keeps hold of a face that no network reads for a moment: predicts where it goes, and looks
whether something like it is still there.

A shaken camera, a turn to full profile or a hand before half of the face silence the landmark
network for some frames while the crop would still tell of the expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.align import CropFrame, crop

_LOOK_SIDE = 20
"""Pixels: blur, noise and lips do not count at this size, a hand or a board does."""
_SEARCH_SIDE = 30
"""The face is looked for up to a quarter of its side away from where it is expected."""
_GLIMPSE_SIDE = 16
_GLIMPSE_GRID: Float[np.ndarray, "256 2"] = (
    np.mgrid[:_GLIMPSE_SIDE, :_GLIMPSE_SIDE].reshape(2, -1).T[:, ::-1] + 0.5
)
"""Columns and rows of the grid, row by row."""
_DAMPING = 0.85
"""A head that is not seen is expected to slow down, a share each frame."""


@dataclass(frozen=True)
class Look:
    """What the face looked like from afar when it was last believed."""

    pixels: Float[np.ndarray, "20 20"]

    @staticmethod
    def at(picture: UInt8[np.ndarray, "height width 3"], frame: CropFrame) -> Look:
        """The middle of the crop, where the face is and not the wall."""
        return Look(_grey(picture, _inner(frame), _LOOK_SIDE))

    def find(
        self, picture: UInt8[np.ndarray, "height width 3"], expected: CropFrame
    ) -> tuple[CropFrame, float]:
        """The likeliest place near the expected one, and how alike it is (1: the same)."""
        wide = _inner(expected).widened(_SEARCH_SIDE / _LOOK_SIDE)
        around = _grey(picture, wide, _SEARCH_SIDE)
        if self.pixels.std() < 2.0:
            return expected, 0.0
        likeness = cv2.matchTemplate(around, self.pixels, cv2.TM_CCOEFF_NORMED)
        row, column = np.unravel_index(int(likeness.argmax()), likeness.shape)
        best = float(likeness[row, column])
        offset = np.array([column, row], np.float64) - (_SEARCH_SIDE - _LOOK_SIDE) / 2.0
        step_px = wide.side_px / _SEARCH_SIDE
        axes = expected.picture_from_crop(1)[:, :2] / expected.side_px
        return CropFrame(
            expected.center_px + step_px * axes @ offset, expected.side_px, expected.roll_rad
        ), best


def glimpse(
    picture: UInt8[np.ndarray, "height width 3"], frame: CropFrame
) -> Float[np.ndarray, "16 16"]:
    """Single green pixels of the face, on a coarse grid: what takes no time to look at."""
    picture_from_grid = _inner(frame).picture_from_crop(_GLIMPSE_SIDE)
    places = _GLIMPSE_GRID @ picture_from_grid[:, :2].T + picture_from_grid[:, 2]
    limit = np.array([picture.shape[1], picture.shape[0]]) - 1
    columns, rows = np.clip(places, 0, limit).astype(int).T
    seen = picture[rows, columns, 1].astype(np.float64)
    return seen.reshape(_GLIMPSE_SIDE, _GLIMPSE_SIDE)


def predicted(last: CropFrame, before: CropFrame | None) -> CropFrame:
    """Where a face is one frame later that moved like this; its size and roll stay."""
    if before is None:
        return last
    velocity_px = last.center_px - before.center_px
    speed = float(np.linalg.norm(velocity_px))
    # What moves by more than a fifth of the face in a frame is a jump of the landmarks.
    share = _DAMPING * min(1.0, 0.2 * last.side_px / max(speed, 1e-9))
    return CropFrame(last.center_px + share * velocity_px, last.side_px, last.roll_rad)


def _inner(frame: CropFrame) -> CropFrame:
    return frame.widened(0.7)


def _grey(
    picture: UInt8[np.ndarray, "height width 3"], frame: CropFrame, size: int
) -> Float[np.ndarray, "size size"]:
    # From four times the size, averaged: the warp alone would skip pixels of a large face.
    fine = crop(picture, frame, 4 * size)
    small = cv2.resize(
        cv2.cvtColor(fine, cv2.COLOR_RGB2GRAY), (size, size), None, 0, 0, cv2.INTER_AREA
    )
    return small.astype(np.float32)
