"""What the animator is graded on, beside the known controls themselves."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from freeavatar.expression.losses import known_mse


def asymmetry_loss(
    predicted: Float[Tensor, "sample control"],
    target: Float[Tensor, "sample control"],
    mirror: Tensor,
    weights: Float[Tensor, " control"],
) -> Float[Tensor, ""]:
    """Error of the left-minus-right difference: winks and one-sided smiles (PAPER.md 1c)."""
    return known_mse(predicted - predicted[:, mirror], target - target[:, mirror], 0.5 * weights)
