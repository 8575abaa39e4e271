"""`freeavatar train faces`: the trunk as a masked autoencoder, from faces without labels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from freeavatar.cli.output_folder import check_output_folder
from freeavatar.cli.training_run import Device, Size, print_line, training_packages, trunk_of
from freeavatar.errors import UsageError


@dataclass(frozen=True)
class Faces:
    """Pretrain the expression trunk: guess the hidden three quarters of faces.

    Writes final.safetensors, log.jsonl, loss.png and reconstructions.png into --out.
    """

    faces: tuple[Path, ...]
    """Sets of `freeavatar data faces` or `data renders`."""
    out: Path
    """Folder of the run."""
    size: Size = "mesh"
    minutes: float | None = None
    """Finish the schedule after this long instead of after --steps."""
    steps: int = 20_000
    batch: int = 128
    device: Device = "auto"
    seed: int = 0

    def run(self) -> int:
        """Train to the end, or go on."""
        if min(self.steps, self.batch) < 1 or (self.minutes is not None and self.minutes <= 0):
            raise UsageError("--steps and --batch must be at least 1, --minutes more than 0.")
        if self.seed < 0:
            raise UsageError(f"--seed is {self.seed}; give a whole number from 0 on.")
        if not self.faces:
            raise UsageError("Name at least one set after --faces.")
        check_output_folder(self.out)
        with training_packages():
            from freeavatar.expression.mae import MAEConfig
            from freeavatar.expression.pretrain import PretrainConfig, pretrain

            model = MAEConfig(trunk=trunk_of(self.size))
        config = PretrainConfig(model=model, batch_size=self.batch)
        loop = dataclasses.replace(
            config.loop,
            num_steps=self.steps,
            minutes=self.minutes,
            device=self.device,
            seed=self.seed,
        )
        final = pretrain(
            list(self.faces), self.out, dataclasses.replace(config, loop=loop), print_line
        )
        print(f"-> {final}")
        return 0
