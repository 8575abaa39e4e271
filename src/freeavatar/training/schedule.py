"""Learning-rate schedules."""

from __future__ import annotations

import math


def warmup_cosine(step: int, progress: float, warmup_steps: int, final: float = 0.01) -> float:
    """Factor of the base rate: linear warm-up in steps, times half a cosine down to `final`.

    `progress` is the share of the run that is done, in [0, 1].
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    return warmup * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
