"""Which control values an avatar is drawn with, so that a network can learn what they look like.

Three sources: expressions in ARKit's terms through the rig, random sparse controls of the rig's own
(the only one for a rig whose names mean nothing to us), and every control alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.avatar import Avatar
from freeavatar.datasets.motion_sources import MotionSources

SOURCES = ("rest", "arkit", "sparse", "single")
_SHARES = np.array([0.03, 0.52, 0.28, 0.17])
_MOST_AT_ONCE = 6


@dataclass(frozen=True)
class ControlSampler:
    """Draws controls of one avatar."""

    avatar: Avatar
    motion: MotionSources

    def draw(self, rng: np.random.Generator) -> tuple[Float[np.ndarray, " control"], int]:
        """Control values within their ranges, and the index of their source in SOURCES."""
        shares = _SHARES.copy()
        if self.avatar.arkit_to_rig is None:
            shares[2] += shares[1]
            shares[1] = 0.0
        source = int(rng.choice(len(SOURCES), p=shares))
        rig = self.avatar.rig
        if SOURCES[source] == "rest":
            return rig.rest.copy(), source
        if SOURCES[source] == "single":
            return self.single(int(rng.integers(len(rig))), float(rng.uniform(0.3, 1.0))), source
        if SOURCES[source] == "sparse":
            return self._sparse(rng), source
        assert self.avatar.arkit_to_rig is not None
        arkit, _ = self.motion.draw(rng)
        values = rig.clamp(rig.rest + self.avatar.arkit_to_rig @ arkit)
        return values, source

    def single(self, column: int, strength: float = 1.0) -> Float[np.ndarray, " control"]:
        """One control alone, towards the end of its range that is farther from rest."""
        rig = self.avatar.rig
        values = rig.rest.copy()
        up, down = rig.maximum[column] - rig.rest[column], rig.rest[column] - rig.minimum[column]
        values[column] += strength * (up if up >= down else -down)
        return values

    def _sparse(self, rng: np.random.Generator) -> Float[np.ndarray, " control"]:
        """A few controls that need not belong together; partners often move as one."""
        rig = self.avatar.rig
        values = rig.rest.copy()
        num = min(int(rng.integers(2, _MOST_AT_ONCE + 1)), len(rig))
        for column in rng.choice(len(rig), num, replace=False):
            strength = float(rng.beta(1.5, 1.8))
            moved = self.single(int(column), strength)[column]
            values[column] = moved
            if rng.random() < 0.5:
                partner = rig.mirror_columns[column]
                values[partner] = np.clip(moved, rig.minimum[partner], rig.maximum[partner])
        return values
