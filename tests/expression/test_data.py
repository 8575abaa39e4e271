"""Batches: every crop with its own truth, mirrored or not, twice where twins are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import DataError
from freeavatar.expression.augment import AugmentConfig
from freeavatar.expression.data import FacePool
from freeavatar.rig import ARKIT


@pytest.fixture
def pool(tmp_path: Path) -> FacePool:
    """Twelve renders; the first control of picture i is i / 12, on the left side only."""
    part = tmp_path / "part-000"
    part.mkdir()
    arkit = np.zeros((12, 52), np.float16)
    arkit[:, ARKIT.names.index("eyeBlinkLeft")] = np.arange(1, 13) / 12
    np.save(part / "crops.npy", np.zeros((12, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.ones((12, 3), np.float16))
    (tmp_path / "index.json").write_text(json.dumps({}))
    return FacePool([tmp_path], AugmentConfig())


def test_mirroring_swaps_sides_and_turns_the_head(pool: FacePool) -> None:
    samples = pool.draw(64, np.random.default_rng(0))
    left, right = (
        samples.controls[:, ARKIT.names.index(f"eyeBlink{side}")] for side in ("Left", "Right")
    )
    assert np.all((left > 0) != (right > 0))
    np.testing.assert_array_equal(samples.head_rad[:, 0] < 0, right > 0)
    assert 16 < (right > 0).sum() < 48


def test_twins_show_the_same_face_twice(pool: FacePool) -> None:
    samples = pool.draw(12, np.random.default_rng(0), mirror=False, twins=0.5)
    shown = samples.controls[:, ARKIT.names.index("eyeBlinkLeft")]
    assert len(shown) == 12
    np.testing.assert_array_equal(shown[9:], shown[:3])


def test_parts_with_other_columns_are_refused(pool: FacePool, tmp_path: Path) -> None:
    part = tmp_path / "part-001"
    part.mkdir()
    np.save(part / "crops.npy", np.zeros((1, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=np.zeros((1, 52)), head_rad=np.zeros((1, 3)),
             emotion=np.zeros((1, 7)))  # fmt: skip
    with pytest.raises(DataError, match="emotion"):
        FacePool([tmp_path], AugmentConfig())
