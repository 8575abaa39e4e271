"""The one conversion between pictures (uint8, height x width x 3, RGB) and model batches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8


def batch_from_pictures(
    pictures: UInt8[np.ndarray, "batch height width 3"],
) -> Float[np.ndarray, "batch 3 height width"]:
    """float32 in [0, 1], channels first."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32) / 255.0


def pictures_from_batch(
    batch: Float[np.ndarray, "batch 3 height width"],
) -> UInt8[np.ndarray, "batch height width 3"]:
    """uint8 RGB; values outside [0, 1] are clipped."""
    pictures = np.clip(batch, 0.0, 1.0) * 255.0 + 0.5
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)).astype(np.uint8)
