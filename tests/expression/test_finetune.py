"""Which rows of a batch show the same expression, and which its mirror image."""

from __future__ import annotations

import numpy as np
import torch

from freeavatar.expression.data import Samples
from freeavatar.expression.finetune import Batch, _mirrored, _same
from freeavatar.rig import ARKIT


def batch() -> Batch:
    """A wink twice, the mirrored wink, an even smile twice, a real face twice, an unknown one."""
    controls = np.zeros((8, 52), np.float32)
    controls[:2, ARKIT.index("eyeBlinkLeft")] = 0.9
    controls[2, ARKIT.index("eyeBlinkRight")] = 0.9
    controls[3:5, ARKIT.columns("mouth")] = 0.5
    controls[5:7, 0], controls[7] = 0.3, np.nan
    emotion = np.tile(np.float32([0.5, 0.5, 0, 0, 0, 0, 0]), (8, 1))
    emotion[:5] = np.nan
    exact = np.arange(8) < 5
    crops = np.zeros((8, 4, 4, 3), np.uint8)
    person = np.where(exact, 0, -1)
    samples = Samples(
        crops, controls, controls, np.zeros((8, 3), np.float32), emotion, exact, person, ~exact
    )
    return Batch(samples, torch.device("cpu"))


def test_the_same_expression_is_known_and_what_is_unknown_is_not() -> None:
    pairs = {tuple(pair) for pair in _same(batch()).nonzero().tolist() if pair[0] < pair[1]}
    assert pairs == {(0, 1), (3, 4), (5, 6)}


def test_only_lopsided_renders_have_a_mirror_image() -> None:
    mirrored = _mirrored(batch())
    pairs = {tuple(pair) for pair in mirrored.nonzero().tolist()}
    assert pairs == {(0, 2), (1, 2), (2, 0), (2, 1)}
