"""`freeavatar train expression`: the expression space, from comparisons."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from freeavatar.cli.output_folder import check_output_folder
from freeavatar.cli.terminal import Terminal
from freeavatar.cli.training_run import Device, Size, print_line, training_packages, trunk_of
from freeavatar.errors import UsageError

if TYPE_CHECKING:
    from freeavatar.expression.triplets import TripletSet

NUM_COMPARED = 64
"""Crops on which the exported files are compared with PyTorch: seconds, and no rare luck."""


@dataclass(frozen=True)
class Expression:
    """Train the expression encoder and export it to ONNX.

    Needs --renders, --fec or both. Writes final.safetensors, log.jsonl, expression.onnx,
    expression.int8.onnx and parity.json (how exactly those two say what PyTorch says) into --out.
    """

    out: Path
    """Folder of the run."""
    renders: tuple[Path, ...] = ()
    """Sets of `freeavatar data renders`: exact comparisons."""
    faces: tuple[Path, ...] = ()
    """Sets of `freeavatar data faces`: comparisons by teachers."""
    mae: Path | None = None
    """final.safetensors of `freeavatar train faces`; the trunk starts at random without it."""
    fec: Path | None = None
    """A folder in the format of the FEC data set (docs/expression.md): people's own comparisons."""
    teacher: Path | None = None
    """final.safetensors of another run, whose embeddings and controls this one is to give too."""
    size: Size = "mesh"
    minutes: float | None = None
    """Finish the schedule after this long instead of after --steps."""
    steps: int = 20_000
    device: Device = "auto"
    seed: int = 0

    def run(self) -> int:
        """Train to the end, or go on; then export."""
        self._refuse_wrong_options()
        with training_packages():
            from freeavatar.expression.encoder import EncoderConfig
            from freeavatar.expression.finetune import FinetuneConfig, finetune

            config = FinetuneConfig(model=EncoderConfig(trunk_of(self.size)))
        votes = self._votes()
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
            teacher=self.teacher,
        )
        if checkpoint.is_file():  # another process of this run writes it
            self._export(checkpoint, votes)
        return 0

    def _refuse_wrong_options(self) -> None:
        if not self.renders and self.fec is None:
            raise UsageError("There is nothing to compare. Give --renders, --fec or both.")
        if self.steps < 1 or (self.minutes is not None and self.minutes <= 0):
            raise UsageError("--steps must be at least 1 and --minutes more than 0.")
        if self.seed < 0:
            raise UsageError(f"--seed is {self.seed}; give a whole number from 0 on.")
        check_output_folder(self.out)

    def _votes(self) -> TripletSet | None:
        if self.fec is None:
            return None
        from freeavatar.datasets.fec import open_fec

        with Terminal().progress("votes") as on_progress:
            votes = open_fec(self.fec, lambda done, total: on_progress("faces", done, total))
        print(f"{len(votes)} comparisons by people from {self.fec}")
        return votes

    def _export(self, checkpoint: Path, votes: TripletSet | None) -> None:
        """Both ONNX files, and how they compare with PyTorch on crops of this run."""
        from freeavatar.expression.export import export_and_measure, load_network

        network = load_network(checkpoint)
        crops = crops_to_compare([*self.faces, *self.renders], votes)
        for parity in export_and_measure(network, self.out, crops):
            path, worst = self.out / parity.variant, parity.worst_cosine
            print(f"-> {path}  cosine with PyTorch {worst:.5f} or more")


def crops_to_compare(
    sets: list[Path], votes: TripletSet | None
) -> UInt8[np.ndarray, "crop 224 224 3"]:
    """A few crops as the product sees them: of the first set, or of those that people compared."""
    from freeavatar.expression.augment import plain
    from freeavatar.training.shards import open_shards

    if sets:
        shards = open_shards(sets[0])
        stored = shards.gather(np.arange(min(NUM_COMPARED, len(shards))))
    else:
        assert votes is not None  # refused before training
        stored = votes.crops[:NUM_COMPARED]
    return np.stack([plain(crop) for crop in stored])
