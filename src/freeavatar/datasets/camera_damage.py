"""What cameras and networks do to pictures: lens, focus, shake, noise, small sensors, compression.

For finished renders; training adds more of it on the fly (`expression.augment`).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from freeavatar.expression.augment import compressed

Picture = UInt8[np.ndarray, "size size 3"]


def film(picture: Picture, rng: np.random.Generator) -> Picture:
    """One to three of these, in the order in which light meets them."""
    steps = (_lens, _defocus, _shake, _few_pixels, _sensor_noise, _compress)
    chosen = sorted(rng.choice(len(steps), int(rng.integers(1, 4)), replace=False))
    for i in chosen:
        picture = steps[i](picture, rng)
    return picture


def _lens(picture: Picture, rng: np.random.Generator) -> Picture:
    """Barrel or pincushion of a few pixels, colour fringes, darker corners."""
    size = picture.shape[0]
    axis = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    squared = x**2 + y**2
    bend = float(rng.uniform(-0.06, 0.04))
    fringe = float(rng.uniform(0.0, 0.006))
    channels = []
    for channel, extra in enumerate((fringe, 0.0, -fringe)):
        # The face's middle stays in place and in size: landmarks would.
        factor = (1.0 + bend * squared + extra) * (size - 1) / 2.0
        channels.append(
            cv2.remap(
                np.ascontiguousarray(picture[..., channel]),
                (x * factor + (size - 1) / 2.0).astype(np.float32),
                (y * factor + (size - 1) / 2.0).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
    vignette = 1.0 - float(rng.uniform(0.0, 0.3)) * squared[..., None] / 2.0
    return np.clip(np.stack(channels, axis=2) * vignette, 0, 255).astype(np.uint8)


def _defocus(picture: Picture, rng: np.random.Generator) -> Picture:
    """A disc, as an open aperture draws."""
    radius = float(rng.uniform(0.8, 3.0)) * picture.shape[0] / 144
    reach = int(np.ceil(radius))
    axis = np.arange(-reach, reach + 1)
    disc = np.clip(radius + 0.5 - np.hypot(*np.meshgrid(axis, axis)), 0.0, 1.0)
    return cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)


def _shake(picture: Picture, rng: np.random.Generator) -> Picture:
    """The path of a hand during the exposure: straight, or slightly bent."""
    reach = max(2, round(float(rng.uniform(1.5, 6.0)) * picture.shape[0] / 144))
    angle, bend = rng.uniform(0, np.pi), rng.normal(0.0, 0.5)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for t in np.linspace(-1.0, 1.0, 8 * reach):
        x = reach + reach * (t * np.cos(angle) - bend * t * t * np.sin(angle) / 2)
        y = reach + reach * (t * np.sin(angle) + bend * t * t * np.cos(angle) / 2)
        kernel[int(np.clip(round(y), 0, 2 * reach)), int(np.clip(round(x), 0, 2 * reach))] += 1.0
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _few_pixels(picture: Picture, rng: np.random.Generator) -> Picture:
    """A face far away."""
    size = picture.shape[0]
    few = int(size * rng.uniform(0.25, 0.7))
    small = cv2.resize(picture, (few, few), interpolation=cv2.INTER_AREA)
    how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return cv2.resize(small, (size, size), interpolation=how)


def _sensor_noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """Shot noise that grows with the root of light and read noise; a third of them in the dark."""
    light = float(rng.uniform(0.12, 0.5)) if rng.random() < 0.35 else 1.0
    exposed = picture.astype(np.float32) * light
    strength = rng.uniform(0.2, 1.1) * np.sqrt(exposed) + rng.uniform(0.5, 6.0)
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    if rng.random() < 0.5:  # what the camera's own smoothing leaves
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * 2.0
    return np.clip(exposed + strength * grain, 0, 255).astype(np.uint8)


def _compress(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blocks and smeared colour."""
    return compressed(picture, rng, 50)
