"""`freeavatar animate`: faces in videos and pictures -> files that an animator opens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture.track import TrackConfig
from freeavatar.cli.inputs import Inputs, media_files, without_repeats
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import AvatarError, FreeAvatarError, InputError, OutputError, UsageError
from freeavatar.export.files import refuse_existing
from freeavatar.export.registry import choose_formats, planned_files
from freeavatar.motion.bridge import BridgeConfig
from freeavatar.motion.calibrate import NeutralConfig, parse_neutral
from freeavatar.motion.smooth import SmoothingConfig
from freeavatar.pipeline import AnimateOptions, FinishedTake, Models, animate


@dataclass(frozen=True)
class Command:
    """Animate avatars with the face in each input.

    Each input gets a folder of results, OUT/<its name>/.
    `freeavatar formats` says what is in it, `freeavatar avatars list` whom you can animate.
    """

    inputs: Inputs
    """Videos, pictures, or folders that hold them."""
    avatar: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="NAME|FILE", help_behavior_hint="(default: three of the bundled)"),
    ] = ()
    """An avatar by name, or a GLB or VRM file of your own. Give it again for more avatars."""
    out: Path = Path("out")
    """Where the folders of results go."""
    formats: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all)")
    ] = ()
    """Which files to write, for example: livelink glb. `freeavatar formats` lists them."""
    overwrite: bool = False
    """Replace the files of an earlier run."""
    neutral: Annotated[str, tyro.conf.arg(metavar="auto|off|FRAME")] = "auto"
    """The actor's neutral face, which becomes the avatar's rest: found in the take, not used, or
    the number of the frame (from 0) that shows it."""
    track: Annotated[TrackConfig, tyro.conf.arg(name="")] = field(default_factory=TrackConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    bridge: BridgeConfig = field(default_factory=BridgeConfig)

    def run(self) -> int:
        """Animate every input; the exit code is 1 when one of them failed."""
        if not self.inputs:
            raise UsageError(
                "Name at least one video, picture or folder. See: freeavatar animate --help"
            )
        options = AnimateOptions(
            formats=self._format_names(),
            overwrite=self.overwrite,
            track=self.track,
            neutral=NeutralConfig(mode=parse_neutral(self.neutral)),
            smoothing=self.smoothing,
            bridge=self.bridge,
        )
        formats = choose_formats(options.formats)
        avatars = self._avatars()
        names = [avatar.name for avatar in avatars]
        terminal = Terminal()
        jobs = self._jobs(terminal, lambda folder: planned_files(folder, formats, names))
        if not jobs:
            return terminal.close()
        models = Models.load()
        models.check(avatars)
        for source, folder in jobs:
            started_s = time.perf_counter()
            try:
                with terminal.progress(source.name) as on_progress:
                    take = animate(source, avatars, folder, options, models, on_progress)
            except FreeAvatarError as error:
                terminal.failed(error)
            else:
                terminal.finished(_line(source, folder, take, time.perf_counter() - started_s))
        return terminal.close()

    def _format_names(self) -> tuple[str, ...]:
        """Separated by spaces or commas."""
        names = [name for given in self.formats for name in given.split(",") if name]
        for name in names:
            if Path(name).suffix:
                raise UsageError(
                    f"{name!r} stands where the name of a format is expected. "
                    "Put the inputs before --formats. See: freeavatar formats"
                )
        return tuple(names)

    def _avatars(self) -> list[Avatar]:
        """Loaded; two of one name would write the same files."""
        avatars: dict[str, Avatar] = {}
        for given in self.avatar or catalog.DEFAULT:
            avatar = catalog.resolve(given)
            if avatar.name.lower() == "preview":
                raise AvatarError(
                    f"An avatar called {avatar.name!r} would overwrite preview.mp4. "
                    f"Rename {avatar.source}."
                )
            clash = avatars.setdefault(avatar.name.lower(), avatar)
            if clash.source != avatar.source:
                raise AvatarError(
                    f"Two avatars are called {avatar.name!r}: {clash.source} and {avatar.source}. "
                    "Rename one of the files, or run them with different --out."
                )
        return list(avatars.values())

    def _jobs(
        self, terminal: Terminal, planned: Callable[[Path], tuple[Path, ...]]
    ) -> list[tuple[Path, Path]]:
        """Inputs and their folders. Those that cannot be used are reported before any work."""
        jobs: dict[Path, Path] = {}
        for source in self._sources(terminal):
            folder = self.out / source.stem
            try:
                if folder in jobs:
                    raise OutputError(
                        f"{source} and {jobs[folder]} would both be written to {folder}. "
                        "Rename one of them, or run them with different --out."
                    )
                refuse_existing(planned(folder), self.overwrite)
            except OutputError as error:
                terminal.failed(error)
            else:
                jobs[folder] = source
        return [(source, folder) for folder, source in jobs.items()]

    def _sources(self, terminal: Terminal) -> list[Path]:
        sources: list[Path] = []
        for given in self.inputs:
            try:
                sources += media_files(given)
            except InputError as error:
                terminal.failed(error)
        return without_repeats(sources)


def _line(source: Path, folder: Path, take: FinishedTake, seconds: float) -> str:
    num_frames, num_found = len(take.arkit), int(take.arkit.found.sum())
    lost = "" if num_found == num_frames else f", face seen in {num_found}"
    rate = f", {num_frames / seconds:.1f} frames/s" if num_frames > 1 else ""
    names = " ".join(path.name for path in take.files)
    frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
    return f"{source} -> {folder} ({frames}{lost}{rate})\n  {names}"
