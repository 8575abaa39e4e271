"""Masking keeps exactly its share and unshuffles; the autoencoder can learn."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
import torch

from freeavatar.expression.mae import (
    MAEConfig,
    MaskedAutoencoder,
    draw_masking,
    patchify,
    reconstruction_loss,
    show_reconstruction,
    unpatchify,
)
from freeavatar.expression.vit import ViTConfig

TINY = MAEConfig(
    trunk=ViTConfig(image_size=32, patch_size=8, width=32, depth=2, num_heads=2),
    decoder_width=32,
    decoder_depth=1,
    decoder_heads=2,
)


def test_masking_hides_exactly_its_share_and_restores_the_order() -> None:
    masking = draw_masking(5, 16, 0.75, torch.device("cpu"))
    assert masking.visible.shape == (5, 4)
    assert (masking.hidden.sum(1) == 12).all()
    for row in range(5):
        assert not masking.hidden[row, masking.visible[row]].any()
        # The first visible token of the shuffled row must land where it came from.
        shuffled = torch.full((16,), -1)
        shuffled[:4] = masking.visible[row]
        restored = shuffled[masking.restore[row]]
        assert (restored[masking.visible[row]] == masking.visible[row]).all()


def test_unpatchify_inverts_patchify() -> None:
    batch = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(unpatchify(patchify(batch, 8), 8), batch)


def test_it_memorises_a_few_pictures() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 6, 32)
    waves = [torch.sin((i + 1) * ramp[:, None] / 2 + ramp[None]) for i in range(4)]
    batch = 0.5 + 0.4 * torch.stack(waves)[:, None].expand(-1, 3, -1, -1)
    model = MaskedAutoencoder(TINY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        masking = draw_masking(4, 16, 0.75, torch.device("cpu"))
        loss = reconstruction_loss(model(batch, masking), batch, masking, 8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_hidden_pixels_never_reach_the_network(stem: Literal["patch", "conv"]) -> None:
    trunk = dataclasses.replace(TINY.trunk, stem=stem, stem_widths=(8, 16, 32))
    config = dataclasses.replace(TINY, trunk=trunk)
    model = MaskedAutoencoder(config).eval()
    batch = torch.rand(2, 3, 32, 32)
    masking = draw_masking(2, 16, 0.75, torch.device("cpu"))
    hidden = masking.hidden[..., None].expand(-1, -1, 192)
    other = torch.where(unpatchify(hidden, 8), torch.rand_like(batch), batch)
    with torch.no_grad():
        torch.testing.assert_close(model(batch, masking), model(other, masking))


def test_visible_patches_are_shown_unchanged() -> None:
    model = MaskedAutoencoder(TINY)
    batch = torch.rand(2, 3, 32, 32)
    masking = draw_masking(2, 16, 0.75, torch.device("cpu"))
    with torch.no_grad():
        masked, guessed = show_reconstruction(model(batch, masking), batch, masking, 8)
    visible = ~masking.hidden
    torch.testing.assert_close(patchify(masked, 8)[visible], patchify(batch, 8)[visible])
    torch.testing.assert_close(patchify(guessed, 8)[visible], patchify(batch, 8)[visible])
