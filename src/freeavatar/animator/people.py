"""The same person again: other faces of whoever is in a row, and how they look at rest."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from freeavatar.animator.data import FeatureTable
from freeavatar.renderer.data import range_shares
from freeavatar.rig import ARKIT, RigSpec

CALM = 0.25
"""Sum of all controls up to which a face counts as neutral."""
MILD = 1.5
"""The same for an expression that might be taken for neutral: who smiles all the time."""
FEWEST = 6
"""Faces of a person that count as neutral in any case: those that do least."""
AVERAGED = 4
"""Neutral faces that are averaged, as capture does it over frames."""


class People:
    """Rows of one table by person; rows of nobody (-1) are alone."""

    def __init__(
        self,
        people: Int[np.ndarray, " sample"],
        moved: Float[np.ndarray, " sample"],
        device: torch.device,
    ) -> None:
        """`moved`: how much each face does, as a sum of controls."""
        names, self._who = np.unique(people, return_inverse=True)
        self._known = people >= 0
        own, calm, mild = [], [], []
        for who in range(len(names)):
            rows = np.flatnonzero(self._who == who)
            rows = rows[np.argsort(moved[rows], kind="stable")]
            own.append(rows)
            calm.append(rows[: max(FEWEST, int((moved[rows] < CALM).sum()))])
            mild.append(rows[: max(FEWEST, int((moved[rows] < MILD).sum()))])
        self._own, self._calm, self._mild = (_Lists(lists) for lists in (own, calm, mild))
        self._device = device

    def companions(
        self, rows: Int[np.ndarray, " row"], rng: np.random.Generator
    ) -> Int[np.ndarray, " row"]:
        """Another face of the same person for each row, by lot; the row itself for nobody's."""
        return np.where(self._known[rows], self._own.draw(self._who[rows], rng), rows)

    def neutrals(
        self,
        features: Float[Tensor, "sample feature"],
        rows: Int[np.ndarray, " row"],
        usual: Float[Tensor, " feature"],
        shares: tuple[float, float],
        rng: np.random.Generator,
    ) -> Float[Tensor, "row feature"]:
        """What is taken for the neutral face of whoever is in each row. `shares`: how often that is
        not known (`usual` stands in), and how often it is no neutral face at all."""
        unknown, mistaken = shares
        who, lots = self._who[rows], rng.random(len(rows))
        calm = np.stack([self._calm.draw(who, rng) for _ in range(AVERAGED)])
        mild = np.broadcast_to(self._mild.draw(who, rng), calm.shape)
        chosen = torch.from_numpy(np.where(lots < mistaken, mild, calm)).to(self._device)
        found = features[chosen].mean(0)
        nobody = (lots > 1.0 - unknown) | ~self._known[rows]
        return torch.where(torch.from_numpy(nobody).to(self._device)[:, None], usual, found)

    def usual(self, features: Float[Tensor, "sample feature"]) -> Float[Tensor, " feature"]:
        """The neutral face of nobody in particular: the mean over all who are known."""
        known = [who for who in range(len(self._calm)) if self._known[self._calm.all(who)].all()]
        if not known:
            return features.mean(0)
        each = [features[torch.from_numpy(self._calm.all(who))].mean(0) for who in known]
        return torch.stack(each).mean(0)


def of_renders(table: FeatureTable, device: torch.device) -> People:
    """Whom renders show, whose controls are ARKit's."""
    return People(table.people, _effort(table.controls, ARKIT), device)


def of_avatar(
    shares: Float[np.ndarray, "sample control"], rig: RigSpec, device: torch.device
) -> People:
    """The one person in all pictures of an avatar; `shares` as in `OwnTable`."""
    moved = np.abs(shares - range_shares(rig, rig.rest[None])[0])
    return People(np.zeros(len(shares), np.int64), _effort(moved, rig), device)


def _effort(
    moved: Float[np.ndarray, "sample control"], rig: RigSpec
) -> Float[np.ndarray, " sample"]:
    """How much each face does; eyes that look about are still a neutral face."""
    counted = np.ones(len(rig), bool)
    counted[rig.columns("gaze")] = False
    return np.nan_to_num(moved)[:, counted].sum(axis=1)


class _Lists:
    """Lists of rows, one a person, to draw from."""

    def __init__(self, lists: list[np.ndarray]) -> None:
        self._counts = np.array([len(rows) for rows in lists])
        self._starts = np.cumsum(self._counts) - self._counts
        self._rows = np.concatenate(lists) if lists else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._counts)

    def draw(
        self, who: Int[np.ndarray, " row"], rng: np.random.Generator
    ) -> Int[np.ndarray, " row"]:
        """One row of each of these people."""
        steps = (rng.random(len(who)) * self._counts[who]).astype(np.int64)
        return self._rows[self._starts[who] + steps]

    def all(self, who: int) -> Int[np.ndarray, " row"]:
        """Every row of one of them."""
        start = self._starts[who]
        return self._rows[start : start + self._counts[who]]
