"""`freeavatar calibrate`: one take of an actor -> a profile that the actor's other takes reuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.capture.actors import choose, find_people
from freeavatar.capture.track import TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import UsageError
from freeavatar.export.files import finished_file, refuse_existing
from freeavatar.motion.calibrate import NeutralConfig, parse_neutral
from freeavatar.motion.profile import write_profile
from freeavatar.performance import watch
from freeavatar.pipeline import AnimateOptions, Models, profile_of
from freeavatar.rig import ARKIT_NAMES
from freeavatar.timing import Clock


@dataclass(frozen=True)
class Command:
    """Learn an actor's neutral face and reach from one take.

    Best is a take of its own: some seconds of a relaxed face, then every movement as far as it
    goes. Use the file with: freeavatar animate TAKE --profile actor.json
    """

    take: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TAKE")]
    """A video of the actor."""
    out: Path
    """The profile to write, for instance actor.json."""
    neutral: Annotated[str, tyro.conf.arg(metavar="auto|FRAME")] = "auto"
    """Where the neutral face is: found in the take, or the number of a frame (from 0)."""
    overwrite: bool = False
    """Replace the file of an earlier run."""
    track: Annotated[TrackConfig, tyro.conf.arg(name="")] = field(default_factory=TrackConfig)

    def run(self) -> int:
        """Watch the take, write the profile, say what is in it."""
        mode = parse_neutral(self.neutral)
        if mode == "off":
            raise UsageError("A profile is a neutral face: use --neutral auto or a frame number.")
        if self.track.actor == "all":
            raise UsageError("A profile is that of one actor: choose with --actor NUMBER.")
        refuse_existing([self.out], self.overwrite)
        options = AnimateOptions(track=self.track, neutral=NeutralConfig(mode=mode))
        models, video = Models.load(), open_video(self.take)
        anchor = None
        if isinstance(self.track.actor, int):
            anchor = choose(find_people(video, self.track), self.track.actor).anchor
        with Terminal().progress(self.take.name) as on_progress:
            seen = watch(video, models.encoder, self.track, Clock(), on_progress, anchor)
        profile = profile_of(seen, models.animator, self.take.name, options)
        with finished_file(self.out, self.overwrite) as path:
            write_profile(path, profile)
        raised = [
            f"{name} x{gain:.2f}"
            for name, gain in zip(ARKIT_NAMES, profile.gains, strict=True)
            if gain > 1.0
        ]
        print(f"{self.out}: neutral face of {self.take.name}, trusted {100 * profile.trust:.0f} %")
        print(f"  turned up: {', '.join(raised) or 'nothing'}")
        return 0
