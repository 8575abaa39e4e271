"""Cuts are found, and what merely moves, flickers or fades is none."""

from __future__ import annotations

import cv2
import numpy as np

from freeavatar.capture.cuts import CutFinder


def scene(seed: int, shift: float = 0.0, light: float = 1.0) -> np.ndarray:
    """Soft blobs of a room's colours; the same seed is the same room."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 230, (9, 16, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (384, 216), interpolation=cv2.INTER_CUBIC)
    moved = cv2.warpAffine(
        picture, np.float32([[1, 0, shift], [0, 1, 0]]), (384, 216), borderMode=cv2.BORDER_REFLECT
    )
    return np.clip(moved * light, 0, 255).astype(np.uint8)


def cuts(pictures: list[np.ndarray]) -> list[int]:
    finder = CutFinder()
    return [i for i, picture in enumerate(pictures) if finder.is_cut(picture)]


def test_every_cut_is_found_and_the_first_picture_is_none():
    take = [scene(seed, 2.0 * i) for seed in (1, 2, 3) for i in range(12)]
    assert cuts(take) == [12, 24]


def test_a_camera_that_pans_or_shakes_is_no_cut():
    pan = [scene(5, 6.0 * i) for i in range(30)]
    shake = [scene(5, 8.0 * np.sin(1.7 * i)) for i in range(30)]
    assert cuts(pan) == []
    assert cuts(shake) == []


def test_a_light_that_is_switched_or_flickers_is_no_cut():
    steps = [scene(7, light=0.55 if 10 <= i < 20 else 1.0) for i in range(30)]
    flicker = [scene(7, light=1.0 + 0.1 * (-1) ** i) for i in range(30)]
    assert cuts(steps) == []
    assert cuts(flicker) == []


def test_noise_in_the_dark_and_a_black_screen_are_no_cuts():
    rng = np.random.default_rng(0)
    dark = [
        np.clip(0.08 * scene(3) + rng.normal(0, 6, (216, 384, 3)), 0, 255).astype(np.uint8)
        for _ in range(20)
    ]
    assert cuts(dark) == []
    assert cuts([np.zeros((216, 384, 3), np.uint8)] * 10) == []


def test_a_face_that_passes_close_by_is_no_cut(face_on):
    wall = scene(4)
    pictures = [face_on(wall, -60 + 20 * i, 110, 160) for i in range(25)]
    assert cuts(pictures) == []
