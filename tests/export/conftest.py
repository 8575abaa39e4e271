"""A clip with everything in it: uneven time, a lost stretch, a head that turns; three rigs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import resolve
from freeavatar.rig import ARKIT, RigSpec

RIGS = ("ada", "elsa", "drawn")
"""A person with ARKit's controls, one with MakeHuman's, and a bent sheet with six morphs."""


def perform(rig: RigSpec, frames: int = 31, rate_hz: float = 30.0) -> AnimationClip:
    """Every control of a rig in motion, each at its own pace, at an even rate."""
    times_s = np.arange(frames) / rate_hz
    paces = 1.0 + np.arange(len(rig)) % 7
    waves = 0.5 - 0.5 * np.cos(times_s[:, None] * paces * 3.0)
    values = rig.minimum + (rig.maximum - rig.minimum) * waves * 0.8
    head_rad = 0.4 * np.sin(times_s[:, None] * [3.0, 4.0, 5.0])
    found = np.ones(frames, bool)
    return AnimationClip(rig, times_s, values.astype(np.float32), found, head_rad)


@pytest.fixture
def performed() -> Callable[[RigSpec], AnimationClip]:
    """A performance on any rig."""
    return perform


@pytest.fixture(params=RIGS)
def avatar(request: pytest.FixtureRequest, toy_avatar_file: Path) -> Avatar:
    """Three avatars, one after the other."""
    return resolve(toy_avatar_file if request.param == "drawn" else request.param)


@pytest.fixture
def clip(avatar: Avatar) -> AnimationClip:
    return perform(avatar.rig)


@pytest.fixture
def arkit_performance() -> AnimationClip:
    return perform(ARKIT)


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
