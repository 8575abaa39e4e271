"""Masked autoencoder (He et al. 2022): the facial feature space of PAPER.md section 1a."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from freeavatar.expression.vit import (
    Block,
    VisionTransformer,
    ViTConfig,
    sincos_positions,
)


@dataclass(frozen=True)
class MAEConfig:
    """The trunk and the throw-away decoder that trains it."""

    trunk: ViTConfig = field(default_factory=ViTConfig)
    mask_share: float = 0.75
    decoder_width: int = 128
    """Narrow and shallow: the decoder sees all tokens and would cost more than the trunk."""
    decoder_depth: int = 2
    decoder_heads: int = 4


@dataclass(frozen=True)
class Masking:
    """Which tokens stay visible, and how to put everything back in order."""

    visible: Int[Tensor, "batch visible"]
    restore: Int[Tensor, "batch token"]
    hidden: Bool[Tensor, "batch token"]


def draw_masking(batch: int, num_tokens: int, share: float, device: torch.device) -> Masking:
    """Hide exactly round(share * num_tokens) random tokens of every picture."""
    num_visible = num_tokens - round(share * num_tokens)
    order = torch.rand(batch, num_tokens, device=device).argsort(dim=1)
    restore = order.argsort(dim=1)
    return Masking(order[:, :num_visible], restore, restore >= num_visible)


def patchify(
    batch: Float[Tensor, "batch 3 height width"], patch: int
) -> Float[Tensor, "batch token pixels"]:
    """Cut pictures into rows of pixels, one row a token."""
    b, c, h, w = batch.shape
    tiles = batch.reshape(b, c, h // patch, patch, w // patch, patch)
    return tiles.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, patch * patch * c)


def unpatchify(
    tokens: Shaped[Tensor, "batch token pixels"], patch: int
) -> Shaped[Tensor, "batch 3 height width"]:
    """Inverse of `patchify` for square pictures."""
    grid = round(tokens.shape[1] ** 0.5)
    tiles = tokens.reshape(len(tokens), grid, grid, patch, patch, 3)
    return tiles.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), 3, grid * patch, grid * patch)


class MaskedAutoencoder(nn.Module):
    """Hide three quarters of a face and guess them back."""

    decoder_pos_embed: Tensor

    def __init__(self, config: MAEConfig) -> None:
        super().__init__()
        self.config = config
        trunk = config.trunk
        self.trunk = VisionTransformer(trunk)
        self.decoder_embed = nn.Linear(trunk.width, config.decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.decoder_width))
        self.register_buffer(
            "decoder_pos_embed", sincos_positions(config.decoder_width, trunk.grid)
        )
        self.decoder_blocks = nn.ModuleList(
            Block(config.decoder_width, config.decoder_heads) for _ in range(config.decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(config.decoder_width, eps=1e-6)
        self.decoder_pred = nn.Linear(config.decoder_width, trunk.patch_size**2 * 3)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, batch: Float[Tensor, "batch 3 height width"], masking: Masking
    ) -> Float[Tensor, "batch token pixels"]:
        """Predicted pixels of every patch, normalised per patch."""
        patch = self.config.trunk.patch_size
        # Hidden patches are greyed before the stem, or convolutions would look into them.
        grey = unpatchify(masking.hidden[..., None].expand(-1, -1, 3 * patch**2), patch)
        tokens = self.trunk.embed(torch.where(grey, 0.5, batch))
        visible = tokens.gather(1, masking.visible[..., None].expand(-1, -1, tokens.shape[2]))
        encoded = self.decoder_embed(self.trunk.encode(visible))
        num_hidden = tokens.shape[1] - encoded.shape[1]
        shuffled = torch.cat([encoded, self.mask_token.expand(len(batch), num_hidden, -1)], dim=1)
        ordered = shuffled.gather(1, masking.restore[..., None].expand(-1, -1, shuffled.shape[2]))
        decoded = ordered + self.decoder_pos_embed
        for block in self.decoder_blocks:
            decoded = block(decoded)
        return self.decoder_pred(self.decoder_norm(decoded))


def reconstruction_loss(
    predicted: Float[Tensor, "batch token pixels"],
    batch: Float[Tensor, "batch 3 height width"],
    masking: Masking,
    patch: int,
) -> Float[Tensor, ""]:
    """Mean squared error on hidden patches, each normalised to zero mean and unit variance."""
    target = patchify(batch, patch)
    mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
    target = (target - mean) / (variance + 1e-6).sqrt()
    error = ((predicted - target) ** 2).mean(-1)
    return (error * masking.hidden).sum() / masking.hidden.sum()


def show_reconstruction(
    predicted: Float[Tensor, "batch token pixels"],
    batch: Float[Tensor, "batch 3 height width"],
    masking: Masking,
    patch: int,
) -> tuple[Tensor, Tensor]:
    """(masked picture, reconstruction with visible patches pasted in), for people to look at."""
    target = patchify(batch, patch)
    mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
    guessed = predicted * (variance + 1e-6).sqrt() + mean
    hidden = masking.hidden[..., None]
    masked = torch.where(hidden, torch.full_like(target, 0.5), target)
    return unpatchify(masked, patch), unpatchify(torch.where(hidden, guessed, target), patch)
