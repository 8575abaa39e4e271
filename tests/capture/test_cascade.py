"""Looking again: turned, dim and tiny faces that the plain picture hides, in its own pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from freeavatar.capture.align import frame_from_pose
from freeavatar.capture.cascade import Cascade
from freeavatar.capture.headpose import fit_detection
from freeavatar.capture.track import TrackConfig, track_actor
from freeavatar.capture.video import Frame


def grey_wall(height: int = 360, width: int = 640) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def places(found) -> np.ndarray:
    return np.array([frame_from_pose(fit_detection(face)).center_px for face in found])


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderValue=(120, 120, 120))


@pytest.mark.parametrize("degrees", [90.0, -90.0, 180.0, 45.0])
def test_a_far_face_on_its_side_is_found_in_a_turned_view(face_on, degrees):
    picture = turned(face_on(grey_wall(), 320, 180, 60), degrees)
    found = [face for view in Cascade().thorough(picture) for face in view]
    near = np.linalg.norm(places(found) - [320, 180], axis=1).min()
    assert near < 10


def test_a_view_turned_by_the_faces_own_roll_gives_its_place_back(face_on):
    upright = face_on(grey_wall(), 250, 160, 120)
    cascade = Cascade()
    plain = places(cascade.quick(upright))[0]
    for roll in (30.0, -75.0, 180.0):
        matrix = cv2.getRotationMatrix2D((320, 180), roll, 1.0)
        expected = matrix @ [*plain, 1.0]
        picture = cv2.warpAffine(upright, matrix, (640, 360), borderValue=(120, 120, 120))
        found = places(cascade.turned(picture, roll))
        assert np.linalg.norm(found - expected, axis=1).min() < 6, roll


def test_a_tiny_face_is_found_in_a_tile(face_on):
    picture = face_on(grey_wall(1080, 1920), 400, 300, 80)
    found = [face for view in Cascade().thorough(picture) for face in view]
    assert np.linalg.norm(places(found) - [400, 300], axis=1).min() < 10


def test_a_dark_face_is_followed(face_on):
    rng = np.random.default_rng(1)
    bright = face_on(grey_wall(), 320, 180, 150)
    frames = [
        Frame(
            i, i / 30, np.clip(0.09 * bright + rng.normal(0, 3, bright.shape), 0, 255).astype("u1")
        )
        for i in range(6)
    ]
    assert all(t.found for t in track_actor(frames))


@pytest.mark.parametrize("side", [90, 200])
def test_an_upside_down_take_is_followed_with_its_roll(face_on, side):
    picture = np.ascontiguousarray(face_on(grey_wall(), 320, 180, side)[::-1, ::-1])
    tracked = list(track_actor([Frame(i, i / 30, picture) for i in range(3)]))
    assert all(t.found for t in tracked)
    assert abs(abs(tracked[-1].head_rad[2]) - np.pi) < 0.5


def test_an_empty_wall_stays_empty_also_when_eager():
    frames = [Frame(i, i / 30, grey_wall()) for i in range(3)]
    assert not any(t.found for t in track_actor(frames))
    assert not any(t.found for t in track_actor(frames, TrackConfig().eager()))
