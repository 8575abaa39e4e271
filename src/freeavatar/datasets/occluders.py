"""Things before a face in training pictures: glasses and masks that turn with the head, hair that
falls over it, hands and microphones in front of it.

Drawn over finished renders as shaded layers at twice the resolution; placed in the head's own
space, so that truth and occluder fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.avatars.avatar import FaceFrame, rotation
from freeavatar.avatars.scene import Camera, face_unit
from freeavatar.capture.headpose import face_template

_FINE = 2
"""Layers are drawn this many times larger and averaged down: thin frames need smooth edges."""

# Mesh points along the lower face, from the right ear below the chin to the left ear, and back over
# the cheeks and the nose: where a mask has its edge.
_JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288)
_JAW_END = (361, 323, 454)
_MASK_TOP = (345, 330, 195, 101, 116)
_HAIRLINE = (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356)


@dataclass(frozen=True)
class FacePlace:
    """Where points of a head's own space lie in a picture."""

    left_eye: Float[np.ndarray, "3"]
    right_eye: Float[np.ndarray, "3"]
    neck: Float[np.ndarray, "3"]
    unit: float
    turn: Float[np.ndarray, "3 3"]
    camera: Camera
    size: int

    @staticmethod
    def of(
        face: FaceFrame, head_rad: tuple[float, float, float], camera: Camera, size: int
    ) -> FacePlace:
        """Of an avatar's face whose head is turned."""
        return FacePlace(
            face.left_eye.astype(np.float64),
            face.right_eye.astype(np.float64),
            face.neck.astype(np.float64),
            float(face_unit(face)),
            rotation(*head_rad),
            camera,
            size,
        )

    def project(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 2"]:
        """Fine pixels of points in u, counted from between the eyes (+Y up, +Z out of the face).

        Sideways they stretch with the distance between the eyes, as heads do.
        """
        apart = float(np.linalg.norm(self.left_eye - self.right_eye))
        middle = (self.left_eye + self.right_eye) / 2.0
        stretch = np.array([0.5 * (apart + self.unit), self.unit, self.unit])
        world = self.neck + (middle + points * stretch - self.neck) @ self.turn.T
        backward = self.camera.position - self.camera.target
        backward = backward / np.linalg.norm(backward)
        right = np.cross(self.camera.up, backward)
        right /= np.linalg.norm(right)
        seen = (world - self.camera.position) @ np.stack(
            [right, np.cross(backward, right), backward], axis=1
        )
        focal = self.size * _FINE / (2.0 * np.tan(self.camera.fov_y_rad / 2.0))
        scale = focal / np.maximum(-seen[:, 2], 1e-3)
        half = self.size * _FINE / 2.0
        return np.stack([half + seen[:, 0] * scale, half - seen[:, 1] * scale], axis=1)

    def one(self, x: float, y: float, z: float) -> Float[np.ndarray, "2"]:
        """One such point."""
        return self.project(np.array([[x, y, z]]))[0]

    def shows(self, side: float) -> bool:
        """False when the head hides what lies along its left (1) or right (-1) side."""
        return float(self.turn[2, 0]) * side > -0.2

    @property
    def unit_px(self) -> float:
        """Fine pixels per u at the face."""
        return float(np.linalg.norm(self.one(0.0, 0.0, 0.0) - self.one(0.0, -1.0, 0.0)))


class _Layer:
    """Colour and coverage at fine resolution, painted part by part."""

    def __init__(self, size: int) -> None:
        self.size = size * _FINE
        self.color = np.zeros((self.size, self.size, 3), np.float32)
        self.alpha = np.zeros((self.size, self.size), np.float32)

    def mask(self) -> UInt8[np.ndarray, "size size"]:
        """Empty, to draw a shape into."""
        return np.zeros((self.size, self.size), np.uint8)

    def paint(
        self,
        mask: UInt8[np.ndarray, "size size"],
        color: np.ndarray,
        opacity: float = 1.0,
        roundness_px: float = 0.0,
        light: tuple[float, float] = (0.0, -1.0),
    ) -> None:
        """Lay a shape over what is there; with roundness it is shaded as if it bulged."""
        left, top, width, height = cv2.boundingRect(mask)
        if width == 0:
            return
        box = slice(top, top + height), slice(left, left + width)
        share = (mask[box].astype(np.float32) / 255.0 * opacity)[..., None]
        paint = np.broadcast_to(np.asarray(color, np.float32), self.color.shape)[box]
        if roundness_px > 0:
            paint = paint * _bulge(mask[box], roundness_px, light)[..., None]
        self.color[box] = self.color[box] * (1.0 - share) + paint * share
        self.alpha[box] = self.alpha[box] * (1.0 - share[..., 0]) + share[..., 0]


def _bulge(
    mask: UInt8[np.ndarray, "height width"], radius_px: float, light: tuple[float, float]
) -> Float[np.ndarray, "height width"]:
    """Brightness of a rounded body under a light from this direction of the picture."""
    inside = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    depth = np.minimum(inside / radius_px, 1.0)
    height = cv2.GaussianBlur(np.sqrt(1.0 - (1.0 - depth) ** 2), (0, 0), 0.15 * radius_px + 0.5)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) * radius_px / 8.0
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) * radius_px / 8.0
    facing = (1.0 - slope_x * light[0] - slope_y * light[1]) / np.sqrt(
        1.0 + slope_x**2 + slope_y**2
    )
    return np.clip(0.45 + 0.55 * facing, 0.25, 1.35).astype(np.float32)


def _points(points: Float[np.ndarray, "point 2"]) -> np.ndarray:
    """For OpenCV, in sixteenths of a pixel."""
    return np.round(np.clip(points, -4000, 4000) * 16).astype(np.int32).reshape(-1, 1, 2)


def _fill(mask: np.ndarray, points: Float[np.ndarray, "point 2"]) -> None:
    cv2.fillPoly(mask, [_points(points)], 255, cv2.LINE_AA, 4)


def _stroke(mask: np.ndarray, points: Float[np.ndarray, "point 2"], width_px: float) -> None:
    thickness = max(1, round(width_px))
    cv2.polylines(mask, [_points(points)], False, 255, thickness, cv2.LINE_AA, 4)


def cover(
    picture: UInt8[np.ndarray, "size size 3"], place: FacePlace, rng: np.random.Generator
) -> UInt8[np.ndarray, "size size 3"]:
    """The picture with one thing, sometimes two, before the face."""
    names = list(KINDS)
    for _ in range(2 if rng.random() < 0.15 else 1):
        kind = names[int(rng.choice(len(names), p=_KIND_SHARES))]
        layer = _Layer(picture.shape[0])
        KINDS[kind](layer, place, _face_color(picture), rng)
        picture = _composed(picture, layer, place, rng)
    return picture


def _face_color(picture: UInt8[np.ndarray, "size size 3"]) -> Float[np.ndarray, "3"]:
    """Median of the crop's middle: skin in the picture's own light."""
    size = picture.shape[0]
    middle = picture[size // 3 : 2 * size // 3, size // 3 : 2 * size // 3]
    return np.median(middle.reshape(-1, 3), axis=0)


def _composed(
    picture: UInt8[np.ndarray, "size size 3"],
    layer: _Layer,
    place: FacePlace,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "size size 3"]:
    """Over the picture, with the shadow that a thing close to a face throws on it."""
    size = (picture.shape[0], picture.shape[0])
    alpha = cv2.resize(layer.alpha, size, interpolation=cv2.INTER_AREA)
    premultiplied = cv2.resize(
        layer.color * layer.alpha[..., None], size, interpolation=cv2.INTER_AREA
    )
    unit_px = place.unit_px / _FINE
    offset = rng.normal(0.0, 0.08, 2) * unit_px
    move = np.array([[1.0, 0.0, offset[0]], [0.0, 1.0, abs(offset[1])]])
    shadow = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), 0.08 * unit_px + 0.5), move, size)
    lit = picture.astype(np.float32) * (1.0 - float(rng.uniform(0.1, 0.5)) * shadow[..., None])
    grain = rng.normal(0.0, 1.5, (*size, 1)).astype(np.float32)
    result = lit * (1.0 - alpha[..., None]) + premultiplied + grain * alpha[..., None]
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)


def _light(rng: np.random.Generator) -> tuple[float, float]:
    """Mostly from above."""
    angle = rng.normal(-np.pi / 2.0, 0.7)
    return float(np.cos(angle)), float(np.sin(angle))


def _material(rng: np.random.Generator, brightness: float) -> Float[np.ndarray, "3"]:
    """A colour of things: black, grey and white most, then any, in the light of the picture."""
    grey = rng.choice([rng.uniform(8, 45), rng.uniform(45, 200), rng.uniform(190, 245)])
    color = np.full(3, grey) if rng.random() < 0.6 else rng.uniform(15, 235, 3)
    return color * np.clip(brightness / 125.0, 0.35, 1.3)


Face = Float[np.ndarray, "3"]


def _glasses(layer: _Layer, place: FacePlace, face: Face, rng: np.random.Generator) -> None:
    """A frame on the nose and ears, with clear, tinted or black glass."""
    width, height = rng.uniform(0.36, 0.48), rng.uniform(0.24, 0.42)
    corner = rng.uniform(2.0, 4.5)  # 2 is an ellipse, more is a rounded box
    color = _material(rng, float(face.mean()))
    thick = rng.uniform(0.025, 0.1) * place.unit_px
    angle = np.linspace(0, 2 * np.pi, 48)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / corner) * width
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / corner) * height
    drop, dark = rng.uniform(-0.12, 0.02), rng.random()
    tint = rng.uniform(0.75, 0.97) if dark < 0.3 else rng.uniform(0.0, 0.25)
    glass = _material(rng, float(face.mean())) * 0.5
    frame = layer.mask()
    for side in (-1.0, 1.0):
        # The rim follows the face a little: its outer edge lies farther back.
        z = 0.22 - 0.12 * np.abs(side * 0.5 + x)
        rim = place.project(np.stack([side * 0.5 + x, drop + y, z], axis=1))
        lens = layer.mask()
        _fill(lens, rim)
        layer.paint(lens, glass, float(tint))
        if rng.random() < 0.6:
            _glare(layer, lens, rim, rng)
        _stroke(frame, rim, thick)
        if place.shows(side):
            ear = [(side * (0.5 + width), drop + 0.1, 0.1), (side * 1.12, 0.0, -1.1)]
            _stroke(frame, place.project(np.array(ear)), 0.8 * thick)
    bridge = [(-(0.5 - width), drop + 0.08, 0.27), (0.0, drop + 0.13, 0.31)]
    bridge.append((0.5 - width, drop + 0.08, 0.27))
    _stroke(frame, place.project(np.array(bridge)), thick)
    layer.paint(frame, color, 1.0, max(thick, 2.0), _light(rng))


def _glare(layer: _Layer, lens: np.ndarray, rim: np.ndarray, rng: np.random.Generator) -> None:
    """A window mirrored in the glass."""
    middle, reach = rim.mean(axis=0), np.ptp(rim, axis=0) / 2.0
    at = middle + rng.uniform(-0.5, 0.5, 2) * reach
    lean = rng.uniform(-0.6, 0.6) * reach[0]
    half = rng.uniform(0.08, 0.35) * reach[0]
    corners = [(-half - lean, -reach[1]), (half - lean, -reach[1])]
    corners += [(half + lean, reach[1]), (-half + lean, reach[1])]
    streak = layer.mask()
    _fill(streak, at + np.array(corners))
    shown = cv2.GaussianBlur(np.minimum(streak, lens), (0, 0), 2.0)
    layer.paint(shown, np.full(3, 245.0), float(rng.uniform(0.15, 0.6)))


def _mask(layer: _Layer, place: FacePlace, face: Face, rng: np.random.Generator) -> None:
    """A face mask from the nose to below the chin, sometimes worn under the nose or the chin."""
    template = face_template().mesh
    slip = rng.choice([0.0, rng.uniform(0.25, 0.5), rng.uniform(0.9, 1.1)], p=[0.7, 0.2, 0.1])
    jaw = template[[*_JAW, *_JAW_END]] + np.array([0.0, -0.08, 0.05])
    jaw[:, 1] -= 0.12 * np.exp(-((jaw[:, 0] / 0.6) ** 2))  # room for a jaw that opens
    top = template[list(_MASK_TOP)] + np.array([0.0, -0.05 - slip, 0.12])
    inner = jaw[2:-2]
    outline = np.concatenate([inner, top])
    edge = layer.mask()
    _fill(edge, place.project(outline))
    color = _material(rng, float(face.mean()))
    if rng.random() < 0.4:
        color = np.array([150.0, 195.0, 220.0]) * np.clip(face.mean() / 125.0, 0.4, 1.2)
    layer.paint(edge, color, 1.0, 0.9 * place.unit_px, _light(rng))
    folds = layer.mask()
    for share in np.linspace(0.25, 0.75, int(rng.integers(0, 4)) or 1):
        y = float(top[:, 1].min() * (1 - share) + jaw[:, 1].min() * share)
        x = np.linspace(-0.75, 0.75, 12)
        z = 0.25 - 0.45 * x**2
        _stroke(folds, place.project(np.stack([x, np.full(12, y), z], axis=1)), 2.0)
    layer.paint(folds, color * 0.7, 0.6)
    straps = layer.mask()
    for side in filter(place.shows, (-1.0, 1.0)):
        strap = [(side * 0.95, -0.35 - slip, -0.1), (side * 1.15, 0.1, -0.9)]
        _stroke(straps, place.project(np.array(strap)), 0.05 * place.unit_px)
    layer.paint(straps, color * 0.9)


def _hair(layer: _Layer, place: FacePlace, face: Face, rng: np.random.Generator) -> None:
    """Strands from the hairline down over the forehead, an eye, or one side of the face."""
    line = face_template().mesh[list(_HAIRLINE)] + np.array([0.0, 0.15, 0.05])
    brown = np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.9)])
    color = brown * rng.choice([rng.uniform(10, 50), rng.uniform(50, 140), rng.uniform(140, 220)])
    color = color * np.clip(face.mean() / 125.0, 0.4, 1.2)
    middle, spread = rng.uniform(0, len(line) - 1), rng.uniform(1.0, 4.5)
    length, sway = rng.uniform(0.5, 2.2), rng.normal(0.0, 0.5)
    curl, thick = rng.uniform(0.0, 0.12), rng.uniform(0.012, 0.05) * place.unit_px
    along = np.linspace(0.0, 1.0, 10)
    for shade in (0.6, 0.85, 1.0, 1.25):
        strands = layer.mask()
        for _ in range(int(rng.integers(8, 34))):
            at = float(np.clip(rng.normal(middle, spread), 0, len(line) - 1.001))
            start = line[int(at)] * (1 - at % 1) + line[int(at) + 1] * (at % 1)
            reach = length * rng.uniform(0.6, 1.1)
            wave = curl * np.sin(along * rng.uniform(4, 9) + rng.uniform(0, 6))
            x = start[0] + (sway + rng.normal(0.0, 0.12)) * along**1.5 + wave
            y = start[1] - reach * along
            z = start[2] + 0.25 * np.sin(np.pi * along) + 0.05
            points = np.stack([x, y, np.broadcast_to(z, x.shape)], axis=1)
            _stroke(strands, place.project(points), thick)
        layer.paint(strands, color * shade, 0.92)


def _hand(layer: _Layer, place: FacePlace, face: Face, rng: np.random.Generator) -> None:
    """An open or half-closed hand of the person's own skin before some part of the face."""
    unit = place.unit_px
    target = [(0.0, -1.15), (0.7, -0.7), (-0.7, -0.7), (0.5, 0.0), (-0.5, 0.0), (0.0, -1.9)]
    spot = np.array(target[int(rng.integers(len(target)))]) + rng.normal(0.0, 0.15, 2)
    at = place.one(float(spot[0]), float(spot[1]), 0.5)
    # From the side or from below; fingers point away from where the arm comes from.
    pointing = rng.normal(-np.pi / 2.0, 0.8)
    scale = unit * rng.uniform(0.8, 1.05)
    turn = np.array([[-np.sin(pointing), np.cos(pointing)], [np.cos(pointing), np.sin(pointing)]])
    flip = rng.choice([-1.0, 1.0])

    def placed(points: Sequence[tuple[float, float]]) -> np.ndarray:
        """From the hand (x across, y towards the fingertips, in u) to fine pixels."""
        return at + (np.array(points) * [flip, 1.0] * scale) @ turn

    color = face * rng.uniform(0.85, 1.15)
    light, bent = _light(rng), rng.uniform(0.35, 1.0)
    fan, apart = rng.uniform(0.0, 0.28), rng.uniform(0.29, 0.33)
    arm = layer.mask()
    _stroke(arm, placed([(0.0, -0.7), (0.1, -4.0)]), 0.85 * scale)
    layer.paint(arm, color if rng.random() < 0.6 else _material(rng, float(face.mean())), 1.0,
                0.45 * scale, light)  # fmt: skip
    palm = layer.mask()
    _stroke(palm, placed([(-0.33, -0.55), (-0.4, 0.35)]), 0.55 * scale)
    _stroke(palm, placed([(0.33, -0.5), (0.42, 0.3)]), 0.55 * scale)
    _fill(palm, placed([(-0.5, -0.6), (0.5, -0.55), (0.6, 0.4), (-0.55, 0.45)]))
    layer.paint(palm, color, 1.0, 0.5 * scale, light)
    lengths = (1.05, 1.2, 1.1, 0.85)
    for i, full in enumerate(lengths):
        x, lean = (i - 1.5) * apart, (i - 1.5) * fan
        reach = full * bent * rng.uniform(0.9, 1.05)
        finger = layer.mask()
        knuckle, tip = (x, 0.35), (x + lean * reach, 0.45 + reach)
        middle = ((x + tip[0]) / 2.0 - 0.03, (0.35 + tip[1]) / 2.0)
        _stroke(finger, placed([knuckle, middle, tip]), 0.27 * scale)
        layer.paint(finger, color * rng.uniform(0.93, 1.05), 1.0, 0.15 * scale, light)
    thumb = layer.mask()
    _stroke(thumb, placed([(-0.45, -0.35), (-0.85, 0.05), (-0.95, 0.5)]), 0.3 * scale)
    layer.paint(thumb, color, 1.0, 0.16 * scale, light)


def _microphone(layer: _Layer, place: FacePlace, face: Face, rng: np.random.Generator) -> None:
    """A hand microphone from below, or a headset with its boom before the mouth."""
    unit, light = place.unit_px, _light(rng)
    dark = np.full(3, rng.uniform(12, 60)) * np.clip(face.mean() / 125.0, 0.4, 1.3)
    if rng.random() < 0.4:
        side = rng.choice([-1.0, 1.0])
        boom = layer.mask()
        path = [(side * 1.1, -0.2, -0.9), (side * 0.95, -0.9, 0.0), (side * 0.42, -1.25, 0.45)]
        _stroke(boom, place.project(np.array(path)), rng.uniform(0.03, 0.07) * unit)
        layer.paint(boom, dark)
        foam = layer.mask()
        end = place.project(np.array([path[-1], (side * 0.2, -1.27, 0.48)]))
        _stroke(foam, end, rng.uniform(0.14, 0.3) * unit)
        layer.paint(foam, dark, 1.0, 0.12 * unit, light)
        return
    head = place.one(float(rng.normal(0.0, 0.25)), float(rng.normal(-1.55, 0.25)), 0.6)
    lean = rng.normal(0.0, 0.5)
    down = np.array([np.sin(lean), np.cos(lean)])
    radius = rng.uniform(0.24, 0.42) * unit
    handle = layer.mask()
    _stroke(handle, np.stack([head, head + 5.0 * unit * down]), 1.15 * radius)
    layer.paint(handle, dark, 1.0, 0.6 * radius, light)
    ball = layer.mask()
    cv2.circle(ball, tuple(int(v) for v in head), int(radius), 255, -1, cv2.LINE_AA)
    grille = np.full(3, rng.uniform(40, 190)) * np.clip(face.mean() / 125.0, 0.4, 1.3)
    weave = 1.0 + 0.25 * np.sin(np.arange(layer.size) * 2.1)
    texture = grille * (weave[:, None] * weave[None])[..., None]
    layer.paint(ball, texture, 1.0, radius, light)


KINDS: dict[str, Callable[[_Layer, FacePlace, Face, np.random.Generator], None]] = {
    "glasses": _glasses,
    "mask": _mask,
    "hair": _hair,
    "hand": _hand,
    "microphone": _microphone,
}
_KIND_SHARES = (0.3, 0.12, 0.22, 0.24, 0.12)
