"""Where a network trains: device, precision, threads and seeds. Training only (imports PyTorch)."""

from __future__ import annotations

import contextlib
import random
from typing import Literal

import numpy as np
import torch

from freeavatar.errors import FreeAvatarError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]


def pick_device(name: DeviceName = "auto") -> torch.device:
    """The named device, or the fastest one present; FreeAvatarError when it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise FreeAvatarError(
            "Training was asked to run on CUDA but PyTorch finds no CUDA device. "
            "Use --device cpu, or install a CUDA build of PyTorch."
        )
    return torch.device(name)


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[None]:
    """bfloat16 where the processor multiplies it (CUDA, AMX, AVX-512 BF16) unless told otherwise.

    Other CPUs train in float32: emulated bfloat16 is several times slower there.
    """
    if precision == "auto":
        precision = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type != "cpu":
        return device.type == "cuda"
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries below us use the global generator
    torch.manual_seed(seed)
