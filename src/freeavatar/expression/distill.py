"""A trained expression model as the teacher of a smaller one."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from freeavatar.checkpoints import load_checkpoint
from freeavatar.errors import WeightsError
from freeavatar.expression.encoder import KIND, EncoderConfig, ExpressionTrainer, TrainerOutput
from freeavatar.expression.export import config_from_json


def load_teacher(
    checkpoint: Path, device: torch.device, student: EncoderConfig | None = None
) -> ExpressionTrainer:
    """The averaged weights of a finished run, which answer and do not learn.

    WeightsError when the file is not those, or when they answer in other sizes than `student`.
    """
    loaded = load_checkpoint(checkpoint, KIND)
    try:
        config = config_from_json(loaded.config)
        teacher = ExpressionTrainer(config)
        teacher.load_state_dict(loaded.tensors)
    except (RuntimeError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{checkpoint} cannot teach: it holds other weights than a finished run has. "
            "Give the final.safetensors of `freeavatar train expression`."
        ) from error
    if student is not None:
        _refuse_other_sizes(checkpoint, config, student)
    return teacher.requires_grad_(False).eval().to(device)


def distillation_loss(student: TrainerOutput, teacher: TrainerOutput) -> Float[Tensor, ""]:
    """Squared distance between both embeddings of every picture, real faces too, and between both
    readings of its controls; ValueError when the embeddings have different sizes."""
    if student.embeddings.shape != teacher.embeddings.shape:
        raise ValueError(
            f"the student's embeddings have shape {tuple(student.embeddings.shape)}, "
            f"the teacher's {tuple(teacher.embeddings.shape)}"
        )
    apart = (student.embeddings - teacher.embeddings).square().sum(dim=1).mean()
    return apart + (student.controls - teacher.controls).square().sum(dim=1).mean()


def _refuse_other_sizes(checkpoint: Path, teacher: EncoderConfig, student: EncoderConfig) -> None:
    """Features may differ: only embeddings and controls are compared."""
    theirs, ours = teacher.embedding_size, student.embedding_size
    if theirs != ours:
        raise WeightsError(
            f"{checkpoint} cannot teach this network: its embeddings have {theirs} numbers and not "
            f"{ours}. Give a teacher of the same size, or train without one."
        )
