"""Comparisons that people made, as something to draw batches from: what a reader of votes hands to
training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8


@dataclass(frozen=True)
class TripletSet:
    """Crops and triplets over them, ready to train on or to be judged by."""

    crops: UInt8[np.ndarray, "face size size 3"]
    """Geometry of training shards (docs/architecture.md)."""
    triplets: Int[np.ndarray, "triplet 3"]
    """Rows of crops: anchor, positive, negative. The negative is the face that most called odd."""
    num_classes: Int[np.ndarray, "triplet"]
    """1, 2 or 3: the paper's margin is smaller for one-class triplets."""
    agreement: Float[np.ndarray, "triplet"]
    """Share of people who named that face."""

    def __len__(self) -> int:
        return len(self.triplets)

    def draw(self, num: int, rng: np.random.Generator) -> TripletSet:
        """A batch: `num` random triplets over their own crops, each face once."""
        if not len(self):
            raise ValueError("no triplets to draw from")
        chosen = rng.integers(0, len(self), num)
        used, rows = np.unique(self.triplets[chosen], return_inverse=True)
        return TripletSet(
            self.crops[used],
            rows.reshape(num, 3),
            self.num_classes[chosen],
            self.agreement[chosen],
        )
