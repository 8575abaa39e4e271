"""What the animator is graded on, beside the known controls themselves (PAPER.md section 2)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from freeavatar.expression.losses import known_mse

RAW_LIMIT = 6.0
"""Before the sigmoid; beyond it a control is at the end of its range and gets no gradient."""


def asymmetry_loss(
    predicted: Float[Tensor, "sample control"],
    target: Float[Tensor, "sample control"],
    mirror: Int[Tensor, " control"],
    weights: Float[Tensor, " control"],
) -> Float[Tensor, ""]:
    """Error of the left-minus-right difference: winks and one-sided smiles (PAPER.md 1c)."""
    return known_mse(predicted - predicted[:, mirror], target - target[:, mirror], 0.5 * weights)


def within_loss(
    predicted: Float[Tensor, "sample control"],
    target: Float[Tensor, "sample control"],
    weights: Float[Tensor, " control"],
) -> Float[Tensor, ""]:
    """Error of the difference between two faces of one person, who are the two halves of the batch:
    what is always wrong about somebody costs nothing here, a movement that is missed does."""
    half = len(predicted) // 2
    moved = predicted[:half] - predicted[half : 2 * half]
    return known_mse(moved, target[:half] - target[half : 2 * half], 0.5 * weights)


def consistency_loss(
    seen: Float[Tensor, "sample embedding"], source: Float[Tensor, "sample embedding"]
) -> Float[Tensor, ""]:
    """Squared distance of unit embeddings: the avatar should express what the source does."""
    return (seen - source).square().sum(dim=1).mean()


def mirror_loss(
    predicted: Float[Tensor, "sample control"],
    of_mirrored: Float[Tensor, "sample control"],
    mirror: Int[Tensor, " control"],
    weights: Float[Tensor, " control"],
) -> Float[Tensor, ""]:
    """The mirrored picture must give the mirrored controls: asymmetry without any truth."""
    return known_mse(predicted[:, mirror], of_mirrored, weights)


def range_loss(raw: Float[Tensor, "sample control"]) -> Float[Tensor, ""]:
    """Prior: values before the sigmoid stay where it still answers."""
    return F.relu(raw.abs() - RAW_LIMIT).square().mean()


def sparsity_loss(
    predicted: Float[Tensor, "sample control"], rest: Float[Tensor, " control"]
) -> Float[Tensor, ""]:
    """Prior: what can be said with few controls is not said with many."""
    return (predicted - rest).abs().mean()


def hint_loss(
    predicted: Float[Tensor, "sample control"],
    hint: Float[Tensor, "sample control"],
    confidence: Float[Tensor, " sample"],
) -> Float[Tensor, ""]:
    """1 - correlation with a teacher over the batch, mean over the controls that it speaks of.

    A teacher's gain and offset are its own; only the direction is learned from it. NaN is silence.
    """
    weight = (~torch.isnan(hint)) * confidence[:, None]
    total = weight.sum(0)
    spoken = total > 1e-6
    if not spoken.any():
        return predicted.new_zeros(())
    weight, total = weight[:, spoken], total[spoken]
    said, ours = torch.nan_to_num(hint[:, spoken]), predicted[:, spoken]
    said = said - (weight * said).sum(0) / total
    ours = ours - (weight * ours).sum(0) / total
    spread = (weight * said.square()).sum(0) / total
    scale = ((weight * ours.square()).sum(0) / total + 1e-4).sqrt() * (spread + 1e-4).sqrt()
    correlation = (weight * said * ours).sum(0) / total / scale
    # A control that nobody in the batch moves has no direction to learn.
    moved = (spread > 1e-4).float()
    return ((1 - correlation) * moved).sum() / moved.sum().clamp_min(1)
