"""A teacher speaks only to a student of its sizes, and only a finished run teaches."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from freeavatar.checkpoints import Checkpoint, save_checkpoint
from freeavatar.errors import WeightsError
from freeavatar.expression.distill import distillation_loss, load_teacher
from freeavatar.expression.encoder import KIND, EncoderConfig, ExpressionTrainer
from freeavatar.expression.vit import ViTConfig

TRUNK = ViTConfig(patch_size=28, width=16, depth=1, num_heads=2)
CONFIG = EncoderConfig(TRUNK, embedding_size=4, token_size=4, num_features=8)
CPU = torch.device("cpu")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "final.safetensors"
    tensors = ExpressionTrainer(CONFIG).state_dict()
    save_checkpoint(path, Checkpoint(KIND, dataclasses.asdict(CONFIG), {}, tensors))
    return path


def test_a_teacher_answers_as_it_did_and_does_not_learn(checkpoint: Path) -> None:
    torch.manual_seed(0)
    before = ExpressionTrainer(CONFIG).eval()
    teacher = load_teacher(checkpoint, CPU, CONFIG)
    batch = torch.rand(3, 3, 112, 112)
    torch.testing.assert_close(teacher(batch).embeddings, before(batch).embeddings)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_deeper_teacher_of_the_same_sizes_teaches(checkpoint: Path) -> None:
    shallow = dataclasses.replace(CONFIG, trunk=dataclasses.replace(TRUNK, depth=0, width=8))
    assert load_teacher(checkpoint, CPU, shallow).network.config == CONFIG


def test_a_teacher_of_other_embeddings_is_refused_and_of_other_features_is_not(
    checkpoint: Path,
) -> None:
    student = dataclasses.replace(CONFIG, embedding_size=6)
    with pytest.raises(WeightsError, match="embeddings have 4 numbers and not 6"):
        load_teacher(checkpoint, CPU, student)
    for sizes in ({"num_features": 12}, {"pool": "mean"}):
        student = dataclasses.replace(CONFIG, **sizes)  # type: ignore[arg-type]
        assert load_teacher(checkpoint, CPU, student).network.config == CONFIG


def test_a_run_that_is_not_finished_does_not_teach(tmp_path: Path, checkpoint: Path) -> None:
    running = tmp_path / "last.safetensors"
    tensors = {f"model.{k}": v for k, v in ExpressionTrainer(CONFIG).state_dict().items()}
    save_checkpoint(running, Checkpoint(KIND, dataclasses.asdict(CONFIG), {}, tensors))
    with pytest.raises(WeightsError, match=r"Give the final\.safetensors"):
        load_teacher(running, CPU)


def test_embeddings_of_two_sizes_are_not_compared() -> None:
    wide = dataclasses.replace(CONFIG, embedding_size=6)
    one, other = (ExpressionTrainer(config).eval() for config in (CONFIG, wide))
    batch = torch.rand(2, 3, 112, 112)
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(2, 6\)"):
        distillation_loss(one(batch), other(batch))
