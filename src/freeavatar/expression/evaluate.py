"""How good an expression space is: triplets by the FEC rule, on people it has never seen."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from freeavatar.errors import DataError
from freeavatar.expression.runtime import CROP_SIZE

Triplets = Int[np.ndarray, "triplet 3"]


def triplet_accuracy(
    embeddings: Float[np.ndarray, "picture embedding"], triplets: Triplets
) -> float:
    """Share with d(a, p) < d(a, n) and d(a, p) < d(p, n): chance is a third."""
    anchor, positive, negative = (embeddings[triplets[:, i]] for i in range(3))
    near = np.linalg.norm(anchor - positive, axis=1)
    far_a = np.linalg.norm(anchor - negative, axis=1)
    far_p = np.linalg.norm(positive - negative, axis=1)
    return float(((near < far_a) & (near < far_p)).mean())


def draw_triplets(
    distances: Float[np.ndarray, "picture picture"],
    num: int,
    rng: np.random.Generator,
    clearness: float = 0.75,
) -> Triplets:
    """Random triplets whose positive is clearly closer to the anchor than the negative is to
    either, by true distances."""
    kept: list[np.ndarray] = []
    count = 0
    for _ in range(1000):
        drawn = rng.integers(0, len(distances), (4 * num, 3))
        a, p, n = drawn.T
        near, far = distances[a, p], np.minimum(distances[a, n], distances[p, n])
        clear = (near < clearness * far) & (a != p) & (a != n) & (p != n)
        kept.append(drawn[clear])
        count += int(clear.sum())
        if count >= num:
            return np.concatenate(kept)[:num]
    raise DataError(f"Only {count} of {num} clear triplets can be drawn from these pictures.")


def read_human_triplets(
    folder: Path,
) -> tuple[UInt8[np.ndarray, "picture size size 3"], Triplets, list[str]]:
    """Crops, triplets and their types of a set judged by people (evaluation only).

    `folder` holds triplets.csv (a, p, n, type: rows of the pictures in name order) and
    faces-48px.tar.
    """
    with (folder / "triplets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pictures = []
    with tarfile.open(folder / "faces-48px.tar") as archive:
        members = sorted((m for m in archive if m.isfile()), key=lambda m: m.name)
        for member in members:
            stream = archive.extractfile(member)
            assert stream is not None  # only files were kept
            data = np.frombuffer(stream.read(), np.uint8)
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if picture is None:
                raise DataError(f"{member.name} in {folder} is not a readable picture.")
            enlarged = cv2.resize(picture, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
            pictures.append(enlarged[..., ::-1])
    triplets = np.array([[int(row[key]) for key in "apn"] for row in rows])
    return np.stack(pictures), triplets, [row["type"] for row in rows]
