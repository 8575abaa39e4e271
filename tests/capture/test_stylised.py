"""Drawn faces, creatures and cartoons are actors too: found, and framed like people."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.track import track_actor
from freeavatar.capture.video import Frame

SIZE = 320


@pytest.fixture(scope="module", params=["basil", "bibi"])
def heads(request) -> list[np.ndarray]:
    """A creature and a cartoon, turning a little and opening the mouth."""
    avatar = catalog.resolve(request.param)
    prepared, camera = prepare(avatar), portrait_camera(avatar.face, margin=1.2)
    pictures = []
    for share in (0.0, 0.5, 1.0):
        controls = avatar.rig.rest.copy()
        controls[avatar.rig.index("jawOpen")] = 0.6 * share
        posed = pose(avatar, controls, (0.25 * share, 0.0, 0.0))
        pictures.append(render(prepared, posed, camera, width=SIZE, height=SIZE).rgb)
    return pictures


def as_it_is(picture: np.ndarray) -> np.ndarray:
    return picture


def flat_colors_and_ink(picture: np.ndarray) -> np.ndarray:
    flat = cv2.bilateralFilter(picture, 9, 60, 9) // 32 * 32 + 16
    grey = cv2.medianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 5)
    light = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 3)
    return np.where(light[..., None] > 0, flat, 20).astype(np.uint8)


def pencil(picture: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    around = cv2.GaussianBlur(grey, (0, 0), 5)
    drawn = np.clip(255.0 * grey / np.maximum(around, 1), 0, 255)
    return np.repeat(drawn.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("style", [as_it_is, flat_colors_and_ink, pencil])
def test_a_stylised_face_is_found_and_framed_as_in_the_plain_picture(
    heads: list[np.ndarray], style: Callable[[np.ndarray], np.ndarray]
):
    plain = list(track_actor([Frame(i, i / 10.0, p) for i, p in enumerate(heads)]))
    drawn = list(track_actor([Frame(i, i / 10.0, style(p)) for i, p in enumerate(heads)]))
    assert all(t.found for t in plain)
    assert all(t.found for t in drawn)
    for one, other in zip(plain, drawn, strict=True):
        side = one.box[2] - one.box[0]
        np.testing.assert_allclose(other.box, one.box, atol=0.08 * side)
