"""A trained expression model as the teacher of a smaller one."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from freeavatar.checkpoints import load_checkpoint
from freeavatar.expression.encoder import KIND, ExpressionTrainer, TrainerOutput
from freeavatar.expression.export import config_from_json


def load_teacher(checkpoint: Path, device: torch.device) -> ExpressionTrainer:
    """The averaged weights of a finished run, which answer and do not learn."""
    loaded = load_checkpoint(checkpoint, KIND)
    teacher = ExpressionTrainer(config_from_json(loaded.config))
    teacher.load_state_dict(loaded.tensors)
    return teacher.requires_grad_(False).eval().to(device)


def distillation_loss(student: TrainerOutput, teacher: TrainerOutput) -> Float[Tensor, ""]:
    """Squared distance between both embeddings of every picture, real faces too, and between both
    readings of its controls. Both models have the same number of embedding dimensions."""
    apart = (student.embeddings - teacher.embeddings).square().sum(dim=1).mean()
    return apart + (student.controls - teacher.controls).square().sum(dim=1).mean()
