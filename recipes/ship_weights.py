"""Copy finished networks into the package and record their checksums in weights/manifest.json.

    python recipes/ship_weights.py --revision 2026-11-25

Run only when docs/experiments.md shows that the new version measures better.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from freeavatar.animator.train import KIND as ANIMATOR
from freeavatar.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from freeavatar.expression.encoder import KIND as EXPRESSION
from freeavatar.inference import WEIGHTS_FOLDER
from freeavatar.renderer.model import KIND as RENDERER
from freeavatar.renderer.model import LOOKS


@dataclass(frozen=True)
class Options:
    """Ship networks with the package."""

    revision: str
    expression: Path = Path("runs/expression")
    animator: Path = Path("runs/animator")
    renderer: Path | None = Path("runs/renderer")
    """None ships nothing for `freeavatar train avatar`, which then says what is missing."""


def main(options: Options) -> None:
    sources = {
        "expression.onnx": options.expression,
        "expression.int8.onnx": options.expression,
        "animator.onnx": options.animator,
        "animator.npz": options.animator,
    }
    for name, folder in sources.items():
        shutil.copyfile(folder / name, WEIGHTS_FOLDER / name)
    shipped = list(sources)
    if options.renderer is not None:
        for name, folder, kind in (
            ("expression.safetensors", options.expression, EXPRESSION),
            ("animator.safetensors", options.animator, ANIMATOR),
            ("renderer.safetensors", options.renderer, RENDERER),
        ):
            copy_in_half(folder / "final.safetensors", WEIGHTS_FOLDER / name, kind)
            shipped.append(name)
    lines = {}
    for name in shipped:
        target = WEIGHTS_FOLDER / name
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        lines[name] = {"sha256": digest, "revision": options.revision}
        print(f"{name}: {target.stat().st_size / 1e6:.1f} MB {digest[:12]}")
    (WEIGHTS_FOLDER / "manifest.json").write_text(json.dumps(lines, indent=1) + "\n")


def copy_in_half(source: Path, target: Path, kind: str) -> None:
    """Weights with gradients in mind, for `freeavatar train avatar`; heads that only their own
    training needs stay behind, and what the renderer's own avatars look like."""
    loaded = load_checkpoint(source, kind)
    tensors = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor
        for name, tensor in loaded.tensors.items()
        if (kind != EXPRESSION or name.startswith("network."))
        and (kind != RENDERER or not name.startswith(LOOKS))
    }
    save_checkpoint(target, Checkpoint(kind, loaded.config, {}, tensors))


if __name__ == "__main__":
    main(tyro.cli(Options))
