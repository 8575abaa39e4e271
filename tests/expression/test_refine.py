"""Refining teaches the read-out and leaves the trunk as it was."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.checkpoints import load_checkpoint
from freeavatar.expression.encoder import KIND, EncoderConfig, ExpressionNetwork
from freeavatar.expression.export import load_network
from freeavatar.expression.finetune import FinetuneConfig, finetune
from freeavatar.expression.refine import RefineConfig, read_tokens, refine
from freeavatar.expression.vit import ViTConfig
from freeavatar.training.loop import LoopConfig

LOOP = LoopConfig(num_steps=2, log_every=1, device="cpu", warmup_steps=1)


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    """Faces whose only truth is how bright they are."""
    part = tmp_path / "renders" / "part-000"
    part.mkdir(parents=True)
    bright = np.random.default_rng(0).integers(0, 256, 48)
    arkit = np.repeat(bright[:, None] / 255, 52, axis=1).astype(np.float16)
    crops = np.broadcast_to(bright[:, None, None, None], (48, 144, 144, 3)).astype(np.uint8)
    np.save(part / "crops.npy", crops)
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.zeros((48, 3), np.float16))
    (part.parent / "index.json").write_text(json.dumps({}))
    return part.parent


def hardly_trained(renders: Path, folder: Path) -> tuple[FinetuneConfig, Path]:
    """How a tiny model was trained for two steps, and where it is."""
    torch.set_num_threads(1)
    model = EncoderConfig(
        ViTConfig(patch_size=28, width=16, depth=1, num_heads=2),
        embedding_size=4, token_size=4, num_features=8,
    )  # fmt: skip
    config = FinetuneConfig(model, renders_per_batch=16, faces_per_batch=0, loop=LOOP)
    return config, finetune([renders], [], None, folder / "start", config)


def changed(start: Path, refined: Path) -> set[str]:
    """Names of the tensors that differ."""
    before, after = (load_checkpoint(path, KIND).tensors for path in (start, refined))
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


def test_the_read_out_learns_and_the_trunk_stays(renders: Path, tmp_path: Path) -> None:
    losses, start = hardly_trained(renders, tmp_path)
    config = RefineConfig(
        num_renders=64, num_faces=0, renders_per_batch=32, num_processes=1, losses=losses,
        loop=dataclasses.replace(LOOP, num_steps=120, learning_rate=1e-2, ema_decay=0.9),
    )  # fmt: skip
    lines: list[dict[str, float]] = []
    refined = refine(start, [renders], [], tmp_path / "refined", config, lines.append)
    moved = changed(start, refined)
    assert not any(name.startswith("network.trunk.") for name in moved)
    assert {"network.pool.gather.weight", "controls.weight", "network.embedding.weight"} <= moved
    controls = [line["controls"] for line in lines]
    assert np.mean(controls[-10:]) < 0.5 * np.mean(controls[:10])
    features, embeddings, truth = read_tokens(
        tmp_path / "refined" / "renders", load_network(refined)
    )
    assert features.shape == (64, 8)
    assert truth.shape == (64, 52)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    # The features tell how bright each face was.
    guess, *_ = np.linalg.lstsq(np.c_[features, np.ones(64)], truth[:, 0], rcond=None)
    left_over = truth[:, 0] - np.c_[features, np.ones(64)] @ guess
    assert left_over.var() < 0.3 * truth[:, 0].var()


def test_the_embedding_alone_can_be_taught(renders: Path, tmp_path: Path) -> None:
    losses, start = hardly_trained(renders, tmp_path)
    config = RefineConfig(
        num_renders=32, num_faces=0, renders_per_batch=32, num_processes=1, losses=losses,
        only_embedding=True, loop=dataclasses.replace(LOOP, num_steps=5, learning_rate=1e-2),
    )  # fmt: skip
    refined = refine(start, [renders], [], tmp_path / "refined", config)
    moved = changed(start, refined)
    assert "network.embedding.weight" in moved
    assert all(name.startswith(("network.embedding.", "network.spread.")) for name in moved)


def test_an_embedding_with_a_hidden_layer_takes_the_place_of_the_old(
    renders: Path, tmp_path: Path
) -> None:
    losses, start = hardly_trained(renders, tmp_path)
    config = RefineConfig(
        num_renders=32, num_faces=0, renders_per_batch=32, num_processes=1, losses=losses,
        only_embedding=True, embedding_hidden=12, loop=dataclasses.replace(LOOP, num_steps=3),
    )  # fmt: skip
    refined = refine(start, [renders], [], tmp_path / "refined", config)
    before, after = load_checkpoint(start, KIND).tensors, load_checkpoint(refined, KIND).tensors
    assert after["network.embedding.0.weight"].shape == (12, 8)
    for name in set(before) & set(after):
        if not name.startswith("network.spread."):
            torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    network = load_network(refined)
    with torch.no_grad():
        embeddings, _ = network(torch.zeros(2, 3, 224, 224))
    np.testing.assert_allclose(embeddings.norm(dim=1), 1, atol=1e-5)


def test_no_tokens_give_no_rows(tmp_path: Path) -> None:
    model = EncoderConfig(
        ViTConfig(patch_size=28, width=16, depth=1, num_heads=2), embedding_size=4, num_features=8
    )
    shapes = [part.shape for part in read_tokens(tmp_path, ExpressionNetwork(model))]
    assert shapes == [(0, 8), (0, 4), (0, 52)]
