"""Finds where a take is cut: from there on nothing that was seen before counts.

Two looks at the whole picture, both coarse: what it shows where (a thumbnail), and how much of
each brightness and colour it holds (a histogram).
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_ROWS, _COLUMNS = 36, 64
_SAMPLES = 4
"""In each direction, of one pixel of the thumbnail."""
_UNLIKE = 0.4
"""Thumbnails of neighbouring frames of one shot correlate above 0.9, those across a cut mostly
below this: alone enough."""
_LESS_ALIKE = 0.8
_OTHER_COLORS = 0.6
"""Two shots of one room may look alike where they have the same walls. Then the histograms share
less than this (1 is equal) and the change stands out of the last second by much."""
_STANDS_OUT = 4.0
_QUIET = 2.0
"""Grey levels; less than this is the noise of a sensor, and no change."""


class CutFinder:
    """Takes the pictures of a take in order and says which one begins a new shot."""

    def __init__(self) -> None:
        self._thumbnail: Float[np.ndarray, "row column 3"] | None = None
        self._changes: deque[float] = deque(maxlen=24)

    def is_cut(self, picture: UInt8[np.ndarray, "height width 3"]) -> bool:
        """True for the first picture of every shot but the first."""
        thumbnail, before = _thumbnail(picture), self._thumbnail
        self._thumbnail = thumbnail
        if before is None:
            return False
        change = cv2.norm(thumbnail, before, cv2.NORM_L1) / thumbnail.size
        cut = change > _QUIET and self._another_shot(thumbnail, before, change)
        if cut:
            self._changes.clear()
        else:
            self._changes.append(change)
        return cut

    def _another_shot(self, thumbnail: np.ndarray, before: np.ndarray, change: float) -> bool:
        likeness = _correlation(thumbnail, before)
        return likeness < _UNLIKE or (
            likeness < _LESS_ALIKE
            and change > _STANDS_OUT * max(self._usual(), _QUIET)
            and _shared_colors(thumbnail, before) < _OTHER_COLORS
        )

    def _usual(self) -> float:
        """How much changed from frame to frame in the last second."""
        return float(np.median(self._changes)) if self._changes else np.inf


def _thumbnail(picture: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "row column 3"]:
    """Averaged from a few samples: single pixels of a dark picture are mostly noise."""
    width, height = _SAMPLES * _COLUMNS, _SAMPLES * _ROWS
    sampled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    averaged = cv2.resize(sampled, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA)
    return averaged.astype(np.float32)


def _shared_colors(
    one: Float[np.ndarray, "row column 3"], other: Float[np.ndarray, "row column 3"]
) -> float:
    return float(np.minimum(_histogram(one), _histogram(other)).sum())


def _histogram(thumbnail: Float[np.ndarray, "row column 3"]) -> Float[np.ndarray, " bin"]:
    """Shares of 6 x 6 x 6 colours, softened so that a shade more of light moves little."""
    counts = cv2.calcHist([thumbnail], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3)
    for axis in range(3):
        counts = counts + 0.5 * (np.roll(counts, 1, axis) + np.roll(counts, -1, axis))
    shares: Float[np.ndarray, " bin"] = (counts / counts.sum()).ravel()
    return shares


def _correlation(
    one: Float[np.ndarray, "row column 3"], other: Float[np.ndarray, "row column 3"]
) -> float:
    a, b = (picture.ravel() - picture.mean() for picture in (one, other))
    # 2 grey levels of variance: a black screen is no picture to compare with.
    strength = np.sqrt((a @ a) * (b @ b)) + 4.0 * len(a)
    return float(a @ b / strength)
