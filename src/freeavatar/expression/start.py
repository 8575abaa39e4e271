"""What a training of the expression model begins with: an autoencoder, a run, or shipped weights.

Shipped weights are the network alone. The heads that only training needs are then found by least
squares on its features, so that their first steps do not shake what is already there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freeavatar.checkpoints import load_checkpoint
from freeavatar.errors import WeightsError
from freeavatar.expression.encoder import KIND, ExpressionTrainer
from freeavatar.expression.pretrain import KIND as MAE_KIND

RIDGE = 1e-2
"""Of least squares, as a share of the features' mean variance."""


@runtime_checkable
class Told(Protocol):
    """Pictures with what is known of them: a `finetune.Batch`."""

    pictures: Tensor
    controls: Tensor
    head_rad: Tensor
    exact: Tensor


def load_trunk(trainer: ExpressionTrainer, mae_checkpoint: Path) -> None:
    """Start from the masked autoencoder's trunk; WeightsError if it has another shape."""
    trunk = dataclasses.asdict(trainer.network.config.trunk)
    loaded = load_checkpoint(mae_checkpoint, MAE_KIND, {"trunk": trunk})
    trainer.network.trunk.load_state_dict(
        {
            name.removeprefix("trunk."): tensor
            for name, tensor in loaded.tensors.items()
            if name.startswith("trunk.")
        }
    )


def load_start(trainer: ExpressionTrainer, start: Path) -> bool:
    """Begin with all weights of an earlier run; False when they are the network's alone.

    WeightsError for weights of another network.
    """
    tensors = load_checkpoint(start, KIND).tensors
    try:
        missing, surplus = trainer.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise _of_another_network(start, str(error)) from error
    unknown = [*surplus, *(name for name in missing if name.startswith("network."))]
    if unknown:
        raise _of_another_network(start, f"{len(unknown)} tensors, {unknown[0]} the first")
    return not missing


def _of_another_network(start: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{start} is of another network than is to be trained ({what}). "
        "Give a run of the same --size and --pool."
    )


@torch.no_grad()
def fit_heads(trainer: ExpressionTrainer, batches: Iterable[Told]) -> None:
    """Read controls and head turn from the features by least squares, over what is exactly known.

    What feelings and another net's scores are read with is learned in the first steps.
    """
    trainer.eval()
    known: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in batches:
        _, features = trainer.network(batch.pictures)
        rows = batch.exact
        known.append((features[rows].float(), batch.controls[rows], batch.head_rad[rows]))
    trainer.train()
    features, controls, head_rad = (torch.cat(column) for column in zip(*known, strict=True))
    for head, wanted in ((trainer.controls, controls), (trainer.head, head_rad)):
        _fit(head, features, wanted)


def _fit(
    head: nn.Linear,
    features: Float[Tensor, "row feature"],
    wanted: Float[Tensor, "row column"],
) -> None:
    """Each column over the rows in which it is known; unchanged where it hardly is."""
    for column in range(wanted.shape[1]):
        rows = ~torch.isnan(wanted[:, column])
        if int(rows.sum()) < 2:
            continue
        x, y = features[rows].double(), wanted[rows, column].double()
        mean, centred = x.mean(0), x - x.mean(0)
        gram = centred.T @ centred
        ridge = RIDGE * gram.diagonal().mean().clamp_min(1e-9)
        gram = gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        weight = torch.linalg.solve(gram, centred.T @ (y - y.mean()))
        head.weight[column] = weight.to(head.weight.dtype)
        head.bias[column] = (y.mean() - mean @ weight).to(head.bias.dtype)
