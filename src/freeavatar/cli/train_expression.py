"""`freeavatar train expression`: the expression space, from comparisons."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from freeavatar.cli.terminal import Terminal
from freeavatar.cli.training_run import Device, Size, print_line, training_packages, trunk_of


@dataclass(frozen=True)
class Expression:
    """Train the expression encoder and export it to ONNX.

    Writes final.safetensors, log.jsonl, expression.onnx and expression.int8.onnx into --out.
    """

    renders: tuple[Path, ...]
    """Sets of `freeavatar data renders`: exact comparisons."""
    out: Path
    """Folder of the run."""
    faces: tuple[Path, ...] = ()
    """Sets of `freeavatar data faces`: comparisons by teachers."""
    mae: Path | None = None
    """final.safetensors of `freeavatar train faces`; the trunk starts at random without it."""
    fec: Path | None = None
    """A folder in the format of the FEC data set (docs/expression.md): people's own comparisons."""
    size: Size = "mesh"
    minutes: float | None = None
    """Finish the schedule after this long instead of after --steps."""
    steps: int = 20_000
    device: Device = "auto"
    seed: int = 0

    def run(self) -> int:
        """Train to the end, or go on; then export."""
        with training_packages():
            from freeavatar.expression.encoder import EncoderConfig
            from freeavatar.expression.export import export_network, load_network
            from freeavatar.expression.finetune import FinetuneConfig, finetune

            config = FinetuneConfig(model=EncoderConfig(trunk_of(self.size)))
        votes = None
        if self.fec is not None:
            from freeavatar.datasets.fec import open_fec

            with Terminal().progress("votes") as on_progress:
                votes = open_fec(self.fec, lambda done, total: on_progress("faces", done, total))
            print(f"{len(votes)} comparisons by people from {self.fec}")
        loop = dataclasses.replace(
            config.loop,
            num_steps=self.steps,
            minutes=self.minutes,
            device=self.device,
            seed=self.seed,
        )
        checkpoint = finetune(
            list(self.renders),
            list(self.faces),
            self.mae,
            self.out,
            dataclasses.replace(config, loop=loop),
            print_line,
            votes,
        )
        if checkpoint.is_file():  # another process of this run writes it
            for path in export_network(load_network(checkpoint), self.out):
                print(f"-> {path}")
        return 0
