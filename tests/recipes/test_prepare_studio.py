"""What the file names of the studio set tell goes into the face set, beside what was there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freeavatar.datasets.teachers import EMOTIONS
from prepare_studio import names_of, probabilities, write_down


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("smiling_front/001_08", ("london 001", "happy")),
        ("neutral_front/001_03", ("london 001", "neutral")),
        ("canada/017", ("canada 017", "neutral")),
    ],
)
def test_names_tell_person_and_expression(key: str, told: tuple[str, str]) -> None:
    assert names_of(key) == told


def test_a_person_is_the_same_in_both_expressions_and_columns_are_kept(tmp_path: Path) -> None:
    truth = tmp_path / "truth.npz"
    guess = np.full((2, len(EMOTIONS)), 1 / len(EMOTIONS), np.float32)
    keys = np.array(["smiling_front/001_08", "neutral_front/001_03"])
    np.savez(truth, key=keys, emotion=guess, quality=np.array([0.5, 0.7]))
    write_down(truth)
    with np.load(truth, allow_pickle=False) as file:
        assert set(file.files) == {"key", "emotion", "quality", "person"}
        assert file["person"].tolist() == ["london 001", "london 001"]
        felt = [EMOTIONS[column] for column in file["emotion"].argmax(1)]
        np.testing.assert_array_equal(file["quality"], [0.5, 0.7])
    assert felt == ["happy", "neutral"]
    assert [path.name for path in tmp_path.iterdir()] == ["truth.npz"]


def test_what_is_told_is_likely_and_nothing_impossible() -> None:
    told = probabilities("happy")
    assert told.sum() == pytest.approx(1.0)
    assert told.argmax() == EMOTIONS.index("happy")
    assert told.min() > 0
