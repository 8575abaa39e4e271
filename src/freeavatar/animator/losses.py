"""What the animator is graded on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def control_loss(
    predicted: Float[Tensor, "sample control"],
    target: Float[Tensor, "sample control"],
    weights: Float[Tensor, " control"],
) -> Float[Tensor, ""]:
    """Weighted squared error over known controls (NaN = unknown); both as shares of the range."""
    known = ~torch.isnan(target)
    error = (predicted - torch.nan_to_num(target)).square() * known * weights
    return error.sum() / known.sum().clamp_min(1)


def asymmetry_loss(
    predicted: Float[Tensor, "sample control"],
    target: Float[Tensor, "sample control"],
    mirror: Tensor,
    weights: Float[Tensor, " control"],
) -> Float[Tensor, ""]:
    """Error of the left-minus-right difference: winks and one-sided smiles (PAPER.md 1c)."""
    return control_loss(predicted - predicted[:, mirror], target - target[:, mirror], 0.5 * weights)
