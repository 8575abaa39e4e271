"""Gaze under blinks: a closing lid hides the eye and looks like an eye that looks down.

While an eye is shut, and on the way there and back, its gaze is carried over from before to after;
live, where what comes after is not known, it stays as it was before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.animation import AnimationClip
from freeavatar.rig import RigSpec


@dataclass(frozen=True)
class GazeConfig:
    """When an eye counts as shut."""

    hold: bool = True
    """Carry the gaze over blinks."""
    shut: float = 0.55
    """Share of the lid's range from which the eye is hidden; looking far down closes the lid to
    about 0.4."""
    ajar: float = 0.2
    """The blink lasts while the lid is above this on its way to and from being shut."""
    edge_s: float = 0.12
    """But counts at most this long before and after: half a blink."""


def hold_gaze(clip: AnimationClip, config: GazeConfig | None = None) -> AnimationClip:
    """The same performance with gaze crossing every blink in a straight line.

    Rigs without lids or gaze that are known by name stay as they are. Frames without a face, and
    other shots, are not looked at.
    """
    config = config or GazeConfig()
    pairs = _lids_and_gaze(clip.rig)
    if not config.hold or not pairs or not clip.found.any():
        return clip
    values = clip.values.copy()
    for lid, gaze in pairs:
        control = clip.rig.controls[lid]
        span = max(control.maximum - control.rest, 1e-6)
        closed = (clip.values[:, lid] - control.rest) / span
        for first, last in _blinks(clip, closed, config):
            values[first : last + 1, gaze] = _crossed(clip, gaze, first, last)
    return replace(clip, values=values)


class LiveGaze:
    """`hold_gaze` frame by frame: from the moment an eye is shut its gaze is what it was before.

    The frame or two in which the lid goes down are past by then, and stay as they are.
    """

    def __init__(self, rig: RigSpec, config: GazeConfig | None = None) -> None:
        self._config = config or GazeConfig()
        pairs = _lids_and_gaze(rig) if self._config.hold else []
        self._eyes = [_Eye(rig, lid, gaze, self._config) for lid, gaze in pairs]

    def reset(self) -> None:
        """After a loss: where the eyes looked before says nothing."""
        for eye in self._eyes:
            eye.reset()

    def __call__(
        self, time_s: float, values: Float[np.ndarray, " control"]
    ) -> Float[np.ndarray, " control"]:
        """The controls of this frame with the gaze to show; frames come in the order of time."""
        shown = values.copy()
        for eye in self._eyes:
            shown[eye.gaze] = eye.look(time_s, values)
        return shown


class _Eye:
    """One lid and its gaze, live."""

    def __init__(self, rig: RigSpec, lid: int, gaze: list[int], config: GazeConfig) -> None:
        control = rig.controls[lid]
        self.gaze = gaze
        self._lid, self._config = lid, config
        self._open, self._span = control.rest, max(control.maximum - control.rest, 1e-6)
        self._held: np.ndarray | None = None
        """Gaze to show while the blink lasts."""
        self._shut_s = -np.inf
        self._past: deque[_Glance] = deque()
        """Since the last blink, back to the last frame that is `edge_s` old."""

    def reset(self) -> None:
        self._held = None
        self._past.clear()

    def look(
        self, time_s: float, values: Float[np.ndarray, " control"]
    ) -> Float[np.ndarray, " gaze"]:
        """The gaze of this frame, or the one before the blink."""
        closed = (float(values[self._lid]) - self._open) / self._span
        if closed >= self._config.shut:
            self._shut_s = time_s
            if self._held is None:
                self._held = self._before(time_s)
            return values[self.gaze] if self._held is None else self._held
        late = time_s - self._shut_s > self._config.edge_s
        if self._held is not None and closed > self._config.ajar and not late:
            return self._held
        if self._held is not None:
            self.reset()
        self._past.append(_Glance(time_s, closed, values[self.gaze]))
        while len(self._past) > 1 and time_s - self._past[1].time_s >= self._config.edge_s:
            self._past.popleft()
        return values[self.gaze]

    def _before(self, time_s: float) -> Float[np.ndarray, " gaze"] | None:
        """Gaze in the last frame with an open lid, or half a blink ago; None when the eye was
        always shut."""
        for glance in reversed(self._past):
            if glance.closed <= self._config.ajar or time_s - glance.time_s > self._config.edge_s:
                return glance.gaze
        return self._past[0].gaze if self._past else None


@dataclass(frozen=True)
class _Glance:
    time_s: float
    closed: float
    """Share of the lid's range."""
    gaze: Float[np.ndarray, " gaze"]


def _lids_and_gaze(rig: RigSpec) -> list[tuple[int, list[int]]]:
    """Each lid with the gaze controls of its own side; both sides where a name has none."""
    gaze = rig.columns("gaze").tolist()
    lids = [i for i, c in enumerate(rig.controls) if "blink" in c.name.lower() and i not in gaze]
    pairs = []
    for lid in lids:
        side = _side(rig.names[lid])
        own = [i for i in gaze if not side or _side(rig.names[i]) in ("", side)]
        if own:
            pairs.append((lid, own))
    return pairs


def _side(name: str) -> str:
    lowered = name.lower()
    return next((side for side in ("left", "right") if side in lowered), "")


def _blinks(
    clip: AnimationClip, closed: Float[np.ndarray, " frame"], config: GazeConfig
) -> list[tuple[int, int]]:
    """First and last frame of every blink."""
    shut = _runs((closed >= config.shut) & clip.found)
    blinks: list[tuple[int, int]] = []
    for first, last in shut:
        first = _edge(clip, closed, first, -1, config)
        last = _edge(clip, closed, last, 1, config)
        if blinks and first <= blinks[-1][1] + 1:
            first = blinks.pop()[0]
        blinks.append((first, last))
    return blinks


def _edge(
    clip: AnimationClip,
    closed: Float[np.ndarray, " frame"],
    start: int,
    step: int,
    config: GazeConfig,
) -> int:
    """Where the lid leaves its ajar level, going from a shut frame in one direction."""
    at = start
    while 0 <= at + step < len(clip):
        after = at + step
        near = abs(clip.times_s[after] - clip.times_s[start]) <= config.edge_s
        same = clip.found[after] and clip.shot[after] == clip.shot[start]
        if not (near and same and closed[after] > config.ajar):
            break
        at = after
    return at


def _crossed(
    clip: AnimationClip, gaze: list[int], first: int, last: int
) -> Float[np.ndarray, "frame gaze"]:
    """A straight line between the frames around the blink; what is known where one is missing."""

    def seen(frame: int) -> bool:
        inside = 0 <= frame < len(clip)
        return inside and bool(clip.found[frame] and clip.shot[frame] == clip.shot[first])

    before, after = first - 1, last + 1
    if not seen(before) and not seen(after):
        return clip.values[first : last + 1, gaze]
    before = before if seen(before) else after
    after = after if seen(after) else before
    start, end = clip.values[before, gaze], clip.values[after, gaze]
    length_s = max(float(clip.times_s[after] - clip.times_s[before]), 1e-9)
    share = (clip.times_s[first : last + 1] - clip.times_s[before]) / length_s
    return start + np.clip(share, 0.0, 1.0)[:, None] * (end - start)


def _runs(where: Bool[np.ndarray, " frame"]) -> list[tuple[int, int]]:
    """First and last index of every stretch of True."""
    padded = np.concatenate([[False], where, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
