"""How well curves follow the truth: correlation, error, left against right, channel by channel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.animation import AnimationClip
from freeavatar.evaluation.takes import correlations
from freeavatar.rig import ARKIT, ARKIT_NAMES

MOVING_STD = 0.02
"""A channel that moves less in a clip is still: correlation with it would be noise."""

GROUPS: dict[str, tuple[str, ...]] = {
    "brow": ("brow",),
    "eye": ("eye",),
    "gaze": ("gaze",),
    "jaw": ("jaw",),
    "mouth": ("mouth",),
    "cheek and nose": ("cheek", "nose"),
    "tongue": ("tongue",),
}
PAIRS = tuple(
    (i, ARKIT.index(name.replace("Left", "Right")))
    for i, name in enumerate(ARKIT_NAMES)
    if name.endswith("Left")
    and name.replace("Left", "Right") in ARKIT
    # Left and right jaw or mouth are two directions of one part, not two sides of a face; eyes
    # look in when the other looks out.
    and name not in ("jawLeft", "mouthLeft")
    and not name.startswith("eyeLook")
)


@dataclass(frozen=True)
class Judged:
    """One tracker's curves for one clip beside the truth."""

    clip: str
    truth: AnimationClip
    shown: Bool[np.ndarray, "52"]
    curves: AnimationClip


@dataclass(frozen=True)
class Scores:
    """One tracker on all clips; NaN where a channel is still or this face cannot show it."""

    clips: tuple[str, ...]
    correlation: Float[np.ndarray, "clip 52"]
    motion: Float[np.ndarray, "clip 52"]
    """Standard deviation of the truth."""
    error: Float[np.ndarray, "clip 52"]
    """Mean absolute error of moving channels."""
    fitted_error: Float[np.ndarray, "clip 52"]
    """The same after one gain and offset a channel, fitted over all clips: what is left when a
    user has scaled every channel by hand."""
    still_error: Float[np.ndarray, "clip 52"]
    """Mean absolute error of channels that should not move."""
    difference: Float[np.ndarray, "clip pair"]
    """Correlation of left minus right."""
    head_correlation: Float[np.ndarray, "clip 3"]
    head_error_deg: Float[np.ndarray, "clip 3"]
    found: Float[np.ndarray, "clip"]
    """Share of frames with output."""

    def by_channel(self) -> Float[np.ndarray, "52"]:
        """Mean correlation over the clips in which a channel moves."""
        return _mean(self.correlation, 0)

    def weighted_correlation(self) -> float:
        """Each channel of each clip counts by how much it moves: what is easily seen counts."""
        judged = ~np.isnan(self.correlation)
        return float(np.average(self.correlation[judged], weights=self.motion[judged]))


def group_columns(group: str) -> list[int]:
    """Channels of one group of GROUPS; "all" is every channel."""
    if group == "all":
        return list(range(len(ARKIT)))
    return [i for i, c in enumerate(ARKIT.controls) if c.region in GROUPS[group]]


def group_mean(table: Float[np.ndarray, "clip 52"], group: str) -> float:
    """Every channel counts the same, however many clips move it."""
    return float(_mean(_mean(table[:, group_columns(group)], 0), 0))


def judge(results: Sequence[Judged]) -> Scores:
    """Scores of one tracker over all clips."""
    truths = [result.truth.values.astype(np.float64) for result in results]
    guesses = [aligned(result) for result in results]
    values = [guess.values.astype(np.float64) for guess in guesses]
    shown = [result.shown for result in results]
    moving = np.array([(t.std(0) > MOVING_STD) & s for t, s in zip(truths, shown, strict=True)])
    still = np.array([(t.std(0) <= MOVING_STD) & s for t, s in zip(truths, shown, strict=True)])
    error = np.array([np.abs(v - t).mean(0) for v, t in zip(values, truths, strict=True)])
    correlation = np.array([correlations(v, t) for v, t in zip(values, truths, strict=True)])
    return Scores(
        clips=tuple(result.clip for result in results),
        correlation=np.where(moving, correlation, np.nan),
        motion=np.array([truth.std(0) for truth in truths]),
        error=np.where(moving, error, np.nan),
        fitted_error=_fitted_error(values, truths, moving),
        still_error=np.where(still, error, np.nan),
        difference=np.array(
            [_difference(v, t, s) for v, t, s in zip(values, truths, shown, strict=True)]
        ),
        head_correlation=np.array(
            [
                correlations(guess.head_rad, result.truth.head_rad)
                for guess, result in zip(guesses, results, strict=True)
            ]
        ),
        head_error_deg=np.degrees(
            [
                np.abs(guess.head_rad - result.truth.head_rad).mean(0)
                for guess, result in zip(guesses, results, strict=True)
            ]
        ),
        found=np.array([guess.found.mean() for guess in guesses]),
    )


def aligned(result: Judged) -> AnimationClip:
    """The tracker's curves at the truth's times (nearest frame); a lost face keeps its last values.

    What a user would see: nobody gets the frames in which a face was lost for free.
    """
    curves, times_s = result.curves, result.truth.times_s
    nearest = np.abs(curves.times_s[None, :] - times_s[:, None]).argmin(1)
    found = curves.found[nearest]
    last = np.maximum.accumulate(np.where(found, np.arange(len(found)), -1))
    kept = nearest[np.maximum(last, 0)]
    seen = (last >= 0)[:, None]
    return AnimationClip(
        ARKIT,
        times_s,
        np.where(seen, curves.values[kept], 0.0),
        found,
        np.where(seen, curves.head_rad[kept], 0.0),
    )


def moving_channels(truth: AnimationClip) -> Bool[np.ndarray, "52"]:
    """Those with which a correlation means something."""
    return truth.values.astype(np.float64).std(0) > MOVING_STD


def _difference(
    guess: Float[np.ndarray, "frame 52"],
    truth: Float[np.ndarray, "frame 52"],
    shown: Bool[np.ndarray, "52"],
) -> Float[np.ndarray, "pair"]:
    left, right = np.array(PAIRS).T
    wanted = truth[:, left] - truth[:, right]
    found = correlations(guess[:, left] - guess[:, right], wanted)
    judged = (wanted.std(0) > MOVING_STD) & shown[left] & shown[right]
    return np.where(judged, found, np.nan)


def _fitted_error(
    guesses: Sequence[np.ndarray], truths: Sequence[np.ndarray], moving: Bool[np.ndarray, "clip 52"]
) -> Float[np.ndarray, "clip 52"]:
    errors = np.full(moving.shape, np.nan)
    for channel in range(moving.shape[1]):
        clips = np.flatnonzero(moving[:, channel])
        if not len(clips):
            continue
        guess = np.concatenate([guesses[clip][:, channel] for clip in clips])
        truth = np.concatenate([truths[clip][:, channel] for clip in clips])
        spread = float(guess.var())
        gain = float(np.cov(guess, truth, bias=True)[0, 1]) / spread if spread > 1e-9 else 0.0
        offset = float(truth.mean()) - gain * float(guess.mean())
        for clip in clips:
            fitted = gain * guesses[clip][:, channel] + offset
            errors[clip, channel] = np.abs(fitted - truths[clip][:, channel]).mean()
    return errors


def _mean(table: np.ndarray, axis: int) -> np.ndarray:
    with warnings.catch_warnings():
        # A group that no clip moves has no mean: NaN says so.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(table, axis=axis)
