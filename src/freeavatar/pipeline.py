"""The whole journey of one recording: video -> actor -> expressions -> controls -> files.

open_video -> watch (track_actor -> encode) -> act (at_rest -> controls -> gaze -> smooth
    -> calibrate -> bridge -> swap -> tune -> resample) -> write
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.animation import AnimationClip
from freeavatar.animator.runtime import Animator
from freeavatar.at_rest import at_rest, between, calm_moments
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture.actors import choose, find_people
from freeavatar.capture.follow import open_networks
from freeavatar.capture.track import Anchor, TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.errors import InputError, NoFaceFound, UsageError
from freeavatar.export.files import refuse_existing
from freeavatar.export.registry import (
    FORMATS,
    VIDEOS,
    choose_formats,
    planned_files,
    write_take,
)
from freeavatar.export.report import describe
from freeavatar.export.takes import AnimatedTake, Character
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.inference import manifest
from freeavatar.mapping.user_mapping import UserMapping
from freeavatar.motion.bridge import BridgeConfig, bridge
from freeavatar.motion.calibrate import (
    NeutralConfig,
    calibrate,
    find_neutral,
    turned_back,
)
from freeavatar.motion.gaze import GazeConfig, hold_gaze
from freeavatar.motion.profile import ActorProfile, RigProfile, reach_gains, rig_gains
from freeavatar.motion.resample import resample, swap_sides
from freeavatar.motion.smooth import SmoothingConfig, smooth
from freeavatar.motion.tune import tune
from freeavatar.outputs import finished_folder
from freeavatar.performance import OnProgress, Performance, watch
from freeavatar.rig import ARKIT, RigSpec
from freeavatar.timing import Clock


@dataclass(frozen=True)
class AnimateOptions:
    """Everything about a run that is not an input, an avatar or a place."""

    formats: tuple[str, ...] = ()
    """Which files to write (names in export.registry), the default ones when none is named."""
    overwrite: bool = False
    """Replace files of an earlier run."""
    track: TrackConfig = field(default_factory=TrackConfig)
    look_twice: bool = False
    """Read every face a second time as a mirror shows it, and take the mean: truer curves for twice
    the encoder's time. Not with a profile, which knows no mirror image."""
    neutral: NeutralConfig = field(default_factory=NeutralConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    bridge: BridgeConfig = field(default_factory=BridgeConfig)
    gaze: GazeConfig = field(default_factory=GazeConfig)
    profile: ActorProfile | None = None
    """This actor's neutral face and reach from another take; `neutral` auto is then not used."""
    tuning: UserMapping | None = None
    """Gain, mute and mix of single controls (motion.tune.read_tuning)."""
    swap_sides: bool = False
    """Left for right, for footage that shows the actor as in a mirror."""
    rate_hz: float | None = None
    """Frame rate of the curves; None: the input's own frames. Videos always keep the input's."""


@dataclass(frozen=True)
class Models:
    """The networks of steps 2 and 3; load them once for many recordings."""

    encoder: ExpressionEncoder
    animator: Animator

    @staticmethod
    def load() -> Models:
        """The weights that ship with the package, the faster variant of each; what capture needs
        is opened too, and stays open."""
        open_networks()
        return Models(ExpressionEncoder.load(variant="int8"), Animator.load())

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
    performance: Performance


def animate(
    source: Path,
    avatars: Sequence[Avatar],
    folder: Path,
    options: AnimateOptions | None = None,
    models: Models | None = None,
    on_progress: OnProgress | None = None,
    anchor: Anchor | None = None,
) -> FinishedTake:
    """Animate avatars with the face in a video or picture; all files appear in `folder` at once.

    Several people: `options.track.actor` chooses by number; `anchor` names one that was found with
    `capture.actors.find_people`.
    """
    options, on_progress = options or AnimateOptions(), on_progress or _unwatched
    if options.look_twice and options.profile is not None:
        raise UsageError(
            "A profile knows the actor's face at rest, but not its mirror image, which "
            "--look-twice reads too. Leave out one of the two."
        )
    formats = choose_formats(options.formats)
    names = [avatar.name for avatar in avatars]
    refuse_existing(planned_files(folder, formats, names), options.overwrite)
    models, clock = models or Models.load(), Clock()
    models.check(avatars)

    with finished_folder(folder) as working:
        video = open_video(source)
        if anchor is None and isinstance(options.track.actor, int):
            with clock("actors"):
                people = find_people(video, options.track)
            # Where a few looks show nobody, the first frame with a face decides who is meant.
            anchor = choose(people, options.track.actor).anchor if people else None
        performance = watch(
            video, models.encoder, options.track, clock, on_progress, anchor, options.look_twice
        )
        if not performance.found.any():
            raise NoFaceFound(
                f"No face in {source} ({len(performance.found)} frames searched). Use footage in "
                "which a face is at least 20 pixels wide; if the pictures are faces already, for "
                "instance drawn ones, use --crop whole."
            )
        with clock("animate"):
            arkit = act(performance, ARKIT, models.animator, options)
            cast = [Character(a, act(performance, a, models.animator, options)) for a in avatars]
        results = [chosen for chosen in formats if chosen is not FORMATS["report"]]
        with clock("write"):
            take = AnimatedTake(source, arkit, tuple(cast))
            curves = _at_rate(take, options.rate_hz)
            tables = [chosen for chosen in results if chosen.name not in VIDEOS]
            written = write_take(curves, tables, working, on_progress=on_progress)
            videos = [chosen for chosen in results if chosen.name in VIDEOS]
            written += write_take(take, videos, working, on_progress=on_progress)
        warnings = (video.warning,) if video.warning else ()
        if FORMATS["report"] in formats:
            # Last, because it tells of the other files and of the time they took.
            weights = {name: file.path for name, file in manifest().items()}
            outputs = [path.name for path in written]
            report = describe(source, arkit, names, clock.stage_s, weights, warnings, outputs)
            take = replace(take, report=report)
            written += write_take(take, [FORMATS["report"]], working)
    clips = {character.avatar.name: character.clip for character in curves.characters}
    files = tuple(folder / path.name for path in written)
    return FinishedTake(curves.arkit, clips, files, dict(clock.stage_s), warnings, performance)


def act(
    performance: Performance, avatar: Avatar | RigSpec, animator: Animator, options: AnimateOptions
) -> AnimationClip:
    """Steps 3 and 4: the performance on one rig, calm and complete."""
    config = options.neutral
    if options.profile is not None and config.mode == "auto":
        known = profile_at_rest(options.profile, animator)
        calm = _calm(performance, avatar, animator, options, known)
        calibrated = _by_profile(calm, options.profile, avatar, config)
    else:
        found = at_rest(performance, animator, config, _believed(performance, options))
        calm = _calm(performance, avatar, animator, options, found)
        # An animator that knows the face at rest shows nothing of it. To subtract what it still
        # shows of a guess costs more than it mends (docs/experiments.md); who names a frame means
        # that frame.
        told = config.mode == "auto" and found is not None
        calibrated = calibrate(calm, replace(config, most=0.0) if told else config)
    clip = bridge(calibrated, options.bridge)
    if options.swap_sides:
        clip = swap_sides(clip)
    if options.tuning is not None:
        untuned = replace(options, tuning=None)
        is_arkit = clip.rig.names == ARKIT.names
        source = clip if is_arkit else act(performance, ARKIT, animator, untuned)
        clip = tune(clip, source.values, options.tuning)
    return clip


def profile_of(
    performance: Performance,
    animator: Animator,
    source: str,
    options: AnimateOptions | None = None,
) -> ActorProfile:
    """The actor's profile from one take, in two passes: the neutral face, then the reach of curves
    that were made in the knowledge of it."""
    options = options or AnimateOptions()
    mode = options.neutral.mode
    if mode == "auto":
        seen = _believed(performance, options)
        frames, trust = calm_moments(performance, animator, options.neutral, seen)
    else:
        # Checks that the frame exists and shows a face.
        calm = _calm(performance, ARKIT, animator, options, None)
        neutral = find_neutral(calm, options.neutral)
        trust = 0.0 if neutral is None else 1.0
        frames = np.array([mode] if trust else [], np.int64)
    if trust == 0.0:
        raise InputError(
            f"{source} is too short for a profile: {options.neutral.trust_from_s:g} s with a face "
            "are needed, better ten that show the neutral face and every expression."
        )
    features = np.median(performance.features[frames], axis=0)
    head = np.median(performance.head_rad[frames], axis=0)
    unscaled = ActorProfile(source, weights_digest(), trust, features, head, np.ones(len(ARKIT)))
    known = profile_at_rest(unscaled, animator)
    calm = _calm(performance, ARKIT, animator, options, known)
    return replace(unscaled, gains=reach_gains(calm))


def profile_on(
    profile: ActorProfile, avatar: Avatar | RigSpec, config: NeutralConfig | None = None
) -> RigProfile:
    """What a profile says of one rig, beside what the animator is told (`profile_at_rest`); the
    head is straight ahead unless config.head."""
    rig = avatar.rig if isinstance(avatar, Avatar) else avatar
    arkit_to_rig = avatar.arkit_to_rig if isinstance(avatar, Avatar) else None
    gains = rig_gains(profile.gains, rig.names, arkit_to_rig)
    counts = config is not None and config.head
    return RigProfile(profile.neutral_head_rad if counts else np.zeros(3), gains)


def profile_at_rest(profile: ActorProfile, animator: Animator) -> Float[np.ndarray, " feature"]:
    """What the animator is told of an actor who is known."""
    return between(animator, profile.neutral_features, profile.trust)


def weights_digest() -> str:
    """Names the networks that make the features of a profile and read them."""
    shipped = [file.sha256 for name, file in sorted(manifest().items()) if "int8" not in name]
    return hashlib.sha256(" ".join(shipped).encode()).hexdigest()[:16]


def _believed(performance: Performance, options: AnimateOptions) -> Bool[np.ndarray, " frame"]:
    return performance.found & (performance.confidence >= options.bridge.min_confidence)


def _calm(
    performance: Performance,
    avatar: Avatar | RigSpec,
    animator: Animator,
    options: AnimateOptions,
    neutral: Float[np.ndarray, " feature"] | None,
) -> AnimationClip:
    """Controls of the frames that are believed, without jitter and with gaze through blinks;
    `neutral` is what is known of the actor's face at rest."""
    rig = avatar.rig if isinstance(avatar, Avatar) else avatar
    found = _believed(performance, options)
    values = np.tile(rig.rest, (len(found), 1))
    values[found] = animator.controls(performance.features[found], avatar, neutral)
    mirrored = performance.mirrored_features
    if mirrored is not None:
        there = replace(performance, features=mirrored, mirrored_features=None)
        known = at_rest(there, animator, options.neutral, found)
        again = animator.controls(mirrored[found], avatar, known)
        values[found] = (values[found] + again[:, rig.mirror_columns]) / 2
    clip = AnimationClip(
        rig,
        performance.times_s,
        values,
        found,
        performance.head_rad,
        performance.confidence,
        performance.shot,
    )
    return smooth(hold_gaze(clip, options.gaze), options.smoothing)


def _by_profile(
    clip: AnimationClip, profile: ActorProfile, avatar: Avatar | RigSpec, config: NeutralConfig
) -> AnimationClip:
    """Curves taken to the actor's full reach."""
    known, rest = profile_on(profile, avatar, config), clip.rig.rest
    values = clip.rig.clamp(rest + known.gains * (clip.values - rest))
    head = turned_back(clip.head_rad, known.head_rad) if config.head else clip.head_rad
    return replace(clip, values=values, head_rad=head)


def _at_rate(take: AnimatedTake, rate_hz: float | None) -> AnimatedTake:
    if rate_hz is None:
        return take
    cast = tuple(replace(c, clip=resample(c.clip, rate_hz)) for c in take.characters)
    return replace(take, arkit=resample(take.arkit, rate_hz), characters=cast)


def _unwatched(stage: str, done: int, total: int | None) -> None:
    pass
