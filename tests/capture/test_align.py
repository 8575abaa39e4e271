"""The crop geometry that docs/architecture.md promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeavatar.capture.align import CROP_SIZE, CropFrame, crop, frame_from_pose, shard_crop
from freeavatar.capture.headpose import HeadPose, rotation_from_head


def smooth_picture(height: int = 800, width: int = 1000) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([wave(x, y, k) for k in range(3)], axis=-1).round().astype(np.uint8)


def wave(x, y, k):
    """A pattern whose value is known between pixels too."""
    return 127.0 + 60.0 * np.sin(x / (23.0 + k)) + 60.0 * np.cos(y / (31.0 - k))


@settings(deadline=None)
@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(1.0, 4000.0), st.floats(-3.1, 3.1))
def test_points_come_back_from_the_crop(x, y, side, roll):
    frame = CropFrame(np.array([x, y]), side, roll)
    there, back = frame.crop_from_picture(), frame.picture_from_crop()
    point = np.array([12.3, -4.5])
    in_crop = there[:, :2] @ point + there[:, 2]
    np.testing.assert_allclose(back[:, :2] @ in_crop + back[:, 2], point, atol=1e-6 * (side + 600))


@pytest.mark.parametrize("side", [60.0, 224.0, 342.6, 480.0])
@pytest.mark.parametrize("roll", [0.0, 0.4, -2.9])
def test_every_crop_pixel_shows_the_picture_where_the_frame_says(side, roll):
    frame = CropFrame(np.array([502.6, 407.4]), side, roll)
    shown = crop(smooth_picture(), frame)
    to_picture = frame.picture_from_crop()
    row, column = np.mgrid[:CROP_SIZE, :CROP_SIZE] + 0.5
    x, y = (
        np.tensordot(to_picture[:, :2], np.stack([column, row]), 1) + to_picture[:, 2, None, None]
    )
    expected = np.stack([wave(x, y, k) for k in range(3)], axis=-1)
    assert np.abs(shown - expected).max() < 4.0


def test_a_face_that_leans_to_picture_left_stands_upright_in_its_crop():
    """The picture is dark above the line through the crop's centre along the face's own x axis."""
    roll = 0.5
    y, x = np.mgrid[:300, :300] + 0.5
    up = np.array([-np.sin(roll), -np.cos(roll)])
    above = (x - 150.0) * up[0] + (y - 150.0) * up[1] > 0
    picture = np.repeat(np.where(above, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    shown = crop(picture, CropFrame(np.array([150.0, 150.0]), 150.0, roll))
    assert shown[:108].max() < 10
    assert shown[116:].min() > 245


@pytest.mark.parametrize("head_rad", [(0.0, 0.0, 0.0), (0.0, 0.0, 0.7), (0.6, 0.0, 0.0)])
def test_eyes_and_mouth_lie_where_the_promise_says(head_rad):
    u = 50.0
    pose = HeadPose(rotation_from_head(head_rad), u, np.array([200.0, 180.0]))
    frame = frame_from_pose(pose)
    eyeball = np.array([[0.5, 0.0, -0.06], [-0.5, 0.0, -0.06]])
    to_crop = frame.crop_from_picture()
    eyes = pose.project(eyeball) @ to_crop[:, :2].T + to_crop[:, 2]
    assert frame.side_px == pytest.approx(3.2 * u)
    height = CROP_SIZE * (0.5 - 0.65 / 3.2)
    np.testing.assert_allclose(eyes[:, 1], height, atol=0.5)
    assert eyes[:, 0].mean() == pytest.approx(CROP_SIZE / 2, abs=0.2)
    assert eyes[0, 0] > eyes[1, 0], "the character's left eye is at picture right"


def test_the_middle_of_a_shard_crop_is_what_the_product_sees():
    frame = CropFrame(np.array([250.0, 200.0]), 180.0, 0.3)
    picture = smooth_picture()
    wide = shard_crop(picture, frame)[16:128, 16:128].astype(int)
    assert np.abs(wide - crop(picture, frame, CROP_SIZE // 2)).max() <= 2


def test_a_large_face_is_averaged_not_sampled():
    board = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(board[..., None], 3, axis=2)
    shown = crop(picture, CropFrame(np.array([600.0, 600.0]), 896.0, 0.0))
    assert np.abs(shown.astype(int) - 127).max() <= 3


def test_a_face_at_the_edge_repeats_the_edge():
    picture = np.full((100, 100, 3), 200, np.uint8)
    assert crop(picture, CropFrame(np.array([0.0, 0.0]), 80.0, 0.2)).min() == 200
