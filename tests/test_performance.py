"""The table that takes of any length are kept in."""

import numpy as np
import pytest

from freeavatar import performance
from freeavatar.performance import Rows


@pytest.mark.parametrize("sizes", [(1,), (4,), (5,), (3, 1, 9), (0, 2), (4, 4), (13,)])
def test_rows_come_back_as_they_were_added(sizes: tuple[int, ...], monkeypatch) -> None:
    monkeypatch.setattr(performance, "_BLOCK_ROWS", 4)
    given = [np.random.default_rng(size).random((size, 3)) for size in sizes]
    rows = Rows()
    for some in given:
        rows.add(some)
    assert len(rows) == sum(sizes)
    assert np.array_equal(rows.joined(3), np.concatenate(given))


def test_rows_are_copied_and_keep_their_type() -> None:
    given = np.ones((2, 2), np.float32)
    rows = Rows()
    rows.add(given)
    given[:] = 0
    assert rows.joined(2).dtype == np.float32
    assert rows.joined(2).min() == 1


def test_nothing_added_has_the_columns_asked_for() -> None:
    assert Rows().joined(5).shape == (0, 5)
