"""The weights that ship: int8 says what float says, on faces as the product cuts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freeavatar.capture.align import crop, frame_from_pose
from freeavatar.capture.detect import FaceDetector
from freeavatar.capture.headpose import fit_mesh
from freeavatar.capture.landmarks import FaceMesh, region_from_detection
from freeavatar.capture.video import open_video
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder
from freeavatar.inference import shipped

CLIPS = Path(__file__).parents[2] / "examples" / "clips"
STEP_S = 0.5


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """A face every half a second of every example clip."""
    clips = sorted(CLIPS.glob("*.mp4"))
    if not clips or not shipped("expression.int8.onnx").is_file():
        pytest.skip(f"needs clips in {CLIPS} and the shipped weights")
    detector, network = FaceDetector(), FaceMesh()
    cut = []
    for clip in clips:
        next_s = 0.0
        for frame in open_video(clip):
            if frame.time_s < next_s:
                continue
            next_s = frame.time_s + STEP_S
            for found in detector.find(frame.rgb)[:1]:
                pose = fit_mesh(network.read(frame.rgb, region_from_detection(found)))
                cut.append(crop(frame.rgb, frame_from_pose(pose), CROP_SIZE))
    assert len(cut) >= 8
    return np.stack(cut)


def test_int8_agrees_with_float_in_a_batch_and_one_by_one(crops: np.ndarray) -> None:
    full, small = (ExpressionEncoder.load(variant=v) for v in ("float", "int8"))
    expected = full.encode(crops).embeddings
    batch = small.encode(crops).embeddings
    single = np.concatenate([small.encode(one[None]).embeddings for one in crops])
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1.0, atol=1e-4)
    for said in (batch, single):
        cosines = (said * expected).sum(axis=1)
        assert cosines.min() >= 0.995, cosines
    # Faces that differ stay further apart than the two files do.
    apart = (expected[:-1] * expected[1:]).sum(axis=1)
    assert apart.min() < 0.9
