"""Ridge regression over weighted samples of which not every target is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_FEWEST = 50.0
"""Samples of full weight below which nothing is fitted."""


@dataclass(frozen=True)
class LinearMap:
    """targets = inputs @ weights.T + offsets."""

    weights: Float[np.ndarray, "target input"]
    offsets: Float[np.ndarray, " target"]

    def __call__(
        self, inputs: Float[np.ndarray, "sample input"]
    ) -> Float[np.ndarray, "sample target"]:
        return inputs @ self.weights.T + self.offsets

    def __add__(self, other: LinearMap) -> LinearMap:
        return LinearMap(self.weights + other.weights, self.offsets + other.offsets)

    def scaled(self, factor: float) -> LinearMap:
        """`factor` times as much of everything."""
        return LinearMap(factor * self.weights, factor * self.offsets)


@dataclass(frozen=True)
class Samples:
    """What is to be fitted; NaN where a target is not known."""

    inputs: Float[np.ndarray, "sample input"]
    targets: Float[np.ndarray, "sample target"]
    weights: Float[np.ndarray, " sample"]


def fit(lessons: Sequence[Samples], penalty: float) -> LinearMap:
    """Ridge regression of every target over the samples in which it is known; 0 where there are
    too few."""
    patterns, sums = [], []
    for samples in lessons:
        known, group = np.unique(~np.isnan(samples.targets), axis=0, return_inverse=True)
        patterns.append(known)
        sums += [_Sums.of(samples, group.ravel() == i) for i in range(len(known))]
    masks, columns = np.unique(np.concatenate(patterns), axis=1, return_inverse=True)
    num = patterns[0].shape[1]
    found = LinearMap(np.zeros((num, len(sums[0].x))), np.zeros(num))
    for i in range(masks.shape[1]):
        chosen = columns.ravel() == i
        some = [s for s, taken in zip(sums, masks[:, i], strict=True) if taken]
        if sum(s.weight for s in some) >= _FEWEST:
            found.weights[chosen], found.offsets[chosen] = _solve(some, chosen, penalty)
    return found


@dataclass(frozen=True)
class _Sums:
    """All that least squares asks of some samples, each times its weight."""

    weight: float
    x: Float[np.ndarray, " input"]
    y: Float[np.ndarray, " target"]
    xx: Float[np.ndarray, "input input"]
    yx: Float[np.ndarray, "target input"]

    @staticmethod
    def of(samples: Samples, rows: Bool[np.ndarray, " sample"]) -> _Sums:
        x = samples.inputs[rows].astype(np.float64)
        y = samples.targets[rows].astype(np.float64)
        weights = samples.weights[rows].astype(np.float64)
        weighted = x * weights[:, None]
        return _Sums(
            float(weights.sum()), weighted.sum(0), weights @ y, weighted.T @ x, y.T @ weighted
        )


def _solve(
    some: Sequence[_Sums], columns: Bool[np.ndarray, " target"], penalty: float
) -> tuple[Float[np.ndarray, "chosen input"], Float[np.ndarray, " chosen"]]:
    total = sum(s.weight for s in some)
    x_mean = np.sum([s.x for s in some], axis=0) / total
    y_mean = np.sum([s.y[columns] for s in some], axis=0) / total
    gram = np.sum([s.xx for s in some], axis=0) / total - np.outer(x_mean, x_mean)
    crossed = np.sum([s.yx[columns] for s in some], axis=0) / total - np.outer(y_mean, x_mean)
    gram += penalty * np.eye(len(gram))
    weights = np.linalg.solve(gram, crossed.T).T
    return weights, y_mean - weights @ x_mean
