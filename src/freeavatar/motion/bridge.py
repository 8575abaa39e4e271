"""What the avatar does while the actor's face is lost: hold, ease to neutral, ease back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip


@dataclass(frozen=True)
class BridgeConfig:
    """How a lost face is bridged. Frames in which the face was seen are never touched."""

    interpolate_s: float = 0.35
    """Gaps up to this long are crossed directly from one expression to the next: a hand passing
    the face lasts about that long, and going to neutral in between would flicker."""
    hold_s: float = 0.2
    """The last expression stays this long first: most losses are shorter."""
    ease_out_s: float = 0.6
    """Then the face relaxes; quicker looks like a cut, slower like a grimace that stays."""
    ease_in_s: float = 0.15
    """The next expression is reached over the last moment before the face is back."""
    min_confidence: float = 0.2
    """Frames of which capture is less sure are bridged as if no face had been seen: there its
    place was only guessed, and what is there hardly looks like it."""


@dataclass(frozen=True)
class LostInterval:
    """A stretch of frames without a face."""

    first_frame: int
    last_frame: int
    start_s: float
    end_s: float
    """Time of the first frame after it, or of the last frame of the take."""


def lost_intervals(clip: AnimationClip) -> tuple[LostInterval, ...]:
    """Every stretch of frames in which the face was not seen."""
    lost = np.concatenate([[False], ~clip.found, [False]])
    edges: list[int] = np.flatnonzero(lost[1:] != lost[:-1]).tolist()
    times: list[float] = clip.times_s.tolist()
    return tuple(
        LostInterval(start, end - 1, times[start], times[min(end, len(clip) - 1)])
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    )


def bridge(clip: AnimationClip, config: BridgeConfig | None = None) -> AnimationClip:
    """Fill the frames without a face; a take without any face is neutral throughout.

    Filled values are blends of the frames before and after and of the rig's rest, so they never
    leave the range; the head eases to looking straight ahead.
    """
    config = config or BridgeConfig()
    values, head = clip.values.copy(), clip.head_rad.copy()
    rest = clip.rig.rest
    for lost in lost_intervals(clip):
        inside = slice(lost.first_frame, lost.last_frame + 1)
        before = lost.first_frame - 1 if lost.first_frame > 0 else None
        after = lost.last_frame + 1 if lost.last_frame + 1 < len(clip) else None
        times = clip.times_s[inside]
        from_before, from_after = _weights(
            times,
            None if before is None else float(clip.times_s[before]),
            None if after is None else float(clip.times_s[after]),
            config,
        )
        face_before = rest if before is None else clip.values[before]
        face_after = rest if after is None else clip.values[after]
        head_before = np.zeros(3) if before is None else clip.head_rad[before]
        head_after = np.zeros(3) if after is None else clip.head_rad[after]
        if before is not None and after is not None:
            # The short way round between two angles on either side of half a turn.
            head_after = head_before + _wrapped(head_after - head_before)
        a, b = from_before[:, None], from_after[:, None]
        values[inside] = rest + a * (face_before - rest) + b * (face_after - rest)
        head[inside] = _wrapped(a * head_before + b * head_after)
    if not clip.found.all():
        values = clip.rig.clamp(values)
    return replace(clip, values=values, head_rad=head)


def _weights(
    times_s: Float[np.ndarray, " frame"],
    before_s: float | None,
    after_s: float | None,
    config: BridgeConfig,
) -> tuple[Float[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """Shares of the last and of the next expression; what is missing to 1 is rest."""
    zero = np.zeros(len(times_s))
    if before_s is not None and after_s is not None and after_s - before_s <= config.interpolate_s:
        share = smoothstep((times_s - before_s) / (after_s - before_s))
        return 1.0 - share, share
    from_after = zero
    if after_s is not None:
        from_after = smoothstep(1.0 - (after_s - times_s) / config.ease_in_s)
    from_before = zero
    if before_s is not None:
        relaxed = smoothstep((times_s - before_s - config.hold_s) / config.ease_out_s)
        from_before = (1.0 - relaxed) * (1.0 - from_after)
    return from_before, from_after


def smoothstep(x: Float[np.ndarray, " sample"]) -> Float[np.ndarray, " sample"]:
    """0 below 0, 1 above 1, and a slope without corners between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _wrapped(angle_rad: Float[np.ndarray, "... axis"]) -> Float[np.ndarray, "... axis"]:
    return (angle_rad + np.pi) % (2 * np.pi) - np.pi
