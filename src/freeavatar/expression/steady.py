"""An embedding that stands still while light, people and things before the face change.

Triplets say which faces are nearer; they say little of how far the same expression may wander. Here
the linear map from features to embedding is found once more, by least squares: damaged crops of
many people are to give what their expression gives on average, and damaged real faces, of which
nobody knows the expression, what they give undamaged. The mean of the old map and this one is kept:
the one orders expressions, the other forgets what is none (docs/experiments.md, "Steadier").
Features stay as they are, and with them every animator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from freeavatar.expression.encoder import ExpressionNetwork
from freeavatar.rig import ARKIT

_BASIS_PENALTY = 4e-4
"""On the map from what a face does to its mean embedding, per sample."""


@dataclass(frozen=True)
class SteadyConfig:
    """How far to go; the defaults are what ships."""

    share: float = 0.45
    """Of the new map in what comes out: as little as brings an occluder's drift on renders under a
    third of what expressions are apart."""
    lopsided: float = 2.0
    """How much farther apart a lopsided face and its mirror image are to be than they are on
    average: what makes them differ is small, and the first thing that doubt takes away."""
    faces: float = 1.0
    """How much real faces count beside all renders."""
    penalty: float = 0.1
    """On squared weights, where features have a variance of 1."""


@dataclass(frozen=True)
class DamagedRenders:
    """Features of damaged crops of renders, and the ARKit values each face shows (NaN: not at
    all)."""

    features: Float[np.ndarray, "render feature"]
    controls: Float[np.ndarray, "render 52"]


@dataclass(frozen=True)
class DamagedFaces:
    """Features of real faces, undamaged and damaged."""

    clean: Float[np.ndarray, "face feature"]
    damaged: Float[np.ndarray, "face feature"]


@dataclass(frozen=True)
class _Map:
    weights: Float[np.ndarray, "embedding feature"]
    offsets: Float[np.ndarray, " embedding"]

    def __call__(
        self, features: Float[np.ndarray, "sample feature"]
    ) -> Float[np.ndarray, "sample embedding"]:
        return features @ self.weights.T + self.offsets

    def scaled(self, factor: float) -> _Map:
        return _Map(factor * self.weights, factor * self.offsets)


def steady(
    network: ExpressionNetwork,
    renders: DamagedRenders,
    faces: DamagedFaces | None = None,
    config: SteadyConfig | None = None,
) -> None:
    """Change the network's embedding; ValueError for one that is not linear in the features."""
    config = config or SteadyConfig()
    before = _embedding_of(network)
    said = before(renders.features.astype(np.float64))
    lessons = [
        (renders.features, _unit(_by_expression(said, renders.controls, config.lopsided)), 1.0)
    ]
    if faces is not None and len(faces.clean):
        undamaged = _unit(before(faces.clean.astype(np.float64)))
        weight = config.faces * len(renders.features) / (2 * len(faces.clean))
        lessons += [(faces.clean, undamaged, weight), (faces.damaged, undamaged, weight)]
    after = _least_squares(lessons, config.penalty)
    # Of equal length on average, so that shares mean what they say.
    old, new = (m.scaled(1.0 / _length(m(renders.features))) for m in (before, after))
    _put_into(
        network,
        _Map(
            (1.0 - config.share) * old.weights + config.share * new.weights,
            (1.0 - config.share) * old.offsets + config.share * new.offsets,
        ),
    )


def _by_expression(
    said: Float[np.ndarray, "render embedding"],
    controls: Float[np.ndarray, "render 52"],
    lopsided: float,
) -> Float[np.ndarray, "render embedding"]:
    """What is said on average of a face that does this, whoever it is; the part that a mirror turns
    around `lopsided` times as large."""
    shown = np.nan_to_num(controls).astype(np.float64)
    basis = _basis(shown)
    gram = basis.T @ basis + _BASIS_PENALTY * len(basis) * np.eye(basis.shape[1])
    found = np.linalg.solve(gram, basis.T @ said)
    plain, mirrored = basis @ found, _basis(shown[:, ARKIT.mirror_columns]) @ found
    return (plain + mirrored) / 2 + lopsided * (plain - mirrored) / 2


def _basis(controls: Float[np.ndarray, "sample 52"]) -> Float[np.ndarray, "sample basis"]:
    """Roots beside the values: the first bit of a smile says more than the last."""
    ones = np.ones((len(controls), 1))
    return np.concatenate([controls, np.sqrt(controls.clip(0.0, 1.0)), ones], axis=1)


def _least_squares(
    lessons: Sequence[
        tuple[Float[np.ndarray, "sample feature"], Float[np.ndarray, "sample embedding"], float]
    ],
    penalty: float,
) -> _Map:
    """Ridge regression over (features, targets, weight of a sample)."""
    first = lessons[0][0].astype(np.float64)
    middle, spread = first.mean(axis=0), first.std(axis=0) + 1e-6
    scaled = [((features - middle) / spread, targets, w) for features, targets, w in lessons]
    total = sum(w * len(x) for x, _, w in scaled)
    x_mean = sum(w * x.sum(axis=0) for x, _, w in scaled) / total
    y_mean = sum(w * y.sum(axis=0) for _, y, w in scaled) / total
    gram = sum(w * (x - x_mean).T @ (x - x_mean) for x, _, w in scaled) / total
    crossed = sum(w * (x - x_mean).T @ (y - y_mean) for x, y, w in scaled) / total
    weights = np.linalg.solve(gram + penalty * np.eye(len(middle)), crossed).T / spread
    return _Map(weights, y_mean - weights @ (middle + x_mean * spread))


@torch.no_grad()
def _embedding_of(network: ExpressionNetwork) -> _Map:
    """Features -> embedding before it is normalised, the batch norm folded in."""
    linear, spread = network.embedding, network.spread
    if not isinstance(linear, nn.Linear):
        raise ValueError("only an embedding that is linear in the features can be steadied")
    assert spread.running_mean is not None
    assert spread.running_var is not None
    scale = (spread.running_var.double() + spread.eps).rsqrt().numpy()
    weights = linear.weight.double().numpy() * scale[:, None]
    offsets = (linear.bias.double() - spread.running_mean.double()).numpy() * scale
    return _Map(weights, offsets)


@torch.no_grad()
def _put_into(network: ExpressionNetwork, found: _Map) -> None:
    linear, spread = network.embedding, network.spread
    assert isinstance(linear, nn.Linear)
    assert spread.running_mean is not None
    assert spread.running_var is not None
    linear.weight.copy_(torch.from_numpy(found.weights))
    linear.bias.copy_(torch.from_numpy(found.offsets))
    spread.running_mean.zero_()
    spread.running_var.fill_(1.0 - spread.eps)


def _length(embeddings: Float[np.ndarray, "sample embedding"]) -> float:
    return float(np.sqrt(np.square(embeddings).sum(axis=1).mean()))


def _unit(
    embeddings: Float[np.ndarray, "sample embedding"],
) -> Float[np.ndarray, "sample embedding"]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(lengths, 1e-9)
