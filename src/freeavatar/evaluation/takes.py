"""One take beside a reference recording of the same performance: how alike, how late, how calm.

The reference is what an iPhone, a stage or another tracker recorded at the same time, or the truth
that a clip was drawn from.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.evaluation.report import Section
from freeavatar.rig import REGIONS, Region, RigSpec

MOVING_STD = 0.02
"""A control that moves less in the reference is still: correlation with it would be noise."""
HEAD_MOVING_RAD = np.radians(0.5)
LAG_STEP = 0.25
"""Of a reference frame; the best shift is then read between the steps."""
SHORTEST_S = 1.0
"""Of time that both have: less says nothing about likeness."""


@dataclass(frozen=True)
class TakeConfig:
    """How the two recordings are laid over each other."""

    offset_s: float = 0.0
    """Added to the reference's times: where in the take it starts."""
    most_lag_s: float = 0.5
    """How far a delay is looked for, in both directions."""
    align: bool = False
    """Take the delay that was found away before judging: for recordings that were started apart."""


@dataclass(frozen=True)
class Comparison:
    """What was found; one entry per control that both rigs have."""

    rig: RigSpec
    times_s: Float[np.ndarray, " frame"]
    """The reference's frames in which it saw a face and that the take covers, in its own time."""
    take: Float[np.ndarray, "frame control"]
    truth: Float[np.ndarray, "frame control"]
    moving: Bool[np.ndarray, " control"]
    correlation: Float[np.ndarray, " control"]
    """Pearson's; NaN where the reference is still."""
    error: Float[np.ndarray, " control"]
    """Mean absolute difference."""
    scaled_error: Float[np.ndarray, " control"]
    """The same after the best gain and offset: what is left when each control was tuned by hand."""
    take_jitter: Float[np.ndarray, " control"]
    truth_jitter: Float[np.ndarray, " control"]
    lag_s: float
    """By how much the take is late; NaN where nothing moves."""
    frame_s: float
    """Between two frames of the reference."""
    head_correlation: Float[np.ndarray, " 3"]
    head_error_deg: Float[np.ndarray, " 3"]
    """NaN for all three where the reference's head does not turn: many recordings leave it out."""
    found: float
    """Share of these frames in which the take saw a face."""


def compare(
    take: AnimationClip, truth: AnimationClip, config: TakeConfig | None = None
) -> Comparison:
    """The take judged at the reference's frames; CurveFileError when they have nothing in
    common."""
    config = config or TakeConfig()
    names = [name for name in truth.rig.names if name in take.rig]
    if not names:
        raise CurveFileError(
            f"The take's controls ({', '.join(take.rig.names[:3])}, ...) and the reference's "
            f"({', '.join(truth.rig.names[:3])}, ...) have no name in common. "
            "Compare files of one rig."
        )
    columns = [truth.rig.index(name) for name in names]
    rig = RigSpec(truth.rig.name, tuple(truth.rig.controls[column] for column in columns))
    own = take.values[:, [take.rig.index(name) for name in names]].astype(np.float64)
    wanted = truth.values[:, columns].astype(np.float64)
    times_s = truth.times_s + config.offset_s
    frame_s = 1.0 / truth.frame_rate_hz
    seen = _covered(take, times_s, truth.found)
    moving = wanted[seen].std(0) > MOVING_STD
    lag_s = _lag(take.times_s, own, times_s[seen], wanted[seen], moving, config, frame_s)
    if config.align and not np.isnan(lag_s):
        times_s = times_s + lag_s
        seen = _covered(take, times_s, truth.found)
    there, right = at_times(take.times_s, own, times_s[seen]), wanted[seen]
    head = at_times(take.times_s, np.unwrap(take.head_rad, axis=0), times_s[seen])
    head_correlation, head_error = _head(head, np.unwrap(truth.head_rad, axis=0)[seen])
    in_take = at_times(take.times_s, take.found[:, None].astype(np.float64), times_s[seen])
    return Comparison(
        rig,
        times_s[seen],
        there,
        right,
        moving,
        np.where(moving, correlations(there, right), np.nan),
        np.abs(there - right).mean(0),
        _scaled_error(there, right),
        jitter(take.times_s, own),
        jitter(truth.times_s, wanted),
        lag_s,
        frame_s,
        head_correlation,
        head_error,
        float((in_take >= 0.5).mean()),
    )


def correlations(
    one: Float[np.ndarray, "frame channel"], other: Float[np.ndarray, "frame channel"]
) -> Float[np.ndarray, " channel"]:
    """Pearson's for every channel; 0 where one of them never moves."""
    one, other = one - one.mean(0), other - other.mean(0)
    scale = np.sqrt((one**2).sum(0) * (other**2).sum(0))
    return np.where(scale > 1e-9, (one * other).sum(0) / np.maximum(scale, 1e-9), 0.0)


def jitter(
    times_s: Float[np.ndarray, " frame"], curves: Float[np.ndarray, "frame channel"]
) -> Float[np.ndarray, " channel"]:
    """Standard deviation of what changes from frame to frame and no muscle does, at 30 frames a
    second: third differences hardly see a movement and see white noise 20 times (in variance)."""
    num = int((times_s[-1] - times_s[0]) * 30.0) + 1 if len(times_s) else 0
    if num < 4:
        return np.zeros(curves.shape[1])
    even = at_times(times_s, curves, times_s[0] + np.arange(num) / 30.0)
    third = np.abs(np.diff(even, 3, axis=0)) / np.sqrt(20.0)
    # 0.6745 is the median of |x| for a standard normal x; blinks are no jitter to a median.
    return np.median(third, axis=0) / 0.6745


def at_times(
    times_s: Float[np.ndarray, " frame"],
    curves: Float[np.ndarray, "frame channel"],
    wanted_s: Float[np.ndarray, " sample"],
) -> Float[np.ndarray, "sample channel"]:
    """Curves read in straight lines between their frames; held at the ends."""
    if len(times_s) == 1:
        return np.repeat(curves, len(wanted_s), axis=0)
    after = np.clip(np.searchsorted(times_s, wanted_s), 1, len(times_s) - 1)
    share = (wanted_s - times_s[after - 1]) / (times_s[after] - times_s[after - 1])
    share = np.clip(share, 0.0, 1.0)[:, None]
    return (1.0 - share) * curves[after - 1] + share * curves[after]


def best_lag_s(
    times_s: Float[np.ndarray, " frame"],
    curves: Float[np.ndarray, "frame channel"],
    wanted_s: Float[np.ndarray, " sample"],
    wanted: Float[np.ndarray, "sample channel"],
    most_s: float,
    step_s: float,
) -> float:
    """The shift of the curves that makes them most like the wanted ones; above 0: they are late.

    Channels count by how much they move. NaN where nothing does, or where the best shift is the
    farthest that was tried, which is no answer.
    """
    weights = wanted.std(0)
    if not len(wanted) or weights.sum() == 0.0:
        return float("nan")
    num = max(1, int(np.ceil(most_s / step_s)))
    shifts = step_s * np.arange(-num, num + 1)
    likeness = np.array(
        [
            np.average(
                correlations(at_times(times_s, curves, wanted_s + shift), wanted), weights=weights
            )
            for shift in shifts
        ]
    )
    best = int(likeness.argmax())
    if best in (0, len(shifts) - 1) or likeness[best] <= 0.0:
        return float("nan")
    before, here, after = likeness[best - 1 : best + 2]
    bend = before - 2.0 * here + after
    between = 0.5 * (before - after) / bend if bend < -1e-12 else 0.0
    return float(shifts[best] + step_s * np.clip(between, -0.5, 0.5))


def sections(found: Comparison) -> list[Section]:
    """Tables for a report: the take as a whole, by region of the face, by control."""
    return [_whole(found), _regions(found), _controls(found)]


def _covered(
    take: AnimationClip, times_s: Float[np.ndarray, " frame"], found: Bool[np.ndarray, " frame"]
) -> Bool[np.ndarray, " frame"]:
    inside = found & (times_s >= take.times_s[0] - 1e-6) & (times_s <= take.times_s[-1] + 1e-6)
    common_s = float(np.ptp(times_s[inside])) if inside.any() else 0.0
    if common_s < SHORTEST_S:
        raise CurveFileError(
            f"The take lasts from {take.times_s[0]:.1f} to {take.times_s[-1]:.1f} s and the "
            f"reference from {times_s[0]:.1f} to {times_s[-1]:.1f} s: they share {common_s:.1f} s "
            f"with a face, {SHORTEST_S:g} s are needed. Say with --offset-s where in the take the "
            "reference starts."
        )
    return inside


def _lag(
    take_s: np.ndarray,
    own: np.ndarray,
    times_s: np.ndarray,
    wanted: np.ndarray,
    moving: np.ndarray,
    config: TakeConfig,
    frame_s: float,
) -> float:
    if not moving.any():
        return float("nan")
    step_s = LAG_STEP * frame_s
    return best_lag_s(take_s, own[:, moving], times_s, wanted[:, moving], config.most_lag_s, step_s)


def _scaled_error(
    take: Float[np.ndarray, "frame channel"], truth: Float[np.ndarray, "frame channel"]
) -> Float[np.ndarray, " channel"]:
    centred, wanted = take - take.mean(0), truth - truth.mean(0)
    spread = (centred**2).sum(0)
    gain = np.where(spread > 1e-9, (centred * wanted).sum(0) / np.maximum(spread, 1e-9), 0.0)
    return np.abs(gain * centred - wanted).mean(0)


def _head(
    take: Float[np.ndarray, "frame 3"], truth: Float[np.ndarray, "frame 3"]
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    turning = truth.std(0) > HEAD_MOVING_RAD
    if not turning.any():
        return np.full(3, np.nan), np.full(3, np.nan)
    correlation = np.where(turning, correlations(take, truth), np.nan)
    return correlation, np.degrees(np.abs(take - truth).mean(0))


def _whole(found: Comparison) -> Section:
    note = (
        f"{len(found.times_s)} frames of the reference, {np.ptp(found.times_s):.1f} s; "
        f"{int(found.moving.sum())} of {len(found.rig)} controls move in it."
    )
    section = Section("Take", note)
    section.add("frames with a face", {"value": found.found})
    section.add("correlation, mean of the moving controls", {"value": _mean(found.correlation)})
    moving, still = found.moving, ~found.moving
    section.add("mean absolute error, moving controls", {"value": _mean(found.error[moving])})
    section.add("mean absolute error, still controls", {"value": _mean(found.error[still])})
    section.add("late by, seconds", {"value": found.lag_s})
    section.add("late by, frames of the reference", {"value": found.lag_s / found.frame_s})
    section.add("jitter", {"value": _mean(found.take_jitter)})
    section.add("jitter of the reference", {"value": _mean(found.truth_jitter)})
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        section.add(f"head {name}, correlation", {"value": found.head_correlation[axis]})
        section.add(f"head {name}, error in degrees", {"value": found.head_error_deg[axis]})
    return section


def _regions(found: Comparison) -> Section:
    section = Section("Regions of the face", "Means over the controls that move in the reference.")
    for region in REGIONS:
        rows = _of_region(found, region)
        if rows.any():
            section.add(region, _measures(found, rows))
    return section


def _of_region(found: Comparison, region: Region) -> Bool[np.ndarray, " control"]:
    own = np.zeros(len(found.rig), bool)
    own[found.rig.columns(region)] = True
    return own & found.moving


def _controls(found: Comparison) -> Section:
    section = Section("Controls", "Those that move in the reference, the likest first.")
    order = [row for row in np.argsort(-found.correlation) if found.moving[row]]
    for row in order:
        one = np.zeros(len(found.rig), bool)
        one[row] = True
        section.add(found.rig.names[row], _measures(found, one))
    return section


def _measures(found: Comparison, rows: Bool[np.ndarray, " control"]) -> dict[str, float]:
    return {
        "correlation": _mean(found.correlation[rows]),
        "error": _mean(found.error[rows]),
        "error, scaled": _mean(found.scaled_error[rows]),
        "jitter": _mean(found.take_jitter[rows]),
        "jitter of the reference": _mean(found.truth_jitter[rows]),
    }


def _mean(values: Float[np.ndarray, " value"]) -> float:
    with warnings.catch_warnings():
        # The mean of nothing is NaN, which the report leaves empty.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.nanmean(values))
