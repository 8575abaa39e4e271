"""The one conversion between pictures and batches loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from freeavatar.images import batch_from_pictures, pictures_from_batch


def test_every_byte_value_survives_there_and_back():
    pictures = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    pictures[..., 1] = pictures[..., 1].T.reshape(1, 16, 16)
    np.testing.assert_array_equal(pictures_from_batch(batch_from_pictures(pictures)), pictures)


def test_channels_keep_their_order():
    red = np.zeros((1, 2, 3, 3), np.uint8)
    red[..., 0] = 255
    batch = batch_from_pictures(red)
    assert batch.shape == (1, 3, 2, 3)
    assert batch[:, 0].min() == 1.0
    assert batch[:, 1:].max() == 0.0


def test_values_outside_zero_to_one_are_clipped_not_wrapped():
    batch = np.stack([np.full((1, 2, 2), v, np.float32) for v in (-0.5, 0.5, 1.5)], axis=1)
    assert pictures_from_batch(batch)[0, 0, 0].tolist() == [0, 128, 255]


def test_a_grey_picture_is_refused_where_colour_is_promised():
    with pytest.raises(TypeCheckError):
        batch_from_pictures(np.zeros((1, 8, 8, 1), np.uint8))
