"""What the expression space is graded on: comparisons first, then controls, hints and head turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from freeavatar.rig import ARKIT, REGIONS

# A look or a blink is a small number of small sliders beside a mouth's dozens: regions are
# weighed so that an eyebrow counts beside an open jaw.
REGION_WEIGHTS: dict[str, float] = {
    "brow": 1.0,
    "eye": 1.0,
    "gaze": 0.6,
    "jaw": 1.0,
    "mouth": 1.0,
    "cheek": 0.7,
    "nose": 0.7,
    "tongue": 0.8,
}

PAIRS: Int[np.ndarray, "pair 2"] = np.array(
    [
        (left, right)
        for left, right in enumerate(ARKIT.mirror_columns)
        if left != right and "Left" in ARKIT.names[left]
    ]
)
"""Columns of each left control and of its mirror partner."""


def left_minus_right(controls: Float[Tensor, "batch 52"]) -> Float[Tensor, "batch pair"]:
    """How lopsided a face is, pair by pair."""
    left, right = torch.as_tensor(PAIRS.T, device=controls.device)
    return controls[:, left] - controls[:, right]


def expression_distances(
    controls: Float[Tensor, "batch 52"],
) -> Float[Tensor, "batch batch"]:
    """How differently two faces move: Euclidean per region, weighed, summed over regions.

    NaN controls (unknown to a rig or a teacher) count as no difference.
    """
    total = controls.new_zeros(len(controls), len(controls))
    for region in REGIONS:
        columns = torch.as_tensor(ARKIT.columns(region))
        if len(columns) == 0:
            continue
        values = controls[:, columns]
        difference = torch.nan_to_num(values[:, None] - values[None], nan=0.0)
        total = total + REGION_WEIGHTS[region] * difference.square().sum(-1).sqrt()
    return total


def triplet_loss(
    embeddings: Float[Tensor, "batch embedding"],
    distances: Float[Tensor, "batch batch"],
    comparable: Bool[Tensor, "batch batch"],
    margin: float = 0.2,
    one_class_margin: float = 0.1,
    clearness: float = 0.75,
    negatives: Bool[Tensor, "batch batch"] | None = None,
    agreeing: Sequence[Float[Tensor, "batch batch"]] = (),
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Symmetrised triplet margin loss over every clear triplet of the batch, and its accuracy.

    `negatives` says whom each face is told from; anybody where it is left out. `agreeing` are
    rulers that must each find a and p more alike than either is to n, or the triplet is not taken:
    teachers that disagree know nothing.

    A triplet (a, p, n) is taken when d(a, p) < clearness * min(d(a, n), d(p, n)): a and p are more
    alike than either is to n (the FEC rule). The paper's margins: 0.1 when all three are alike
    (one-class), else 0.2. Every unordered pair (a, p) appears in both orders, which is the paper's
    second term.
    """
    with torch.no_grad():
        pair = distances[:, :, None]  # d(a, p)
        to_a, to_p = distances[:, None, :], distances[None, :, :]
        known = comparable[:, :, None] & comparable[:, None, :] & comparable[None, :, :]
        clear = known & (pair < clearness * torch.minimum(to_a, to_p))
        if negatives is not None:
            clear &= negatives[:, None, :]
        for ruler in agreeing:
            clear &= ruler[:, :, None] < torch.minimum(ruler[:, None, :], ruler[None, :, :])
        same = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        clear &= ~(same[:, :, None] | same[:, None, :] | same[None, :, :])
        alike = distances[comparable & ~same]
        threshold = alike.median() * 0.6 if len(alike) else pair.new_zeros(())
        margins = torch.where(torch.maximum(to_a, to_p) < threshold, one_class_margin, margin)
    squared = (2 - 2 * embeddings @ embeddings.T).clamp_min(1e-8)
    apart = squared.sqrt()
    near, far_a, far_p = apart[:, :, None], apart[:, None, :], apart[None, :, :]
    hinge = F.relu(near - far_a + margins) * clear
    # Mean over violated triplets only: most of a batch's are easy and would drown the rest.
    active = (hinge > 0).sum().clamp_min(1)
    right = (near < far_a) & (near < far_p) & clear
    return hinge.sum() / active, right.sum() / clear.sum().clamp_min(1)


def sameness_loss(
    embeddings: Float[Tensor, "batch embedding"], same: Bool[Tensor, "batch batch"]
) -> Float[Tensor, ""]:
    """How far faces of one expression lie apart, as a share of what faces lie apart (squared).

    A hinge is content when others are further away; damage that moves a face less than that would
    stay. 0 where no two faces are the same.
    """
    squared = (2 - 2 * embeddings @ embeddings.T).clamp_min(0)
    others = ~torch.eye(len(squared), dtype=torch.bool, device=squared.device)
    pairs = same & others
    if not pairs.any():
        return squared.new_zeros(())
    return squared[pairs].mean() / squared[others].mean().detach().clamp_min(1e-6)


def anonymity_loss(
    embeddings: Float[Tensor, "batch embedding"],
    person: Int[Tensor, " batch"],
    same: Bool[Tensor, "batch batch"],
) -> Float[Tensor, ""]:
    """How much of what faces vary by is who they are: 0 when people's means coincide, 1 when
    nothing else varies.

    Two pictures of one person in expressions drawn independently have on average the product of
    that person's mean with itself in common. In whitened coordinates this is what a linear probe
    for the person lives on. `same` pairs show one expression and do not count; neither do persons
    below 0, who are unknown.
    """
    pairs = (person[:, None] == person[None]) & (person >= 0)[:, None] & ~same
    pairs = pairs & ~torch.eye(len(person), dtype=torch.bool, device=person.device)
    if not pairs.any():
        return embeddings.new_zeros(())
    known = embeddings[person >= 0]
    centred = embeddings - known.mean(dim=0)
    with torch.no_grad():
        size = embeddings.shape[1]
        covariance = torch.cov(known.T) if len(known) > 1 else torch.eye(size)
        ridge = 0.1 * covariance.diagonal().mean().clamp_min(1e-8)
        inverse = torch.linalg.inv(covariance + ridge * torch.eye(size, device=person.device))
    products = centred @ inverse @ centred.T
    return products[pairs].mean() / size


def known_mse(
    predicted: Float[Tensor, "batch column"],
    target: Float[Tensor, "batch column"],
    weights: Float[Tensor, "column"],
) -> Float[Tensor, ""]:
    """Weighted mean squared error over what is known (not NaN)."""
    known = ~torch.isnan(target)
    error = (predicted - torch.nan_to_num(target)).square() * known * weights
    return error.sum() / known.sum().clamp_min(1)
