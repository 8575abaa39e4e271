"""How training pictures differ besides the expression: head, camera, light, colours, background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from freeavatar.avatars.avatar import FaceFrame, rotation
from freeavatar.avatars.scene import (
    Camera,
    DirectionalLight,
    Lights,
    PreparedAvatar,
    face_unit,
)
from freeavatar.avatars.shading import KINDS

DOWN_FROM_EYES, SIDE_IN_U = 0.65, 3.2 * 9 / 7
"""The crop of training shards (docs/architecture.md)."""


def draw_head(rng: np.random.Generator, turned_share: float = 0.3) -> tuple[float, float, float]:
    """Yaw, pitch, roll: mostly a person before a camera, sometimes one who turns away."""
    ahead = rng.random() < 1 - turned_share
    yaw = rng.normal(0.0, 0.24) if ahead else rng.uniform(-0.87, 0.87)
    pitch = rng.normal(0.0, 0.15) if rng.random() < 0.8 else rng.uniform(-0.5, 0.5)
    roll = rng.normal(0.0, 0.14)
    return (
        float(np.clip(yaw, -0.87, 0.87)),
        float(np.clip(pitch, -0.52, 0.52)),
        float(np.clip(roll, -0.5, 0.5)),
    )


def moved_a_little(
    head_rad: tuple[float, float, float], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Where a head is a moment later, whose owner looks there: half as far turned away as somebody
    who may look anywhere."""
    yaw, pitch, roll = 0.5 * np.asarray(head_rad) + rng.normal(0.0, (0.14, 0.09, 0.07))
    return float(yaw), float(pitch), float(roll)


def crop_camera(
    face: FaceFrame,
    head_rad: tuple[float, float, float],
    distance_in_u: float,
    leftover_roll_rad: float = 0.0,
) -> Camera:
    """A camera in front whose square picture is the face crop of the turned head."""
    unit = face_unit(face)
    eyes = (face.left_eye.astype(np.float64) + face.right_eye) / 2.0
    turn = rotation(*head_rad)
    center = face.neck + turn @ (eyes - np.array([0.0, DOWN_FROM_EYES * unit, 0.0]) - face.neck)
    up = turn[:, 1].copy()
    up[2] = 0.0
    cos, sin = np.cos(leftover_roll_rad), np.sin(leftover_roll_rad)
    up = np.array([cos * up[0] - sin * up[1], sin * up[0] + cos * up[1], 0.0])
    position = center + np.array([0.0, 0.0, distance_in_u * unit])
    fov = 2.0 * float(np.arctan(0.5 * SIDE_IN_U / distance_in_u))
    return Camera(position, center, up / np.linalg.norm(up), fov)


def draw_camera(
    face: FaceFrame, head_rad: tuple[float, float, float], rng: np.random.Generator
) -> Camera:
    """From an arm's length to a long lens: 5.5 u is about 35 cm, 40 u is 2.5 m."""
    distance = float(np.exp(rng.uniform(np.log(5.5), np.log(40.0))))
    roll = float(np.clip(rng.normal(0.0, 0.06), -0.17, 0.17))
    return crop_camera(face, head_rad, distance, roll)


def _tint(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A colour of about unit brightness: warm or cool, rarely green or magenta."""
    warmth, green = rng.normal(0.0, spread), rng.normal(0.0, spread / 3.0)
    return np.exp(np.array([warmth, green, -warmth]))


def _toward(azimuth: float, elevation: float) -> tuple[float, float, float]:
    return (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )


def _rgb(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def draw_lights(rng: np.random.Generator) -> Lights:
    """From flat window light to one hard lamp from the side; total brightness varies too."""
    hardness = rng.uniform(0.15, 1.0)
    key_azimuth = float(np.clip(rng.normal(0.0, 0.8), -2.0, 2.0))
    key = DirectionalLight(
        _toward(key_azimuth, float(rng.uniform(-0.25, 1.25))),
        _rgb(1.15 * hardness * _tint(rng, 0.12)),
    )
    fill = DirectionalLight(
        _toward(-key_azimuth * rng.uniform(0.2, 1.2), float(rng.uniform(-0.3, 0.6))),
        _rgb(rng.uniform(0.0, 0.45) * _tint(rng, 0.15)),
    )
    ambient = (0.95 - 0.7 * hardness) * rng.uniform(0.7, 1.2)
    sky = ambient * _tint(rng, 0.1)
    ground = ambient * rng.uniform(0.3, 0.9) * _tint(rng, 0.1)
    exposure = float(np.exp(np.clip(rng.normal(0.0, 0.3), -1.0, 0.6)))
    return Lights(key, fill, _rgb(sky), _rgb(ground), exposure)


def draw_colors(
    prepared: PreparedAvatar, rng: np.random.Generator
) -> Float32[np.ndarray, "material 4"]:
    """Base colours with other skin, hair, eyes and clothes than the avatar's own."""
    tone, warmth = rng.normal(0.0, 0.22), rng.normal(0.0, 0.06)
    skin = np.exp(np.array([tone * 0.85 + warmth, tone, tone * 1.1 - warmth]))
    factors = {kind: np.ones(3) for kind in KINDS}
    factors["skin"] = skin
    factors["hair"] = factors["brow"] = np.exp(rng.normal(0.0, 0.4) + rng.normal(0.0, 0.1, 3))
    factors["eye"] = np.exp(rng.normal(-0.05, 0.12) + rng.normal(0.0, 0.05, 3))
    factors["teeth"] = np.exp(rng.normal(-0.1, 0.12) + np.array([0.0, 0.0, -0.06]))
    factors["tongue"] = np.exp(rng.normal(0.0, 0.15, 3))
    factors["other"] = np.exp(rng.normal(0.0, 0.4, 3))
    colors = prepared.colors.copy()
    for material, kind in enumerate(prepared.kinds):
        colors[material, :3] *= factors[KINDS[kind]]
    return np.clip(colors, 0.0, 1.6)


@dataclass(frozen=True)
class Backgrounds:
    """What may stand behind a face; pictures are cut and blurred."""

    pictures: Sequence[UInt8[np.ndarray, "height width 3"]] = ()

    def draw(self, size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "size size 3"]:
        kind = rng.random()
        if self.pictures and kind < 0.35:
            return self._cut(size, rng)
        if kind < 0.5:
            return np.broadcast_to(_dull_color(rng), (size, size, 3)).astype(np.uint8)
        # Blobs of a few colours, from two (a gradient) to a busy room.
        cells = int(rng.choice([2, 3, 4, 6, 9]))
        base, contrast = _dull_color(rng), rng.uniform(5.0, 55.0)
        coarse = (
            base
            + rng.normal(0.0, contrast, (cells, cells, 1))
            + rng.normal(0.0, contrast / 4.0, (cells, cells, 3))
        )
        coarse = np.clip(coarse, 0, 255).astype(np.uint8)
        how = cv2.INTER_CUBIC if rng.random() < 0.8 else cv2.INTER_NEAREST
        return cv2.resize(coarse, (size, size), interpolation=how)

    def _cut(self, size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "size size 3"]:
        picture = self.pictures[int(rng.integers(len(self.pictures)))]
        height, width = picture.shape[:2]
        side = int(min(height, width) * rng.uniform(0.3, 1.0))
        top = int(rng.integers(0, height - side + 1))
        left = int(rng.integers(0, width - side + 1))
        cut = picture[top : top + side, left : left + side]
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        scaled = cv2.resize(np.ascontiguousarray(cut), (size, size))
        return cv2.GaussianBlur(scaled, (0, 0), float(rng.uniform(3.0, 10.0)))


def _dull_color(rng: np.random.Generator) -> np.ndarray:
    """Rooms are grey more often than red."""
    grey = rng.uniform(10.0, 245.0)
    return np.clip(grey + rng.normal(0.0, 14.0, 3), 0.0, 255.0)
