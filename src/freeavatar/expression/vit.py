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

from freeavatar.expression.mesh_stem import MeshStem


@dataclass(frozen=True)
class ViTConfig:
    """Size of the trunk."""

    image_size: int = 112
    """Side of the pictures that the trunk looks at; others are resized to it."""
    patch_size: int = 16
    width: int = 192
    depth: int = 12
    num_heads: int = 3
    stem: Literal["patch", "conv", "mesh"] = "patch"
    """How pixels become tokens: one linear layer per patch (ViT, MAE, the paper), strided 3x3
    convolutions with residual blocks, which learn from far fewer pictures (Xiao et al. 2021), or
    the early layers of a public face-mesh network (`mesh_stem.py`)."""
    stem_widths: tuple[int, ...] = ()
    """Channels of the convolutional stem after each halving, from half resolution down to one
    token a patch; multiples of 32 suit the matrix units of CPUs and GPUs."""

    def __post_init__(self) -> None:
        num_halvings = (self.patch_size - 1).bit_length()
        if self.stem == "conv" and len(self.stem_widths) != num_halvings:
            raise ValueError(
                f"a convolutional stem for patches of {self.patch_size} pixels halves "
                f"{num_halvings} times, but stem_widths is {self.stem_widths}"
            )
        if self.stem == "mesh" and self.patch_size != 32:
            raise ValueError(f"the mesh stem makes patches of 32 pixels, not {self.patch_size}")

    @property
    def grid(self) -> int:
        return self.image_size // self.patch_size


def vit_tiny() -> ViTConfig:
    """The standard ViT-Tiny: 5.4 M weights."""
    return ViTConfig()


def vit_laptop() -> ViTConfig:
    """Convolutional stem and 4 blocks: what two CPU cores can train in an hour."""
    return ViTConfig(depth=4, num_heads=6, stem="conv", stem_widths=(32, 64, 128, 192))


def vit_mesh() -> ViTConfig:
    """Stem from the mesh network and 4 blocks: what ships (docs/experiments.md)."""
    return ViTConfig(image_size=224, patch_size=32, depth=4, num_heads=6, stem="mesh")


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
        # Spelled out: on the CPU the fused kernel's backward pass takes as long as all the rest
        # for some 50 tokens (docs/experiments.md).
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        mixed = scores.softmax(dim=-1) @ value
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
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Float[Tensor, "batch channel height width"]) -> Tensor:
        return F.relu(maps + self.layers(maps))


class ConvStem(nn.Module):
    """Halves the picture until one token stands for one patch."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for i, wider in enumerate(config.stem_widths):
            layers += [
                nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(wider),
                nn.ReLU(),
            ]
            # At half resolution a block would cost as much as all others together; at the last
            # one the transformer takes over.
            if 0 < i < len(config.stem_widths) - 1:
                layers.append(ResidualBlock(wider))
            channels = wider
        self.layers = nn.Sequential(*layers)
        self.proj = nn.Conv2d(channels, config.width, 1)

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        batch = batch.contiguous(memory_format=torch.channels_last)
        return self.proj(self.layers(batch)).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Pictures in [0, 1] -> patch tokens."""

    pos_embed: Tensor

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = _make_stem(config)
        self.register_buffer("pos_embed", sincos_positions(config.width, config.grid))
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.apply(_initialise)

    def embed(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Patch tokens with their positions, before any block."""
        size = self.config.image_size
        if batch.shape[-1] != size:
            batch = F.interpolate(
                batch, (size, size), mode="bilinear", antialias=batch.shape[-1] > size
            )
        if not isinstance(
            self.patch_embed, MeshStem
        ):  # that one takes [0, 1]; the others are centred on grey
            batch = (batch - 0.5) / 0.25
        return self.patch_embed(batch) + self.pos_embed

    def encode(self, tokens: Float[Tensor, "batch token width"]) -> Tensor:
        """All blocks on any subset of tokens: the MAE hands over the visible ones only."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        return self.encode(self.embed(batch))


def _make_stem(config: ViTConfig) -> nn.Module:
    if config.stem == "mesh":
        return MeshStem(config.width)
    return PatchEmbed(config) if config.stem == "patch" else ConvStem(config)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
