"""The expression foundation model: face crop -> unit vector in which distance means difference.

PAPER.md section 1b: pooled patch tokens -> LayerNorm -> linear -> L2 normalise. One network does
what the paper needs two for: left and right are told apart, because mirrored faces are trained as
other expressions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

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
    embedding_hidden: int = 0
    """Width of a layer between features and embedding; 0 for the paper's linear map."""
    pool: Literal["mean", "grid"] = "grid"
    """Mean over tokens (the paper), or a read-out that knows where on the face a token lies. Crops
    are aligned, so an eyelid is always in the same token; a mean dilutes it with 48 others."""
    token_size: int = 48
    """Channels that each token brings to the grid read-out."""
    num_features: int = 384
    """Features of the grid read-out; a mean has the trunk's width."""

    @property
    def feature_size(self) -> int:
        return self.trunk.width if self.pool == "mean" else self.num_features


class GridPool(nn.Module):
    """Tokens -> features, with weights of its own for every place on the face."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.narrow = nn.Linear(config.trunk.width, config.token_size)
        self.gather = nn.Linear(config.trunk.grid**2 * config.token_size, config.num_features)

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch feature"]:
        return self.gather(F.gelu(self.narrow(tokens)).flatten(1))


class MeanPool(nn.Module):
    """The paper's pooling."""

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch width"]:
        return tokens.mean(dim=1)


class ExpressionNetwork(nn.Module):
    """Crops in [0, 1] -> (embedding of unit length, features for the animator)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = VisionTransformer(config.trunk)
        self.pool = MeanPool() if config.pool == "mean" else GridPool(config)
        self.feature_norm = nn.LayerNorm(config.feature_size, eps=1e-6)
        self.embedding = _embedding(config)
        # Without this all faces start as almost one direction, and the triplet loss stays there,
        # at its margin (docs/experiments.md). It folds into the linear layer when exported.
        self.spread = nn.BatchNorm1d(config.embedding_size, affine=False)

    def forward(
        self, batch: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch embedding"], Float[Tensor, "batch feature"]]:
        return self.read_out(self.trunk(batch))

    def read_out(
        self, tokens: Float[Tensor, "batch token width"]
    ) -> tuple[Float[Tensor, "batch embedding"], Float[Tensor, "batch feature"]]:
        """The same from the trunk's tokens."""
        features = self.feature_norm(self.pool(tokens))
        return F.normalize(self.spread(self.embedding(features)), dim=-1), features


def _embedding(config: EncoderConfig) -> nn.Module:
    """Features -> embedding before it is normalised."""
    if not config.embedding_hidden:
        return nn.Linear(config.feature_size, config.embedding_size)
    return nn.Sequential(
        nn.Linear(config.feature_size, config.embedding_hidden),
        nn.GELU(),
        nn.Linear(config.embedding_hidden, config.embedding_size),
    )


@dataclass(frozen=True)
class TrainerOutput:
    """Everything the losses look at."""

    embeddings: Float[Tensor, "batch embedding"]
    features: Float[Tensor, "batch feature"]
    controls: Float[Tensor, "batch control"]
    taught: Float[Tensor, "batch control"]
    head_rad: Float[Tensor, "batch 3"]
    emotion_logits: Float[Tensor, "batch 7"]

    def in_float32(self) -> TrainerOutput:
        """The same, out of whatever precision the network ran in."""
        return TrainerOutput(*(getattr(self, f.name).float() for f in fields(self)))


class ExpressionTrainer(nn.Module):
    """The network with the heads that only training needs."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.network = ExpressionNetwork(config)
        width = config.feature_size
        self.controls = nn.Linear(width, len(ARKIT))
        self.head = nn.Linear(width, 3)
        self.emotion = nn.Linear(width, 7)
        # Starts at the average face: a random read-out costs the first hundred steps to unlearn.
        nn.init.zeros_(self.controls.weight)
        nn.init.constant_(self.controls.bias, 0.1)
        # The 52-score teacher has its own gain and offset per control; letting it speak through
        # them keeps its scale out of our controls while its direction reaches the features.
        self.teacher_log_gain = nn.Parameter(torch.zeros(len(ARKIT)))
        self.teacher_offset = nn.Parameter(torch.zeros(len(ARKIT)))

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> TrainerOutput:
        return self.read_out(self.network.trunk(batch))

    def read_out(self, tokens: Float[Tensor, "batch token width"]) -> TrainerOutput:
        """The same from the trunk's tokens."""
        embeddings, features = self.network.read_out(tokens)
        controls = self.controls(features)
        taught = controls * self.teacher_log_gain.exp() + self.teacher_offset
        return TrainerOutput(
            embeddings, features, controls, taught, self.head(features), self.emotion(features)
        )
