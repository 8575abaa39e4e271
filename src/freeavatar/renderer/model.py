"""The neural renderer: controls and an avatar's condition -> its picture, with gradients.

PAPER.md section 2. One network serves all avatars. What an avatar looks like comes in as a picture
of it at rest (cut into 4 x 4 blocks), as small pictures of what each control changes
(`renderer.data.linear_effects`), as a learned code that modulates every block, and as one learned
vector per control. The network draws what is missing between their sum and the truth. So rigs may
have any number of controls, nothing is padded, and a new avatar brings only what is its own.

All 3 x 3 convolutions work at 32 x 32 pixels or below; pixel shuffle makes 128 x 128 of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from freeavatar.renderer.data import EFFECT_SIZE, PICTURE_SIZE

KIND = "freeavatar-renderer"
BLOCK = PICTURE_SIZE // EFFECT_SIZE
"""Pixels of a picture's side that become one cell of the finest grid."""


LOOKS = ("rests", "effects.")
"""Tensors that say what each known avatar looks like; the rest is shared, or small."""


@dataclass(frozen=True)
class RendererConfig:
    """Size of the network."""

    vector_size: int = 192
    """Of a control's vector; their sum, weighted by the controls, is what the face does."""
    widths: tuple[int, int, int] = (128, 96, 48)
    """Channels at 8, 16 and 32 pixels."""
    num_blocks: int = 1
    """Residual blocks at 32 pixels."""
    code_size: int = 32


class Modulated(nn.Module):
    """3 x 3 convolution whose normalised input the avatar's code and the movement scale and
    shift."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, inputs, affine=False)
        self.modulation = nn.Linear(condition, 2 * inputs)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        nn.init.normal_(self.modulation.weight, std=0.02)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        grid: Float[Tensor, "sample inputs side side"],
        condition: Float[Tensor, "sample condition"],
    ) -> Float[Tensor, "sample outputs side side"]:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return self.conv(F.silu(self.norm(grid) * (1 + scale) + shift))


class RendererTrunk(nn.Module):
    """(movement, avatar code, picture at rest, changes) -> picture. Shared by all avatars."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        self.config = config
        coarse, middle, fine = config.widths
        condition = config.vector_size + config.code_size
        self.mix = nn.Sequential(
            nn.Linear(condition, 2 * config.vector_size),
            nn.SiLU(),
            nn.Linear(2 * config.vector_size, config.vector_size),
        )
        self.spread = nn.Linear(condition, coarse * 8 * 8)
        self.at_8 = Modulated(coarse, middle, condition)
        self.at_16 = Modulated(middle, fine, condition)
        self.look = nn.Conv2d(3 * BLOCK**2 + 3, fine, 1)
        self.blocks = nn.ModuleList(
            Modulated(fine, fine, condition) for _ in range(2 * config.num_blocks)
        )
        self.leave = nn.Conv2d(fine, 3 * BLOCK**2, 1)
        # Starts by showing the picture at rest with its blurred changes.
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        movement: Float[Tensor, "sample vector"],
        code: Float[Tensor, "sample code"],
        rest: Float[Tensor, "sample 3 size size"],
        change: Float[Tensor, "sample 3 small small"],
    ) -> Float[Tensor, "sample 3 size size"]:
        movement = movement + self.mix(torch.cat([movement, code], dim=1))
        condition = torch.cat([movement, code], dim=1)
        grid = self.spread(condition).unflatten(1, (-1, 8, 8))
        grid = F.interpolate(self.at_8(grid, condition), scale_factor=2.0, mode="bilinear")
        grid = F.interpolate(self.at_16(grid, condition), scale_factor=2.0, mode="bilinear")
        grid = grid + self.look(torch.cat([F.pixel_unshuffle(rest, BLOCK), change], dim=1))
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            grid = grid + second(first(grid, condition), condition)
        blurred = F.interpolate(change, scale_factor=float(BLOCK), mode="bilinear")
        return rest + blurred + F.pixel_shuffle(self.leave(F.silu(grid)), BLOCK)


class NeuralRenderer(nn.Module):
    """The trunk with the codes, vectors and pictures at rest of the avatars it knows."""

    def __init__(self, config: RendererConfig, num_controls: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        self.trunk = RendererTrunk(config)
        self.codes = nn.Parameter(0.1 * torch.randn(len(num_controls), config.code_size))
        # One table, so that all processes of a run have the same gradients to average.
        self.vectors = nn.Parameter(torch.randn(sum(num_controls), config.vector_size) / 4.0)
        self.num_controls = tuple(num_controls)
        self.register_buffer("rests", torch.zeros(len(num_controls), 3, PICTURE_SIZE, PICTURE_SIZE))
        self.rests: Tensor
        self.neutrals = _fixed(torch.zeros(num) for num in num_controls)
        self.effects = _fixed(torch.zeros(num, 3, EFFECT_SIZE, EFFECT_SIZE) for num in num_controls)

    def vectors_of(self, avatar: int) -> Float[Tensor, "control vector"]:
        """The rows of one avatar's controls, as a view."""
        start = sum(self.num_controls[:avatar])
        return self.vectors[start : start + self.num_controls[avatar]]

    def forward(
        self, shares: Float[Tensor, "sample control"], avatar: int
    ) -> Float[Tensor, "sample 3 size size"]:
        """Pictures in [0, 1], nearly; `shares` are places in the controls' ranges."""
        return self.draw([(shares, avatar)])

    def draw(
        self, groups: Sequence[tuple[Float[Tensor, "_ _"], int]]
    ) -> Float[Tensor, "sample 3 size size"]:
        """Several avatars in one pass of the trunk, one group of samples after the other."""
        moved = [(shares - self.neutrals[avatar], avatar) for shares, avatar in groups]
        movement = torch.cat([change @ self.vectors_of(avatar) for change, avatar in moved])
        change = torch.cat(
            [torch.tensordot(change, self.effects[avatar], dims=1) for change, avatar in moved]
        )
        who: Int[Tensor, " sample"] = torch.cat(
            [torch.full((len(shares),), avatar) for shares, avatar in groups]
        ).to(movement.device)
        return self.trunk(movement, self.codes[who], self.rests[who], change)


def _fixed(tensors: Iterable[Tensor]) -> nn.ParameterList:
    """Facts of the avatars, kept with the weights and never trained."""
    return nn.ParameterList(nn.Parameter(tensor, requires_grad=False) for tensor in tensors)
