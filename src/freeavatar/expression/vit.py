"""Vision transformer trunk with timm's parameter names, without its dependencies.

No class token: the paper pools the patch tokens (PAPER.md 1b).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ViTConfig:
    """Size of the trunk."""

    image_size: int = 112
    patch_size: int = 16
    width: int = 192
    depth: int = 12
    num_heads: int = 3
    stem: Literal["patch", "conv"] = "patch"
    """How pixels become tokens: one linear layer per patch (ViT, MAE, the paper), or strided 3x3
    convolutions with residual blocks, which learn from far fewer pictures (Xiao et al. 2021)."""

    @property
    def grid(self) -> int:
        return self.image_size // self.patch_size


def vit_tiny() -> ViTConfig:
    """The standard ViT-Tiny: 5.4 M weights."""
    return ViTConfig()


def vit_laptop() -> ViTConfig:
    """Convolutional stem and 4 narrow blocks: what two CPU cores can train in half an hour."""
    return ViTConfig(width=128, depth=4, num_heads=4, stem="conv")


def vit_small() -> ViTConfig:
    """The standard ViT-Small: 21 M weights."""
    return ViTConfig(width=384, num_heads=6)


def sincos_positions(width: int, grid: int) -> Float[Tensor, "1 token width"]:
    """Fixed 2D sine-cosine position codes, as in the MAE recipe."""
    frequencies = 1.0 / 10_000 ** (torch.arange(width // 4) / (width / 4))
    axis = torch.arange(grid, dtype=torch.float32)
    angles = axis[:, None] * frequencies[None]
    code = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = code[:, None].expand(grid, grid, -1)
    columns = code[None].expand(grid, grid, -1)
    return torch.cat([columns, rows], dim=2).reshape(1, grid * grid, width)


class Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Tensor:
        batch, num_tokens, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, num_tokens, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, num_tokens, width))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class PatchEmbed(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, config.patch_size)

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        return self.proj(batch).flatten(2).transpose(1, 2)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Float[Tensor, "batch channel height width"]) -> Tensor:
        return F.gelu(maps + self.layers(maps))


class ConvStem(nn.Module):
    """Halves the picture until one token stands for one patch."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        num_halvings = (config.patch_size - 1).bit_length()
        layers: list[nn.Module] = []
        channels = 3
        for i in range(num_halvings):
            wider = config.width >> (num_halvings - 1 - i)
            layers += [
                nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(wider),
                nn.GELU(),
            ]
            if i > 0:  # at half resolution a block would cost as much as all others together
                layers.append(ResidualBlock(wider))
            channels = wider
        self.layers = nn.Sequential(*layers)
        self.proj = nn.Conv2d(channels, config.width, 1)

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        return self.proj(self.layers(batch)).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Pictures in [0, 1] -> patch tokens."""

    pos_embed: Tensor

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config) if config.stem == "patch" else ConvStem(config)
        self.register_buffer("pos_embed", sincos_positions(config.width, config.grid))
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.apply(_initialise)

    def embed(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Patch tokens with their positions, before any block; pictures are centred on grey."""
        return self.patch_embed((batch - 0.5) / 0.25) + self.pos_embed

    def encode(self, tokens: Float[Tensor, "batch token width"]) -> Tensor:
        """All blocks on any subset of tokens: the MAE hands over the visible ones only."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        return self.encode(self.embed(batch))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
