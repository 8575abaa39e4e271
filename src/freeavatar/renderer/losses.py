"""What a drawn picture is graded on: absolute difference, heavier where the rig moves pixels."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

EMPHASIS = 10.0
"""Weight of the busiest pixels beside 1 for still ones: the paper's 10 x for mouth and eyes."""


def region_weights(regions: Float[Tensor, "... size size"]) -> Float[Tensor, "... size size"]:
    """Pixel weights from `renderer.data.region_map`, with mean 1."""
    weights = 1.0 + (EMPHASIS - 1.0) * regions
    return weights / weights.mean(dim=(-2, -1), keepdim=True)


def picture_loss(
    drawn: Float[Tensor, "sample 3 size size"],
    truth: Float[Tensor, "sample 3 size size"],
    weights: Float[Tensor, "sample size size"],
) -> Float[Tensor, ""]:
    """Weighted mean absolute difference of pictures in [0, 1]."""
    return ((drawn - truth).abs() * weights[:, None]).mean()
