"""What an expression space is compared with, all under one interface: pictures in, rows out.

A row of NaN stands for a picture that a method has no answer for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from freeavatar.capture.align import CROP_SIZE, crop, frame_from_pose
from freeavatar.capture.detect import FaceDetector
from freeavatar.capture.headpose import fit_detection, fit_mesh
from freeavatar.capture.landmarks import (
    FaceMesh,
    Mesh,
    Region,
    region_from_detection,
    region_from_mesh,
)
from freeavatar.datasets.teachers import BLENDSHAPE_NET, BlendshapeScores, find_network
from freeavatar.errors import MissingExtra
from freeavatar.expression.augment import plain
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.inference import open_session, shipped

MIN_MESH_SCORE = 0.5
"""MediaPipe's own default for a face being there."""


@dataclass(frozen=True)
class Pictures:
    """The same faces twice: as the encoder sees them, and with what lies around them."""

    crops: UInt8[np.ndarray, "picture 224 224 3"]
    wide: UInt8[np.ndarray, "picture height width 3"]

    def __len__(self) -> int:
        return len(self.crops)

    def rows(self, rows: Int[np.ndarray, "row"]) -> Pictures:
        """Some of them."""
        return Pictures(self.crops[rows], self.wide[rows])


def from_stored(stored: UInt8[np.ndarray, "picture size size 3"]) -> Pictures:
    """Pictures of a training shard."""
    crops = [plain(picture) for picture in stored]
    return Pictures(np.stack(crops), stored)


@dataclass(frozen=True)
class Encoded:
    """What a method says of pictures."""

    embeddings: Float[np.ndarray, "picture embedding"]
    features: Float[np.ndarray, "picture feature"]
    """What a linear read-out may use; the embeddings where there is nothing richer."""


@runtime_checkable
class Method(Protocol):
    """Something that can compare faces."""

    name: str

    @property
    def fingerprint(self) -> str:
        """Changes when the answers would."""
        ...

    def encode(self, pictures: Pictures) -> Encoded:
        """One row a picture."""
        ...


class OurEncoder:
    """An exported expression network."""

    name = "freeavatar"

    def __init__(self, path: Path | None = None) -> None:
        self.path = shipped("expression.onnx") if path is None else path
        self._encoder = ExpressionEncoder.load(self.path)

    @property
    def fingerprint(self) -> str:
        """Of the file's bytes."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def encode(self, pictures: Pictures) -> Encoded:
        """Small batches: bigger ones are no faster on one core."""
        said = [
            self._encoder.encode(pictures.crops[i : i + 32])
            for i in range(0, max(len(pictures), 1), 32)
        ]
        return Encoded(
            np.concatenate([batch.embeddings for batch in said]),
            np.concatenate([batch.features for batch in said]),
        )


class MaskedTrunk:
    """The trunk of a masked autoencoder, its tokens averaged: what pretraining alone knows.

    Needs the training extra, because such trunks are never exported: MissingExtra without.
    """

    name = "MAE features"

    def __init__(self, checkpoint: Path) -> None:
        try:
            from freeavatar.expression.mae_features import load_mae_features
        except ModuleNotFoundError as error:
            raise MissingExtra("Asking a masked autoencoder", "train") from error
        self.path = checkpoint
        self._describe = load_mae_features(checkpoint)

    @property
    def fingerprint(self) -> str:
        """Of the file's bytes."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def encode(self, pictures: Pictures) -> Encoded:
        """Never without an answer."""
        parts = [
            self._describe(pictures.crops[i : i + 32]) for i in range(0, max(len(pictures), 1), 32)
        ]
        rows = np.concatenate(parts)
        return Encoded(rows, rows)


class RawPixels:
    """A comparison without any model: 16 x 16 pixels without their mean, at unit length."""

    name = "raw pixels"
    fingerprint = "pixels-1"

    def encode(self, pictures: Pictures) -> Encoded:
        """Never without an answer."""
        small = pictures.crops[:, ::7, ::7].reshape(len(pictures), -1).astype(np.float32)
        small -= small.mean(axis=1, keepdims=True)
        unit = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
        return Encoded(unit, unit)


class MediaPipe52:
    """Detector, mesh and 52-score net, as people use them. Evaluation only."""

    name = "MediaPipe-52"
    fingerprint = "mediapipe-52-1"

    def __init__(self, components: Path) -> None:
        self._faces = FaceFinder()
        network = find_network(components, BLENDSHAPE_NET)
        self._scores = BlendshapeScores(open_session(network))

    def encode(self, pictures: Pictures) -> Encoded:
        """51 scores (the net has none for the tongue)."""
        rows = [self._row(picture) for picture in pictures.wide]
        scores = np.stack(rows) if rows else np.zeros((0, 51), np.float32)
        return Encoded(scores, scores)

    def _row(self, picture: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "51"]:
        return self._scores.arkit(self._faces.mesh(picture))[:51].astype(np.float32)


class FaceFinder:
    """The one face of a close-up, found again without knowing where it was."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._network = FaceMesh()

    def mesh(self, picture: UInt8[np.ndarray, "height width 3"]) -> Mesh | None:
        """The mesh, looked at twice as tracking does; None when the network sees no face.

        Where the detector fails, the mesh is tried on the whole picture: crops are tighter than
        footage, and that should cost nobody an answer.
        """
        height, width = picture.shape[:2]
        found = self._detector.find_large(picture)
        whole = Region(np.array([width, height]) / 2.0, float(max(width, height)), 0.0)
        region = region_from_detection(found[0]) if found else whole
        mesh = self._network.read(picture, region)
        if mesh.score >= MIN_MESH_SCORE:
            again = self._network.read(picture, region_from_mesh(mesh))
            mesh = max(mesh, again, key=lambda mesh: mesh.score)
        return mesh if mesh.score >= MIN_MESH_SCORE else None

    def crop(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "224 224 3"] | None:
        """The crop that the product would make of it; None when it finds no face."""
        mesh = self.mesh(picture)
        if mesh is not None:
            return crop(picture, frame_from_pose(fit_mesh(mesh)))
        found = self._detector.find(picture)
        return crop(picture, frame_from_pose(fit_detection(found[0]))) if found else None


def aligned(pictures: UInt8[np.ndarray, "picture height width 3"]) -> Pictures:
    """Faces cut by anybody, cut again as the product would; unfound ones are taken as they are."""
    finder = FaceFinder()
    crops = []
    for picture in pictures:
        found = finder.crop(picture)
        whole = cv2.resize(picture, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
        crops.append(whole if found is None else found)
    return Pictures(np.stack(crops), pictures)
