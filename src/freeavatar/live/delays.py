"""Delays counted into bins: median and percentiles of any number of them in constant memory."""

from __future__ import annotations

import math
import threading

import numpy as np

BIN_MS = 0.1
NUM_BINS = 20_000
"""Up to 2 s; what is later counts as 2 s."""


class Delays:
    """May be filled and read by different threads."""

    def __init__(self) -> None:
        self._counts = np.zeros(NUM_BINS, np.int64)
        self._lock = threading.Lock()
        self.num = 0

    def add(self, delay_s: float) -> None:
        """Count one delay."""
        column = min(max(int(delay_s * 1000.0 / BIN_MS), 0), NUM_BINS - 1)
        with self._lock:
            self._counts[column] += 1
            self.num += 1

    def percentile_ms(self, percent: float) -> float:
        """Upper edge of the bin that this share of all delays does not exceed; 0 without any."""
        with self._lock:
            if self.num == 0:
                return 0.0
            rank = max(1, math.ceil(self.num * percent / 100.0))
            column = int(np.searchsorted(np.cumsum(self._counts), rank))
        return round((column + 1) * BIN_MS, 1)
