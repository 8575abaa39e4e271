"""A face that does not move gives the same crop again.

Video codecs draw a still picture anew at every key frame, a little differently each time, and
sensors tremble: the expression encoder sees both. Blocks of pixels hardly change by that, while
the smallest movement of a lid or a lip moves an edge through some of them.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

BLOCKS = 28
"""In each direction: 8 x 8 pixels of a crop each."""
STILL_SHARE = 0.1
"""Of the contrast between blocks. Frames of still pictures, noisy or coded anew, stay below 0.08 of
it; of 187 frames of the demo clip 14 do so too, of two drawn performances 2 in 480."""


class StillFace:
    """Takes the crops of a take in order; answers with the last one while nothing moves.

    Crops are compared with the one that was last answered with, not with the one before, so a slow
    movement adds up until it shows.
    """

    def __init__(self) -> None:
        self._crop: UInt8[np.ndarray, "size size 3"] | None = None
        self._blocks: UInt8[np.ndarray, "row column 3"] | None = None
        self._most = 0.0

    def settle(self, crop: UInt8[np.ndarray, "size size 3"]) -> UInt8[np.ndarray, "size size 3"]:
        """The crop, or the very one of the frame before where they show the same."""
        blocks = cv2.resize(crop, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
        if (
            self._crop is not None
            and self._blocks is not None
            and cv2.norm(blocks, self._blocks, cv2.NORM_INF) <= self._most
        ):
            return self._crop
        self._crop, self._blocks = crop, blocks
        self._most = STILL_SHARE * float(blocks.std())
        return crop
