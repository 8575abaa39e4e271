"""The shipped animator on takes of any length."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.animator import runtime
from freeavatar.animator.runtime import Animator
from freeavatar.rig import ARKIT


def test_a_long_take_is_answered_in_parts_as_it_would_be_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    animator = Animator.load()
    rng = np.random.default_rng(0)
    features = animator.usual + 0.1 * rng.standard_normal((11, len(animator.usual)))
    at_once = animator.controls(features, ARKIT)
    monkeypatch.setattr(runtime, "_TOGETHER", 4)
    in_parts = animator.controls(features, ARKIT)
    assert in_parts.shape == (11, len(ARKIT))
    np.testing.assert_allclose(in_parts, at_once, atol=1e-5)
