"""What every `freeavatar train` command shares: the extra it needs, the line it prints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from freeavatar.errors import MissingExtra

Size = Literal["laptop", "tiny", "small"]
Device = Literal["auto", "cpu", "cuda"]

_OF_THE_EXTRA = ("torch", "safetensors", "onnx", "onnxscript", "scipy")


@contextlib.contextmanager
def training_packages() -> Iterator[None]:
    """One sentence that names the extra when an import inside the block finds no PyTorch."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_THE_EXTRA:
            raise
        raise MissingExtra("Training", "train") from error


def print_line(line: dict[str, float]) -> None:
    """One step of the log, short enough for a terminal."""
    print("  ".join(f"{name} {value:g}" for name, value in line.items()), flush=True)
