"""Steady crops without lag: smooths the crop frame over a few frames on both sides.

Frames wait for their look-ahead as small patches, never as whole pictures, so memory stays bounded
for takes of any length and size. Live there is no future: `PastSteadier` averages what was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.align import CROP_SIZE, CropFrame, crop
from freeavatar.capture.patch import Patch, cut_patch

_PATCH_MARGIN = 0.1
"""Share of the side by which smoothing may move a crop before edges would be made up."""
_PATCH_DETAIL = 1.0
"""Patches keep at least this many pixels per crop pixel, and up to twice as many."""


@dataclass(frozen=True)
class SteadyConfig:
    """How the crop frame is smoothed."""

    look_ahead: int = 7
    """Frames on each side; 7 is a quarter of a second at 30 fps, beyond that heads really move."""
    sigma_s: float = 0.1
    """Weight of neighbours over time."""
    sigma_side: float = 0.02
    """Weight of neighbours over distance, as a share of the crop's side: jitter of the landmarks
    (below 1 %) is averaged away, a head that moves is followed at once."""
    most_sigma_side: float = 0.06
    """Where landmarks tremble more (darkness, blur), the share grows with what is measured around
    the frame, up to this."""
    slack_side: float = 0.006
    """A crop rests until the face has left it by this share of its side (1.3 pixels of the
    crop): landmarks of a held picture wander by less. Radians for the roll."""


def patch_around(picture: UInt8[np.ndarray, "height width 3"], frame: CropFrame) -> Patch:
    """All that a crop near this frame may need."""
    turned = abs(np.cos(frame.roll_rad)) + abs(np.sin(frame.roll_rad))
    reach = frame.side_px * (0.5 * turned + _PATCH_MARGIN) + 2.0
    shrink = frame.side_px / (_PATCH_DETAIL * CROP_SIZE)
    return cut_patch(picture, frame.center_px - reach, frame.center_px + reach, shrink)


def crop_patch(patch: Patch, frame: CropFrame) -> UInt8[np.ndarray, "224 224 3"]:
    """The crop of the original picture, from its patch."""
    center = (frame.center_px - patch.origin_px) / patch.shrink
    return crop(patch.pixels, CropFrame(center, frame.side_px / patch.shrink, frame.roll_rad))


@dataclass(frozen=True)
class Placed:
    """A frame on its way through the steadier."""

    index: int
    time_s: float
    frame: CropFrame | None
    """None while the face is lost."""
    patch: Patch | None
    shot: int
    """Frames are smoothed only together with frames of the same number: no loss or cut between."""


class Steadier:
    """Takes frames in order, gives them back in order, look_ahead later, with smoothed crops."""

    def __init__(self, config: SteadyConfig) -> None:
        self._config = config
        self._window: list[Placed] = []
        self._next = 0
        self._resting = _Resting(config.slack_side)

    def push(self, placed: Placed) -> Iterator[tuple[Placed, CropFrame | None]]:
        """Add one frame; yields those whose look-ahead is complete."""
        self._window.append(placed)
        while self._next + self._config.look_ahead < len(self._window):
            yield self._pop()

    def flush(self) -> Iterator[tuple[Placed, CropFrame | None]]:
        """The rest, at the end of the take."""
        while self._next < len(self._window):
            yield self._pop()

    def _pop(self) -> tuple[Placed, CropFrame | None]:
        placed = self._window[self._next]
        steady = self._smooth(self._next)
        if steady is not None:
            steady = self._resting.follow(steady, placed.shot)
        # Poses of the past are still needed, their pixels are not.
        self._window[self._next] = Placed(
            placed.index, placed.time_s, placed.frame, None, placed.shot
        )
        self._next += 1
        while self._next > self._config.look_ahead:
            self._window.pop(0)
            self._next -= 1
        return placed, steady

    def _smooth(self, at: int) -> CropFrame | None:
        middle = self._window[at]
        if middle.frame is None:
            return None
        # As many frames before as after: a moving head must not be pulled to one side.
        num = 0
        while (
            num < self._config.look_ahead
            and self._same_shot(at - num - 1, middle.shot)
            and self._same_shot(at + num + 1, middle.shot)
        ):
            num += 1
        around = self._window[at - num : at + num + 1]
        times_s = np.array([placed.time_s for placed in around])
        frames = [placed.frame for placed in around if placed.frame is not None]
        return smooth_frames(frames, times_s, num, self._config)

    def _same_shot(self, at: int, shot: int) -> bool:
        return (
            0 <= at < len(self._window)
            and self._window[at].shot == shot
            and self._window[at].frame is not None
        )


def smooth_frames(
    frames: list[CropFrame],
    times_s: Float[np.ndarray, "frame"],
    at: int,
    config: SteadyConfig,
) -> CropFrame:
    """The frame `at`, averaged with neighbours that are near in time and in place (bilateral)."""
    middle = frames[at]
    rows = _offsets(frames, middle)
    # In pairs around the middle, so that weights stay symmetric and steady motion is kept.
    away = np.abs(rows).max(axis=1)
    away = np.maximum(away, away[::-1])
    sigma_side = float(np.clip(2.5 * _tremble(rows), config.sigma_side, config.most_sigma_side))
    return _averaged(
        middle, rows, _weights(times_s - times_s[at], away, replace(config, sigma_side=sigma_side))
    )


def _tremble(rows: Float[np.ndarray, "frame 4"]) -> float:
    """Standard deviation of what no head does from frame to frame, in sides."""
    if len(rows) < 5:
        return 0.0
    # Third differences see tremble (20 times its variance) and hardly a movement.
    third = np.diff(rows[:, :3], 3, axis=0) / np.sqrt(20.0)
    # The median is deaf to a single jump: 0.6745 is that of |x| for a standard normal x.
    ordered = np.sort(np.abs(third), axis=0)
    median = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2.0
    return float(median.max() / 0.6745)


class _Resting:
    """Follows a crop like something drawn on a slack string: it moves only when the string is
    tight, and then as far as the end that pulls."""

    def __init__(self, slack_side: float) -> None:
        self._slack_side = slack_side
        self._last: CropFrame | None = None
        self._shot: int | None = None

    def follow(self, frame: CropFrame, shot: int = 0) -> CropFrame:
        """Where the crop rests now; a new shot, which every loss is, begins anew."""
        if self._last is not None and shot == self._shot:
            pulled = _offsets([frame], self._last)
            moved = pulled - np.clip(pulled, -self._slack_side, self._slack_side)
            frame = _averaged(self._last, moved, np.ones(1))
        self._last, self._shot = frame, shot
        return frame


class PastSteadier:
    """Steadies each frame at once, by the frames before it.

    Jitter is averaged away; a head that moves is followed at once, and a slow drift is trailed by
    less than sigma_side.
    """

    def __init__(self, config: SteadyConfig) -> None:
        self._config = config
        self._past: deque[tuple[float, CropFrame]] = deque(maxlen=config.look_ahead + 1)
        self._resting = _Resting(config.slack_side)

    def reset(self) -> None:
        """A cut or a loss: what was there says nothing about what comes."""
        self._past.clear()
        self._resting = _Resting(self._config.slack_side)

    def steady(self, time_s: float, frame: CropFrame) -> CropFrame:
        """The frame of this moment, averaged with those of the past near to it."""
        self._past.append((time_s, frame))
        rows = _offsets([frame for _, frame in self._past], frame)
        delay = np.array([then_s - time_s for then_s, _ in self._past])
        away = np.abs(rows).max(axis=1)
        steady = _averaged(frame, rows, _weights(delay, away, self._config))
        return self._resting.follow(steady)


def _offsets(frames: Sequence[CropFrame], middle: CropFrame) -> Float[np.ndarray, "frame 4"]:
    """Shift (in sides), log of the size and turn of each frame, as seen from one of them."""
    rows = np.empty((len(frames), 4))
    rows[:, :2] = [frame.center_px for frame in frames]
    rows[:, 2] = [frame.side_px for frame in frames]
    rows[:, 3] = [frame.roll_rad for frame in frames]
    rows[:, :2] = (rows[:, :2] - middle.center_px) / middle.side_px
    rows[:, 2] = np.log(rows[:, 2] / middle.side_px)
    rows[:, 3] = (rows[:, 3] - middle.roll_rad + np.pi) % (2 * np.pi) - np.pi
    return rows


def _weights(
    delay_s: Float[np.ndarray, "frame"], away: Float[np.ndarray, "frame"], config: SteadyConfig
) -> Float[np.ndarray, "frame"]:
    return np.exp(-0.5 * (delay_s / config.sigma_s) ** 2 - 0.5 * (away / config.sigma_side) ** 2)


def _averaged(
    middle: CropFrame, rows: Float[np.ndarray, "frame 4"], weights: Float[np.ndarray, "frame"]
) -> CropFrame:
    shift = weights @ rows / weights.sum()
    return CropFrame(
        middle.center_px + shift[:2] * middle.side_px,
        float(middle.side_px * np.exp(shift[2])),
        float(_wrapped(middle.roll_rad + shift[3])),
    )


def _wrapped(angle_rad: float) -> float:
    return float((angle_rad + np.pi) % (2 * np.pi) - np.pi)
