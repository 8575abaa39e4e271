"""`freeavatar train avatar`: your own character, on top of the networks that all share."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.avatars import catalog
from freeavatar.cli.terminal import Terminal
from freeavatar.cli.training_run import training_packages
from freeavatar.errors import UsageError, WeightsError
from freeavatar.export.files import check_writable, refuse_existing


@dataclass(frozen=True)
class Avatar:
    """Teach the networks a character of yours: it is drawn, looked at, and learned.

    Takes some ten minutes on two cores and writes NAME.weights.npz beside the avatar's file; other
    avatars do not change. Stopped, it goes on where it was. A character with ARKit's names works
    without this; with it, controls of its own names and its own proportions are used too.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")]
    """An avatar by name, or a GLB or VRM file."""
    work: Path | None = None
    """Folder for pictures and unfinished training; beside the added avatars when left out."""
    runs: tuple[Path, Path, Path] | None = None
    """Folders of `expression`, `animator` and `renderer` runs, to use instead of the shipped
    networks."""
    pictures: int = 2000
    """How many are drawn of it."""
    names: bool = True
    """Use what the names of its controls say; --no-names goes by their shape alone."""
    overwrite: bool = False
    """Replace the weights of an earlier run."""
    seed: int = 0

    def run(self) -> int:
        """Learn and write."""
        if self.pictures < 100:
            raise UsageError("--pictures must be at least 100.")
        from freeavatar.animator.runtime import personal_weights

        avatar = catalog.resolve(self.name)
        source = Path(avatar.source)
        if source.parent == catalog.BUNDLED:
            raise UsageError(
                f"{avatar.name} comes with the program, which knows it already; "
                "name an avatar of your own."
            )
        target = personal_weights(source)
        refuse_existing([target], self.overwrite)
        check_writable(target.parent)
        with training_packages():
            from freeavatar.animator import onboard
        if self.runs:
            networks = onboard.SharedNetworks.of_runs(*self.runs)
        else:
            networks = onboard.SharedNetworks.of_package()
        for path in dataclasses.astuple(networks):
            if not path.is_file():
                raise WeightsError(f"There is no {path}. Finish that training first.")
        config = onboard.OnboardConfig(
            num_pictures=self.pictures, by_name=self.names, seed=self.seed
        )
        work = self.work or catalog.training_folder()
        with Terminal().progress(avatar.name) as on_progress:
            made = onboard.onboard(
                avatar,
                work / onboard.work_name(avatar, networks, config),
                networks,
                config,
                target,
                on_progress,
            )
        print(
            f"{avatar.name}: learned {made.num_controls} controls in "
            f"{made.worked_s / 60:.1f} minutes on "
            f"{os.cpu_count()} cores, {made.num_understood} of them also by "
            f"{'name' if self.names and avatar.arkit_to_rig is not None else 'shape'}"
        )
        print(f"-> {made.weights} ({made.weights.stat().st_size / 1e3:.0f} kB)")
        return 0
