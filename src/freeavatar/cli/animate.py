"""`freeavatar animate`: faces in videos and pictures -> files that an animator opens."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.capture.actors import Person, find_people
from freeavatar.capture.track import Anchor, TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.cli.curve_options import CurveOptions
from freeavatar.cli.inputs import Inputs, media_files, without_repeats
from freeavatar.cli.takes import Avatars, FormatNames, format_names, load_avatars, plan_jobs
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import FreeAvatarError, InputError, UsageError
from freeavatar.export.files import finished_file, refuse_existing
from freeavatar.export.registry import choose_formats, planned_files
from freeavatar.motion.bridge import BridgeConfig
from freeavatar.motion.calibrate import NeutralConfig, parse_neutral
from freeavatar.motion.gaze import GazeConfig
from freeavatar.motion.profile import read_profile, write_profile
from freeavatar.motion.resample import check_rate
from freeavatar.motion.smooth import SmoothingConfig
from freeavatar.pipeline import (
    AnimateOptions,
    FinishedTake,
    Models,
    animate,
    profile_of,
    weights_digest,
)


@dataclass(frozen=True)
class Command:
    """Animate avatars with the face in each input.

    Each input gets a folder of results, OUT/<its name>/.
    `freeavatar formats` says what is in it, `freeavatar avatars list` whom you can animate.
    """

    inputs: Inputs
    """Videos, pictures, or folders that hold them."""
    avatar: Avatars = ()
    """An avatar by name, or a GLB or VRM file of your own. Give it again for more avatars."""
    out: Path = Path("out")
    """Where the folders of results go."""
    formats: FormatNames = ()
    """Which files to write, for example: livelink glb. `freeavatar formats` lists them."""
    overwrite: bool = False
    """Replace the files of an earlier run."""
    neutral: Annotated[str, tyro.conf.arg(metavar="auto|off|FRAME")] = "auto"
    """The actor's neutral face, which becomes the avatar's rest: found in the take, not used, or
    the number of the frame (from 0) that shows it."""
    profile: Path | None = None
    """An actor's profile (`freeavatar calibrate`): its neutral face and reach instead of what this
    take would say."""
    save_profile: Path | None = None
    """Write the profile of the actor in this take, for other takes."""
    curves: Annotated[CurveOptions, tyro.conf.arg(name="")] = field(default_factory=CurveOptions)
    fps: float | None = None
    """Frame rate of the curves; the input's own frames when left out. Videos keep the input's."""
    look_twice: bool = False
    """Read every face a second time as a mirror shows it, and take the mean: curves are a little
    truer, and reading expressions takes twice as long. Not with --profile."""
    list_actors: bool = False
    """Only say who is in the inputs, for --actor."""
    track: Annotated[TrackConfig, tyro.conf.arg(name="")] = field(default_factory=TrackConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    bridge: BridgeConfig = field(default_factory=BridgeConfig)
    gaze: GazeConfig = field(default_factory=GazeConfig)

    def run(self) -> int:
        """Animate every input; the exit code is 1 when one of them failed."""
        if not self.inputs:
            raise UsageError(
                "Name at least one video, picture or folder. See: freeavatar animate --help"
            )
        if self.list_actors:
            return self._list_actors()
        if self.fps is not None:
            check_rate(self.fps)
        options = AnimateOptions(
            formats=format_names(self.formats),
            overwrite=self.overwrite,
            track=self.track,
            look_twice=self.look_twice,
            neutral=NeutralConfig(mode=parse_neutral(self.neutral)),
            smoothing=self.smoothing,
            bridge=self.bridge,
            gaze=self.gaze,
            profile=None if self.profile is None else read_profile(self.profile, weights_digest()),
            swap_sides=self.curves.swap_sides,
            rate_hz=self.fps,
        )
        formats = choose_formats(options.formats)
        avatars = load_avatars(self.avatar)
        tuning = self.curves.tuning([avatar.rig for avatar in avatars])
        options = replace(options, tuning=tuning)
        names = [avatar.name for avatar in avatars]
        terminal = Terminal()
        everybody = self.track.actor == "all"
        jobs = plan_jobs(
            terminal,
            self._sources(terminal),
            self.out,
            lambda folder: () if everybody else planned_files(folder, formats, names),
            self.overwrite,
        )
        if not jobs:
            return terminal.close()
        if self.save_profile is not None:
            self._check_profile_target(len(jobs))
        models = Models.load()
        models.check(avatars)
        for source, folder in jobs:
            try:
                for anchor, place in self._actors(source, folder):
                    started_s = time.perf_counter()
                    with terminal.progress(place.name) as on_progress:
                        take = animate(source, avatars, place, options, models, on_progress, anchor)
                    self._save_profile(source, take, models, options)
                    terminal.finished(_line(source, place, take, time.perf_counter() - started_s))
            except FreeAvatarError as error:
                terminal.failed(error)
        return terminal.close()

    def _actors(self, source: Path, folder: Path) -> list[tuple[Anchor | None, Path]]:
        """Whom to animate and where to; with --actor all a folder for everybody."""
        if self.track.actor != "all":
            return [(None, folder)]
        people = find_people(open_video(source), self.track)
        # Where a few looks show nobody, the largest face of the take is looked for as actor 0.
        anchors: list[Anchor | None] = [one.anchor for one in people]
        return [
            (anchor, folder.with_name(f"{folder.name}-actor{number}"))
            for number, anchor in enumerate(anchors or [None])
        ]

    def _list_actors(self) -> int:
        """A line for everybody in every input."""
        terminal = Terminal()
        for source in self._sources(terminal):
            try:
                people = find_people(open_video(source), self.track)
            except FreeAvatarError as error:
                terminal.failed(error)
                continue
            lines = [f"  --actor {one.number}  {_where(one)}" for one in people]
            many = "1 person" if len(people) == 1 else f"{len(people)} people"
            terminal.finished("\n".join([f"{source}: {many}", *lines]))
        return terminal.close()

    def _check_profile_target(self, num_jobs: int) -> None:
        assert self.save_profile is not None
        if num_jobs > 1 or self.track.actor == "all":
            raise UsageError(
                "--save-profile keeps the profile of one actor in one input. "
                "Give one input, and choose with --actor."
            )
        refuse_existing([self.save_profile], self.overwrite)

    def _save_profile(
        self, source: Path, take: FinishedTake, models: Models, options: AnimateOptions
    ) -> None:
        if self.save_profile is None:
            return
        profile = profile_of(take.performance, models.animator, source.name, options)
        with finished_file(self.save_profile, self.overwrite) as path:
            write_profile(path, profile)

    def _sources(self, terminal: Terminal) -> list[Path]:
        sources: list[Path] = []
        for given in self.inputs:
            try:
                sources += media_files(given)
            except InputError as error:
                terminal.failed(error)
        return without_repeats(sources)


def _where(person: Person) -> str:
    left, top, right, bottom = (round(float(edge)) for edge in person.box)
    return (
        f"{person.anchor.time_s:.1f} to {person.last_s:.1f} s, there in {100 * person.seen:.0f} %, "
        f"face {person.side_px:.0f} px, first at x {left} to {right}, y {top} to {bottom}"
    )


def _line(source: Path, folder: Path, take: FinishedTake, seconds: float) -> str:
    num_frames = len(take.performance.found)
    num_found = int(take.performance.found.sum())
    lost = "" if num_found == num_frames else f", face seen in {num_found}"
    rate = f", {num_frames / seconds:.1f} frames/s" if num_frames > 1 else ""
    names = " ".join(path.name for path in take.files)
    frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
    return f"{source} -> {folder} ({frames}{lost}{rate})\n  {names}"
