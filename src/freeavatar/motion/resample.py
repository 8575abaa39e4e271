"""Curves at another frame rate, and the mirror image of a performance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.errors import UsageError

MOST_FRAMES_PER_S = 1000.0


def resample(clip: AnimationClip, rate_hz: float) -> AnimationClip:
    """The clip at a constant rate from its first to its last time; UsageError for a rate of no use.

    Straight lines between the recording's frames: nothing overshoots its range.
    """
    check_rate(rate_hz)
    if len(clip) < 2:
        return clip
    start_s, end_s = float(clip.times_s[0]), float(clip.times_s[-1])
    num_frames = int(np.floor((end_s - start_s) * rate_hz + 1e-6)) + 1
    times_s = start_s + np.arange(num_frames) / rate_hz
    after = np.clip(np.searchsorted(clip.times_s, times_s, side="right"), 1, len(clip) - 1)
    before = after - 1
    share = (times_s - clip.times_s[before]) / (clip.times_s[after] - clip.times_s[before])
    share = np.clip(share, 0.0, 1.0)
    nearest = np.where(share < 0.5, before, after)
    # Nothing lies between two shots: the nearer one's frame stands for itself.
    cut = clip.shot[before] != clip.shot[after]
    share = np.where(cut, (nearest == after).astype(float), share)
    column = share[:, None]
    values = (1.0 - column) * clip.values[before] + column * clip.values[after]
    head = np.unwrap(clip.head_rad, axis=0)
    turned = (1.0 - column) * head[before] + column * head[after]
    return AnimationClip(
        clip.rig,
        times_s,
        clip.rig.clamp(values),
        clip.found[nearest],
        (turned + np.pi) % (2 * np.pi) - np.pi,
        (1.0 - share) * clip.confidence[before] + share * clip.confidence[after],
        clip.shot[nearest],
    )


def check_rate(rate_hz: float) -> None:
    """UsageError for a rate that makes no sense, or files of any size."""
    if not 1.0 <= rate_hz <= MOST_FRAMES_PER_S:
        raise UsageError(
            f"--fps {rate_hz:g} is of no use: choose between 1 and {MOST_FRAMES_PER_S:g}."
        )


def swap_sides(clip: AnimationClip) -> AnimationClip:
    """What a mirror shows: left controls move right, the head turns and tilts the other way."""
    values = clip.values[:, clip.rig.mirror_columns]
    return replace(clip, values=values, head_rad=mirrored_head(clip.head_rad))


def mirrored_head(head_rad: Float[np.ndarray, "*frame 3"]) -> Float[np.ndarray, "*frame 3"]:
    """Head rotation in a mirror: yaw and roll go the other way."""
    return head_rad * [-1.0, 1.0, -1.0] + 0.0
