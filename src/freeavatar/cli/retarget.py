"""`freeavatar retarget`: curves of an iPhone, or of our own, -> any avatar, any format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.cli.curve_options import CurveOptions
from freeavatar.cli.inputs import Inputs, without_repeats
from freeavatar.cli.takes import Avatars, FormatNames, format_names, load_avatars, plan_jobs
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import FreeAvatarError, UsageError
from freeavatar.export.registry import choose_formats, planned_files
from freeavatar.mapping.user_mapping import read_mapping
from freeavatar.motion.calibrate import NeutralConfig, parse_neutral
from freeavatar.motion.resample import check_rate
from freeavatar.retarget import RetargetedTake, RetargetOptions, retarget


@dataclass(frozen=True)
class Command:
    """Drive avatars with curves that exist already.

    Reads Live Link Face CSV, animated GLB or VRM, and our own controls CSV, NPZ and JSON.
    Each input gets a folder of results, OUT/<its name>/, as with `freeavatar animate`.
    """

    inputs: Inputs
    """Files of curves."""
    avatar: Avatars = ()
    """An avatar by name, or a GLB or VRM file of your own. Give it again for more avatars."""
    out: Path = Path("out")
    """Where the folders of results go."""
    formats: FormatNames = ()
    """Which files to write, for example: glb vrma. `freeavatar formats` lists them."""
    overwrite: bool = False
    """Replace the files of an earlier run."""
    mapping: Path | None = None
    """A TOML file with your own map from ARKit to the avatar's controls (docs/mapping.md)."""
    neutral: Annotated[str, tyro.conf.arg(metavar="auto|off|FRAME")] = "off"
    """The actor's neutral face, which becomes the avatar's rest: not used, found in the take, or
    the number of the frame (from 0) that shows it."""
    curves: Annotated[CurveOptions, tyro.conf.arg(name="")] = field(default_factory=CurveOptions)
    fps: float | None = None
    """Frame rate of the curves, and of videos made from them; the input's own frames when left
    out."""

    def run(self) -> int:
        """Retarget every input; the exit code is 1 when one of them failed."""
        if not self.inputs:
            raise UsageError("Name at least one file of curves. See: freeavatar retarget --help")
        if self.fps is not None:
            check_rate(self.fps)
        neutral = None
        if self.neutral != "off":
            neutral = NeutralConfig(mode=parse_neutral(self.neutral))
        options = RetargetOptions(
            formats=format_names(self.formats),
            overwrite=self.overwrite,
            mapping=None if self.mapping is None else read_mapping(self.mapping),
            neutral=neutral,
            swap_sides=self.curves.swap_sides,
            rate_hz=self.fps,
        )
        formats = choose_formats(options.formats)
        avatars = load_avatars(self.avatar)
        tuning = self.curves.tuning([avatar.rig for avatar in avatars])
        options = replace(options, tuning=tuning)
        names = [avatar.name for avatar in avatars]
        terminal = Terminal()
        sources = without_repeats(self.inputs)
        jobs = plan_jobs(
            terminal,
            sources,
            self.out,
            lambda folder: planned_files(folder, formats, names),
            self.overwrite,
        )
        for source, folder in jobs:
            try:
                with terminal.progress(source.name) as on_progress:
                    take = retarget(source, avatars, folder, options, on_progress)
            except FreeAvatarError as error:
                terminal.failed(error)
            else:
                terminal.finished(_line(source, folder, take))
        return terminal.close()


def _line(source: Path, folder: Path, take: RetargetedTake) -> str:
    names = " ".join(path.name for path in take.files)
    frames = "1 frame" if len(take.given) == 1 else f"{len(take.given)} frames"
    return f"{source} -> {folder} ({frames})\n  {names}"
