"""A face that no network reads for a moment is held where it goes, as long as it is there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from freeavatar.capture.align import CropFrame
from freeavatar.capture.coast import Look, predicted
from freeavatar.capture.detect import FaceDetector
from freeavatar.capture.landmarks import FaceMesh, Mesh
from freeavatar.capture.track import TrackConfig, track_actor
from freeavatar.capture.video import Frame

PLACE = CropFrame(np.array([300.0, 180.0]), 150.0, 0.1)


def wall() -> np.ndarray:
    x = np.linspace(0, 9, 640)
    row = (100 + 20 * np.sin(x)).astype(np.uint8)
    return np.repeat(np.tile(row, (360, 1))[..., None], 3, axis=2)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (18.0, -9.0), (-20.0, 15.0)])
def test_a_look_finds_its_face_nearby(face_on, shift):
    look = Look.at(face_on(wall(), 300, 180, 150), PLACE)
    picture = face_on(wall(), 300 + shift[0], 180 + shift[1], 150)
    found, likeness = look.find(cv2.GaussianBlur(picture, (0, 0), 4.0), PLACE)
    np.testing.assert_allclose(found.center_px - PLACE.center_px, shift, atol=6.0)
    assert likeness > 0.7


def test_a_look_is_not_fooled_by_a_board_or_a_wall(face_on):
    look = Look.at(face_on(wall(), 300, 180, 150), PLACE)
    board = face_on(wall(), 300, 180, 150)
    board[80:280, 200:400] = 96
    assert look.find(board, PLACE)[1] < 0.5
    assert look.find(wall(), PLACE)[1] < 0.5


def test_what_moves_is_expected_to_go_on_and_to_slow_down():
    before = CropFrame(np.array([290.0, 180.0]), 150.0, 0.1)
    ahead = predicted(PLACE, before).center_px - PLACE.center_px
    assert 0.0 < ahead[0] < 10.0
    assert ahead[1] == 0.0
    jump = CropFrame(np.array([0.0, 180.0]), 150.0, 0.1)
    assert np.linalg.norm(predicted(PLACE, jump).center_px - PLACE.center_px) <= 0.2 * 150
    assert predicted(PLACE, None) is PLACE


def test_a_moving_face_is_held_while_every_network_is_silent(face_on, monkeypatch):
    x = 260 + 4.0 * np.arange(30)
    pictures = [face_on(wall(), at, 180, 150) for at in x]
    blind = range(12, 20)
    now = [0]
    read, large, small = FaceMesh.read, FaceDetector.find_large, FaceDetector.find_small

    def blinded(answer, nothing):
        def ask(self, picture, *rest):
            said = answer(self, picture, *rest)
            return nothing(said) if now[0] in blind else said

        return ask

    def frames():
        for i, picture in enumerate(pictures):
            now[0] = i
            yield Frame(i, i / 30.0, picture)

    monkeypatch.setattr(FaceMesh, "read", blinded(read, lambda mesh: Mesh(mesh.points, 0.0)))
    monkeypatch.setattr(FaceDetector, "find_large", blinded(large, lambda _: []))
    monkeypatch.setattr(FaceDetector, "find_small", blinded(small, lambda _: []))
    tracked = list(track_actor(frames(), TrackConfig(gap_s=0.0)))
    assert all(t.found for t in tracked)
    held = [tracked[i] for i in blind]
    assert max(t.confidence for t in held) < 0.4
    assert min(t.confidence for t in held) > 0.15
    centers = np.array([(t.box[:2] + t.box[2:]) / 2 for t in tracked])
    moved = centers[:, 0] - x
    assert np.abs(moved - np.median(moved)).max() < 0.08 * 150
    assert tracked[-1].confidence > 0.9
    assert len({t.shot for t in tracked}) == 1
