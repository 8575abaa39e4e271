"""Curves that exist already, on another rig: an iPhone take that drives any avatar.

read_clip -> calibrate -> onto (ARKit -> rig) -> swap -> tune -> resample -> write. Nothing is
learned here: ARKit values go through the avatar's own map (avatars/arkit.py), or through one that
the user wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.avatars.arkit import arkit_map
from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import AvatarError, MappingError, UsageError
from freeavatar.export.curve_files import read_clip
from freeavatar.export.files import refuse_existing
from freeavatar.export.registry import FORMATS, choose_formats, planned_files, write_take
from freeavatar.export.report import describe
from freeavatar.export.takes import AnimatedTake, Character
from freeavatar.mapping.user_mapping import UserMapping
from freeavatar.motion.calibrate import NeutralConfig, calibrate
from freeavatar.motion.resample import resample, swap_sides
from freeavatar.motion.tune import tune
from freeavatar.outputs import finished_folder
from freeavatar.performance import OnProgress
from freeavatar.rig import ARKIT
from freeavatar.timing import Clock


@dataclass(frozen=True)
class RetargetOptions:
    """Everything about a run that is not an input, an avatar or a place."""

    formats: tuple[str, ...] = ()
    """Which files to write (names in export.registry), the default ones when none is named."""
    overwrite: bool = False
    """Replace files of an earlier run."""
    mapping: UserMapping | None = None
    """The user's own map from ARKit to the avatar's controls."""
    neutral: NeutralConfig | None = None
    """Subtract the actor's neutral face; recordings of trackers are calibrated already."""
    swap_sides: bool = False
    """Left for right, for a recording that shows the actor as in a mirror."""
    tuning: UserMapping | None = None
    """Gain, mute and mix of single controls (motion.tune.read_tuning)."""
    rate_hz: float | None = None
    """Frame rate of the curves; None: the input's own frames."""


@dataclass(frozen=True)
class RetargetedTake:
    """One file of curves, on other rigs and written."""

    given: AnimationClip
    clips: dict[str, AnimationClip]
    """By avatar name, on the avatar's own rig."""
    files: tuple[Path, ...]


def retarget(
    source: Path,
    avatars: Sequence[Avatar],
    folder: Path,
    options: RetargetOptions | None = None,
    on_progress: OnProgress | None = None,
) -> RetargetedTake:
    """Drive avatars with a file of curves; all files appear in `folder` at once."""
    options = options or RetargetOptions()
    formats = choose_formats(options.formats)
    names = [avatar.name for avatar in avatars]
    clip, clock = read_clip(source), Clock()
    arkit = as_arkit(clip)
    if arkit is None:
        missing = [chosen.name for chosen in formats if chosen.from_arkit]
        if options.formats and missing:
            raise UsageError(
                f"{missing[0]} is made from ARKit curves, and {source} has those of "
                f"{clip.rig.name!r}. Leave it out of --formats."
            )
        formats = tuple(chosen for chosen in formats if not chosen.from_arkit)
    refuse_existing(planned_files(folder, formats, names), options.overwrite)
    with clock("retarget"):
        if options.neutral is not None:
            clip = calibrate(clip, options.neutral)
            arkit = None if arkit is None else calibrate(arkit, options.neutral)
        cast = [
            Character(avatar, _finished(onto(clip, avatar, options.mapping), arkit, options))
            for avatar in avatars
        ]
        given = _finished(arkit or clip, arkit, options)
    with finished_folder(folder) as working:
        with clock("write"):
            take = AnimatedTake(source, given, tuple(cast), has_pictures=False)
            results = [chosen for chosen in formats if chosen is not FORMATS["report"]]
            written = write_take(take, results, working, on_progress=on_progress)
        if FORMATS["report"] in formats:
            outputs = [path.name for path in written]
            report = describe(source, clip, names, clock.stage_s, outputs=outputs)
            written += write_take(replace(take, report=report), [FORMATS["report"]], working)
    clips = {character.avatar.name: character.clip for character in cast}
    return RetargetedTake(clip, clips, tuple(folder / path.name for path in written))


def _finished(
    clip: AnimationClip, arkit: AnimationClip | None, options: RetargetOptions
) -> AnimationClip:
    """The end of the way, as in `pipeline.act`. MappingError for a mix without ARKit's values."""
    if options.swap_sides:
        clip, arkit = swap_sides(clip), None if arkit is None else swap_sides(arkit)
    if options.tuning is not None:
        if arkit is None and options.tuning.recipes:
            raise MappingError(
                f"{options.tuning.name} mixes controls from ARKit's, and the curves are those of "
                f"{clip.rig.name!r}. Leave out its [map], or use a Live Link Face recording."
            )
        mixed_from = np.zeros((len(clip), len(ARKIT))) if arkit is None else arkit.values
        clip = tune(clip, mixed_from, options.tuning)
    return clip if options.rate_hz is None else resample(clip, options.rate_hz)


def onto(clip: AnimationClip, avatar: Avatar, mapping: UserMapping | None = None) -> AnimationClip:
    """The clip on an avatar's rig: by name where the names are the avatar's own, else from ARKit.

    AvatarError when neither fits; MappingError for a mapping and a clip that is not ARKit's.
    """
    rig = avatar.rig
    if mapping is None and set(rig.names) <= set(clip.rig.names):
        columns = [clip.rig.index(name) for name in rig.names]
        return replace(clip, rig=rig, values=rig.clamp(clip.values[:, columns]))
    arkit = as_arkit(clip)
    if arkit is None and mapping is not None:
        raise MappingError(
            f"{mapping.name} maps from ARKit, and the curves are those of {clip.rig.name!r}. "
            "Leave out --mapping, or use a Live Link Face recording."
        )
    if arkit is None:
        raise AvatarError(
            f"The curves are for the rig {clip.rig.name!r}, and {avatar.name} has neither its "
            f"controls nor a map from them. Use curves of ARKit or of {avatar.name}."
        )
    if avatar.arkit_to_rig is None and mapping is None:
        raise AvatarError(
            f"Nothing is known of what the controls of {avatar.name} mean in ARKit's terms. "
            "Write a mapping file and name it with --mapping."
        )
    matrix = avatar.arkit_to_rig if mapping is None else mapping.rig_map(rig, avatar.arkit_to_rig)
    assert matrix is not None
    values = arkit.values.astype(np.float32) @ matrix.T
    return replace(arkit, rig=rig, values=rig.clamp(values))


def as_arkit(clip: AnimationClip) -> AnimationClip | None:
    """The clip in ARKit's 52 when its controls are ARKit's in any spelling, else None."""
    if clip.rig.names == ARKIT.names:
        return clip
    matrix = arkit_map(clip.rig.names)
    if matrix is None:
        return None
    # Each ARKit value from the one control that is nothing but it.
    alone = {int(np.flatnonzero(row)[0]): c for c, row in enumerate(matrix) if _is_one(row)}
    if len(alone) < ENOUGH_OF_ARKIT:
        return None
    values = np.zeros((len(clip), len(ARKIT)), np.float32)
    for column, control in alone.items():
        values[:, column] = clip.values[:, control]
    return replace(clip, rig=ARKIT, values=ARKIT.clamp(values))


ENOUGH_OF_ARKIT = 40
"""Of 52: some trackers leave out the tongue or the gaze."""


def _is_one(row: np.ndarray) -> bool:
    return bool(np.count_nonzero(row) == 1 and row.max() == 1.0)
