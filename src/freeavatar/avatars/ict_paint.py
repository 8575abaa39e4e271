"""Paints textures for ICT-FaceKit heads, which come without any: skin, lips, brows, hair, eyes.

Everything is drawn in the head's own texture space, from the places of the 68 landmarks there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Color = tuple[float, float, float]
"""sRGB in [0, 1]."""

TEXTURE_SIZE = 512
EYE_TEXTURE_SIZE = 128

# Landmarks of the usual 68: brows, outer and inner edge of the lips.
RIGHT_BROW = (17, 18, 19, 20, 21)
LEFT_BROW = (22, 23, 24, 25, 26)
OUTER_LIPS = (48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59)
# Each cheek lies between the jaw and the nostril of its side.
CHEEKS = ((2, 31), (14, 35))

# Found by looking at the head's texture space (origin top left, share of its side).
FACE_HAIRLINE = 0.06
BACK_HAIRLINE = 0.56
MOUTH_BAG_CENTRE, MOUTH_BAG_RADII = (0.131, 0.156), (0.115, 0.142)


@dataclass(frozen=True)
class IctLook:
    """Colours of one head."""

    skin: Color = (0.80, 0.60, 0.50)
    lips: Color = (0.70, 0.40, 0.38)
    brows: Color = (0.25, 0.17, 0.12)
    iris: Color = (0.30, 0.22, 0.14)
    lashes: Color = (0.10, 0.08, 0.07)
    hair: Color | None = None
    """Cropped hair painted on the skull; None for a bald head."""
    brow_width: float = 0.022
    """Share of the texture's side."""
    seed: int = 0
    """Of the fine noise in the skin."""


# Mean sRGB of skin from light to dark; steps of the Monk scale, read off by eye.
SKIN_TONES: tuple[Color, ...] = (
    (0.93, 0.80, 0.72),
    (0.89, 0.73, 0.62),
    (0.82, 0.64, 0.52),
    (0.72, 0.53, 0.41),
    (0.58, 0.40, 0.29),
    (0.44, 0.29, 0.21),
    (0.30, 0.20, 0.16),
)
HAIR_TONES: tuple[Color, ...] = (
    (0.06, 0.05, 0.05),
    (0.14, 0.10, 0.08),
    (0.28, 0.18, 0.11),
    (0.45, 0.32, 0.18),
    (0.62, 0.50, 0.32),
    (0.55, 0.54, 0.53),
)
IRIS_TONES: tuple[Color, ...] = (
    (0.16, 0.09, 0.05),
    (0.30, 0.18, 0.09),
    (0.38, 0.34, 0.18),
    (0.33, 0.45, 0.35),
    (0.35, 0.48, 0.62),
)


def random_look(rng: np.random.Generator) -> IctLook:
    """A plausible person: dark skin goes with dark hair and eyes more often than not."""
    tone = float(rng.uniform(0, len(SKIN_TONES) - 1))
    skin = _between(SKIN_TONES, tone)
    fair = tone < 2.5
    hair = HAIR_TONES[int(rng.integers(0, len(HAIR_TONES) if fair else 3))]
    iris = IRIS_TONES[int(rng.integers(0, len(IRIS_TONES) if fair else 2))]
    redness = rng.uniform(0.1, 0.5)
    lips = tuple(
        float(np.clip(s * (1 - 0.35 * redness) + r * 0.3 * redness, 0, 1))
        for s, r in zip(np.array(skin) * (0.95, 0.75, 0.75), (0.8, 0.2, 0.25), strict=True)
    )
    return IctLook(
        skin=skin,
        lips=lips,  # type: ignore[arg-type]
        brows=hair,
        iris=iris,
        lashes=tuple(0.6 * value for value in hair),  # type: ignore[arg-type]
        hair=hair if rng.random() < 0.75 else None,
        brow_width=float(rng.uniform(0.012, 0.03)),
        seed=int(rng.integers(1 << 31)),
    )


def _between(tones: tuple[Color, ...], position: float) -> Color:
    low = min(int(position), len(tones) - 2)
    mixed = np.array(tones[low]) + (position - low) * (np.array(tones[low + 1]) - tones[low])
    return (float(mixed[0]), float(mixed[1]), float(mixed[2]))


def paint_face(
    look: IctLook, landmarks: Float[np.ndarray, "68 2"]
) -> UInt8[np.ndarray, "size size 4"]:
    """The face chart; landmarks are its texture coordinates, origin top left."""
    canvas = _skin(look, 0)
    points = landmarks * TEXTURE_SIZE
    blush = np.zeros(canvas.shape[:2], np.float32)
    for jaw, nostril in CHEEKS:
        centre = 0.55 * points[nostril] + 0.45 * points[jaw]
        cv2.circle(blush, _pixel(centre), TEXTURE_SIZE // 11, 1.0, -1)
    _mix(canvas, _soft(blush, 0.05), look.lips, 0.25)
    if look.hair is not None:
        _mix(canvas, _above(FACE_HAIRLINE), look.hair, 0.9)
    lips = np.zeros(canvas.shape[:2], np.float32)
    cv2.fillPoly(lips, [np.round(points[list(OUTER_LIPS)]).astype(np.int32)], 1.0)
    _mix(canvas, _soft(lips, 0.006), look.lips, 0.9)
    brows = np.zeros(canvas.shape[:2], np.float32)
    for brow in (RIGHT_BROW, LEFT_BROW):
        line = [np.round(points[list(brow)]).astype(np.int32)]
        cv2.polylines(brows, line, False, 1.0, max(2, round(look.brow_width * TEXTURE_SIZE)))
    rough = np.random.default_rng(look.seed).uniform(0.6, 1.0, brows.shape).astype(np.float32)
    _mix(canvas, _soft(brows, 0.004) * rough, look.brows, 0.9)
    return _finished(canvas)


def paint_back(look: IctLook) -> UInt8[np.ndarray, "size size 4"]:
    """The chart of skull, neck and inside of the mouth."""
    canvas = _skin(look, 1)
    if look.hair is not None:
        _mix(canvas, _above(BACK_HAIRLINE), look.hair, 0.9)
    bag = np.zeros(canvas.shape[:2], np.float32)
    centre = _pixel(np.array(MOUTH_BAG_CENTRE) * TEXTURE_SIZE)
    radii = _pixel(np.array(MOUTH_BAG_RADII) * TEXTURE_SIZE)
    cv2.ellipse(bag, centre, radii, 0, 0, 360, 1.0, -1)
    _mix(canvas, bag, (0.30, 0.10, 0.10), 1.0)
    return _finished(canvas)


def paint_eye(look: IctLook, iris_share: float) -> UInt8[np.ndarray, "size size 4"]:
    """An eyeball seen from the front; `iris_share` is the iris's radius over the ball's."""
    size = EYE_TEXTURE_SIZE
    steps = (np.arange(size) + 0.5) / size * 2 - 1
    across, down = np.meshgrid(steps, steps)
    radius, angle = np.hypot(across, down), np.arctan2(down, across)
    canvas = np.full((size, size, 3), (0.93, 0.91, 0.89), np.float32)
    canvas[...] -= np.clip(radius - 0.6, 0, 1)[..., None] * np.array([0.0, 0.25, 0.25])
    edge = 2.5 / size
    streaks = 1 + 0.15 * np.sin(23 * angle + look.seed) * np.sin(37 * angle)
    inside = np.clip((iris_share - radius) / edge, 0, 1)[..., None]
    ring = np.clip((radius / iris_share - 0.8) / 0.2, 0, 1)[..., None]
    iris = np.array(look.iris) * streaks[..., None] * (1 - 0.6 * ring)
    canvas += inside * (iris - canvas)
    pupil = np.clip((0.4 * iris_share - radius) / edge, 0, 1)[..., None]
    canvas += pupil * (0.02 - canvas)
    return _finished(canvas)


def _skin(look: IctLook, chart: int) -> Float[np.ndarray, "size size 3"]:
    """Skin with soft blotches and fine grain: flat skin gives a network edges to cling to."""
    rng = np.random.default_rng((look.seed, chart))
    size = (TEXTURE_SIZE, TEXTURE_SIZE)
    grain = rng.normal(0, 0.012, size).astype(np.float32)
    blotches = cv2.resize(rng.normal(0, 0.02, (24, 24)).astype(np.float32), size)
    shade = (1 + grain + blotches)[..., None]
    return np.ascontiguousarray(np.array(look.skin, np.float32) * shade, np.float32)


def _above(share: float) -> Float[np.ndarray, "size size"]:
    """Soft mask of the rows above a line, given as a share of the height."""
    rows = (np.arange(TEXTURE_SIZE, dtype=np.float32) + 0.5) / TEXTURE_SIZE
    column = np.clip((share - rows) / 0.04 + 0.5, 0, 1)
    return np.repeat(column[:, None], TEXTURE_SIZE, axis=1)


def _soft(mask: Float[np.ndarray, "size size"], share: float) -> Float[np.ndarray, "size size"]:
    return cv2.GaussianBlur(mask, (0, 0), share * TEXTURE_SIZE)


def _mix(
    canvas: Float[np.ndarray, "size size 3"],
    mask: Float[np.ndarray, "size size"],
    color: Color,
    amount: float,
) -> None:
    canvas += amount * mask[..., None] * (np.array(color, np.float32) - canvas)


def _pixel(point: Float[np.ndarray, "2"]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _finished(canvas: Float[np.ndarray, "size size 3"]) -> UInt8[np.ndarray, "size size 4"]:
    picture = np.full((*canvas.shape[:2], 4), 255, np.uint8)
    picture[..., :3] = np.clip(canvas * 255 + 0.5, 0, 255)
    return picture
