"""The expression-driven multi-avatar animator: one network, many rigs (PAPER.md section 2).

Dynamic identity injection: the avatar's code conditions the network in one of three ways
(`Conditioning`), and each control of each rig is a learned vector that reads its value off the last
block. So rigs may have any number of controls, nothing is padded that a loss would have to mask,
and a new avatar brings only its code and its control vectors.

The actor has a say too: what a face does is read from how its features differ from those of the
same face at rest, where that is known.

Beside the network, every control is read straight off the features by a linear map
(`animator/linear.py`); what comes out is the mean of both, where such a map is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

Conditioning = Literal["concat", "film", "hyper"]
"""How the avatar's code enters: beside the features (the paper's published code), as scale and
shift of every block, or as weights of a small layer in every block that it generates."""


@dataclass(frozen=True)
class AnimatorConfig:
    """Size of the network."""

    num_features: int = 192
    """Of the expression encoder."""
    width: int = 256
    num_blocks: int = 2
    code_size: int = 16
    """Of the avatar's identity code, as in the paper."""
    conditioning: Conditioning = "hyper"
    hyper_rank: int = 8
    """Width of the layer that the code generates ("hyper")."""
    person_size: int = 32
    """Numbers that are kept of the actor's neutral face; the features come as differences from
    it."""


class ConditionedBlock(nn.Module):
    """Residual MLP block that the avatar's code may modulate or extend."""

    def __init__(self, config: AnimatorConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.widen = nn.Linear(config.width, 2 * config.width)
        self.narrow = nn.Linear(2 * config.width, config.width)
        # Blocks start as the identity, whoever the avatar is.
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)
        if config.conditioning == "film":
            self.modulation = nn.Linear(config.code_size, 2 * config.width)
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)
        if config.conditioning == "hyper":
            self.generate_in = nn.Linear(config.code_size, config.width * config.hyper_rank)
            self.generate_out = nn.Linear(config.code_size, config.width * config.hyper_rank)
            nn.init.zeros_(self.generate_out.weight)
            nn.init.zeros_(self.generate_out.bias)

    def forward(
        self, hidden: Float[Tensor, "sample width"], code: Float[Tensor, "sample code"]
    ) -> Float[Tensor, "sample width"]:
        normed = self.norm(hidden)
        if self.config.conditioning == "film":
            scale, shift = self.modulation(code).chunk(2, dim=-1)
            normed = normed * (1 + scale) + shift
        changed = hidden + self.narrow(F.gelu(self.widen(normed)))
        if self.config.conditioning == "hyper":
            rank = self.config.hyper_rank
            into = self.generate_in(code).unflatten(1, (-1, rank))
            out_of = self.generate_out(code).unflatten(1, (rank, -1))
            changed = changed + (F.gelu(normed[:, None] @ into) @ out_of)[:, 0]
        return changed


class AnimatorTrunk(nn.Module):
    """(features, neutral features, avatar code, control vectors, linear read-outs) -> each
    control's place in its range, in [0, 1]."""

    def __init__(self, config: AnimatorConfig) -> None:
        super().__init__()
        self.config = config
        beside = config.code_size if config.conditioning == "concat" else 0
        self.spread: Tensor
        """Standard deviation of each feature: what hardly varies may mean as much as what does."""
        self.register_buffer("spread", torch.ones(config.num_features))
        self.person = nn.Linear(config.num_features, config.person_size)
        self.even = nn.LayerNorm(config.num_features + config.person_size)
        self.enter = nn.Linear(config.num_features + config.person_size + beside, config.width)
        self.blocks = nn.ModuleList(ConditionedBlock(config) for _ in range(config.num_blocks))
        self.leave = nn.LayerNorm(config.width)

    def forward(
        self,
        features: Float[Tensor, "sample feature"],
        neutral: Float[Tensor, "sample feature"],
        code: Float[Tensor, "sample code"],
        vectors: Float[Tensor, "control width"],
        biases: Float[Tensor, " control"],
        readouts: Float[Tensor, "control feature"],
        offsets: Float[Tensor, " control"],
        shares: Float[Tensor, " control"],
    ) -> Float[Tensor, "sample control"]:
        learned = torch.sigmoid(self.raw(features, neutral, code, vectors, biases))
        straight = (features / self.spread) @ readouts.T + offsets
        return torch.lerp(learned, straight.clamp(0.0, 1.0), shares)

    def raw(
        self,
        features: Float[Tensor, "sample feature"],
        neutral: Float[Tensor, "sample feature"],
        code: Float[Tensor, "sample code"],
        vectors: Float[Tensor, "control width"],
        biases: Float[Tensor, " control"],
    ) -> Float[Tensor, "sample control"]:
        """What the network says, before the squashing into [0, 1]."""
        moved, person = (features - neutral) / self.spread, self.person(neutral / self.spread)
        seen = self.even(torch.cat([moved, person], dim=1))
        if self.config.conditioning == "concat":
            seen = torch.cat([seen, code], dim=1)
        hidden = self.enter(seen)
        for block in self.blocks:
            hidden = block(hidden, code)
        return self.leave(hidden) @ vectors.T + biases


class Animator(nn.Module):
    """The trunk with the codes of all avatars and the vectors of all their controls."""

    def __init__(self, config: AnimatorConfig, num_avatars: int, num_controls: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = AnimatorTrunk(config)
        self.usual: Tensor
        """Features of a neutral face, for actors whose own is not known."""
        self.register_buffer("usual", torch.zeros(config.num_features))
        self.codes = nn.Parameter(0.1 * torch.randn(num_avatars, config.code_size))
        self.vectors = nn.Parameter(torch.randn(num_controls, config.width) / config.width**0.5)
        # Most controls rest at the low end of their range most of the time.
        self.biases = nn.Parameter(torch.full((num_controls,), -2.0))
        self.readouts: Tensor
        self.offsets: Tensor
        self.shares: Tensor
        """How much of each control the linear map says: nothing until it is fitted."""
        self.register_buffer("readouts", torch.zeros(num_controls, config.num_features))
        self.register_buffer("offsets", torch.zeros(num_controls))
        self.register_buffer("shares", torch.zeros(num_controls))

    def forward(
        self,
        features: Float[Tensor, "sample feature"],
        avatar: int,
        slots: Int[Tensor, " control"],
        neutral: Float[Tensor, "sample feature"] | None = None,
    ) -> Float[Tensor, "sample control"]:
        """Controls of one avatar; `slots` are the rows of its controls in the tables, and
        `neutral` the features of each actor's neutral face, None where they are not known."""
        code, neutral = self._told(features, avatar, neutral)
        vectors, biases = self.vectors[slots], self.biases[slots]
        straight = self.readouts[slots], self.offsets[slots], self.shares[slots]
        return self.trunk(features, neutral, code, vectors, biases, *straight)

    def learned(
        self,
        features: Float[Tensor, "sample feature"],
        avatar: int,
        slots: Int[Tensor, " control"],
        neutral: Float[Tensor, "sample feature"] | None = None,
    ) -> Float[Tensor, "sample control"]:
        """What the network alone says: training teaches it without the linear map."""
        return torch.sigmoid(self.raw(features, avatar, slots, neutral))

    def raw(
        self,
        features: Float[Tensor, "sample feature"],
        avatar: int,
        slots: Int[Tensor, " control"],
        neutral: Float[Tensor, "sample feature"] | None = None,
    ) -> Float[Tensor, "sample control"]:
        """The same before the squashing into [0, 1]."""
        code, neutral = self._told(features, avatar, neutral)
        return self.trunk.raw(features, neutral, code, self.vectors[slots], self.biases[slots])

    def _told(
        self, features: Tensor, avatar: int, neutral: Tensor | None
    ) -> tuple[Float[Tensor, "sample code"], Float[Tensor, "sample feature"]]:
        """The avatar's code and the actor's neutral face, a row for each sample."""
        if neutral is None:
            neutral = self.usual.expand(len(features), -1)
        return self.codes[avatar].expand(len(features), -1), neutral
