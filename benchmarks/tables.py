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
    """Tables for people: by group, by clip, by channel."""
    return (
        "\n\n".join(
            [
                _group_table(scores),
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
