"""Offline teachers: nets of others that label real faces for training, given by file.

Nothing here runs in the product.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from freeavatar.capture.landmarks import Mesh
from freeavatar.errors import DataError
from freeavatar.inference import open_session
from freeavatar.rig import ARKIT_NAMES

BLENDSHAPE_NET, EMOTION_NET = "face_blendshapes.onnx", "faceapi_expression.onnx"
FACE_SIZE = 112
"""Side of the face crop that the emotion net takes."""
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")

# The blendshape net's outputs: `_neutral`, then the ARKit names in alphabetical order, no tongue.
_SCORES = ("_neutral", *sorted(set(ARKIT_NAMES) - {"tongueOut"}, key=str.lower))

# The 146 of the 478 mesh points that the blendshape net reads: eyes, irises, lips, face contour.
# fmt: off
_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65,
    66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136,
    144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172,
    173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324,
    332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472,
    473, 474, 475, 476, 477,
)
# fmt: on


class BlendshapeScores:
    """The 52-score net: what a mesh moves."""

    def __init__(self, network: onnxruntime.InferenceSession) -> None:
        self._network = network
        self._column = np.array([_SCORES.index(n) if n in _SCORES else -1 for n in ARKIT_NAMES])

    def arkit(self, mesh: Mesh | None) -> Float[np.ndarray, "52"]:
        """Scores in the order of ARKIT_NAMES; NaN for tongueOut, and everywhere without a mesh."""
        if mesh is None:
            return np.full(len(ARKIT_NAMES), np.nan, np.float32)
        points = mesh.points[list(_POINTS), :2].astype(np.float32)[None]
        scores = self._network.run(None, {"serving_default_input_points:0": points})[0]
        return np.where(self._column < 0, np.nan, scores.reshape(-1)[self._column])


class EmotionNet:
    """What a face feels like to an emotion net."""

    def __init__(self, network: onnxruntime.InferenceSession) -> None:
        self._network = network

    def emotion(
        self, face: UInt8[np.ndarray, "112 112 3"]
    ) -> tuple[Float[np.ndarray, "7"], Float[np.ndarray, "256"]]:
        """Probabilities in the order of EMOTIONS, and the features before them."""
        batch = face.transpose(2, 0, 1)[None].astype(np.float32)
        probabilities, features = self._network.run(["prob", "features"], {"input": batch})
        return probabilities[0], features[0]


class Teachers:
    """Scores for one face."""

    def __init__(self, blendshapes: BlendshapeScores, emotions: EmotionNet) -> None:
        self._blendshapes = blendshapes
        self._emotions = emotions

    def arkit(self, mesh: Mesh | None) -> Float[np.ndarray, "52"]:
        """Scores in the order of ARKIT_NAMES; NaN for tongueOut, and everywhere without a mesh."""
        return self._blendshapes.arkit(mesh)

    def emotion(
        self, face: UInt8[np.ndarray, "112 112 3"]
    ) -> tuple[Float[np.ndarray, "7"], Float[np.ndarray, "256"]]:
        """See `EmotionNet.emotion`."""
        return self._emotions.emotion(face)


def find_network(folder: Path, name: str) -> Path:
    """A file anywhere below the folder."""
    found = sorted(folder.rglob(name))
    if not found:
        raise DataError(f"No {name} below {folder}. Give a folder that holds it.")
    return found[0]


def load_teachers(folder: Path) -> Teachers:
    """Both nets, found anywhere below the folder."""
    blendshapes = BlendshapeScores(open_session(find_network(folder, BLENDSHAPE_NET)))
    return Teachers(blendshapes, EmotionNet(open_session(find_network(folder, EMOTION_NET))))
