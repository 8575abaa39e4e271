"""Who plays, and what cannot be played."""

from __future__ import annotations

import pytest

from freeavatar.datasets.casting import CastConfig, make_render_set
from freeavatar.errors import DataError


def test_takes_that_are_not_there_are_not_replaced_by_something_else():
    with pytest.raises(DataError, match="no recorded takes"):
        make_render_set(CastConfig(takes_share=0.8), 4, 0)
