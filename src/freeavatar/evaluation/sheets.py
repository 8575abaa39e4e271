"""Pictures of an expression space, to be looked at."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from freeavatar.expression.evaluate import pairwise


def spread_out(
    embeddings: Float[np.ndarray, "picture embedding"], num: int
) -> Int[np.ndarray, "chosen"]:
    """Pictures as different as can be: each next one is the farthest from all chosen before."""
    apart = np.nan_to_num(pairwise(embeddings), nan=-1.0)
    chosen = [int(np.median(apart, axis=1).argmin())]
    near = apart[chosen[0]].copy()
    while len(chosen) < min(num, len(embeddings)):
        chosen.append(int(near.argmax()))
        near = np.minimum(near, apart[chosen[-1]])
    return np.array(chosen)


def neighbour_sheet(
    crops: UInt8[np.ndarray, "picture size size 3"],
    embeddings: Float[np.ndarray, "picture embedding"],
    queries: Int[np.ndarray, "query"],
    num_neighbours: int = 6,
) -> UInt8[np.ndarray, "height width 3"]:
    """A row per query, its nearest faces to the right of it; two queries side by side."""
    apart = np.nan_to_num(pairwise(embeddings), nan=np.inf)
    np.fill_diagonal(apart, np.inf)
    num_neighbours = min(num_neighbours, len(crops) - 1)
    strips = []
    for query in queries:
        nearest = np.argsort(apart[query], kind="stable")[:num_neighbours]
        asked = cv2.copyMakeBorder(
            crops[query][3:-3, 3:-3], 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 190, 0)
        )
        strips.append(np.concatenate([asked, *crops[nearest]], axis=1))
    if len(strips) % 2:
        strips.append(np.zeros_like(strips[0]))
    gap = np.zeros((strips[0].shape[0], 24, 3), np.uint8)
    pairs = [
        np.concatenate([left, gap, right], axis=1)
        for left, right in zip(strips[::2], strips[1::2], strict=True)
    ]
    return np.concatenate(pairs)
