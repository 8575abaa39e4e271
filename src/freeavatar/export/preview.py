"""How preview.mp4 looks: the input at the left, the avatars beside it, names beneath."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from freeavatar.capture.video import open_video

CAPTION_PX = 28
BACKGROUND = (24, 26, 29)
CAPTION_COLOR = (205, 208, 212)
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.5
MAX_HEIGHT_PX = 720
AVATAR_PX = 512
AVATARS_PER_ROW = 4
WIDEST = 16 / 9
"""Wider inputs get bars above and below, so that the avatars are not dwarfed."""


@dataclass(frozen=True)
class PreviewLayout:
    """Where everything goes; the same for all frames of a take."""

    caption: str
    names: tuple[str, ...]
    input_width: int
    input_height: int
    avatar_side: int
    avatars_per_row: int

    @staticmethod
    def of(source: Path, names: Sequence[str]) -> PreviewLayout:
        """The layout for an input file and its avatars."""
        video = open_video(source, AVATAR_PX * 2)
        return PreviewLayout.fitting(source.name, video.width / video.height, names)

    @staticmethod
    def fitting(caption: str, aspect: float, names: Sequence[str]) -> PreviewLayout:
        """Up to four avatars stand in one row; more stand in several, smaller."""
        rows = max(1, math.ceil(math.sqrt(len(names) / AVATARS_PER_ROW)))
        side = AVATAR_PX if rows == 1 else MAX_HEIGHT_PX // rows - CAPTION_PX
        height = rows * (side + CAPTION_PX) - CAPTION_PX
        # H.264 wants even sides.
        width = 2 * round(height * min(max(aspect, 0.5), WIDEST) / 2)
        per_row = max(1, math.ceil(len(names) / rows))
        return PreviewLayout(caption, tuple(names), width, height, side, per_row)

    @staticmethod
    def alone(names: Sequence[str]) -> PreviewLayout:
        """Without an input: the avatars side by side."""
        return replace(PreviewLayout.fitting("", 1.0, names), input_width=0)

    @property
    def input_side_px(self) -> int:
        """The longer side at which the input need be decoded."""
        return max(self.input_width, self.input_height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the preview."""
        columns = min(self.avatars_per_row, len(self.names))
        return self.input_width + columns * self.avatar_side, self.input_height + CAPTION_PX

    def compose(
        self,
        frame: UInt8[np.ndarray, "height width 3"] | None,
        avatars: Sequence[UInt8[np.ndarray, "side side 3"]],
        found: bool = True,
    ) -> UInt8[np.ndarray, "out_height out_width 3"]:
        """One frame of the preview; None stands for a frame that could not be decoded again."""
        width, height = self.size
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = BACKGROUND
        if frame is not None:
            _paste_fitted(canvas[: self.input_height, : self.input_width], frame)
        if self.input_width:
            caption = self.caption if found else f"{self.caption} - no face"
            _write(canvas[self.input_height :, : self.input_width], caption)
        for number, (name, picture) in enumerate(zip(self.names, avatars, strict=True)):
            row, column = divmod(number, self.avatars_per_row)
            left = self.input_width + column * self.avatar_side
            top = row * (self.avatar_side + CAPTION_PX)
            below = top + self.avatar_side
            _paste_fitted(canvas[top:below, left : left + self.avatar_side], picture)
            _write(canvas[below : below + CAPTION_PX, left : left + self.avatar_side], name)
        return canvas


def _paste_fitted(
    region: UInt8[np.ndarray, "region_height region_width 3"],
    picture: UInt8[np.ndarray, "height width 3"],
) -> None:
    """As large as fits, in the middle, without distortion."""
    scale = min(region.shape[0] / picture.shape[0], region.shape[1] / picture.shape[1])
    height = max(1, min(region.shape[0], round(picture.shape[0] * scale)))
    width = max(1, min(region.shape[1], round(picture.shape[1] * scale)))
    if (height, width) != picture.shape[:2]:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (width, height), interpolation=method)
    top, left = (region.shape[0] - height) // 2, (region.shape[1] - width) // 2
    region[top : top + height, left : left + width] = picture


def _write(region: UInt8[np.ndarray, "height width 3"], text: str) -> None:
    """Small text in the middle; letters that the font lacks become question marks."""
    plain = text.encode("ascii", "replace").decode()
    while len(plain) > 1 and _text_width(plain) > region.shape[1] - 16:
        plain = plain[:-3].rstrip() + ".." if len(plain) > 4 else plain[:-1]
    left = (region.shape[1] - _text_width(plain)) // 2
    line = np.ascontiguousarray(region)
    cv2.putText(line, plain, (left, 19), FONT, FONT_SCALE, CAPTION_COLOR, 1, cv2.LINE_AA)
    region[:] = line


def _text_width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, FONT, FONT_SCALE, 1)
    return int(width)
