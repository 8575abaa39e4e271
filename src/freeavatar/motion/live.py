"""Step 4 frame by frame: calm, calibrate and bridge one rig's controls as they arrive.

Live counterpart of hold_gaze -> smooth -> calibrate -> bridge, which see the whole take. Nothing
here waits for a later frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from freeavatar.motion.bridge import BridgeConfig, smoothstep
from freeavatar.motion.calibrate import Neutral, subtract_neutral, turned_back
from freeavatar.motion.gaze import GazeConfig, LiveGaze
from freeavatar.motion.one_euro import OneEuro, OneEuroConfig
from freeavatar.motion.profile import RigProfile
from freeavatar.rig import RigSpec


@dataclass(frozen=True)
class LiveMotionConfig:
    """How live curves are calmed, calibrated and bridged."""

    calm: OneEuroConfig = field(default_factory=OneEuroConfig)
    neutral_s: float = 1.0
    """Until the face that was shown counts as a guess at the neutral one (`collecting`)."""
    asked_s: float = 0.4
    """When calibration is asked for, the median of this long becomes the neutral, in full."""
    gaze: GazeConfig = field(default_factory=GazeConfig)
    bridge: BridgeConfig = field(default_factory=BridgeConfig)
    """Of a lost face; what lies in the future (interpolate_s) is not used."""


class LiveMotion:
    """State of one rig between frames; times are seconds on one clock and never go back."""

    def __init__(
        self, rig: RigSpec, config: LiveMotionConfig | None = None, auto_neutral: bool = True
    ) -> None:
        self.rig = rig
        self.neutral: Neutral | None = None
        self._config = config or LiveMotionConfig()
        self._gains = np.ones(len(rig))
        self._gaze = LiveGaze(rig, self._config.gaze)
        self._calm = OneEuro.for_controls(rig, self._config.calm)
        self._calm_head = OneEuro.for_head(self._config.calm)
        self._collector = _Collector(self._config.neutral_s, asked=False) if auto_neutral else None
        self._bridge = LiveBridge(rig, self._config.bridge)
        self._head_rad = np.zeros(3)

    @property
    def calibrating(self) -> bool:
        """Whether frames are being collected for a neutral that was asked for."""
        return self._collector is not None and self._collector.asked

    @property
    def collecting(self) -> bool:
        """Whether frames are being collected for a neutral, asked for or not."""
        return self._collector is not None

    def restate(self, values: Float[np.ndarray, " control"]) -> None:
        """The neutral that is in use, in controls as they come from now on."""
        if self.neutral is not None:
            self.neutral = Neutral(values.astype(np.float64), self.neutral.head_rad)

    def set_neutral(self, neutral: Neutral) -> None:
        """A neutral that is known already; the first second is not looked at any more."""
        self.neutral, self._collector = neutral, None

    def use_profile(self, profile: RigProfile) -> None:
        """The neutral and the reach of an actor who is known; a later neutral keeps the reach."""
        self.set_neutral(Neutral(self.rig.rest.astype(np.float64), profile.head_rad))
        self._gains = profile.gains

    def calibrate(self) -> None:
        """Take the face of the next moments for neutral, and its direction for straight ahead."""
        self._collector = _Collector(self._config.asked_s, asked=True)

    def seen(
        self,
        time_s: float,
        values: Float[np.ndarray, " control"],
        head_rad: Float[np.ndarray, " 3"],
    ) -> tuple[Float[np.ndarray, " control"], Float[np.ndarray, " 3"]]:
        """Controls and head rotation to show for a frame in which the face was seen."""
        # The nearest turn to the last one, so that half a turn is no jump.
        self._head_rad = self._head_rad + _wrapped(head_rad - self._head_rad)
        calm = self.rig.clamp(self._calm(time_s, self._gaze(time_s, values)))
        head = _wrapped(self._calm_head(time_s, self._head_rad))
        self._collect(time_s, calm, head)
        if self.neutral is not None:
            calm = subtract_neutral(calm[None], self.neutral.values, self.rig)[0]
            head = turned_back(head[None], self.neutral.head_rad)[0]
        calm = self.rig.clamp(self.rig.rest + self._gains * (calm - self.rig.rest))
        return self._bridge.seen(time_s, calm, head)

    def lost(self, time_s: float) -> tuple[Float[np.ndarray, " control"], Float[np.ndarray, " 3"]]:
        """What to show while the face is not seen: the last expression, easing to rest."""
        self._gaze.reset()
        self._calm.reset()
        self._calm_head.reset()
        return self._bridge.lost(time_s)

    def _collect(
        self, time_s: float, values: Float[np.ndarray, " control"], head: Float[np.ndarray, " 3"]
    ) -> None:
        if self._collector is None or not self._collector.add(time_s, values, head):
            return
        # The first second proves little: nothing is subtracted, and the animator alone is told.
        nothing = Neutral(self.rig.rest.astype(np.float64), np.zeros(3))
        self.neutral = self._collector.median() if self._collector.asked else nothing
        self._collector = None


class LiveBridge:
    """Hold the last expression, ease to rest, ease back to the face when it returns."""

    def __init__(self, rig: RigSpec, config: BridgeConfig | None = None) -> None:
        self._rest = rig.rest
        self._config = config or BridgeConfig()
        self._last = (rig.rest, np.zeros(3))
        """Controls and head that were shown last while the face was seen."""
        self._lost_s: float | None = None
        self._shown = self._last
        self._back_s = -np.inf
        self._back_from = self._last

    def seen(
        self,
        time_s: float,
        values: Float[np.ndarray, " control"],
        head_rad: Float[np.ndarray, " 3"],
    ) -> tuple[Float[np.ndarray, " control"], Float[np.ndarray, " 3"]]:
        """The face itself, or on its way back to it."""
        if self._lost_s is not None:
            self._back_s, self._back_from, self._lost_s = time_s, self._shown, None
        share = _smooth_share((time_s - self._back_s) / self._config.ease_in_s)
        self._shown = self._last = _mixed(self._back_from, (values, head_rad), share)
        return self._shown

    def lost(self, time_s: float) -> tuple[Float[np.ndarray, " control"], Float[np.ndarray, " 3"]]:
        """Between the last expression and rest."""
        if self._lost_s is None:
            self._lost_s = time_s
        relaxing_s = time_s - self._lost_s - self._config.hold_s
        share = _smooth_share(relaxing_s / self._config.ease_out_s)
        self._shown = _mixed(self._last, (self._rest, np.zeros(3)), share)
        return self._shown


class _Collector:
    """Gathers frames for a neutral."""

    def __init__(self, duration_s: float, asked: bool) -> None:
        self.asked = asked
        self._duration_s = duration_s
        self._start_s: float | None = None
        self._values: list[np.ndarray] = []
        self._heads: list[np.ndarray] = []

    def add(
        self, time_s: float, values: Float[np.ndarray, " control"], head: Float[np.ndarray, " 3"]
    ) -> bool:
        """Whether there is enough now."""
        self._start_s = time_s if self._start_s is None else self._start_s
        self._values.append(values)
        self._heads.append(head)
        return time_s - self._start_s >= self._duration_s

    def median(self) -> Neutral:
        values = np.median(np.array(self._values, np.float64), axis=0)
        return Neutral(values, np.median(np.array(self._heads, np.float64), axis=0))


def _mixed(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], share: float
) -> tuple[Float[np.ndarray, " control"], Float[np.ndarray, " 3"]]:
    if share >= 1.0:
        return other
    values = one[0] + share * (other[0] - one[0])
    head = _wrapped(one[1] + share * _wrapped(other[1] - one[1]))
    return values.astype(np.float32), head


def _smooth_share(x: float) -> float:
    return float(smoothstep(np.array([x]))[0])


def _wrapped(angle_rad: Float[np.ndarray, " axis"]) -> Float[np.ndarray, " axis"]:
    return (angle_rad + np.pi) % (2 * np.pi) - np.pi
