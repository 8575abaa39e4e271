"""A clip with everything in it: uneven time, a lost stretch, a head that turns."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.rig import ARKIT


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def arkit_clip(rng) -> AnimationClip:
    frames = 40
    found = np.ones(frames, bool)
    found[15:20] = False
    return AnimationClip(
        ARKIT,
        np.cumsum(rng.choice([1 / 60, 1 / 30, 1 / 24], frames)) - 1 / 60,
        rng.random((frames, len(ARKIT))).astype(np.float32),
        found,
        rng.uniform(-0.6, 0.6, (frames, 3)),
    )
