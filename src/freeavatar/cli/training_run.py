"""What every `freeavatar train` command shares: the extra it needs, the line it prints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from freeavatar.errors import MissingExtra

if TYPE_CHECKING:
    from freeavatar.expression.vit import ViTConfig

Size = Literal["mesh", "laptop", "tiny", "small"]
"""mesh: the shipped one, its stem begins as a public face-mesh network; laptop: a convolutional
stem from scratch; tiny and small: the standard ViT-Tiny and ViT-Small of the paper's family."""
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


def trunk_of(size: Size) -> ViTConfig:
    """The trunk by its name on the command line; needs the extra."""
    from freeavatar.expression.vit import vit_laptop, vit_mesh, vit_small, vit_tiny

    return {"mesh": vit_mesh, "laptop": vit_laptop, "tiny": vit_tiny, "small": vit_small}[size]()


def print_line(line: dict[str, float]) -> None:
    """One step of the log, short enough for a terminal."""
    print("  ".join(f"{name} {value:g}" for name, value in line.items()), flush=True)
