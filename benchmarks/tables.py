"""Scores as Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freeavatar.rig import ARKIT_NAMES
from scores import GROUPS, Scores, group_mean

HEAD = ("yaw", "pitch", "roll")


def quality_markdown(scores: Mapping[str, Scores]) -> str:
    """Tables for people: by group, head and sides, by clip, by channel."""
    return (
        "\n\n".join(
            [
                _group_table(scores),
                _other_table(scores),
                _clip_table(scores),
                _channel_table(scores),
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


def _group_table(scores: Mapping[str, Scores]) -> str:
    header = ["group"]
    for measure in ("correlation", "error", "error, scaled"):
        header += [f"{measure}: {name}" for name in scores]
    rows = []
    for group in ("all", *GROUPS):
        row = [group]
        for field, digits in (("correlation", 2), ("error", 3), ("fitted_error", 3)):
            row += [
                number(group_mean(getattr(score, field), group), digits)
                for score in scores.values()
            ]
        rows.append(row)
    return table(header, rows)


def _other_table(scores: Mapping[str, Scores]) -> str:
    def row(name: str, values: Sequence[float], digits: int = 2) -> list[str]:
        return [name, *(number(float(value), digits) for value in values)]

    each = scores.values()
    rows = [
        row("all, weighted by motion, correlation", [s.weighted_correlation() for s in each]),
        row(
            "left minus right, correlation",
            [float(_nanmean(_nanmean(s.difference, 0))) for s in each],
        ),
        row("still channels, error", [group_mean(s.still_error, "all") for s in each], 3),
        row("head rotation, correlation", [float(s.head_correlation.mean()) for s in each]),
        row("head rotation, error in degrees", [float(s.head_error_deg.mean()) for s in each], 1),
        row("frames with output, %", [100 * float(s.found.mean()) for s in each], 1),
    ]
    return table(["", *scores], rows)


def _clip_table(scores: Mapping[str, Scores]) -> str:
    first = next(iter(scores.values()))
    means = [_nanmean(score.correlation, 1) for score in scores.values()]
    rows = [
        [clip, *(number(float(mean[i])) for mean in means)] for i, clip in enumerate(first.clips)
    ]
    return table(["clip (correlation)", *scores], rows)


def _channel_table(scores: Mapping[str, Scores]) -> str:
    columns = [score.by_channel() for score in scores.values()]
    rows = [
        [name, *(number(float(column[i])) for column in columns)]
        for i, name in enumerate(ARKIT_NAMES)
    ]
    return table(["channel (correlation)", *scores], rows)


def _nanmean(values: np.ndarray, axis: int | None = None) -> Any:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis)
    count = known.sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
