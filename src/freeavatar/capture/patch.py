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
    """The picture between two corners (as far as it goes), shrunk by a power of two up to shrink.

    Halving again and again is three times as fast as averaging larger blocks at once, and five
    times as fast as fractions.
    """
    limit = np.array([picture.shape[1], picture.shape[0]])
    first = np.clip(np.floor(low), 0, limit - 1).astype(int)
    size = np.clip(np.ceil(high).astype(int), first + 1, limit) - first
    factor = 1
    while 2 * factor <= min(shrink, size.min()):
        factor *= 2
    # Whole blocks only; growing inwards where the picture ends would make up pixels.
    size = np.minimum(-(-size // factor) * factor, (limit - first) // factor * factor)
    part = picture[first[1] : first[1] + size[1], first[0] : first[0] + size[0]]
    if factor == 1:
        return Patch(part.copy(), first.astype(float), 1)
    halved = factor
    while halved > 1:
        half = (part.shape[1] // 2, part.shape[0] // 2)
        part = cv2.resize(part, half, interpolation=cv2.INTER_AREA)
        halved //= 2
    return Patch(part, first.astype(float), factor)
