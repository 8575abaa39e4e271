"""A real face for capture: frames of the demo clip, and pictures made from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from freeavatar.capture.detect import FaceDetector
from freeavatar.capture.landmarks import FaceMesh
from freeavatar.capture.track import Follower, TrackConfig
from freeavatar.capture.video import Frame, open_video

DEMO_CLIP = Path(__file__).parents[2] / "examples" / "clips" / "crying_to_laughing.mp4"

FaceOn = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    return DEMO_CLIP


@pytest.fixture(scope="session")
def laughing() -> np.ndarray:
    """One frame, 640 x 360: a laughing face about 190 px high."""
    return next(frame.rgb for frame in open_video(DEMO_CLIP) if frame.index == 150)


@pytest.fixture(scope="session")
def actor(laughing: np.ndarray):
    """Where the tracker sees that face."""
    sighting = Follower(TrackConfig()).look(Frame(0, 0.0, laughing))
    assert sighting is not None
    return sighting


@pytest.fixture(scope="session")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="session")
def network() -> FaceMesh:
    return FaceMesh()


@pytest.fixture(scope="session")
def face_on(laughing: np.ndarray, actor) -> FaceOn:
    """face_on(picture, x, y, side): the laughing face pasted with its crop centre at (x, y)."""
    reach = 150
    x0, y0 = np.round(actor.frame.center_px).astype(int)
    cut = laughing[max(0, y0 - reach) : y0 + reach, x0 - reach : x0 + reach]
    center = actor.frame.center_px - [x0 - reach, max(0, y0 - reach)]

    def paste(picture: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
        scale = side / actor.frame.side_px
        half = 0.5 * scale
        matrix = np.array(
            [
                [scale, 0.0, x - scale * center[0] + half - 0.5],
                [0.0, scale, y - scale * center[1] + half - 0.5],
            ]
        )
        soft = cv2.GaussianBlur(cut, (0, 0), max(0.01, 0.4 / scale)) if scale < 1 else cut
        size = (picture.shape[1], picture.shape[0])
        return cv2.warpAffine(
            soft, matrix, size, dst=picture.copy(), borderMode=cv2.BORDER_TRANSPARENT
        )

    return paste
