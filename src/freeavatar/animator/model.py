"""The expression-driven multi-avatar animator: one network, many rigs (PAPER.md section 2).

Dynamic identity injection: the avatar's code modulates every block (FiLM), and each control of each
rig is a learned vector that reads its value off the last block. So rigs may have any number of
controls, nothing is padded, and a new avatar brings only its code and its control vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class AnimatorConfig:
    """Size of the network."""

    num_features: int = 192
    """Of the expression encoder."""
    width: int = 256
    num_blocks: int = 2
    code_size: int = 16
    """Of the avatar's identity code, as in the paper."""


class ModulatedBlock(nn.Module):
    """Residual MLP block whose normalised input is scaled and shifted by the avatar's code."""

    def __init__(self, config: AnimatorConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.modulation = nn.Linear(config.code_size, 2 * config.width)
        self.widen = nn.Linear(config.width, 2 * config.width)
        self.narrow = nn.Linear(2 * config.width, config.width)
        # Starts as the identity, so that training begins from the unconditioned network.
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(
        self, hidden: Float[Tensor, "sample width"], code: Float[Tensor, "sample code"]
    ) -> Float[Tensor, "sample width"]:
        scale, shift = self.modulation(code).chunk(2, dim=-1)
        modulated = self.norm(hidden) * (1 + scale) + shift
        return hidden + self.narrow(F.gelu(self.widen(modulated)))


class AnimatorTrunk(nn.Module):
    """(features, avatar code, control vectors) -> each control's place in its range, in [0, 1]."""

    def __init__(self, config: AnimatorConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.num_features, config.width)
        self.blocks = nn.ModuleList(ModulatedBlock(config) for _ in range(config.num_blocks))
        self.leave = nn.LayerNorm(config.width)

    def forward(
        self,
        features: Float[Tensor, "sample feature"],
        code: Float[Tensor, "sample code"],
        vectors: Float[Tensor, "control width"],
        biases: Float[Tensor, " control"],
    ) -> Float[Tensor, "sample control"]:
        hidden = self.enter(features)
        for block in self.blocks:
            hidden = block(hidden, code)
        return torch.sigmoid(self.leave(hidden) @ vectors.T + biases)


class Animator(nn.Module):
    """The trunk with the codes of all avatars and the vectors of all their controls."""

    def __init__(self, config: AnimatorConfig, num_avatars: int, num_controls: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = AnimatorTrunk(config)
        self.codes = nn.Parameter(0.1 * torch.randn(num_avatars, config.code_size))
        self.vectors = nn.Parameter(torch.randn(num_controls, config.width) / config.width**0.5)
        # Most controls rest at the low end of their range most of the time.
        self.biases = nn.Parameter(torch.full((num_controls,), -2.0))

    def forward(
        self,
        features: Float[Tensor, "sample feature"],
        avatar: int,
        slots: Int[Tensor, " control"],
    ) -> Float[Tensor, "sample control"]:
        """Controls of one avatar; `slots` are the rows of its controls in the vector table."""
        code = self.codes[avatar].expand(len(features), -1)
        return self.trunk(features, code, self.vectors[slots], self.biases[slots])
