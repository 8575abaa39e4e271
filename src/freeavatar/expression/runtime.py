"""The expression model in the product: face crops -> embeddings and features, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from freeavatar.errors import WeightsError
from freeavatar.images import batch_from_pictures
from freeavatar.inference import open_session, shipped

Variant = Literal["int8", "float"]
CROP_SIZE = 224
_AT_ONCE = 4
"""Crops whose maps stay in the processor's cache together: 32 at once take half as long again."""


@dataclass(frozen=True)
class Expressions:
    """What the encoder sees in crops."""

    embeddings: Float[np.ndarray, "crop embedding"]
    """Unit length: distance means difference of expression."""
    features: Float[np.ndarray, "crop feature"]
    """Richer; feeds the animator."""


class ExpressionEncoder:
    """Runs the shipped encoder, or any ONNX file exported by `expression.export`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    @staticmethod
    def load(
        path: Path | None = None, variant: Variant = "float", threads: int = 1
    ) -> ExpressionEncoder:
        """The shipped weights unless a file is given.

        int8 takes 0.8 of float's time, for a cosine of 0.998.
        """
        if path is None:
            name = "expression.int8.onnx" if variant == "int8" else "expression.onnx"
            path = shipped(name)
        session = open_session(path, threads)
        takes = [(i.name, i.shape[1:]) for i in session.get_inputs()]
        gives = [output.name for output in session.get_outputs()]
        expected = [("crops", [3, CROP_SIZE, CROP_SIZE])]
        if takes != expected or gives != ["embeddings", "features"]:
            raise WeightsError(
                f"{path} is no expression encoder: it takes {takes} and gives {gives}. "
                "Give a file that `freeavatar train expression` exported."
            )
        return ExpressionEncoder(session)

    def encode(self, crops: UInt8[np.ndarray, "crop height width 3"]) -> Expressions:
        """RGB face crops in the geometry of `capture.align`; an empty batch is allowed."""
        if crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(
                f"crops have shape {crops.shape}, expected (n, {CROP_SIZE}, {CROP_SIZE}, 3)"
            )
        if len(crops) == 0:
            shapes = [output.shape[1] for output in self._session.get_outputs()]
            return Expressions(*(np.zeros((0, width), np.float32) for width in shapes))
        said = [
            self._session.run(None, {"crops": batch_from_pictures(crops[i : i + _AT_ONCE])})
            for i in range(0, len(crops), _AT_ONCE)
        ]
        embeddings, features = (np.concatenate(part) for part in zip(*said, strict=True))
        return Expressions(embeddings, features)
