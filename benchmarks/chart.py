"""Comparisons as pictures: one bar a tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from freeavatar.rig import ARKIT_NAMES
from scores import GROUPS, Scores, group_mean

# sRGB; told apart by people who see no red or green.
COLORS = ((0, 114, 178), (230, 159, 0), (120, 120, 120), (0, 158, 115))
INK, FAINT, PAPER = (40, 40, 40), (214, 214, 214), (255, 255, 255)
SHARPNESS = 2
"""Everything is drawn this much larger and shrunk: OpenCV's letters are rough."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
NAMES_PX, BARS_PX = 150, 250


@dataclass
class _Canvas:
    """Drawing in picture coordinates, on a larger picture."""

    pixels: np.ndarray

    def text(self, words: str, x: float, y: float, size: float = 0.42) -> None:
        at = (round(x * SHARPNESS), round(y * SHARPNESS))
        cv2.putText(self.pixels, words, at, FONT, size * SHARPNESS, INK, SHARPNESS, cv2.LINE_AA)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: tuple[int, int, int]) -> None:
        left, right = sorted((round(x0 * SHARPNESS), round(x1 * SHARPNESS)))
        top, bottom = round(y0 * SHARPNESS), round(y1 * SHARPNESS)
        cv2.rectangle(self.pixels, (left, top), (right, bottom), color, -1)


def write_chart(path: Path, scores: Mapping[str, Scores]) -> None:
    """A PNG with a column for the groups and three for the channels."""
    groups = ("all", *GROUPS)
    lists: list[tuple[Sequence[str], dict[str, np.ndarray]]] = [
        (
            groups,
            {
                name: np.array([group_mean(score.correlation, group) for group in groups])
                for name, score in scores.items()
            },
        )
    ]
    for rows in np.array_split(np.arange(len(ARKIT_NAMES)), 3):
        names = [ARKIT_NAMES[row] for row in rows]
        lists.append((names, {name: s.by_channel()[rows] for name, s in scores.items()}))
    row_px = 8 + 9 * len(scores)
    height = 70 + row_px * max(len(names) for names, _ in lists)
    width = len(lists) * (NAMES_PX + BARS_PX)
    canvas = _Canvas(np.full((height * SHARPNESS, width * SHARPNESS, 3), PAPER, np.uint8))
    canvas.text("correlation with the truth (1 is perfect)", 12, 22, 0.5)
    for i, name in enumerate(scores):
        x = 420 + 150 * i
        canvas.box(x, 12, x + 14, 24, COLORS[i % len(COLORS)])
        canvas.text(name, x + 20, 23, 0.5)
    for column, (names, values) in enumerate(lists):
        _draw_list(canvas, column * (NAMES_PX + BARS_PX), names, values, row_px)
    shrunk = cv2.resize(canvas.pixels, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cv2.cvtColor(shrunk, cv2.COLOR_RGB2BGR))


@dataclass(frozen=True)
class Panel:
    """Groups of bars with a scale of their own: one group a name, one bar a tracker."""

    title: str
    names: Sequence[str]
    bars: Mapping[str, Sequence[float]]
    """By tracker; NaN: nothing to show."""
    digits: int = 3

    @property
    def row_px(self) -> int:
        return 8 + 9 * len(self.bars)

    @property
    def height_px(self) -> int:
        return 60 + self.row_px * len(self.names)


def write_panels(path: Path, panels: Sequence[Panel], missing: str = "no output") -> None:
    """A PNG with the panels below each other; `missing` stands where a bar has no value."""
    width, height = 820, sum(panel.height_px for panel in panels)
    canvas = _Canvas(np.full((height * SHARPNESS, width * SHARPNESS, 3), PAPER, np.uint8))
    top = 0
    for panel in panels:
        _draw_panel(canvas, top, panel, missing)
        top += panel.height_px
    shrunk = cv2.resize(canvas.pixels, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cv2.cvtColor(shrunk, cv2.COLOR_RGB2BGR))


def _draw_panel(canvas: _Canvas, above: int, panel: Panel, missing: str) -> None:
    """Title, legend and bars from this height on. A bar is as long as its value is large; its
    number keeps the sign."""
    sizes = np.abs(np.array([list(values) for values in panel.bars.values()], np.float64))
    largest = float(sizes[~np.isnan(sizes)].max(initial=0.0)) or 1.0
    canvas.text(panel.title, 12, above + 22, 0.44)
    for i, name in enumerate(panel.bars):
        x = 820 - 120 * (len(panel.bars) - i)
        canvas.box(x, above + 12, x + 12, above + 24, COLORS[i % len(COLORS)])
        canvas.text(name, x + 17, above + 23, 0.4)
    for row, name in enumerate(panel.names):
        top = above + 46 + panel.row_px * row
        canvas.text(name, 12, top + panel.row_px / 2 + 1, 0.38)
        for i, values in enumerate(panel.bars.values()):
            y = top + 9 * i
            if np.isnan(values[row]):
                canvas.text(missing, 206, y + 7, 0.32)
                continue
            length = 545 * abs(values[row]) / largest
            canvas.box(200, y, 200 + length, y + 7, COLORS[i % len(COLORS)])
            canvas.text(f"{values[row]:.{panel.digits}f}", 206 + length, y + 7, 0.32)


def _draw_list(
    canvas: _Canvas, left: int, names: Sequence[str], values: dict[str, np.ndarray], row_px: int
) -> None:
    """Names with bars from 0; negative correlation goes to the left."""
    zero, scale = left + NAMES_PX + 40, BARS_PX - 90
    bottom = 54 + row_px * len(names)
    for tick in (0.0, 0.5, 1.0):
        x = zero + tick * scale
        canvas.box(x, 46, x + 0.5, bottom, FAINT)
        canvas.text(f"{tick:g}", x - 5, 42, 0.35)
    for row, name in enumerate(names):
        top = 54 + row_px * row
        canvas.text(name, left + 12, top + row_px / 2 + 1, 0.4)
        for i, series in enumerate(values.values()):
            value = float(series[row])
            if not np.isnan(value):
                y = top + 9 * i
                canvas.box(zero, y, zero + value * scale, y + 7, COLORS[i % len(COLORS)])
                canvas.text(f"{value:.2f}", zero + max(value, 0) * scale + 4, y + 7, 0.3)
