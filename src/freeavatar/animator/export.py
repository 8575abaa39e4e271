"""Trained animator -> `animator.onnx` (the network) and `animator.npz` (the avatars it knows)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freeavatar.animator.identity import Cast
from freeavatar.animator.linear import add_linear_readout
from freeavatar.animator.model import Animator, AnimatorConfig
from freeavatar.animator.reach import SHARE, widen
from freeavatar.animator.train import KIND, Lessons
from freeavatar.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from freeavatar.training.onnx_files import store_in_half_precision, strip_traces

_INPUTS = ("features", "neutral", "code", "vectors", "biases", "readouts", "offsets", "shares")


def load_animator(checkpoint: Path) -> tuple[Animator, Cast]:
    """The trained network and its cast."""
    loaded = load_checkpoint(checkpoint, KIND)
    cast = Cast.from_json(loaded.config["cast"])
    config = AnimatorConfig(**{k: v for k, v in loaded.config.items() if k != "cast"})
    model = Animator(config, len(cast.members), len(cast.control_names))
    model.load_state_dict(loaded.tensors)
    return model.eval(), cast


def save_finished(checkpoint: Path, out: Path, lessons: Lessons, share: float = SHARE) -> None:
    """The same network with curves that go farther (`reach.widen`) and a linear map beside it."""
    loaded = load_checkpoint(checkpoint, KIND)
    model, cast = load_animator(checkpoint)
    widen(model, cast, lessons.renders, lessons.own, share)
    add_linear_readout(model, cast, lessons.renders, lessons.faces)
    save_animator(out, model, cast, loaded.progress | {"reach": share})


def save_animator(out: Path, model: Animator, cast: Cast, progress: dict[str, Any]) -> None:
    """What `load_animator` reads; `progress` says how it was made."""
    described = dataclasses.asdict(model.config) | {"cast": cast.to_json()}
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    save_checkpoint(out, Checkpoint(KIND, described, progress, tensors))


def export_animator(checkpoint: Path, folder: Path) -> tuple[Path, Path]:
    """Write both files; batch and number of controls stay free in the graph."""
    model, cast = load_animator(checkpoint)
    config = model.config
    network, table = folder / "animator.onnx", folder / "animator.npz"
    sample, control = torch.export.Dim("sample"), torch.export.Dim("control")
    program = torch.onnx.export(
        model.trunk,
        (
            torch.zeros(3, config.num_features),
            torch.zeros(3, config.num_features),
            torch.zeros(3, config.code_size),
            torch.zeros(5, config.width),
            torch.zeros(5),
            torch.zeros(5, config.num_features),
            torch.zeros(5),
            torch.zeros(5),
        ),
        dynamo=True,
        input_names=list(_INPUTS),
        output_names=["controls"],
        dynamic_shapes=(*[{0: sample}] * 3, *[{0: control}] * 5),
        verbose=False,
    )
    assert program is not None
    program.save(str(network), external_data=False)
    strip_traces(network)
    store_in_half_precision(network)
    write_table(table, model, cast)
    return network, table


def write_table(path: Path, model: Animator, cast: Cast, trunk: str = "") -> None:
    """What the network knows of each avatar; `trunk` names the network when it lies elsewhere."""
    np.savez_compressed(
        path,
        codes=model.codes.detach().numpy(),
        vectors=model.vectors.detach().numpy().astype(np.float16),
        biases=model.biases.detach().numpy(),
        readouts=model.readouts.numpy().astype(np.float16),
        offsets=model.offsets.numpy(),
        shares=model.shares.numpy(),
        usual=model.usual.detach().numpy(),
        cast=np.frombuffer(json.dumps(cast.to_json()).encode(), np.uint8),
        trunk=np.frombuffer(trunk.encode(), np.uint8),
    )
