"""Looks again where the detectors see nobody: turned, brightened and enlarged views of the picture.

BlazeFace finds near faces at most rolls, YuNet far ones that are nearly upright. What both miss in
the plain picture (a camera on its side, a dim room, a face of 20 px) they find in one of the views.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.detect import Detection, FaceDetector

TURNS_DEG = (90.0, -90.0, 45.0, -45.0, 180.0)
"""A phone held upright for a film that lies, and the other way round, come first."""
_TURNED_SIDE = 640
_TILE_SHARE = 0.6
"""Two tiles a side; they overlap by a fifth of the picture, so that no face falls between."""
_DIM = 70.0
"""Mean grey level below which the picture is brightened."""
_BRIGHTENED_TO = 110.0
_LONGEST_PAUSE_S = 1.6
"""Between two vain searches."""


class Cascade:
    """Looks at the plain picture first, and thoroughly when that is allowed."""

    def __init__(self, min_score: float = 0.5) -> None:
        self._detector = FaceDetector(min_score)

    def quick(self, picture: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        """What both detectors see in the picture as it is; near faces first."""
        return self._both(picture)

    def turned(
        self, picture: UInt8[np.ndarray, "height width 3"], roll_deg: float
    ) -> list[Detection]:
        """What they see when the picture is turned clockwise by so much."""
        view_from_picture, size = _turn(picture, roll_deg)
        view = cv2.warpAffine(picture, view_from_picture, (size, size), flags=cv2.INTER_AREA)
        return _moved_back(self._both(view), view_from_picture)

    def thorough(self, picture: UInt8[np.ndarray, "height width 3"]) -> Iterator[list[Detection]]:
        """One list for every further view, the likeliest first; stop when one has the face.

        About a third of a second for all of them: not something to do in every frame.
        """
        level = float(picture[::8, ::8].mean())
        if level < _DIM:
            yield self._both(_brightened(picture, level))
        for roll_deg in TURNS_DEG:
            yield self.turned(picture, roll_deg)
        for left, top, right, bottom in _tiles(picture):
            found = self._both(picture[top:bottom, left:right])
            yield _moved_back(found, np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]]))

    def _both(self, view: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        return [*self._detector.find_large(view), *self._detector.find_small(view)]


class Searches:
    """When to look thoroughly again: after each vain search a longer pause."""

    def __init__(self, first_pause_s: float) -> None:
        self._first_pause_s = first_pause_s
        self.begin_anew()

    def begin_anew(self) -> None:
        """A new shot: the next search is due at once."""
        self._pause_s, self._searched_s = self._first_pause_s, -np.inf

    def found(self) -> None:
        """Somebody is there: pauses are short again."""
        self._pause_s = self._first_pause_s

    def due(self, time_s: float) -> bool:
        """Whether to search in this frame; then that counts as done."""
        if time_s - self._searched_s < self._pause_s:
            return False
        self._searched_s = time_s
        self._pause_s = min(2.0 * self._pause_s, _LONGEST_PAUSE_S)
        return True


def _turn(
    picture: UInt8[np.ndarray, "height width 3"], roll_deg: float
) -> tuple[Float[np.ndarray, "2 3"], int]:
    """Map from the picture to a square view that holds all of it, and the view's side."""
    height, width = picture.shape[:2]
    angle = np.radians(roll_deg)
    spread_x = abs(width * np.cos(angle)) + abs(height * np.sin(angle))
    spread_y = abs(width * np.sin(angle)) + abs(height * np.cos(angle))
    scale = min(1.0, _TURNED_SIDE / max(spread_x, spread_y))
    size = max(16, round(scale * max(spread_x, spread_y)))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, size / 2.0 - turn @ [width / 2.0, height / 2.0]]), size


def _moved_back(
    found: list[Detection], view_from_picture: Float[np.ndarray, "2 3"]
) -> list[Detection]:
    """The same faces in the picture's own pixels. Boxes keep their size along their own axes."""
    back = cv2.invertAffineTransform(view_from_picture)
    scale = float(np.sqrt(abs(np.linalg.det(back[:, :2]))))
    moved = []
    for face in found:
        corners = face.box.reshape(2, 2)
        center = back[:, :2] @ corners.mean(axis=0) + back[:, 2]
        half = scale * (corners[1] - corners[0]) / 2.0
        box = np.concatenate([center - half, center + half])
        points = face.points @ back[:, :2].T + back[:, 2]
        moved.append(replace(face, box=box, points=points))
    return moved


def _tiles(picture: UInt8[np.ndarray, "height width 3"]) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of overlapping parts, the middle first: there actors stand."""
    height, width = picture.shape[:2]
    tall, wide = round(_TILE_SHARE * height), round(_TILE_SHARE * width)
    if min(tall, wide) < 16:
        return []
    corners = [((width - wide) // 2, (height - tall) // 2)]
    corners += [(x, y) for y in (0, height - tall) for x in (0, width - wide)]
    return [(x, y, x + wide, y + tall) for x, y in corners]


def _brightened(
    picture: UInt8[np.ndarray, "height width 3"], level: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Averaged a little first: gain would raise the noise with the light."""
    calm = cv2.GaussianBlur(picture, (0, 0), 1.2)
    return cv2.convertScaleAbs(calm, alpha=_BRIGHTENED_TO / max(level, 4.0))
