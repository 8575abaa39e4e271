"""Controls read straight off the features: least squares beside the network.

What a linear map gets wrong about a face and what the network gets wrong are different things, so
the mean of both is nearer to the truth than either (docs/experiments.md). People teach it ARKit's
controls, a teacher's hints on real faces among them; an avatar's are what their names make of
these. Controls that no name explains are left to the network: a map from the pictures of one face
says little about other faces.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from freeavatar.animator.data import FaceTables, FeatureTable, together
from freeavatar.animator.identity import ARKIT_MEMBER, Cast, DrivenRig
from freeavatar.animator.model import Animator
from freeavatar.renderer.data import range_shares
from freeavatar.rig import ARKIT
from freeavatar.training.least_squares import LinearMap, Samples, fit

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
    arkit: LinearMap,
    seen: Float[np.ndarray, "sample feature"],
    network: Float[np.ndarray, "sample 52"],
    real: FeatureTable,
) -> LinearMap:
    """Eyes and lips as far shut on real faces, in the mean, as the network has them.

    The performer of the takes blinks and squints more than people in photographs do, and half-shut
    eyes are the first thing that anybody sees.
    """
    offsets = arkit.offsets.copy()
    said = arkit(seen).clip(0.0, 1.0)
    if real.confidence.sum() > 0.0:
        apart = np.average(network - said, axis=0, weights=real.confidence)
        offsets[_SHUTS] += apart[_SHUTS]
    return LinearMap(arkit.weights, offsets)


def stronger(
    arkit: LinearMap, at_rest: Float[np.ndarray, " feature"], gain: float = GAIN
) -> LinearMap:
    """The same for a face at rest, and `gain` times as far from there for others."""
    rest = arkit(at_rest[None])[0]
    return LinearMap(gain * arkit.weights, gain * arkit.offsets + (1.0 - gain) * rest)


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


def arkit_readout(model: Animator, cast: Cast) -> LinearMap:
    """What a finished model reads ARKit's controls with: features in units of their spread in,
    controls before they are clamped to [0, 1] out."""
    slots = torch.from_numpy(cast.slots(_arkit(cast)[1]))
    return LinearMap(model.readouts[slots].numpy(), model.offsets[slots].numpy())


def _arkit(cast: Cast) -> tuple[int, DrivenRig]:
    return next((i, m) for i, m in enumerate(cast.members) if m.avatar == ARKIT_MEMBER)


@torch.no_grad()
def put_into(model: Animator, cast: Cast, arkit: LinearMap) -> None:
    """A row for each of the cast's control names; of a name that several avatars have in common,
    the first says what it means."""
    for member in reversed(cast.members):
        slots, found = torch.from_numpy(cast.slots(member)), by_name(arkit, member)
        explained = np.abs(found.weights).max(axis=1, initial=0.0) > 0.0
        model.readouts[slots] = torch.from_numpy(found.weights).to(model.readouts)
        model.offsets[slots] = torch.from_numpy(found.offsets).to(model.offsets)
        model.shares[slots] = torch.from_numpy(SHARE * explained).to(model.shares)


def by_name(arkit: LinearMap, member: DrivenRig) -> LinearMap:
    """What the names of a rig's controls make of ARKit's: shares of the rig's ranges."""
    rig, matrix = member.rig, member.arkit_to_rig.astype(np.float64)
    ranges = (rig.maximum - rig.minimum).astype(np.float64)
    rest = range_shares(rig, rig.rest[None])[0].astype(np.float64)
    return LinearMap(
        matrix @ arkit.weights / ranges[:, None], rest + matrix @ arkit.offsets / ranges
    )
