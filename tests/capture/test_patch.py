"""Patches keep their place in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.capture.align import CropFrame, crop
from freeavatar.capture.landmarks import region_from_mesh
from freeavatar.capture.patch import cut_patch
from freeavatar.capture.steady import crop_patch, patch_around


def ramps(height: int = 900, width: int = 1200) -> np.ndarray:
    """Red rises with x, green with y: a pixel says where it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, 0 * x], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("side", [100.0, 500.0, 760.0])
@pytest.mark.parametrize("center", [(600.0, 450.0), (40.0, 880.0)])
def test_a_crop_from_its_patch_is_the_crop_of_the_picture(side, center):
    frame = CropFrame(np.array(center), side, 0.3)
    patch = patch_around(ramps(), frame)
    assert max(patch.pixels.shape) < 1100
    difference = crop_patch(patch, frame).astype(int) - crop(ramps(), frame)
    # At the picture's edge up to shrink - 1 pixels are lost to whole blocks.
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("shrink", [1.0, 2.0, 3.7])
def test_a_patch_says_where_it_lies(shrink):
    patch = cut_patch(ramps(), np.array([400.2, 300.0]), np.array([640.0, 500.9]), shrink)
    row, column = 20, 30
    x, y = (np.array([column, row]) + 0.5) * patch.shrink + patch.origin_px
    red, green = patch.pixels[row, column, :2]
    assert red == pytest.approx(x * 255 / 1200, abs=1.1)
    assert green == pytest.approx(y * 255 / 900, abs=1.1)


def test_a_part_outside_of_the_picture_is_left_out():
    patch = cut_patch(ramps(50, 60), np.array([-500.0, 40.0]), np.array([5.0, 900.0]), 8.0)
    assert patch.pixels.shape[0] >= 1
    assert patch.pixels.shape[1] >= 1


def test_the_mesh_finds_the_same_points_on_a_face_five_times_larger(network, laughing, actor):
    """Large faces take the averaging path, small ones do not."""
    large = np.repeat(np.repeat(laughing, 5, axis=0), 5, axis=1)
    region = actor.region
    small_mesh = network.read(laughing, region)
    scaled = type(region)(region.center_px * 5, region.side_px * 5, region.roll_rad)
    large_mesh = network.read(large, scaled)
    np.testing.assert_allclose(
        large_mesh.points[:, :2] / 5, small_mesh.points[:, :2], atol=0.01 * actor.frame.side_px
    )
    assert region_from_mesh(large_mesh).side_px == pytest.approx(
        5 * region_from_mesh(small_mesh).side_px, rel=0.02
    )
