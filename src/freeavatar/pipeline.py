"""The whole journey of one recording: video -> actor -> expressions -> controls -> files.

open_video -> watch (track_actor -> encode) -> act (controls -> smooth -> calibrate -> bridge)
    -> write
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture.track import TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.errors import NoFaceFound
from freeavatar.export.files import refuse_existing
from freeavatar.export.registry import FORMATS, choose_formats, planned_files, write_take
from freeavatar.export.report import describe
from freeavatar.export.takes import AnimatedTake, Character
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.inference import manifest
from freeavatar.motion.bridge import BridgeConfig, bridge
from freeavatar.motion.calibrate import NeutralConfig, calibrate
from freeavatar.motion.smooth import SmoothingConfig, smooth
from freeavatar.outputs import finished_folder
from freeavatar.performance import OnProgress, Performance, watch
from freeavatar.rig import ARKIT, RigSpec
from freeavatar.timing import Clock


@dataclass(frozen=True)
class AnimateOptions:
    """Everything about a run that is not an input, an avatar or a place."""

    formats: tuple[str, ...] = ()
    """Which files to write (names in export.registry.FORMATS), all when none is named."""
    overwrite: bool = False
    """Replace files of an earlier run."""
    track: TrackConfig = field(default_factory=TrackConfig)
    neutral: NeutralConfig = field(default_factory=NeutralConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    bridge: BridgeConfig = field(default_factory=BridgeConfig)


@dataclass(frozen=True)
class Models:
    """The networks of steps 2 and 3; load them once for many recordings."""

    encoder: ExpressionEncoder
    animator: Animator

    @staticmethod
    def load() -> Models:
        """The weights that ship with the package."""
        return Models(ExpressionEncoder.load(), Animator.load())

    def check(self, avatars: Sequence[Avatar]) -> None:
        """AvatarError for a rig that cannot be driven, before any work: no frame, no cost."""
        for avatar in avatars:
            self.animator.controls(np.zeros((0, 1), np.float32), avatar)


@dataclass(frozen=True)
class FinishedTake:
    """One recording, animated and written."""

    arkit: AnimationClip
    clips: dict[str, AnimationClip]
    """By avatar name, on the avatar's own rig."""
    files: tuple[Path, ...]
    stage_s: dict[str, float]
    warnings: tuple[str, ...]


def animate(
    source: Path,
    avatars: Sequence[Avatar],
    folder: Path,
    options: AnimateOptions | None = None,
    models: Models | None = None,
    on_progress: OnProgress | None = None,
) -> FinishedTake:
    """Animate avatars with the face in a video or picture; all files appear in `folder` at once."""
    options, on_progress = options or AnimateOptions(), on_progress or _unwatched
    formats = choose_formats(options.formats)
    names = [avatar.name for avatar in avatars]
    refuse_existing(planned_files(folder, formats, names), options.overwrite)
    models, clock = models or Models.load(), Clock()
    models.check(avatars)

    with finished_folder(folder) as working:
        video = open_video(source)
        performance = watch(video, models.encoder, options.track, clock, on_progress)
        if not performance.found.any():
            raise NoFaceFound(
                f"No face in {source} ({len(performance.found)} frames searched). Use footage in "
                "which a face is at least 40 pixels wide, or lower --min-detector-score."
            )
        with clock("animate"):
            arkit = act(performance, ARKIT, models.animator, options)
            cast = [Character(a, act(performance, a, models.animator, options)) for a in avatars]
        with clock("write"):
            take = AnimatedTake(source, arkit, tuple(cast))
            results = [chosen for chosen in formats if chosen is not FORMATS["report"]]
            written = write_take(take, results, working, on_progress=on_progress)
        warnings = (video.warning,) if video.warning else ()
        if FORMATS["report"] in formats:
            # Last, because it tells of the other files and of the time they took.
            weights = {name: file.path for name, file in manifest().items()}
            outputs = [path.name for path in written]
            report = describe(source, arkit, names, clock.stage_s, weights, warnings, outputs)
            take = replace(take, report=report)
            written += write_take(take, [FORMATS["report"]], working)
    clips = {character.avatar.name: character.clip for character in cast}
    files = tuple(folder / path.name for path in written)
    return FinishedTake(arkit, clips, files, dict(clock.stage_s), warnings)


def act(
    performance: Performance, avatar: Avatar | RigSpec, animator: Animator, options: AnimateOptions
) -> AnimationClip:
    """Steps 3 and 4: the performance on one rig, calm and complete."""
    rig = avatar.rig if isinstance(avatar, Avatar) else avatar
    found = performance.found
    values = np.tile(rig.rest, (len(found), 1))
    values[found] = animator.controls(performance.features[found], avatar)
    clip = AnimationClip(rig, performance.times_s, values, found, performance.head_rad)
    calm = smooth(clip, options.smoothing)
    return bridge(calibrate(calm, options.neutral), options.bridge)


def _unwatched(stage: str, done: int, total: int | None) -> None:
    pass
