"""Triplets that people voted on, as a term of the training loss (PAPER.md section 1b)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from freeavatar.expression.augment import AugmentConfig, augment
from freeavatar.expression.triplets import TripletSet
from freeavatar.images import batch_from_pictures

MARGIN, ONE_CLASS_MARGIN = 0.2, 0.1
"""The paper's: faces of one class are closer together."""


@dataclass(frozen=True)
class VoteBatch:
    """Damaged crops and the triplets over them, on the training device."""

    pictures: Float[Tensor, "face 3 height width"]
    triplets: Int[Tensor, "triplet 3"]
    margins: Float[Tensor, "triplet"]


def draw_votes(
    votes: TripletSet,
    num: int,
    augmentation: AugmentConfig,
    rng: np.random.Generator,
    device: torch.device,
) -> VoteBatch:
    """`num` random triplets. Half of the batches are mirrored as a whole: votes hold for mirrored
    faces, but not between a face and another's mirror image."""
    drawn = votes.draw(num, rng)
    mirror = bool(rng.random() < 0.5)
    crops = np.stack([augment(crop, augmentation, rng, mirror) for crop in drawn.crops])
    margins = np.where(drawn.num_classes == 1, ONE_CLASS_MARGIN, MARGIN).astype(np.float32)
    return VoteBatch(
        torch.from_numpy(batch_from_pictures(crops)).to(device),
        torch.from_numpy(drawn.triplets).to(device),
        torch.from_numpy(margins).to(device),
    )


def vote_loss(
    embeddings: Float[Tensor, "face embedding"], batch: VoteBatch
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """TripletMargin(a, p, n) + TripletMargin(p, a, n), and the share that is right by the FEC
    rule."""
    anchor, positive, negative = (embeddings[batch.triplets[:, i]] for i in range(3))
    near = F.pairwise_distance(anchor, positive)
    far_a = F.pairwise_distance(anchor, negative)
    far_p = F.pairwise_distance(positive, negative)
    loss = F.relu(near - far_a + batch.margins) + F.relu(near - far_p + batch.margins)
    right = (near < far_a) & (near < far_p)
    return loss.mean(), right.float().mean()
