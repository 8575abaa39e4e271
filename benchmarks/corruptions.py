"""Twelve ways in which footage is bad, each at three strengths, drawn over clean frames.

Things before the face (hand, mask, glasses, microphone) are placed with the face's own crop frame,
as the tracker sees it in the clean clip, so they turn and move with the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.align import CropFrame

STRENGTHS = ("light", "middle", "heavy")
SEED = 990_017
CLOTH, RUBBER, FOAM = (172, 196, 214), (24, 24, 28), (44, 44, 48)
SKIN = np.array([196.0, 150.0, 122.0])
GREY = 96


@dataclass(frozen=True)
class Shown:
    """One clean frame and where its face is."""

    index: int
    picture: UInt8[np.ndarray, "height width 3"]
    face: CropFrame


Picture = UInt8[np.ndarray, "height width 3"]
Corrupt = Callable[[Shown, float, np.random.Generator], Picture]


@dataclass(frozen=True)
class Corruption:
    """One kind of bad footage."""

    corrupt: Corrupt
    amounts: tuple[float, float, float]
    """Light, middle, heavy; what the number means is said in the function's first line."""
    does: str


def corrupted(
    name: str, strength: str, frames: Iterable[Shown], seed: int = SEED
) -> Iterator[Picture]:
    """The frames of a clip, every one made worse; the same call gives the same pictures."""
    corruption = CORRUPTIONS[name]
    amount = corruption.amounts[STRENGTHS.index(strength)]
    for shown in frames:
        yield corruption.corrupt(shown, amount, np.random.default_rng((seed, shown.index)))


def covered(shown: Shown) -> Picture:
    """The whole face behind a flat board, as when somebody walks through the picture."""
    return _painted(shown, [(-0.75, -0.95), (0.75, -0.95), (0.75, 0.95), (-0.75, 0.95)], GREY)


def _dark(shown: Shown, share: float, rng: np.random.Generator) -> Picture:
    """Share of the light that is left; the sensor's noise stays as it was."""
    noise = rng.normal(0.0, 9.0, shown.picture.shape)
    return _bytes(shown.picture * share + noise)


def _bright(shown: Shown, gain: float, rng: np.random.Generator) -> Picture:
    """Exposure; what is brighter than white is lost."""
    return _bytes(shown.picture * gain + 12.0)


def _blur(shown: Shown, sigma: float, rng: np.random.Generator) -> Picture:
    """Standard deviation of a lens out of focus, as a share of the crop's side."""
    return cv2.GaussianBlur(shown.picture, (0, 0), sigma * shown.face.side_px)


def _motion(shown: Shown, length: float, rng: np.random.Generator) -> Picture:
    """Way of the camera during the exposure, as a share of the crop's side; it shakes."""
    reach = max(3, round(length * shown.face.side_px)) | 1
    angle = 0.7 * shown.index
    kernel = np.zeros((reach, reach), np.float32)
    middle = (reach - 1) / 2
    along = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = np.round(middle - along).astype(int), np.round(middle + along).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return cv2.filter2D(shown.picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _compression(shown: Shown, quality: float, rng: np.random.Generator) -> Picture:
    """JPEG quality."""
    bgr = cv2.cvtColor(shown.picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _small(shown: Shown, side_px: float, rng: np.random.Generator) -> Picture:
    """Side of the crop in pixels: the actor stands far away in a picture of the same size."""
    height, width = shown.picture.shape[:2]
    scale = min(1.0, side_px / shown.face.side_px)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    far = cv2.resize(shown.picture, size, interpolation=cv2.INTER_AREA)
    left, top = round(0.55 * (width - size[0])), round(0.4 * (height - size[1]))
    right, bottom = width - size[0] - left, height - size[1] - top
    return cv2.copyMakeBorder(far, top, bottom, left, right, cv2.BORDER_REPLICATE)


def _roll(shown: Shown, degrees: float, rng: np.random.Generator) -> Picture:
    """The camera lies on its side by so many degrees."""
    height, width = shown.picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(
        shown.picture, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _outside(shown: Shown, share: float, rng: np.random.Generator) -> Picture:
    """Share of the face (the middle of the crop, 0.62 of its side) beyond the left edge."""
    edge = shown.face.center_px[0] + (share - 0.5) * 0.62 * shown.face.side_px
    cut = int(np.clip(round(edge), 0, shown.picture.shape[1] - 16))
    height = shown.picture.shape[0]
    return np.hstack([shown.picture[:, cut:], np.full((height, cut, 3), GREY, np.uint8)])


def _hand(shown: Shown, size: float, rng: np.random.Generator) -> Picture:
    """Share of the crop's side that a palm with four fingers covers, coming and going."""
    sway = 0.5 + 0.5 * np.sin(2 * np.pi * shown.index / 45.0)
    x = 0.45 - 0.45 * sway
    palm = [(x + size * c, 0.2 + 0.8 * size * s) for c, s in _circle(24)]
    light = float(np.clip(shown.picture.mean() / 110.0, 0.5, 1.4))
    color = tuple(int(v) for v in np.clip(SKIN * light, 0, 255))
    picture = _painted(shown, palm, color)
    for finger in range(4):
        across = x + size * (0.55 * finger - 0.8)
        tip = 0.2 - size * (1.9 - 0.25 * abs(finger - 1.5))
        bar = [(across, 0.2), (across + 0.42 * size, 0.2), (across + 0.38 * size, tip)]
        bar += [(across + 0.04 * size, tip)]
        shade = tuple(int(0.94 * v) for v in color)
        picture = _painted(Shown(shown.index, picture, shown.face), bar, shade)
    return picture


def _mask(shown: Shown, top: float, rng: np.random.Generator) -> Picture:
    """Height of the upper edge: crop sides below the crop's centre (negative: above)."""
    edge = [(-0.36, top + 0.03), (0.0, top - 0.05), (0.36, top + 0.03)]
    chin = [(0.33, 0.3), (0.16, 0.43), (0.0, 0.46), (-0.16, 0.43), (-0.33, 0.3)]
    return _painted(shown, [*edge, *chin], CLOTH)


def _glasses(shown: Shown, opacity: float, rng: np.random.Generator) -> Picture:
    """How dark the lenses are; the frame is always black."""
    shut = shown.picture
    for side in (-1.0, 1.0):
        lens = [(side * 0.165 + 0.135 * c, -0.185 + 0.1 * s) for c, s in _circle(24)]
        rim = [(side * 0.165 + 0.15 * c, -0.185 + 0.115 * s) for c, s in _circle(24)]
        ring = _painted(Shown(shown.index, shut, shown.face), rim, RUBBER)
        through = _painted(Shown(shown.index, shut, shown.face), lens, RUBBER)
        inside = _stencil(shown, lens)[..., None]
        seen = shut * (1.0 - opacity) + through * opacity
        shut = _bytes(ring * (1.0 - inside) + seen * inside)
    bridge = [(-0.03, -0.21), (0.03, -0.21), (0.03, -0.18), (-0.03, -0.18)]
    return _painted(Shown(shown.index, shut, shown.face), bridge, RUBBER)


def _microphone(shown: Shown, radius: float, rng: np.random.Generator) -> Picture:
    """Radius of its head in crop sides, before the lower lip."""
    x, y = 0.03, 0.3
    stick = [(x - 0.3 * radius, y), (x + 0.3 * radius, y), (x + 0.35, 1.1), (x + 0.15, 1.1)]
    picture = _painted(shown, stick, RUBBER)
    ball = [(x + radius * c, y + radius * s) for c, s in _circle(24)]
    return _painted(Shown(shown.index, picture, shown.face), ball, FOAM)


CORRUPTIONS: dict[str, Corruption] = {
    "dark": Corruption(_dark, (0.45, 0.22, 0.12), "little light, sensor noise"),
    "bright": Corruption(_bright, (1.5, 2.0, 2.7), "over-exposed"),
    "blur": Corruption(_blur, (0.012, 0.025, 0.045), "out of focus"),
    "motion blur": Corruption(_motion, (0.06, 0.12, 0.2), "a camera that shakes"),
    "compression": Corruption(_compression, (18.0, 9.0, 4.0), "JPEG of low quality"),
    "small": Corruption(_small, (96.0, 64.0, 40.0), "a face far away"),
    "roll": Corruption(_roll, (22.0, 45.0, 90.0), "the camera on its side"),
    "outside": Corruption(_outside, (0.2, 0.35, 0.5), "partly outside of the picture"),
    "hand": Corruption(_hand, (0.13, 0.19, 0.25), "a hand before the face, coming and going"),
    "mask": Corruption(_mask, (0.16, 0.08, 0.0), "a cloth over mouth and chin"),
    "glasses": Corruption(_glasses, (0.15, 0.55, 0.97), "glasses, tinted, black"),
    "microphone": Corruption(_microphone, (0.1, 0.15, 0.2), "a microphone before the mouth"),
}


def _circle(corners: int) -> list[tuple[float, float]]:
    turns = 2 * np.pi * np.arange(corners) / corners
    return list(zip(np.cos(turns).tolist(), np.sin(turns).tolist(), strict=True))


def _stencil(shown: Shown, corners: list[tuple[float, float]]) -> Float[np.ndarray, "height width"]:
    """1 inside of a shape given in crop sides about the crop's centre, soft at its edge."""
    picture_from_unit = shown.face.picture_from_crop(1)
    points = np.array(corners) + 0.5
    flat = points @ picture_from_unit[:, :2].T + picture_from_unit[:, 2]
    mask = np.zeros(shown.picture.shape[:2], np.uint8)
    sixteenths = np.round((flat - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [sixteenths], 255, cv2.LINE_AA, 4)
    return mask / 255.0


def _painted(
    shown: Shown, corners: list[tuple[float, float]], color: int | tuple[int, ...]
) -> Picture:
    """A shape with a slight shading, so that it is a thing and no hole."""
    stencil = _stencil(shown, corners)[..., None]
    height, width = shown.picture.shape[:2]
    shade = 1.0 + 0.08 * np.sin(np.arange(height)[:, None, None] / 17.0)
    shade = shade + 0.05 * np.cos(np.arange(width)[None, :, None] / 23.0)
    return _bytes(shown.picture * (1.0 - stencil) + np.asarray(color) * shade * stencil)


def _bytes(values: np.ndarray) -> Picture:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
