"""Copy finished networks into the package and record their checksums in weights/manifest.json.

    python recipes/ship_weights.py --revision 2026-11-22

Run only when docs/experiments.md shows that the new version measures better.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

from freeavatar.inference import WEIGHTS_FOLDER


@dataclass(frozen=True)
class Options:
    """Ship networks with the package."""

    revision: str
    expression: Path = Path("runs/expression-laptop")
    animator: Path = Path("runs/animator")


def main(options: Options) -> None:
    sources = {
        "expression.onnx": options.expression,
        "expression.int8.onnx": options.expression,
        "animator.onnx": options.animator,
        "animator.npz": options.animator,
    }
    lines = {}
    for name, folder in sources.items():
        target = WEIGHTS_FOLDER / name
        shutil.copyfile(folder / name, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        lines[name] = {"sha256": digest, "revision": options.revision}
        print(f"{name}: {target.stat().st_size / 1e6:.1f} MB {digest[:12]}")
    (WEIGHTS_FOLDER / "manifest.json").write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
