"""The expression foundation model: face crop -> unit vector in which distance means difference.

PAPER.md section 1b: mean-pooled patch tokens -> LayerNorm -> linear -> L2 normalise. Ours keeps the
two things the paper needs a second network for in one: left and right are told apart, because
mirrored faces are trained as other expressions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from freeavatar.expression.vit import VisionTransformer, ViTConfig
from freeavatar.rig import ARKIT

KIND = "freeavatar-expression"


@dataclass(frozen=True)
class EncoderConfig:
    """Trunk and embedding."""

    trunk: ViTConfig = field(default_factory=ViTConfig)
    embedding_size: int = 32
    """The paper has 16 and a second network for asymmetry; one for both gets twice that."""


class ExpressionNetwork(nn.Module):
    """Crops in [0, 1] -> (embedding of unit length, features for the animator)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = VisionTransformer(config.trunk)
        self.feature_norm = nn.LayerNorm(config.trunk.width, eps=1e-6)
        self.embedding = nn.Linear(config.trunk.width, config.embedding_size)

    def forward(
        self, batch: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch embedding"], Float[Tensor, "batch feature"]]:
        features = self.feature_norm(self.trunk(batch).mean(dim=1))
        return F.normalize(self.embedding(features), dim=-1), features


@dataclass(frozen=True)
class TrainerOutput:
    """Everything the losses look at."""

    embeddings: Float[Tensor, "batch embedding"]
    features: Float[Tensor, "batch feature"]
    controls: Float[Tensor, "batch control"]
    taught: Float[Tensor, "batch control"]
    head_rad: Float[Tensor, "batch 3"]
    emotion_logits: Float[Tensor, "batch 7"]


class ExpressionTrainer(nn.Module):
    """The network with the heads that only training needs."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.network = ExpressionNetwork(config)
        width = config.trunk.width
        self.controls = nn.Linear(width, len(ARKIT))
        self.head = nn.Linear(width, 3)
        self.emotion = nn.Linear(width, 7)
        # The 52-score teacher has its own gain and offset per control; letting it speak through
        # them keeps its scale out of our controls while its direction reaches the features.
        self.teacher_log_gain = nn.Parameter(torch.zeros(len(ARKIT)))
        self.teacher_offset = nn.Parameter(torch.zeros(len(ARKIT)))

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> TrainerOutput:
        embeddings, features = self.network(batch)
        controls = self.controls(features)
        taught = controls * self.teacher_log_gain.exp() + self.teacher_offset
        return TrainerOutput(
            embeddings, features, controls, taught, self.head(features), self.emotion(features)
        )
