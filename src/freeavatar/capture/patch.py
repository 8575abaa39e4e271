"""A part of a picture, cut out and averaged down when it holds more detail than is needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Patch:
    """patch point = (picture point - origin_px) / shrink, counted from pixel corners."""

    pixels: UInt8[np.ndarray, "height width 3"]
    origin_px: Float[np.ndarray, "2"]
    """Picture coordinates of the patch's top left corner."""
    shrink: int
    """Picture pixels per patch pixel."""


def cut_patch(
    picture: UInt8[np.ndarray, "height width 3"],
    low: Float[np.ndarray, "2"],
    high: Float[np.ndarray, "2"],
    shrink: float,
) -> Patch:
    """The picture between two corners (as far as it goes), shrunk by a whole number up to shrink.

    Whole numbers because OpenCV averages whole blocks five times faster than fractions.
    """
    factor = max(1, int(shrink))
    limit = np.array([picture.shape[1], picture.shape[0]])
    first = np.clip(np.floor(low), 0, limit - 1).astype(int)
    size = np.clip(np.ceil(high).astype(int), first + 1, limit) - first
    factor = int(min(factor, size.min()))
    # Whole blocks only; growing inwards where the picture ends would make up pixels.
    size = np.minimum(-(-size // factor) * factor, (limit - first) // factor * factor)
    part = picture[first[1] : first[1] + size[1], first[0] : first[0] + size[0]]
    if factor == 1:
        return Patch(part.copy(), first.astype(float), 1)
    blocks = (int(size[0] // factor), int(size[1] // factor))
    return Patch(
        cv2.resize(part, blocks, interpolation=cv2.INTER_AREA), first.astype(float), factor
    )
