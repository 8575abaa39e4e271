"""Damage of fixed strength to face crops, for measuring how far an embedding drifts.

Pictures are wider than what the encoder sees (training shards), so that a rolled face can
be found and cut again as the product would do it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8

Picture = UInt8[np.ndarray, "height width 3"]

FACE_IN_CROP = 2.2 / 3.2
"""Width of a face as a share of the crop's side (docs/architecture.md, face crop)."""


def occluder(picture: Picture, rng: np.random.Generator) -> Picture:
    """A tilted hand-sized bar over a fifth of the face, of its own colours, at a random place."""
    size = picture.shape[0]
    angle = rng.uniform(0.0, np.pi)
    reach = 0.12 * size
    centre = size * (0.5 + rng.uniform(-0.22, 0.22, 2))
    along = np.array([np.cos(angle), np.sin(angle)])
    mask = np.zeros((size, size), np.uint8)
    ends = [tuple(int(v) for v in centre + sign * 1.6 * reach * along) for sign in (-1, 1)]
    cv2.line(mask, ends[0], ends[1], 255, int(1.5 * reach))
    colour = picture[size // 2, size // 2] * rng.uniform(0.6, 1.2)
    speckle = cv2.resize(rng.normal(0.0, 14.0, (6, 6)).astype(np.float32), (size, size))
    alpha = cv2.GaussianBlur(mask, (3, 3), 0)[..., None] / 255.0
    cover = np.clip(colour + speckle[..., None], 0, 255)
    return (picture * (1.0 - alpha) + cover * alpha).astype(np.uint8)


def dark_noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """A fifth of the light, and noise of 6 grey levels."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * 6.0
    return np.clip(picture * 0.2 + noise, 0, 255).astype(np.uint8)


def blur(picture: Picture, rng: np.random.Generator) -> Picture:
    """Out of focus: sigma of 2 % of the encoder's crop."""
    return cv2.GaussianBlur(picture, (0, 0), 0.02 * picture.shape[0] * 7 / 9)


def small_face(picture: Picture, rng: np.random.Generator) -> Picture:
    """A face 40 pixels wide in the footage."""
    side = round(40 / FACE_IN_CROP * 9 / 7)
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def compression(picture: Picture, rng: np.random.Generator) -> Picture:
    """JPEG at quality 10, with colour at half resolution."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # encoded one line above
    return np.ascontiguousarray(decoded[..., ::-1])


IN_PLACE: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "occluder": occluder,
    "dark + noise": dark_noise,
    "blur": blur,
    "40-pixel face": small_face,
    "heavy compression": compression,
}
"""Damage that leaves the face where it is."""


def rolled(picture: Picture, roll_rad: float) -> UInt8[np.ndarray, "side side 3"]:
    """The picture turned about its middle, on a canvas that loses none of it."""
    size = int(np.ceil(picture.shape[0] * 1.45))
    middle = picture.shape[0] / 2 - 0.5
    turn = cv2.getRotationMatrix2D((middle, middle), float(np.degrees(roll_rad)), 1.0)
    turn[:, 2] += size / 2 - 0.5 - middle
    return cv2.warpAffine(
        picture, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
