"""Steps 1 to 4 for one picture at a time: picture -> face crop -> features -> controls to show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.animator.runtime import Animator
from freeavatar.at_rest import between, calmness
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture.stillness import StillFace
from freeavatar.capture.track import LiveTracker, TrackConfig
from freeavatar.capture.video import Frame
from freeavatar.errors import CurveFileError
from freeavatar.export.files import cannot_write
from freeavatar.live.frame import LiveFrame
from freeavatar.mapping.user_mapping import UserMapping
from freeavatar.motion.calibrate import Neutral
from freeavatar.motion.live import LiveMotion, LiveMotionConfig
from freeavatar.motion.profile import ActorProfile
from freeavatar.motion.resample import mirrored_head
from freeavatar.motion.tune import tuned
from freeavatar.pipeline import Models, profile_at_rest, profile_on, weights_digest
from freeavatar.rig import ARKIT, RigSpec

FIRST_TRUST = 0.5
"""How far the face of the first second, which nobody asked for, counts as the actor's neutral."""
EASE_S = 0.5
"""In which the animator learns of another neutral face: curves do not jump."""


@dataclass(frozen=True)
class PerformerConfig:
    """How the actor is followed and the curves are calmed."""

    track: TrackConfig = field(default_factory=TrackConfig)
    motion: LiveMotionConfig = field(default_factory=LiveMotionConfig)
    auto_neutral: bool = True
    """Take the first second for neutral, in part, unless a neutral or a profile was given."""
    profile: ActorProfile | None = None
    """This actor's neutral face and reach; a neutral that is loaded or asked for takes the place of
    the first, and keeps the second."""
    swap_sides: bool = False
    """Left for right, for pictures that show the actor as in a mirror."""
    tuning: UserMapping | None = None
    """Gain, mute and mix of single controls (motion.tune.read_tuning)."""


class Performer:
    """Everything between the picture and the senders. Used by one thread."""

    def __init__(
        self, models: Models, avatar: Avatar | None = None, config: PerformerConfig | None = None
    ) -> None:
        config = config or PerformerConfig()
        self._models = models
        self._swap_sides, self._tuning = config.swap_sides, config.tuning
        self._tracker = LiveTracker(config.track)
        self._face = StillFace()
        self._crop: UInt8[np.ndarray, "size size 3"] | None = None
        self._features = np.zeros((1, 0), np.float32)
        self._number = 0
        self._at_rest = _AtRest(models.animator)
        self._calm_features: list[Float[np.ndarray, " feature"]] = []
        self._arkit = LiveMotion(ARKIT, config.motion, config.auto_neutral)
        self._avatar = avatar
        self._own = (
            LiveMotion(avatar.rig, config.motion, config.auto_neutral) if avatar else self._arkit
        )
        if avatar is not None:
            models.check([avatar])
        if config.profile is not None:
            self._at_rest.tell(profile_at_rest(config.profile, models.animator))
            for motion, driven in zip(self._motions(), (ARKIT, avatar), strict=False):
                motion.use_profile(profile_on(config.profile, driven or ARKIT))

    @property
    def rig(self) -> RigSpec:
        """Of LiveFrame.controls."""
        return self._own.rig

    @property
    def calibrating(self) -> bool:
        """Whether a neutral that was asked for is still being collected."""
        return self._arkit.calibrating

    def calibrate(self) -> None:
        """The face of the next moments becomes the neutral."""
        self._calm_features.clear()
        for motion in self._motions():
            motion.calibrate()

    def show(self, frame: Frame, arrived_s: float) -> LiveFrame:
        """What the avatar does at the moment of this picture."""
        seen = self._tracker.look(frame)
        if seen.crop is None:
            return self.rest(frame.time_s, arrived_s)
        features = self._features_of(seen.crop)
        if self._arkit.collecting:
            self._calm_features.append(features[0])
        before, asked = self._arkit.neutral, self.calibrating
        known, animator = self._at_rest.now(frame.time_s), self._models.animator
        arkit, head = self._arkit.seen(
            frame.time_s, animator.controls(features, ARKIT, known)[0], seen.head_rad
        )
        controls = arkit
        if self._avatar is not None:
            raw = animator.controls(features, self._avatar, known)[0]
            controls, _ = self._own.seen(frame.time_s, raw, seen.head_rad)
        if self._arkit.neutral is not before and self._calm_features:
            self._learn(frame.time_s, asked)
        return self._frame(frame.time_s, arrived_s, True, arkit, head, controls)

    def _learn(self, time_s: float, asked: bool) -> None:
        """Tell the animator whose face it reads, now that a neutral was found."""
        found = np.median(self._calm_features, axis=0)
        self._calm_features.clear()
        animator = self._models.animator
        if not asked:
            trust = FIRST_TRUST * calmness(animator.controls(found[None], ARKIT)[0])
            self._at_rest.tell(between(animator, found, trust), time_s)
            return
        # At once, as is what is subtracted.
        self._at_rest.tell(found)
        for motion, driven in zip(self._motions(), (ARKIT, self._avatar), strict=False):
            motion.restate(animator.controls(found[None], driven or ARKIT, found)[0])

    def _features_of(
        self, crop: UInt8[np.ndarray, "size size 3"]
    ) -> Float[np.ndarray, "1 feature"]:
        """Of a face that rests, what was said of it before."""
        settled = self._face.settle(crop)
        if settled is not self._crop:
            self._crop = settled
            self._features = self._models.encoder.encode(settled[None]).features
        return self._features

    def rest(self, time_s: float, arrived_s: float) -> LiveFrame:
        """What the avatar does while there is no face, or no picture at all."""
        arkit, head = self._arkit.lost(time_s)
        controls = arkit if self._avatar is None else self._own.lost(time_s)[0]
        return self._frame(time_s, arrived_s, False, arkit, head, controls)

    def save_neutral(self, path: Path) -> None:
        """The neutral in use as JSON, for `load_neutral`; nothing before there is one."""
        neutrals: dict[str, Any] = {
            m.rig.name: _plain(m.rig, m.neutral) for m in self._motions() if m.neutral
        }
        if not neutrals:
            return
        if self._at_rest.target is not None:
            neutrals[_FEATURES] = [float(f"{value:.6g}") for value in self._at_rest.target]
            neutrals[_WEIGHTS] = weights_digest()
        try:
            path.write_text(json.dumps(neutrals, indent=1), "utf-8")
        except OSError as error:
            raise cannot_write(path, error) from error

    def load_neutral(self, path: Path) -> None:
        """A neutral that was saved; CurveFileError when the file is something else."""
        try:
            data = json.loads(path.read_text("utf-8"))
            if not isinstance(data, dict):
                raise ValueError("it is not a table of rigs")
            if _FEATURES in data:
                if data.get(_WEIGHTS) != weights_digest():
                    raise ValueError("it was made with other networks than those installed")
                self._at_rest.tell(_features(data[_FEATURES], self._models.animator))
            for motion in self._motions():
                if motion.rig.name in data:
                    motion.set_neutral(_neutral(motion.rig, data[motion.rig.name]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CurveFileError(
                f"{path} does not hold a neutral face ({error}). "
                "Delete it, and press c while you look straight ahead to make a new one."
            ) from error

    def _motions(self) -> tuple[LiveMotion, ...]:
        return (self._arkit,) if self._avatar is None else (self._arkit, self._own)

    def _frame(
        self,
        time_s: float,
        arrived_s: float,
        found: bool,
        arkit: np.ndarray,
        head: np.ndarray,
        controls: np.ndarray,
    ) -> LiveFrame:
        if self._swap_sides:
            arkit, head = arkit[ARKIT.mirror_columns], mirrored_head(head)
            controls = controls[self.rig.mirror_columns]
        if self._tuning is not None:
            # What is mixed is mixed from ARKit's values before tuning.
            controls = tuned(controls[None], self.rig, arkit[None], self._tuning)[0]
            arkit = tuned(arkit[None], ARKIT, arkit[None], self._tuning)[0]
        frame = LiveFrame(self._number, time_s, arrived_s, found, arkit, head, controls)
        self._number += 1
        return frame


class _AtRest:
    """What the animator is told of the actor's face at rest, moment by moment."""

    def __init__(self, animator: Animator) -> None:
        self.target: Float[np.ndarray, " feature"] | None = None
        self._from = animator.usual
        self._told_s = -np.inf

    def tell(self, features: Float[np.ndarray, " feature"], time_s: float = -np.inf) -> None:
        """Another neutral face from this moment on; at once when no moment is named."""
        self._from = self._from if self.target is None else self.target
        self.target, self._told_s = features, time_s

    def now(self, time_s: float) -> Float[np.ndarray, " feature"] | None:
        """None as long as nobody is known."""
        if self.target is None:
            return None
        share = min(1.0, (time_s - self._told_s) / EASE_S)
        return self._from + share * (self.target - self._from)


_FEATURES, _WEIGHTS = "features at rest", "weights"
"""Beside the rigs in a saved neutral: what the expression model saw, and which one it was."""


def _features(plain: Any, animator: Animator) -> Float[np.ndarray, " feature"]:
    values = np.array([float(value) for value in plain], np.float32)
    if values.shape != animator.usual.shape or not np.isfinite(values).all():
        raise ValueError(f"{_FEATURES} are {len(animator.usual)} numbers")
    return values


def _plain(rig: RigSpec, neutral: Neutral) -> dict[str, Any]:
    values = [round(value, 5) for value in neutral.values.tolist()]
    return {
        "controls": dict(zip(rig.names, values, strict=True)),
        "head_rad": [round(angle, 5) for angle in neutral.head_rad.tolist()],
    }


def _neutral(rig: RigSpec, plain: dict[str, Any]) -> Neutral:
    values = np.array([float(plain["controls"][name]) for name in rig.names])
    head = np.array([float(angle) for angle in plain["head_rad"]])
    if head.shape != (3,) or not (np.isfinite(values).all() and np.isfinite(head).all()):
        raise ValueError("it needs three head angles, and numbers")
    return Neutral(values, head)
