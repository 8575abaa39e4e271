"""Finds faces in a picture: BlazeFace first, YuNet at 640 px when BlazeFace sees nobody.

First step of capture; gives boxes and a few points, enough to place the landmark mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.inference import shared_session

MODELS = Path(__file__).parent / "models"

_BLAZE_SIDE = 128
_YUNET_SIDE = 640
_YUNET_STRIDES = (8, 16, 32)
_YUNET_OUTPUTS = [f"{name}_{s}" for s in _YUNET_STRIDES for name in ("cls", "obj", "bbox", "kps")]
_YUNET_STRICTER = 0.1
"""More is asked of YuNet: 0.6 keeps blurred faces, below it takes knees and knots for faces."""


@dataclass(frozen=True)
class Detection:
    """One face. Pixel coordinates of the picture, origin at its top left corner."""

    box: Float[np.ndarray, "4"]
    """Left, top, right, bottom."""
    points: Float[np.ndarray, "point 2"]
    """blazeface: right eye, left eye, nose tip, mouth centre, right ear, left ear;
    yunet: right eye, left eye, nose tip, right and left mouth corner (the character's right)."""
    score: float
    source: Literal["blazeface", "yunet"]

    @property
    def size_px(self) -> float:
        """Side of the square with the area of the box."""
        width, height = self.box[2:] - self.box[:2]
        return float(np.sqrt(max(width, 0.0) * max(height, 0.0)))


class FaceDetector:
    """All faces of a picture, best first."""

    def __init__(self, min_score: float = 0.5) -> None:
        self._min_score = min_score
        self._blaze = shared_session(MODELS / "face_detector.onnx")
        self._anchors = _blaze_anchors()
        self._yunet = shared_session(MODELS / "face_detection_yunet_2023mar.onnx")

    def find(self, picture: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        """Faces by falling score; empty when neither detector sees one."""
        return self.find_large(picture) or self.find_small(picture)

    def find_large(self, picture: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        """BlazeFace: faces of about a seventh of the picture and more, at any roll; 3 ms."""
        square, scale, offset = _letterbox(picture, _BLAZE_SIDE)
        batch = square[None].astype(np.float32) / 127.5 - 1.0
        regressors, logits = self._blaze.run(["regressors", "classificators"], {"input": batch})
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits[0, :, 0], -80.0, 80.0)))
        kept = scores >= self._min_score
        if not kept.any():
            return []
        raw = regressors[0, kept].reshape(-1, 8, 2)
        centres = self._anchors[kept]
        middle = raw[:, 0] / _BLAZE_SIDE + centres
        half = raw[:, 1] / (2 * _BLAZE_SIDE)
        points = raw[:, 2:] / _BLAZE_SIDE + centres[:, None]
        corners = np.stack([middle - half, middle + half, *points.transpose(1, 0, 2)], axis=1)
        in_picture = (corners * _BLAZE_SIDE - offset) / scale
        merged = _merge_overlapping(in_picture, scores[kept])
        return [
            Detection(shape[:2].reshape(4), shape[2:], score, "blazeface")
            for shape, score in merged
        ]

    def find_small(self, picture: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        """YuNet at 640 px: faces from about 28 px of 640, to about 60 degrees of roll."""
        square, scale, offset = _letterbox(picture, _YUNET_SIDE)
        batch = square[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        shapes, scores = _decode_yunet(self._yunet.run(_YUNET_OUTPUTS, {"input": batch}))
        kept = scores >= self._min_score + _YUNET_STRICTER
        if not kept.any():
            return []
        in_picture = (shapes[kept] - offset) / scale
        merged = _merge_overlapping(in_picture, scores[kept])
        return [
            Detection(shape[:2].reshape(4), shape[2:], score, "yunet") for shape, score in merged
        ]


def _decode_yunet(
    outputs: list[Float[np.ndarray, "1 _ _"]],
) -> tuple[Float[np.ndarray, "candidate 7 2"], Float[np.ndarray, "candidate"]]:
    """Two box corners and five points in pixels of the 640 px square, and scores."""
    shapes, scores = [], []
    for level, stride in enumerate(_YUNET_STRIDES):
        kind, objectness, box, points = (outputs[4 * level + i][0] for i in range(4))
        ticks = np.arange(_YUNET_SIDE // stride)
        y, x = np.meshgrid(ticks, ticks, indexing="ij")
        cell = np.stack([x, y], -1).reshape(-1, 2)
        middle = (cell + box[:, :2]) * stride
        half = np.exp(np.minimum(box[:, 2:], 8.0)) * stride / 2.0
        marks = (points.reshape(-1, 5, 2) + cell[:, None]) * stride
        shapes.append(
            np.concatenate([(middle - half)[:, None], (middle + half)[:, None], marks], 1)
        )
        scores.append(np.sqrt(np.clip(kind[:, 0], 0, 1) * np.clip(objectness[:, 0], 0, 1)))
    return np.concatenate(shapes).astype(np.float64), np.concatenate(scores).astype(np.float64)


def _blaze_anchors() -> Float[np.ndarray, "896 2"]:
    """Centres in [0, 1]: two per cell of the 16 x 16 grid, then six per cell of the 8 x 8 grid."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        ticks = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(ticks, ticks, indexing="ij")
        grids.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), repeats, axis=0))
    return np.concatenate(grids)


def _letterbox(
    picture: UInt8[np.ndarray, "height width 3"], side: int
) -> tuple[UInt8[np.ndarray, "side side 3"], float, Float[np.ndarray, "2"]]:
    """Picture in a black square, with scale and offset: square = picture * scale + offset."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (side - new_width) // 2, (side - new_height) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + new_height, left : left + new_width] = cv2.resize(
        picture, (new_width, new_height), interpolation=method
    )
    return square, scale, np.array([left, top], np.float64)


def _merge_overlapping(
    shapes: Float[np.ndarray, "candidate corner 2"],
    scores: Float[np.ndarray, "candidate"],
    min_overlap: float = 0.3,
) -> list[tuple[Float[np.ndarray, "corner 2"], float]]:
    """Non-maximum suppression that averages what it suppresses (by score): less jitter than the
    best candidate alone."""
    order = np.argsort(-scores)
    merged = []
    while len(order):
        overlap = _overlap(shapes[order[0], :2], shapes[order, :2])
        same = overlap > min_overlap
        same[0] = True
        group = order[same]
        weights = scores[group] / scores[group].sum()
        merged.append((np.einsum("c,cki->ki", weights, shapes[group]), float(scores[order[0]])))
        order = order[~same]
    return merged


def _overlap(
    one: Float[np.ndarray, "2 2"], others: Float[np.ndarray, "other 2 2"]
) -> Float[np.ndarray, "other"]:
    """Intersection over union of boxes given by two corners."""
    size = np.minimum(one[1], others[:, 1]) - np.maximum(one[0], others[:, 0])
    intersection = np.clip(size, 0, None).prod(axis=1)
    union = (one[1] - one[0]).prod() + (others[:, 1] - others[:, 0]).prod(axis=1) - intersection
    return intersection / np.maximum(union, 1e-9)
