"""Textures of all materials in one array with their mip levels, and sampling them (numba)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from numba import njit

MAX_LEVELS = 12


class Textures(NamedTuple):
    """Every mip level of every texture, one after another."""

    texels: np.ndarray
    """uint8 RGBA, sRGB."""
    levels: np.ndarray
    """Per material and level: start in texels, width, height; width 0 means no such level."""


def pack_textures(textures: Sequence[UInt8[np.ndarray, "height width 4"] | None]) -> Textures:
    """Build mip levels by halving, down to 4 texels; the same array given twice is stored once."""
    levels = np.zeros((len(textures), MAX_LEVELS, 3), np.int64)
    chunks: list[np.ndarray] = []
    total = 0
    first_use: dict[int, int] = {}
    for m, texture in enumerate(textures):
        if texture is None:
            continue
        same = first_use.setdefault(id(texture), m)
        if same != m:
            levels[m] = levels[same]
            continue
        level = np.ascontiguousarray(texture)
        # The last level stays empty: it ends the search for the level that fits.
        for i in range(MAX_LEVELS - 1):
            height, width = level.shape[:2]
            levels[m, i] = total, width, height
            chunks.append(level.reshape(-1, 4))
            total += height * width
            if min(height, width) <= 4:
                break
            level = cv2.resize(level, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    texels = np.concatenate(chunks) if chunks else np.full((1, 4), 255, np.uint8)
    return Textures(texels, levels)


def linear_from_srgb_table(num: int = 1024) -> np.ndarray:
    """Linear light for sRGB values 0 to 1 in `num` steps, float32."""
    srgb = np.linspace(0.0, 1.0, num)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _footprint(start, width, height, u, v):  # type: ignore[no-untyped-def]
    """The four texels around a point and the weights of the second column and row."""
    x = (u - np.floor(u)) * np.float32(width) - np.float32(0.5)
    y = (v - np.floor(v)) * np.float32(height) - np.float32(0.5)
    x_floor, y_floor = np.floor(x), np.floor(y)
    x0, y0 = np.int64(x_floor), np.int64(y_floor)
    x1, y1 = x0 + 1, y0 + 1
    if x0 < 0:
        x0 += width
    if y0 < 0:
        y0 += height
    if x1 >= width:
        x1 -= width
    if y1 >= height:
        y1 -= height
    top, bottom = start + y0 * width, start + y1 * width
    return top + x0, top + x1, bottom + x0, bottom + x1, x - x_floor, y - y_floor


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def sample_alpha(texels, levels, m, u, v):  # type: ignore[no-untyped-def]
    """Alpha of the finest level, 0 to 1."""
    one = np.float32(1.0)
    if levels[m, 0, 1] == 0:
        return one
    i00, i01, i10, i11, fx, fy = _footprint(levels[m, 0, 0], levels[m, 0, 1], levels[m, 0, 2], u, v)
    top = texels[i00, 3] * (one - fx) + texels[i01, 3] * fx
    bottom = texels[i10, 3] * (one - fx) + texels[i11, 3] * fx
    return np.float32((top * (one - fy) + bottom * fy) * np.float32(1.0 / 255.0))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def sample_color(texels, levels, m, u, v, texels_per_pixel):  # type: ignore[no-untyped-def]
    """sRGB colour and alpha, 0 to 1, from the level that fits; `texels_per_pixel` is an area."""
    one = np.float32(1.0)
    if levels[m, 0, 1] == 0:
        return one, one, one, one
    level = 0
    # Each level holds a quarter of the texels of the one before.
    while texels_per_pixel > np.float32(3.0) and levels[m, level + 1, 1] > 0:
        texels_per_pixel *= np.float32(0.25)
        level += 1
    i00, i01, i10, i11, fx, fy = _footprint(
        levels[m, level, 0], levels[m, level, 1], levels[m, level, 2], u, v
    )
    scale = np.float32(1.0 / 255.0)
    w00, w01 = (one - fx) * (one - fy) * scale, fx * (one - fy) * scale
    w10, w11 = (one - fx) * fy * scale, fx * fy * scale
    red = texels[i00, 0] * w00 + texels[i01, 0] * w01 + texels[i10, 0] * w10 + texels[i11, 0] * w11
    grn = texels[i00, 1] * w00 + texels[i01, 1] * w01 + texels[i10, 1] * w10 + texels[i11, 1] * w11
    blu = texels[i00, 2] * w00 + texels[i01, 2] * w01 + texels[i10, 2] * w10 + texels[i11, 2] * w11
    alp = texels[i00, 3] * w00 + texels[i01, 3] * w01 + texels[i10, 3] * w10 + texels[i11, 3] * w11
    return red, grn, blu, alp
