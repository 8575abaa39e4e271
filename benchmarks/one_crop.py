"""One face crop through the expression encoder, beside the 478-point mesh on the same face.

    python benchmarks/one_crop.py [EXPRESSION.onnx]

One thread, in turns; prints JSON: milliseconds of the processor for a crop (medians), alone and in
fours, as long takes are encoded. Without a file: the encoders that ship.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from freeavatar.capture.landmarks import FaceMesh, Region
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder

ROUNDS = 60


def main(given: list[Path]) -> None:
    cv2.setNumThreads(1)
    picture = np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), np.uint8)
    region = Region(np.full(2, CROP_SIZE / 2), float(CROP_SIZE), 0.0)
    one, four = picture[None], np.stack([picture] * 4)
    encoders = {path.name: ExpressionEncoder.load(path) for path in given}
    if not given:
        encoders = {
            "float": ExpressionEncoder.load(),
            "int8": ExpressionEncoder.load(variant="int8"),
        }
    mesh = FaceMesh()
    tasks: dict[str, tuple[Callable[[], object], int]] = {
        "mesh": (_reading(mesh, picture, region), 1)
    }
    for name, encoder in encoders.items():
        tasks[name] = (_encoding(encoder, one), 1)
        tasks[f"{name}, in fours"] = (_encoding(encoder, four), 4)
    took: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(ROUNDS):
        for name, (work, crops) in tasks.items():
            started_s = time.process_time()
            work()
            took[name].append(1000 * (time.process_time() - started_s) / crops)
    print(json.dumps({name: round(statistics.median(each), 3) for name, each in took.items()}))


def _reading(mesh: FaceMesh, picture: np.ndarray, region: Region) -> Callable[[], object]:
    return lambda: mesh.read(picture, region)


def _encoding(encoder: ExpressionEncoder, crops: np.ndarray) -> Callable[[], object]:
    return lambda: encoder.encode(crops)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
