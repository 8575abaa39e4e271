"""Self-describing weights without pickle: tensors, the configuration that built them, a checksum.

A checkpoint is one safetensors file; its header carries `kind`, `config`, `progress` and the
sha256 of the tensors. Loading refuses another kind, another architecture or damaged bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from freeavatar.errors import WeightsError


@dataclass(frozen=True)
class Checkpoint:
    """What a file held: `tensors` by name, and how they came about."""

    kind: str
    config: dict[str, Any]
    progress: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def tensors_sha256(tensors: dict[str, torch.Tensor]) -> str:
    """Hash of names, shapes, types and bytes, independent of order in the file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically: a reader sees the old file or the new one, never half of one."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    header = {
        "kind": checkpoint.kind,
        "config": json.dumps(checkpoint.config, sort_keys=True),
        "progress": json.dumps(checkpoint.progress, sort_keys=True),
        "sha256": tensors_sha256(tensors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    save_file(tensors, temporary, metadata=header)
    os.replace(temporary, path)


def load_checkpoint(path: Path, kind: str, config: dict[str, Any] | None = None) -> Checkpoint:
    """Read and verify; with `config`, also refuse weights of another architecture."""
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint at {path}. Train one with its recipe first.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}).") from error
    if header.get("kind") != kind:
        raise WeightsError(
            f"{path} holds weights of kind {header.get('kind', 'unknown')!r}, not {kind!r}."
        )
    if header.get("sha256") != tensors_sha256(tensors):
        raise WeightsError(f"{path} is damaged: its tensors do not match its checksum.")
    found = json.loads(header["config"])
    if config is not None:
        config = json.loads(json.dumps(config))  # tuples read back as lists
        different = sorted(key for key in config if found.get(key) != config[key])
        if different:
            raise WeightsError(
                f"{path} was trained with another architecture: "
                + ", ".join(f"{k} is {found.get(k)!r}, not {config[k]!r}" for k in different)
            )
    return Checkpoint(kind, found, json.loads(header["progress"]), tensors)
