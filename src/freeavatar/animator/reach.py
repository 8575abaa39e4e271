"""Curves that go as far as faces do.

Who minimises squared error answers with the mean of all that a face may be doing, and the less
there is to see, the nearer to rest that is: eyes that never quite shut. Every control's output
sigmoid(z) becomes sigmoid(a z + b), where a and b give it the mean and the spread that the truth
has over the pictures that taught it, or go a share of the way there: all of it would show every
doubt as movement. What is faintly seen is told from what is plainly seen by size alone, so the
order of frames, and with it the timing, stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import least_squares
from torch import Tensor

from freeavatar.animator.data import FeatureTable, OwnTable, rig_targets
from freeavatar.animator.identity import Cast, DrivenRig
from freeavatar.animator.model import Animator
from freeavatar.animator.people import People, of_avatar, of_renders

SHARE = 0.35
"""How far to go: curves of drawn performances lose 1 % of their correlation, and reach a third
farther (docs/experiments.md)."""
_CPU = torch.device("cpu")
_LOOKED_AT = 8_000
"""Pictures of people from which a member's reach is found."""
_FEWEST = 200
_STEADY = 0.02
"""Spread of the truth below which nothing is known of a control's reach."""
_FACTORS = (1.0, 4.0)
"""Between which a lies: curves are never made smaller."""


@dataclass(frozen=True)
class _Seen:
    """What the network says of pictures, and what it should say (NaN = unknown)."""

    raw: Float[np.ndarray, "sample control"]
    truth: Float[np.ndarray, "sample control"]


@torch.no_grad()
def widen(
    model: Animator,
    cast: Cast,
    renders: FeatureTable,
    own: tuple[OwnTable, ...] = (),
    share: float = SHARE,
    seed: int = 0,
) -> None:
    """Change the control vectors of a trained model; a share of 0 changes nothing.

    Controls that several avatars have in common get the mean of what each asks for, and so do the
    two sides of a face.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(renders))[:_LOOKED_AT]
    features = torch.from_numpy(renders.features)
    told = _neutrals(of_renders(renders, _CPU), features, rows, model, rng)
    asked: dict[int, list[tuple[float, float]]] = {}
    for number, member in enumerate(cast.members):
        slots = cast.slots(member)
        raw = model.raw(features[rows], number, torch.from_numpy(slots), told)
        seen = [_Seen(raw.numpy(), rig_targets(member, renders.controls[rows]))]
        seen += [
            _of_own(model, number, slots, member, table, rng)
            for table in own
            if table.avatar == member.avatar
        ]
        for column, slot in enumerate(slots):
            found = next(filter(None, (_asked(s, column) for s in seen)), None)
            if found is not None:
                for side in {slot, slots[member.rig.mirror_columns[column]]}:
                    asked.setdefault(int(side), []).append(found)
    for slot, wishes in asked.items():
        log_factor, shift = np.mean(wishes, axis=0) * share
        factor = float(np.exp(log_factor))
        model.vectors[slot] *= factor
        model.biases[slot] = factor * model.biases[slot] + float(shift)


def _of_own(
    model: Animator,
    number: int,
    slots: Int[np.ndarray, " control"],
    member: DrivenRig,
    table: OwnTable,
    rng: np.random.Generator,
) -> _Seen:
    features, rows = torch.from_numpy(table.features), np.arange(len(table.shares))
    told = _neutrals(of_avatar(table.shares, member.rig, _CPU), features, rows, model, rng)
    raw = model.raw(features, number, torch.from_numpy(slots), told)
    return _Seen(raw.numpy(), table.shares)


def _neutrals(
    people: People,
    features: Tensor,
    rows: Int[np.ndarray, " row"],
    model: Animator,
    rng: np.random.Generator,
) -> Tensor:
    return people.neutrals(features, rows, model.usual, (0.0, 0.0), rng)


def _asked(seen: _Seen, column: int) -> tuple[float, float] | None:
    """log a and b for one control; None where these pictures say nothing of its reach."""
    known = ~np.isnan(seen.truth[:, column])
    truth = seen.truth[known, column].astype(np.float64)
    if len(truth) < _FEWEST or truth.std() < _STEADY:
        return None
    raw, wanted = seen.raw[known, column].astype(np.float64), (truth.mean(), truth.std())

    def off(found: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
        said = 1.0 / (1.0 + np.exp(-(np.exp(found[0]) * raw + found[1])))
        return np.array([said.mean() - wanted[0], said.std() - wanted[1]])

    low, high = np.log(_FACTORS)
    best = least_squares(off, [(low + high) / 2, 0.0], bounds=([low, -10.0], [high, 10.0]))
    return float(best.x[0]), float(best.x[1])
