"""Pretraining: a stopped run comes to the same curve, and finetuning starts from its trunk."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from freeavatar.checkpoints import load_checkpoint
from freeavatar.errors import WeightsError
from freeavatar.expression.encoder import EncoderConfig, ExpressionTrainer
from freeavatar.expression.mae import MAEConfig
from freeavatar.expression.pretrain import KIND, PretrainConfig, loss_curve, pretrain
from freeavatar.expression.start import load_trunk
from freeavatar.expression.vit import ViTConfig
from freeavatar.training.loop import LoopConfig

TRUNK = ViTConfig(image_size=32, patch_size=8, width=16, depth=1, num_heads=2)
CONFIG = PretrainConfig(
    model=MAEConfig(TRUNK, decoder_width=16, decoder_depth=1, decoder_heads=2),
    batch_size=6,
    loop=LoopConfig(num_steps=6, log_every=1, device="cpu", warmup_steps=2, save_every_s=0.0),
)
PAPER, INK = 250, 120


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    part = folder / "part-000"
    part.mkdir()
    rng = np.random.default_rng(0)
    np.save(part / "crops.npy", rng.integers(0, 256, (20, 144, 144, 3), dtype=np.uint8))
    np.savez(part / "truth.npz", key=np.arange(20))
    (folder / "index.json").write_text("{}")
    return folder


def curve(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_stopped_run_comes_to_the_same_curve_and_shows_it(faces: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pretrain([faces], tmp_path / "whole", CONFIG)

    def stop(line: dict[str, float]) -> None:
        if line["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain([faces], tmp_path / "cut", CONFIG, stop)
    assert not (tmp_path / "cut" / "final.safetensors").exists()
    pretrain([faces], tmp_path / "cut", CONFIG)
    assert len(curve(tmp_path / "whole")) == 6
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    whole, cut = (
        load_checkpoint(tmp_path / name / "final.safetensors", KIND).tensors
        for name in ("whole", "cut")
    )
    for name, tensor in whole.items():
        torch.testing.assert_close(cut[name], tensor, rtol=0, atol=0)
    plots = [(tmp_path / name / "loss.png").read_bytes() for name in ("whole", "cut")]
    assert plots[0] == plots[1]
    # Sixteen faces side by side at most: original, hidden, guessed.
    picture = cv2.imread(str(tmp_path / "cut" / "reconstructions.png"))
    assert picture is not None
    assert picture.shape == (3 * 32, 6 * 32, 3)


def test_a_falling_loss_is_drawn_as_a_falling_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [json.dumps({"step": step, "loss": 1.0 - step / 200}) for step in range(0, 101, 10)]
    log.write_text("\n".join(lines) + "\n")
    blue = loss_curve(log).astype(int)
    drawn = (blue[..., 2] - blue[..., 0]) > INK
    rows = [np.flatnonzero(drawn[:, column]).mean() for column in (100, 300, 500, 690)]
    assert rows == sorted(rows)
    assert rows[-1] - rows[0] > 80
    empty = loss_curve(tmp_path / "absent.jsonl")
    assert (empty.min(axis=2) > PAPER).mean() > 0.9


def test_finetuning_starts_from_its_trunk_and_from_no_other(faces: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(CONFIG, loop=dataclasses.replace(CONFIG.loop, num_steps=1))
    final = pretrain([faces], tmp_path, short)
    sizes = {"embedding_size": 4, "token_size": 4, "num_features": 8}
    trainer = ExpressionTrainer(EncoderConfig(TRUNK, **sizes))
    load_trunk(trainer, final)
    taught = load_checkpoint(final, KIND).tensors
    own = trainer.network.trunk.state_dict()
    assert own
    for name, tensor in own.items():
        torch.testing.assert_close(tensor, taught[f"trunk.{name}"], rtol=0, atol=0)
    wider = ExpressionTrainer(EncoderConfig(dataclasses.replace(TRUNK, width=32), **sizes))
    with pytest.raises(WeightsError, match="another architecture") as refused:
        load_trunk(wider, final)
    assert str(final) in str(refused.value)
    assert "'width': 16" in str(refused.value)
