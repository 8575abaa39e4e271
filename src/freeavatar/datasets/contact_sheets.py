"""Pictures side by side, to be looked at before training on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from freeavatar.training.shards import ShardSet


def sheet(
    crops: Sequence[UInt8[np.ndarray, "size size 3"]], columns: int = 12
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in rows, in their order."""
    size = crops[0].shape[0]
    rows = -(-len(crops) // columns)
    canvas = np.zeros((rows * size, columns * size, 3), np.uint8)
    for i, crop in enumerate(crops):
        top, left = divmod(i, columns)
        canvas[top * size : (top + 1) * size, left * size : (left + 1) * size] = crop
    return canvas


def face_sheet(
    faces: ShardSet, num_rows: int = 8, num_columns: int = 14
) -> UInt8[np.ndarray, "height width 3"]:
    """Crops from the least to the most sure, with yaw, pitch and roll in degrees; the frame is what
    the networks see without augmentation."""
    count = min(num_rows * num_columns, len(faces))
    order = np.argsort(faces.columns["quality"], kind="stable")
    rows = order[np.linspace(0, len(order) - 1, count).astype(int)]
    tiles = []
    for picture, head in zip(faces.gather(rows), faces.columns["head_rad"][rows], strict=True):
        tile = picture.copy()
        cv2.rectangle(tile, (16, 16), (127, 127), (0, 255, 0), 1)
        text = " ".join(f"{angle:.0f}" for angle in np.degrees(head.astype(np.float32)))
        cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0))
        tiles.append(tile)
    return sheet(tiles, num_columns)
