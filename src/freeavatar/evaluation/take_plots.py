"""A take beside its reference as pictures: curves over time, and one bar a control."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.evaluation.takes import Comparison

Pixels = int | float
Color = tuple[int, int, int]
TAKE, TRUTH = (0, 114, 178), (230, 159, 0)
"""sRGB; told apart by people who see no red or green."""
INK, FAINT, PAPER = (40, 40, 40), (214, 214, 214), (255, 255, 255)
SHARPNESS = 2
"""Everything is drawn this much larger and shrunk: OpenCV's letters are rough."""
NAMES_PX, PLOT_PX, ROW_PX, TOP_PX = 150, 820, 54, 40
BAR_PX = 18


def curve_plot(found: Comparison, most: int = 16) -> UInt8[np.ndarray, "height width 3"]:
    """The controls that move most in the reference, over time; each row spans 0 to 1 of the
    control's range."""
    moved = np.where(found.moving, found.truth.std(0), -1.0)
    rows = [row for row in np.argsort(-moved)[:most] if found.moving[row]]
    canvas = _Canvas.blank(NAMES_PX + PLOT_PX + 20, TOP_PX + ROW_PX * max(1, len(rows)) + 24)
    _legend(canvas, "controls over time")
    start_s, length_s = float(found.times_s[0]), max(float(np.ptp(found.times_s)), 1e-9)
    x = NAMES_PX + PLOT_PX * (found.times_s - start_s) / length_s
    for place, row in enumerate(rows):
        top, bottom = TOP_PX + ROW_PX * place + 4, TOP_PX + ROW_PX * (place + 1) - 4
        canvas.text(found.rig.names[row], 8, top + 20)
        canvas.text(f"correlation {found.correlation[row]:.2f}", 8, top + 36, 0.34)
        canvas.box(NAMES_PX, bottom, NAMES_PX + PLOT_PX, bottom + 1, FAINT)
        control = found.rig.controls[row]
        span = max(control.maximum - control.minimum, 1e-9)
        for curve, color in ((found.truth, TRUTH), (found.take, TAKE)):
            share = (curve[:, row] - control.minimum) / span
            canvas.line(x, bottom - (bottom - top) * share, color)
    base = TOP_PX + ROW_PX * len(rows) + 14
    canvas.text(f"{start_s:.1f} s", NAMES_PX, base, 0.36)
    canvas.text(f"{start_s + length_s:.1f} s", NAMES_PX + PLOT_PX - 40, base, 0.36)
    return canvas.finished()


def bar_plot(found: Comparison) -> UInt8[np.ndarray, "height width 3"]:
    """Correlation and error of every control that moves in the reference."""
    rows = [row for row in np.argsort(-found.correlation) if found.moving[row]]
    canvas = _Canvas.blank(NAMES_PX + PLOT_PX + 20, TOP_PX + BAR_PX * max(1, len(rows)) + 16)
    canvas.text("correlation (left), mean absolute error (right)", 8, 20, 0.45)
    half = PLOT_PX / 2 - 60
    for left, top_value in ((NAMES_PX + 40, 1.0), (NAMES_PX + 40 + PLOT_PX / 2, 0.5)):
        for tick in (0.0, 0.5, 1.0):
            at = left + tick * half
            canvas.box(at, TOP_PX - 6, at + 0.5, TOP_PX + BAR_PX * len(rows), FAINT)
            canvas.text(f"{tick * top_value:g}", at - 5, TOP_PX - 9, 0.34)
    for place, row in enumerate(rows):
        top = TOP_PX + BAR_PX * place
        canvas.text(found.rig.names[row], 8, top + 13, 0.38)
        for left, value, length in (
            (NAMES_PX + 40, float(found.correlation[row]), half),
            (NAMES_PX + 40 + PLOT_PX / 2, float(found.error[row]), 2.0 * half),
        ):
            canvas.box(left, top + 3, left + value * length, top + BAR_PX - 4, TAKE)
            canvas.text(f"{value:.2f}", left + max(value, 0) * length + 4, top + 13, 0.34)
    return canvas.finished()


def _legend(canvas: _Canvas, title: str) -> None:
    canvas.text(title, 8, 20, 0.45)
    for place, (name, color) in enumerate((("take", TAKE), ("reference", TRUTH))):
        x = NAMES_PX + 140 * place
        canvas.box(x, 12, x + 14, 20, color)
        canvas.text(name, x + 20, 20)


@dataclass
class _Canvas:
    """Drawing in picture coordinates, on a larger picture."""

    pixels: UInt8[np.ndarray, "height width 3"]

    @staticmethod
    def blank(width: int, height: int) -> _Canvas:
        shape = (height * SHARPNESS, width * SHARPNESS, 3)
        return _Canvas(np.full(shape, PAPER, np.uint8))

    def text(self, words: str, x: Pixels, y: Pixels, size: float = 0.4) -> None:
        at = (round(x * SHARPNESS), round(y * SHARPNESS))
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(self.pixels, words, at, font, size * SHARPNESS, INK, SHARPNESS, cv2.LINE_AA)

    def box(self, x0: Pixels, y0: Pixels, x1: Pixels, y1: Pixels, color: Color) -> None:
        left, right = sorted((round(x0 * SHARPNESS), round(x1 * SHARPNESS)))
        top, bottom = round(y0 * SHARPNESS), round(y1 * SHARPNESS)
        cv2.rectangle(self.pixels, (left, top), (right, bottom), color, -1)

    def line(
        self,
        x: Float[np.ndarray, " point"],
        y: Float[np.ndarray, " point"],
        color: Color,
    ) -> None:
        points = np.round(SHARPNESS * np.stack([x, y], axis=1)).astype(np.int32)
        cv2.polylines(self.pixels, [points], False, color, SHARPNESS, cv2.LINE_AA)

    def finished(self) -> UInt8[np.ndarray, "height width 3"]:
        height, width = self.pixels.shape[:2]
        size = (width // SHARPNESS, height // SHARPNESS)
        return cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
