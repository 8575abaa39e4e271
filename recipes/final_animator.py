"""From a trained encoder to the animator that ships, in one command; every step goes on if stopped.

    python recipes/final_animator.py --expression runs/expression

The neural renderer is trained while features are encoded; then both cores train the animator.

Data      as train_renderer.py and train_animator.py
Hardware  2 CPU cores: about 9 + 10 minutes (the first 9 only once per renderer and encoder)
Expected  see docs/experiments.md
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Options:
    """Renderer and features side by side, then the animator."""

    expression: Path = Path("runs/expression")
    renderer: Path = Path("runs/renderer")
    out: Path = Path("runs/animator")
    data: Path = Path("../shared/data")
    renders: tuple[Path, ...] = (Path("data/renders/actors"),)
    """Where crops of people come from."""
    steps: int = 1_500
    """Of the animator's training; twice as many learn the crops by heart (docs/experiments.md)."""
    renderer_steps: int = 2500
    num_renders: int = 100_000
    """Crops of people that are encoded."""
    num_faces: int = 5_000
    num_own: int = 600
    """Pictures of each avatar that are encoded."""
    seed: int = 0


def main(options: Options) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    shared = ["--data", str(options.data), "--seed", str(options.seed)]
    animator = [
        str(HERE / "train_animator.py"), *shared,
        "--expression", str(options.expression), "--out", str(options.out),
        "--num-renders", str(options.num_renders), "--num-faces", str(options.num_faces),
        "--num-own", str(options.num_own), "--renders", *map(str, options.renders),
    ]  # fmt: skip
    renderer = None
    if not (options.renderer / "final.safetensors").is_file():
        command = [sys.executable, str(HERE / "train_renderer.py"), *shared]
        command += ["--encoder", str(options.expression / "expression.onnx")]
        command += ["--steps", str(options.renderer_steps)]
        renderer = subprocess.Popen([*command, "--out", str(options.renderer)], env=environment)
    try:
        encode = [sys.executable, *animator, "--only-encode"]
        subprocess.run(encode, env=environment, check=True)
        if renderer is not None and renderer.wait():
            raise SystemExit(f"train_renderer.py ended with exit code {renderer.returncode}")
    finally:
        if renderer is not None and renderer.poll() is None:
            renderer.terminate()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    train = [*torchrun, *animator, "--steps", str(options.steps), "--minutes", "None"]
    train += ["--renderer", str(options.renderer / "final.safetensors")]
    subprocess.run(train, env=environment, check=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
