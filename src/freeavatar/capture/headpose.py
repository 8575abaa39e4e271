"""Head pose: fits a rigid face template to landmarks under weak perspective.

Only points that expressions do not move are used, so that an open jaw, raised brows or a turned
head change neither the size nor the place of the face. The template comes from
recipes/derive_face_template.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.capture.detect import Detection
from freeavatar.capture.landmarks import Mesh

TEMPLATE_FILE = Path(__file__).parent / "models" / "face_template.csv"

EYE_CORNERS = ((33, 133), (362, 263))
"""Mesh points: outer and inner corner of the right eye, inner and outer of the left."""
LIPS_INNER = (13, 14)
RIGID_WEIGHTS: dict[tuple[int, ...], float] = {
    (33, 133, 362, 263): 2.0,  # eye corners
    (168, 6, 197, 195, 5): 1.0,  # bridge of the nose
    (4, 1, 19, 94, 2): 0.5,  # tip and base of the nose: sneers move them a little
    (98, 327): 0.3,
    (127, 356, 162, 389, 21, 251): 1.0,  # temples
    (234, 454): 0.7,  # before the ears
    (10, 109, 338, 67, 297, 54, 284, 103, 332): 0.5,  # hairline
}
_DEPTH_WEIGHT = 0.5
"""The mesh's depth is guessed from the same picture: trust it less than what is seen."""


@dataclass(frozen=True)
class FaceTemplate:
    """A face at rest in the character's space, in units of u, origin between the eyes."""

    mesh: Float[np.ndarray, "478 3"]
    blazeface: Float[np.ndarray, "6 3"]
    """Where BlazeFace puts its six points on this face."""
    yunet: Float[np.ndarray, "5 3"]


@dataclass(frozen=True)
class HeadPose:
    """picture = mid_eye_px + scale_px * flip_y(rotation @ point)[:2] for points of the template."""

    rotation: Float[np.ndarray, "3 3"]
    """Character's space to camera space (+X picture right, +Y up, +Z to the camera)."""
    scale_px: float
    """Pixels per u (docs/architecture.md, face crop)."""
    mid_eye_px: Float[np.ndarray, "2"]

    @property
    def head_rad(self) -> Float[np.ndarray, "3"]:
        """(yaw, pitch, roll) as in docs/conventions.md."""
        return head_from_rotation(self.rotation)

    def project(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 2"]:
        """Points of the character's space, in u, to pixels."""
        flat = (points @ self.rotation.T)[:, :2] * [1.0, -1.0]
        return self.mid_eye_px + self.scale_px * flat


def rotation_from_head(head_rad: Sequence[float] | np.ndarray) -> Float[np.ndarray, "3 3"]:
    """R = Ry(yaw) @ Rx(pitch) @ Rz(roll)."""
    yaw, pitch, roll = (float(angle) for angle in head_rad)
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def head_from_rotation(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """(yaw, pitch, roll) in radians; the inverse of rotation_from_head for |pitch| < 90 degrees."""
    pitch = np.arcsin(np.clip(-rotation[1, 2], -1.0, 1.0))
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    return np.array([yaw, pitch, roll])


@cache
def face_template() -> FaceTemplate:
    """The committed table."""
    rows = np.loadtxt(TEMPLATE_FILE, delimiter=",", skiprows=1, usecols=(1, 2, 3))
    return FaceTemplate(rows[:478], rows[478:484], rows[484:489])


def fit_mesh(mesh: Mesh) -> HeadPose:
    """Best rigid placement of the template on a mesh (weighted Procrustes in 3D)."""
    columns, weights = _rigid_points()
    seen = mesh.points[columns] * [1.0, -1.0, -1.0]
    return _fit_rigid(face_template().mesh[columns], seen, weights)


def fit_detection(detection: Detection) -> HeadPose:
    """Placement from a detector's few points: exact for an upright face, yaw and pitch damped."""
    template = face_template()
    if detection.source == "blazeface":
        # The mouth moves with the jaw, the ears are guessed.
        shape, weights = template.blazeface, np.array([1.0, 1.0, 0.7, 0.3, 0.5, 0.5])
    else:
        shape, weights = template.yunet, np.array([1.0, 1.0, 0.7, 0.3, 0.3])
    return _fit_flat(shape, detection.points * [1.0, -1.0], weights)


@cache
def _rigid_points() -> tuple[np.ndarray, np.ndarray]:
    columns = np.array([i for group in RIGID_WEIGHTS for i in group])
    weights = np.array([w for group, w in RIGID_WEIGHTS.items() for _ in group])
    return columns, weights / weights.sum()


def _fit_rigid(
    shape: Float[np.ndarray, "point 3"],
    seen: Float[np.ndarray, "point 3"],
    weights: Float[np.ndarray, "point"],
) -> HeadPose:
    """Rotation from all three axes (Kabsch), then scale and place from the picture plane alone."""
    shape_center, seen_center = weights @ shape, weights @ seen
    shape0, seen0 = shape - shape_center, seen - seen_center
    rotation = nearest_rotation((weights[:, None] * seen0).T @ shape0)
    for _ in range(3):
        turned = shape0 @ rotation.T
        across = (weights[:, None] * turned[:, :2] * seen0[:, :2]).sum()
        scale = across / (weights[:, None] * turned[:, :2] ** 2).sum()
        # Pull guessed depth towards what the template says at this pose, then turn again.
        depth = _DEPTH_WEIGHT * seen0[:, 2] + (1 - _DEPTH_WEIGHT) * scale * turned[:, 2]
        rotation = nearest_rotation(
            (weights[:, None] * np.column_stack([seen0[:, :2], depth])).T @ shape0
        )
    mid_eye = (seen_center - scale * rotation @ shape_center)[:2] * [1.0, -1.0]
    return HeadPose(rotation, float(scale), mid_eye)


def nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation that differs least from a matrix."""
    u, _, vt = np.linalg.svd(matrix)
    sign = np.sign(np.linalg.det(u @ vt))
    return u @ np.diag([1.0, 1.0, sign]) @ vt


def _fit_flat(
    shape: Float[np.ndarray, "point 3"],
    seen: Float[np.ndarray, "point 2"],
    weights: Float[np.ndarray, "point"],
    turn_sigma_rad: float = 0.6,
    noise: float = 0.08,
) -> HeadPose:
    """Gauss-Newton on (yaw, pitch, roll, log scale, x, y) for points without depth.

    A prior holds yaw and pitch (of people who are filmed) because so few noisy points cannot;
    noise is that of the points, in u.
    """
    across = seen[1] - seen[0]
    roll = np.arctan2(across[1], across[0])
    spread = np.sqrt(weights @ ((seen - seen.mean(0)) ** 2).sum(1))
    scale = spread / np.sqrt(weights @ ((shape - shape.mean(0))[:, :2] ** 2).sum(1))
    state = np.array([0.0, 0.0, roll, 0.0, 0.0, 0.0])
    base, origin = scale, seen[:2].mean(axis=0)
    root = np.sqrt(weights)[:, None] / noise

    def residual(state: np.ndarray) -> np.ndarray:
        turned = (shape @ rotation_from_head(state[:3]).T)[:, :2]
        error = (np.exp(state[3]) * turned + state[4:] - (seen - origin) / base) * root
        return np.concatenate([error.ravel(), state[:2] / turn_sigma_rad])

    for _ in range(8):
        error = residual(state)
        slope = np.stack([residual(state + step) - error for step in 1e-5 * np.eye(6)], 1) / 1e-5
        step = np.linalg.lstsq(slope, -error, rcond=None)[0]
        state = state + np.clip(step, -0.5, 0.5)
    mid_eye = (origin + base * state[4:]) * [1.0, -1.0]
    return HeadPose(rotation_from_head(state[:3]), float(base * np.exp(state[3])), mid_eye)
