"""Batches: every crop with its own truth, mirrored or not, twice where twins are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import DataError
from freeavatar.expression.augment import AugmentConfig
from freeavatar.expression.data import FacePool, rare_first, strengths
from freeavatar.rig import ARKIT
from freeavatar.training.shards import open_shards


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


def test_rare_shapes_come_more_often_and_common_ones_once() -> None:
    controls = np.zeros((100, 52), np.float32)
    controls[:, ARKIT.index("browInnerUp")] = np.nan
    controls[:60, ARKIT.index("jawOpen")] = 0.8
    controls[:2, ARKIT.index("cheekPuff")] = 0.9
    controls[::2, 8:14] = 0.5
    chances = rare_first(controls, most=4.0)
    assert (chances[:2] == 4.0).all()
    assert (chances[2:] <= 1.5).all()
    assert chances.min() == 1.0


def test_a_rare_shape_is_drawn_as_often_as_asked(tmp_path: Path) -> None:
    part = tmp_path / "part-000"
    part.mkdir()
    arkit = np.zeros((100, 52), np.float16)
    arkit[10:, ARKIT.index("jawOpen")] = 0.9
    arkit[10:50, ARKIT.index("browInnerUp")] = 0.9
    arkit[:10, ARKIT.index("cheekPuff")] = 0.9
    np.save(part / "crops.npy", np.zeros((100, 41, 41, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.zeros((100, 3)))
    (tmp_path / "index.json").write_text(json.dumps({}))
    config = AugmentConfig(size=32)
    for oversampling, share in ((1.0, 0.1), (4.0, 40 / 130)):
        pool = FacePool([tmp_path], config, oversampling=oversampling)
        drawn = pool.draw(2000, np.random.default_rng(0)).controls[:, ARKIT.index("cheekPuff")]
        assert (drawn > 0).mean() == pytest.approx(share, abs=0.04)


def test_twins_show_the_same_face_twice(pool: FacePool) -> None:
    samples = pool.draw(12, np.random.default_rng(0), mirror=False, twins=0.5)
    shown = samples.controls[:, ARKIT.names.index("eyeBlinkLeft")]
    assert len(shown) == 12
    np.testing.assert_array_equal(shown[9:], shown[:3])


def test_what_moves_is_the_truth_times_the_strength_of_the_face(tmp_path: Path) -> None:
    part = tmp_path / "part-000"
    part.mkdir()
    jaw, smile = ARKIT.index("jawOpen"), ARKIT.index("mouthSmileLeft")
    arkit = np.zeros((6, 52), np.float16)
    arkit[:, [jaw, smile]] = np.arange(1, 7)[:, None] / 8
    actor = np.array([0, 1, 1, 0, 1, 0], np.int16)
    np.save(part / "crops.npy", np.zeros((6, 8, 8, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.zeros((6, 3)), actor=actor)
    strength = np.ones((2, 52))
    strength[1, smile] = 0.5
    shows = np.ones((2, 52), bool)
    shows[1, 0] = False
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"shows": shows.tolist(), "strength": strength.tolist()}))
    rows = np.array([1, 3, 4])
    read = strengths(open_shards(tmp_path), rows)
    np.testing.assert_array_equal(read, strength[actor[rows]])
    samples = FacePool([tmp_path], AugmentConfig(size=32)).draw(64, np.random.default_rng(0))
    ratio = samples.moved / np.where(samples.controls == 0, np.nan, samples.controls)
    ratio = np.fmax(ratio, ratio[:, ARKIT.mirror_columns])  # mirrored or not
    np.testing.assert_array_equal(ratio[:, jaw], 1.0)
    assert set(ratio[:, smile]) == {0.5, 1.0}
    # What an actor cannot show stays unknown, and only of that actor.
    hidden = np.isnan(samples.controls).any(axis=1)
    np.testing.assert_array_equal(hidden, ratio[:, smile] == 0.5)
    np.testing.assert_array_equal(np.isnan(samples.moved), np.isnan(samples.controls))
    # Sets from before strengths were measured.
    index.write_text(json.dumps({"shows": shows.tolist()}))
    np.testing.assert_array_equal(strengths(open_shards(tmp_path), rows), np.ones((3, 52)))


def test_parts_with_other_columns_are_refused(pool: FacePool, tmp_path: Path) -> None:
    part = tmp_path / "part-001"
    part.mkdir()
    np.save(part / "crops.npy", np.zeros((1, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=np.zeros((1, 52)), head_rad=np.zeros((1, 3)),
             emotion=np.zeros((1, 7)))  # fmt: skip
    with pytest.raises(DataError, match="emotion"):
        FacePool([tmp_path], AugmentConfig())
