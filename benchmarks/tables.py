"""Scores as Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freeavatar.rig import ARKIT_NAMES
from scores import GROUPS, Scores, group_mean

HEAD = ("yaw", "pitch", "roll")
DEAD = ("cheekPuff", "noseSneer", "mouthFrown", "eyeWide", "tongueOut")
"""Controls that free trackers list and hardly move."""
Records = Mapping[str, Mapping[str, Any]]
"""What `quality_record` gives: a record for each tracker."""


def quality_markdown(scores: Mapping[str, Scores]) -> str:
    """Tables for people: by group, head, dead controls, by clip, by channel."""
    records = quality_record(scores)
    return (
        "\n\n".join(
            [
                _group_table(scores),
                head_table(records),
                dead_table(records),
                _clip_table(scores),
                channel_table(records),
            ]
        )
        + "\n"
    )


def quality_record(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """The same for programs."""
    return {
        name: {
            "groups": {
                group: {
                    "correlation": _rounded(group_mean(score.correlation, group)),
                    "error": _rounded(group_mean(score.error, group)),
                    "fitted_error": _rounded(group_mean(score.fitted_error, group)),
                    "still_error": _rounded(group_mean(score.still_error, group)),
                }
                for group in ("all", *GROUPS)
            },
            "weighted_correlation": _rounded(score.weighted_correlation()),
            "left_right_correlation": _rounded(_nanmean(_nanmean(score.difference, 0))),
            "head_correlation": dict(
                zip(HEAD, map(_rounded, score.head_correlation.mean(0)), strict=True)
            ),
            "head_error_deg": dict(
                zip(HEAD, map(_rounded, score.head_error_deg.mean(0)), strict=True)
            ),
            "found": _rounded(score.found.mean()),
            "channels": dict(zip(ARKIT_NAMES, map(_rounded, score.by_channel()), strict=True)),
            "channel_errors": dict(
                zip(ARKIT_NAMES, map(_rounded, _nanmean(score.error, 0)), strict=True)
            ),
            "clips": dict(
                zip(score.clips, map(_rounded, _nanmean(score.correlation, 1)), strict=True)
            ),
        }
        for name, score in scores.items()
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int = 2) -> str:
    """A dash where there is nothing to tell."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def head_table(records: Records) -> str:
    """Correlation and error of each axis of the head."""
    each = records.values()
    header = ["head"]
    for measure in ("correlation", "error, degrees"):
        header += [f"{measure}: {name}" for name in records]
    rows = [
        [
            axis,
            *(_told(record["head_correlation"].get(axis), 3) for record in each),
            *(_told(record["head_error_deg"].get(axis), 1) for record in each),
        ]
        for axis in HEAD
    ]
    return table(header, rows)


def dead_table(records: Records) -> str:
    """The controls of DEAD, mean of both sides."""
    rows = []
    for stem in DEAD:
        names = [name for name in ARKIT_NAMES if name in (stem, f"{stem}Left", f"{stem}Right")]
        rows.append([stem, *_of_channels(records, names)])
    return table(_channel_header("usually dead", records), rows)


def channel_table(records: Records) -> str:
    """Every channel; a dash where no clip moves it or nobody measured."""
    rows = [[name, *_of_channels(records, [name])] for name in ARKIT_NAMES]
    return table(_channel_header("channel", records), rows)


def _channel_header(what: str, records: Records) -> list[str]:
    measures = ("correlation", "error")
    return [what, *(f"{measure}: {name}" for measure in measures for name in records)]


def _of_channels(records: Records, names: Sequence[str]) -> list[str]:
    """Correlation of every tracker, then error, mean of these channels."""
    cells = []
    for key, digits in (("channels", 2), ("channel_errors", 3)):
        for record in records.values():
            own = record.get(key, {})
            known = [own[name] for name in names if own.get(name) is not None]
            cells.append(_told(sum(known) / len(known) if known else None, digits))
    return cells


def _told(value: float | None, digits: int) -> str:
    return number(float("nan") if value is None else float(value), digits)


def _group_table(scores: Mapping[str, Scores]) -> str:
    """The one table that tells it all; a dash where a measure has no meaning."""
    each = scores.values()
    header = ["group"]
    for measure in ("correlation", "error", "error, scaled"):
        header += [f"{measure}: {name}" for name in scores]
    none = ["–"] * len(scores)
    rows = [
        [
            group,
            *(number(group_mean(score.correlation, group)) for score in each),
            *(number(group_mean(score.error, group), 3) for score in each),
            *(number(group_mean(score.fitted_error, group), 3) for score in each),
        ]
        for group in ("all", *GROUPS)
    ]
    weighted = [number(score.weighted_correlation()) for score in each]
    sides = [number(float(_nanmean(_nanmean(score.difference, 0)))) for score in each]
    still = [number(group_mean(score.still_error, "all"), 3) for score in each]
    rows += [
        ["all, weighted by motion", *weighted, *none, *none],
        ["left minus right", *sides, *none, *none],
        ["channels that should be still", *none, *still, *none],
        [
            "head rotation (error in degrees)",
            *(number(float(score.head_correlation.mean())) for score in each),
            *(number(float(score.head_error_deg.mean()), 1) for score in each),
            *none,
        ],
    ]
    found = ", ".join(f"{name} {100 * score.found.mean():.1f} %" for name, score in scores.items())
    return f"{table(header, rows)}\n\nFrames with output: {found}."


def _clip_table(scores: Mapping[str, Scores]) -> str:
    first = next(iter(scores.values()))
    means = [_nanmean(score.correlation, 1) for score in scores.values()]
    rows = [
        [clip, *(number(float(mean[i])) for mean in means)] for i, clip in enumerate(first.clips)
    ]
    return table(["clip (correlation)", *scores], rows)


def _nanmean(values: np.ndarray, axis: int | None = None) -> Any:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis)
    count = known.sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
