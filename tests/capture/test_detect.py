"""Detectors and mesh on a real face, with OpenCV's own YuNet as the witness of ours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from freeavatar.capture.align import frame_from_pose
from freeavatar.capture.detect import MODELS
from freeavatar.capture.headpose import fit_detection, fit_mesh
from freeavatar.capture.landmarks import region_from_detection, region_from_mesh


def turned(picture: np.ndarray, center: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about a point, counterclockwise, on a copied border."""
    matrix = cv2.getRotationMatrix2D((center[0] - 0.5, center[1] - 0.5), degrees, 1.0)
    size = (picture.shape[1], picture.shape[0])
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def test_our_yunet_agrees_with_opencv(detector, laughing):
    square = np.zeros((640, 640, 3), np.uint8)
    square[140:500] = laughing[..., ::-1]
    model = str(MODELS / "face_detection_yunet_2023mar.onnx")
    _, rows = cv2.FaceDetectorYN.create(model, "", (640, 640), 0.6).detect(square)
    ours = detector.find_small(laughing)
    assert len(ours) == len(rows) == 1
    theirs = rows[0, 4:14].reshape(5, 2) - [0, 140]
    np.testing.assert_allclose(ours[0].points, theirs, atol=4.0)
    assert ours[0].score == pytest.approx(rows[0, 14], abs=0.02)


def test_both_detectors_put_the_face_in_the_same_place(detector, laughing, actor):
    for found in (detector.find_large(laughing), detector.find_small(laughing)):
        assert len(found) == 1
        frame = frame_from_pose(fit_detection(found[0]))
        away = np.linalg.norm(frame.center_px - actor.frame.center_px) / actor.frame.side_px
        assert away < 0.06
        assert frame.side_px == pytest.approx(actor.frame.side_px, rel=0.15)


def test_an_empty_picture_has_no_face(detector):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    assert detector.find(noise) == []
    assert detector.find(np.zeros((33, 1000, 3), np.uint8)) == []


def test_yunet_finds_the_small_face_that_blazeface_misses(detector, face_on):
    picture = face_on(np.full((720, 1280, 3), 90, np.uint8), 900.0, 300.0, 100.0)
    assert detector.find_large(picture) == []
    found = detector.find(picture)
    assert len(found) == 1
    assert found[0].source == "yunet"
    np.testing.assert_allclose(found[0].points[2], [900.0, 300.0], atol=15.0)


@pytest.mark.parametrize("degrees", [-60, -30, 45, 80])
def test_the_crop_turns_with_the_face(detector, network, laughing, actor, degrees):
    wide = cv2.copyMakeBorder(laughing, 200, 200, 0, 0, cv2.BORDER_REPLICATE)
    center = actor.frame.center_px + np.array([0.0, 200.0])
    picture = turned(wide, center, degrees)
    mesh = network.read(picture, region_from_detection(detector.find(picture)[0]))
    mesh = network.read(picture, region_from_mesh(mesh))
    frame = frame_from_pose(fit_mesh(mesh))
    assert mesh.score > 0.9
    np.testing.assert_allclose(frame.center_px, center, atol=0.015 * frame.side_px)
    assert frame.side_px == pytest.approx(actor.frame.side_px, rel=0.03)
    expected = actor.frame.roll_rad + np.radians(degrees)
    assert frame.roll_rad == pytest.approx(expected, abs=np.radians(1.5))


def test_the_mesh_says_when_it_sees_no_face(network, laughing, actor):
    wall = laughing[:200, :200].copy()
    region = actor.region
    lost = type(region)(np.array([100.0, 100.0]), 150.0, 0.0)
    assert network.read(wall, lost).score < 0.1
    assert network.read(laughing, region).score > 0.99


@pytest.mark.parametrize(("blur", "brightness"), [(6.0, 1.0), (0.0, 0.1)])
def test_a_blurred_or_dark_face_is_cropped_in_the_same_place(
    detector, network, laughing, actor, blur, brightness
):
    picture = cv2.GaussianBlur(laughing, (0, 0), blur) if blur else laughing
    picture = (picture * brightness).astype(np.uint8)
    mesh = network.read(picture, region_from_detection(detector.find(picture)[0]))
    frame = frame_from_pose(fit_mesh(mesh))
    np.testing.assert_allclose(frame.center_px, actor.frame.center_px, atol=0.02 * frame.side_px)
    assert frame.side_px == pytest.approx(actor.frame.side_px, rel=0.06)
