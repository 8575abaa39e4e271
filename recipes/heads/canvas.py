"""The head's texture as a canvas: every texel knows which point of the canonical head it covers."""

from __future__ import annotations

from functools import cached_property

import cv2
import numba
import numpy as np
from scipy.spatial import cKDTree

from heads.anatomy import HEAD_AXIS_Z, Anatomy, Part


class Canvas:
    """Canonical coordinates and masks per texel of the skin texture, and strokes on it."""

    def __init__(self, anatomy: Anatomy, size: int) -> None:
        self.size = size
        part = anatomy.skin
        points = anatomy.rest[part.source]
        masks = [m[part.source] for m in (anatomy.lip, anatomy.ear, anatomy.eyelid)]
        hollow = _hollowness(anatomy, part)
        attributes = np.concatenate([points, np.stack([*masks, hollow], axis=1)], axis=1)
        texels = part.uvs * size - 0.5
        filled, values = _fill(texels, part.triangles, attributes, size)
        values = _spread(filled, values)
        self.points = values[..., :3]
        self.lip, self.ear, self.eyelid, self.hollow = np.moveaxis(values[..., 3:], -1, 0)

    @cached_property
    def turn_deg(self) -> np.ndarray:
        """Angle around the head: 0 in front, positive to its left, 180 behind."""
        return np.degrees(np.arctan2(self.points[..., 0], self.points[..., 2] - HEAD_AXIS_Z))

    @cached_property
    def _front(self) -> tuple[cKDTree, np.ndarray]:
        rows, columns = np.nonzero(self.points[..., 2] > 0.75)
        rows, columns = rows[::2], columns[::2]
        xy = self.points[rows, columns, :2]
        return cKDTree(xy), np.stack([columns, rows], axis=1)

    def texel_of(self, xy: np.ndarray) -> np.ndarray:
        """Texels (column, row) that show canonical points seen from the front."""
        tree, texels = self._front
        return texels[tree.query(xy)[1]]

    def strokes(self, lines: list[np.ndarray], width: float = 1.0, blur: float = 0.0) -> np.ndarray:
        """Coverage in [0, 1] of polylines given as canonical (x, y) seen from the front."""
        layer = np.zeros((self.size, self.size), np.uint8)
        thickness = max(1, round(width * self.size / 1024))
        for line in lines:
            texels = self.texel_of(np.asarray(line)).astype(np.int32)
            cv2.polylines(layer, [texels[:, None]], False, 255, thickness, cv2.LINE_AA)
        cover = layer.astype(np.float32) / 255.0
        if blur > 0:
            cover = cv2.GaussianBlur(cover, (0, 0), blur * self.size / 1024)
        return cover

    def noise(self, rng: np.random.Generator, grain: float) -> np.ndarray:
        """Smooth noise, about unit deviation; `grain` in texels of a 1024 picture."""
        cells = max(4, round(1024 / grain))
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        return cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _hollowness(anatomy: Anatomy, part: Part) -> np.ndarray:
    """How far every vertex lies below its neighbours: creases collect shadow and colour."""
    rest, triangles = anatomy.rest, part.source[part.triangles]
    normals = np.zeros_like(rest)
    faces = np.cross(
        rest[triangles[:, 1]] - rest[triangles[:, 0]], rest[triangles[:, 2]] - rest[triangles[:, 0]]
    )
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    total, count, length = np.zeros_like(rest), np.zeros(len(rest)), np.zeros(len(rest))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edge = rest[triangles[:, b]] - rest[triangles[:, a]]
        for i, sign in ((a, 1.0), (b, -1.0)):
            np.add.at(total, triangles[:, i], sign * edge)
            np.add.at(count, triangles[:, i], 1.0)
            np.add.at(length, triangles[:, i], np.linalg.norm(edge, axis=1))
    bend = np.einsum("vx,vx->v", total, normals) / np.maximum(length, 1e-9)
    return np.clip(bend, -1.0, 1.0)[part.source]


@numba.njit(cache=True)
def _fill(
    texels: np.ndarray, triangles: np.ndarray, attributes: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    num = attributes.shape[1]
    filled = np.zeros((size, size), np.uint8)
    values = np.zeros((size, size, num), np.float32)
    nearest = np.full((size, size), -1e9)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ax, ay, bx, by = texels[a, 0], texels[a, 1], texels[b, 0], texels[b, 1]
        cx, cy = texels[c, 0], texels[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        for row in range(max(0, int(min(ay, by, cy))), min(size - 1, int(max(ay, by, cy)) + 1) + 1):
            for col in range(
                max(0, int(min(ax, bx, cx))), min(size - 1, int(max(ax, bx, cx)) + 1) + 1
            ):
                wa = ((bx - col) * (cy - row) - (cx - col) * (by - row)) / area
                wb = ((cx - col) * (ay - row) - (ax - col) * (cy - row)) / area
                wc = 1.0 - wa - wb
                if wa < -1e-6 or wb < -1e-6 or wc < -1e-6:
                    continue
                # Where folds overlap in the texture, the outer layer is the one seen.
                x = wa * attributes[a, 0] + wb * attributes[b, 0] + wc * attributes[c, 0]
                z = wa * attributes[a, 2] + wb * attributes[b, 2] + wc * attributes[c, 2] - 0.25
                out = x * x + z * z
                if out < nearest[row, col]:
                    continue
                nearest[row, col] = out
                filled[row, col] = 1
                for k in range(num):
                    values[row, col, k] = (
                        wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]
                    )
    return filled, values


def _spread(filled: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Gives every texel outside the triangles the values of the nearest one inside."""
    _, labels = cv2.distanceTransformWithLabels(
        1 - filled, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = filled.astype(bool)
    of_label = np.zeros((labels.max() + 1, values.shape[-1]), np.float32)
    of_label[labels[inside]] = values[inside]
    return of_label[labels]
