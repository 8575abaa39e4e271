"""Curves of real faces beside the 52-score net: impossible ones show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import DataError
from freeavatar.evaluation.real_curves import ARKIT_CURVES, SCORES, real_curves
from freeavatar.expression.runtime import ExpressionEncoder, Expressions
from freeavatar.rig import ARKIT, RigSpec


class BrightEncoder(ExpressionEncoder):
    """Describes a crop by its brightness."""

    def __init__(self) -> None:
        pass

    def encode(self, crops: np.ndarray) -> Expressions:
        bright = crops.reshape(len(crops), -1).mean(axis=1, keepdims=True) / np.float32(255)
        return Expressions(bright.astype(np.float32), bright.astype(np.float32))


class BrightAnimator(Animator):
    """Says of every control what the brightness is, or that it is at its end."""

    def __init__(self, saturated: bool) -> None:
        self.saturated = saturated

    def controls(
        self,
        features: np.ndarray,
        avatar: Avatar | RigSpec,
        neutral: np.ndarray | None = None,
    ) -> np.ndarray:
        values = np.repeat(features, len(ARKIT), axis=1).astype(np.float32)
        return np.ones_like(values) if self.saturated else values


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    part = tmp_path / "part-000"
    part.mkdir()
    bright = np.linspace(20, 200, 60).astype(np.uint8)
    scores = np.repeat(bright[:, None] / 255, 52, axis=1).astype(np.float16)
    scores[:, ARKIT.index("tongueOut")] = np.nan  # which the net has no score for
    np.save(part / "crops.npy", np.broadcast_to(bright[:, None, None, None], (60, 144, 144, 3)))
    np.savez(part / "truth.npz", teacher=scores, split=np.array(["val"] * 60))
    (tmp_path / "index.json").write_text(json.dumps({}))
    return tmp_path


def rows_of(faces: Path, saturated: bool) -> dict[str, dict[str, float]]:
    section = real_curves(faces, 50, [], BrightEncoder(), BrightAnimator(saturated))
    return {row.measure: row.values for row in section.rows}


def test_curves_like_the_scores_agree_with_them(faces: Path) -> None:
    rows = rows_of(faces, saturated=False)
    assert rows["correlation with it"][ARKIT_CURVES] > 0.99
    assert rows["mean absolute difference from it"][ARKIT_CURVES] < 0.01
    assert rows["share of strong values"] == {ARKIT_CURVES: 0.0, SCORES: 0.0}


def test_curves_that_are_always_at_their_end_are_found_out(faces: Path) -> None:
    rows = rows_of(faces, saturated=True)
    assert rows["correlation with it"][ARKIT_CURVES] == 0
    assert rows["share of strong values"][ARKIT_CURVES] == 1
    shut = rows["share of faces with a shut left eye"]
    assert shut[ARKIT_CURVES] == 1
    assert shut[SCORES] < 0.5


def test_a_set_without_scores_is_refused(tmp_path: Path) -> None:
    part = tmp_path / "part-000"
    part.mkdir()
    np.save(part / "crops.npy", np.zeros((2, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", split=np.array(["val", "val"]))
    (tmp_path / "index.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match="52-score net"):
        real_curves(tmp_path, 50, [], BrightEncoder(), BrightAnimator(False))
