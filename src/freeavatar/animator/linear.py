"""Controls read straight off the features: least squares beside the network.

What a linear map gets wrong about a face and what the network gets wrong are different things, so
the mean of both is nearer to the truth than either (docs/experiments.md). People teach it ARKit's
controls, a teacher's hints on real faces among them; an avatar's are what their names make of
these. Controls that no name explains are left to the network: a map from the pictures of one face
says little about other faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from freeavatar.animator.data import FaceTables, FeatureTable, together
from freeavatar.animator.identity import ARKIT_MEMBER, Cast, DrivenRig
from freeavatar.animator.model import Animator
from freeavatar.renderer.data import range_shares
from freeavatar.rig import ARKIT

SHARE = 0.5
"""How much the linear map says of a control: a third and two thirds are nearly as good."""
PENALTY = 0.1
"""On squared weights of people's read-outs, where features have a variance of 1."""
MADE_UP = 0.1
"""How much a render of an expression that nobody performed counts beside a frame of a take. What a
picture hardly shows has to be guessed from what faces do together; the network has learned that of
all expressions, and its errors are others (docs/experiments.md, "Two guesses")."""
FACES = 3.0
"""How much a real face that its teacher is sure of counts beside a frame of a take."""
GAIN = 1.25
"""How much farther than least squares says a control is from where it is in a face at rest. Least
squares answers every doubt with the mean, and so strong expressions with half of them; this much
costs nothing (docs/experiments.md, "Stronger")."""
_LIPS = ARKIT.index("mouthClose")
_SHUTS = [ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight"), _LIPS]
"""What hides eyes and teeth."""
_FEWEST = 50.0
"""Samples of full weight below which nothing is fitted."""


@dataclass(frozen=True)
class LinearReadout:
    """controls = features / spread @ weights.T + offsets, before they are clamped to [0, 1]."""

    weights: Float[np.ndarray, "control feature"]
    offsets: Float[np.ndarray, " control"]

    def __call__(
        self, scaled: Float[np.ndarray, "sample feature"]
    ) -> Float[np.ndarray, "sample control"]:
        return scaled @ self.weights.T + self.offsets


def add_linear_readout(
    model: Animator,
    cast: Cast,
    renders: FeatureTable,
    faces: FaceTables | None = None,
) -> None:
    """Fit ARKit's controls, and put what they mean for every control into the model."""
    spread = model.trunk.spread.numpy()
    scaled, sure = renders.features / spread, renders.confidence
    counted = sure * np.where(renders.lifelike, 1.0, MADE_UP)
    drawn = Samples(scaled, renders.controls, counted)
    usual = model.usual.numpy() / spread
    if faces is None:
        put_into(model, cast, stronger(fit([drawn], PENALTY), usual))
        return
    real = together(faces.plain, faces.mirrored)
    seen = real.features / spread
    hints = as_we_would(
        real.controls, fit([Samples(scaled, renders.controls, sure)], PENALTY)(seen)
    )
    network = _network_says(model, cast, real)
    # The teacher knows nothing of closed lips, and the performer of the takes holds his together
    # over every open jaw: laughs would have no teeth.
    hints[:, _LIPS] = network[:, _LIPS]
    arkit = stronger(fit([drawn, Samples(seen, hints, FACES * real.confidence)], PENALTY), usual)
    put_into(model, cast, _as_open(arkit, seen, network, real))


@torch.no_grad()
def _network_says(
    model: Animator, cast: Cast, table: FeatureTable
) -> Float[np.ndarray, "sample 52"]:
    number, member = _arkit(cast)
    slots = torch.from_numpy(cast.slots(member))
    return model.learned(torch.from_numpy(table.features), number, slots).numpy()


def _as_open(
    arkit: LinearReadout,
    seen: Float[np.ndarray, "sample feature"],
    network: Float[np.ndarray, "sample 52"],
    real: FeatureTable,
) -> LinearReadout:
    """Eyes and lips as far shut on real faces, in the mean, as the network has them.

    The performer of the takes blinks and squints more than people in photographs do, and half-shut
    eyes are the first thing that anybody sees.
    """
    offsets = arkit.offsets.copy()
    said = arkit(seen).clip(0.0, 1.0)
    if real.confidence.sum() > 0.0:
        apart = np.average(network - said, axis=0, weights=real.confidence)
        offsets[_SHUTS] += apart[_SHUTS]
    return LinearReadout(arkit.weights, offsets)


def stronger(
    arkit: LinearReadout, at_rest: Float[np.ndarray, " feature"], gain: float = GAIN
) -> LinearReadout:
    """The same for a face at rest, and `gain` times as far from there for others."""
    rest = arkit(at_rest[None])[0]
    return LinearReadout(gain * arkit.weights, gain * arkit.offsets + (1.0 - gain) * rest)


def as_we_would(
    hints: Float[np.ndarray, "sample control"], said: Float[np.ndarray, "sample control"]
) -> Float[np.ndarray, "sample control"]:
    """A teacher's hints with the mean and the spread of what we say of the same faces.

    A teacher's gain and offset are its own; only the direction is learned from it. NaN is silence.
    """
    silent = np.isnan(hints)
    known = np.maximum((~silent).sum(axis=0), 1)
    centred = np.where(silent, 0.0, hints)
    centred = np.where(silent, 0.0, centred - centred.sum(axis=0) / known)
    spread = np.sqrt(np.square(centred).sum(axis=0) / known)
    hinted = said.mean(axis=0) + centred / np.maximum(spread, 1e-3) * said.std(axis=0)
    return np.where(silent, np.nan, hinted)


def arkit_readout(model: Animator, cast: Cast) -> LinearReadout:
    """What a finished model reads ARKit's controls with."""
    slots = torch.from_numpy(cast.slots(_arkit(cast)[1]))
    return LinearReadout(model.readouts[slots].numpy(), model.offsets[slots].numpy())


def _arkit(cast: Cast) -> tuple[int, DrivenRig]:
    return next((i, m) for i, m in enumerate(cast.members) if m.avatar == ARKIT_MEMBER)


@torch.no_grad()
def put_into(model: Animator, cast: Cast, arkit: LinearReadout) -> None:
    """A row for each of the cast's control names; of a name that several avatars have in common,
    the first says what it means."""
    for member in reversed(cast.members):
        slots, found = torch.from_numpy(cast.slots(member)), by_name(arkit, member)
        explained = np.abs(found.weights).max(axis=1, initial=0.0) > 0.0
        model.readouts[slots] = torch.from_numpy(found.weights).to(model.readouts)
        model.offsets[slots] = torch.from_numpy(found.offsets).to(model.offsets)
        model.shares[slots] = torch.from_numpy(SHARE * explained).to(model.shares)


def by_name(arkit: LinearReadout, member: DrivenRig) -> LinearReadout:
    """What the names of a rig's controls make of ARKit's: shares of the rig's ranges."""
    rig, matrix = member.rig, member.arkit_to_rig.astype(np.float64)
    ranges = (rig.maximum - rig.minimum).astype(np.float64)
    rest = range_shares(rig, rig.rest[None])[0].astype(np.float64)
    return LinearReadout(
        matrix @ arkit.weights / ranges[:, None], rest + matrix @ arkit.offsets / ranges
    )


# --- least squares ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Samples:
    """What is to be fitted; NaN where a control is not known."""

    scaled: Float[np.ndarray, "sample feature"]
    targets: Float[np.ndarray, "sample control"]
    weights: Float[np.ndarray, " sample"]


def fit(lessons: Sequence[Samples], penalty: float) -> LinearReadout:
    """Ridge regression of every control over the samples in which it is known; 0 where there are
    too few."""
    patterns, sums = [], []
    for samples in lessons:
        known, group = np.unique(~np.isnan(samples.targets), axis=0, return_inverse=True)
        patterns.append(known)
        sums += [_Sums.of(samples, group.ravel() == i) for i in range(len(known))]
    masks, columns = np.unique(np.concatenate(patterns), axis=1, return_inverse=True)
    num = patterns[0].shape[1]
    found = LinearReadout(np.zeros((num, len(sums[0].x))), np.zeros(num))
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
    x: Float[np.ndarray, " feature"]
    y: Float[np.ndarray, " control"]
    xx: Float[np.ndarray, "feature feature"]
    yx: Float[np.ndarray, "control feature"]

    @staticmethod
    def of(samples: Samples, rows: Bool[np.ndarray, " sample"]) -> _Sums:
        x = samples.scaled[rows].astype(np.float64)
        y = samples.targets[rows].astype(np.float64)
        weights = samples.weights[rows].astype(np.float64)
        weighted = x * weights[:, None]
        return _Sums(
            float(weights.sum()), weighted.sum(0), weights @ y, weighted.T @ x, y.T @ weighted
        )


def _solve(
    some: Sequence[_Sums], columns: Bool[np.ndarray, " control"], penalty: float
) -> tuple[Float[np.ndarray, "chosen feature"], Float[np.ndarray, " chosen"]]:
    total = sum(s.weight for s in some)
    x_mean = np.sum([s.x for s in some], axis=0) / total
    y_mean = np.sum([s.y[columns] for s in some], axis=0) / total
    gram = np.sum([s.xx for s in some], axis=0) / total - np.outer(x_mean, x_mean)
    crossed = np.sum([s.yx[columns] for s in some], axis=0) / total - np.outer(y_mean, x_mean)
    gram += penalty * np.eye(len(gram))
    weights = np.linalg.solve(gram, crossed.T).T
    return weights, y_mean - weights @ x_mean
