"""Still faces give the same crop; whatever moves, however slowly, gives new ones."""

from __future__ import annotations

import cv2
import numpy as np

from freeavatar.capture.stillness import StillFace


def face(lid: float = 0.0, light: float = 1.0) -> np.ndarray:
    """A drawn face whose lid line lies `lid` pixels lower."""
    crop = np.full((224, 224, 3), 190, np.uint8)
    cv2.ellipse(crop, (112, 120), (80, 100), 0, 0, 360, (140, 160, 210), -1)
    for x in (80, 144):
        cv2.ellipse(crop, (x, 95), (16, 9), 0, 0, 360, (250, 250, 250), -1)
        cv2.line(crop, (x - 16, round(90 + lid)), (x + 16, round(90 + lid)), (30, 30, 40), 3)
    return (crop * light).astype(np.uint8)


def trembling(crop: np.ndarray, seed: int, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, crop.shape)
    return np.clip(crop + noise, 0, 255).astype(np.uint8)


def test_noise_does_not_move_a_still_face() -> None:
    still = StillFace()
    first = still.settle(face())
    for seed in range(20):
        assert still.settle(trembling(face(), seed, 3.0)) is first


def test_a_movement_of_two_pixels_is_seen_at_once_and_in_the_dark() -> None:
    for light in (1.0, 0.15):
        still = StillFace()
        first = still.settle(face(light=light))
        moved = face(2.0, light)
        assert still.settle(moved) is moved
        assert still.settle(face(light=light)) is not first


def test_a_slow_movement_adds_up() -> None:
    still = StillFace()
    given = [still.settle(face(0.25 * i)) for i in range(41)]
    assert len({id(crop) for crop in given}) >= 6
    np.testing.assert_array_equal(given[-1], face(10.0))


def test_a_crop_of_one_color_rests_only_while_it_stays_that_color() -> None:
    still = StillFace()
    grey = np.full((224, 224, 3), 100, np.uint8)
    first = still.settle(grey)
    assert still.settle(grey.copy()) is first
    lighter = np.full((224, 224, 3), 104, np.uint8)
    assert still.settle(lighter) is lighter
