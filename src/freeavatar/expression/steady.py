"""An embedding that stands still while light, people and things before the face change.

Triplets say which faces are nearer; they say little of how far the same expression may wander. Here
the linear map from features to embedding is found once more, by least squares: damaged crops of
many people are to give what their expression gives on average, and damaged real faces, of which
nobody knows the expression, what they give undamaged. Nearly the mean of the old map and this one
is kept: the one orders expressions, the other forgets what is none (docs/experiments.md,
"Steadier").
Features stay as they are, and with them every animator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from freeavatar.expression.encoder import ExpressionNetwork
from freeavatar.rig import ARKIT
from freeavatar.training.least_squares import LinearMap, Samples, fit

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


def steady(
    network: ExpressionNetwork,
    renders: DamagedRenders,
    faces: DamagedFaces | None = None,
    config: SteadyConfig | None = None,
) -> None:
    """Change the network's embedding; ValueError for one that is not linear in the features."""
    config = config or SteadyConfig()
    before, features = _embedding_of(network), renders.features.astype(np.float64)
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    num, said = len(features), before(features)
    targets = _unit(_by_expression(said, renders.controls, config.lopsided))
    lessons = [Samples((features - middle) / spread, targets, np.ones(num))]
    if faces is not None and len(faces.clean):
        undamaged = _unit(before(faces.clean.astype(np.float64)))
        counted = np.full(len(undamaged), config.faces * num / (2 * len(undamaged)))
        for seen in (faces.clean, faces.damaged):
            lessons.append(Samples((seen - middle) / spread, undamaged, counted))
    fitted = fit(lessons, config.penalty)
    weights = fitted.weights / spread
    after = LinearMap(weights, fitted.offsets - weights @ middle)
    # Of equal length on average, so that shares mean what they say.
    old, new = (m.scaled(1.0 / _length(m(features))) for m in (before, after))
    _put_into(network, old.scaled(1.0 - config.share) + new.scaled(config.share))


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


@torch.no_grad()
def _embedding_of(network: ExpressionNetwork) -> LinearMap:
    """Features -> embedding before it is normalised, the batch norm folded in."""
    linear, spread = network.embedding, network.spread
    if not isinstance(linear, nn.Linear):
        raise ValueError("only an embedding that is linear in the features can be steadied")
    assert spread.running_mean is not None
    assert spread.running_var is not None
    scale = (spread.running_var.double() + spread.eps).rsqrt().numpy()
    weights = linear.weight.double().numpy() * scale[:, None]
    offsets = (linear.bias.double() - spread.running_mean.double()).numpy() * scale
    return LinearMap(weights, offsets)


@torch.no_grad()
def _put_into(network: ExpressionNetwork, found: LinearMap) -> None:
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
