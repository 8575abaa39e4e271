"""What the animator is told of an actor's neutral face."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from freeavatar.animator.runtime import Animator
from freeavatar.at_rest import at_rest, between, calmness
from freeavatar.motion.calibrate import NeutralConfig
from freeavatar.performance import Performance
from freeavatar.pipeline import AnimateOptions, act
from freeavatar.rig import ARKIT


class Plain(Animator):
    """The features are the controls, less what is told."""

    def __init__(self) -> None:
        self.usual = np.zeros(52, np.float32)

    def controls(self, features, avatar, neutral=None):  # type: ignore[no-untyped-def]
        return np.clip(features - (0 if neutral is None else neutral), 0, 1).astype(np.float32)


RESTING = np.zeros(52, np.float32)
RESTING[ARKIT.index("mouthFrownLeft")] = 0.6


def take(seconds: float) -> Performance:
    """A frown that never goes, and now and then a jaw that opens."""
    num = int(30 * seconds)
    features = np.tile(RESTING, (num, 1))
    features[: num // 2, ARKIT.index("jawOpen")] = np.linspace(0.3, 1, num // 2)
    return Performance(
        np.arange(num) / 30, np.ones(num, bool), np.zeros((num, 3)), features, features
    )


def test_the_calmest_frames_are_found_and_trusted_with_time() -> None:
    np.testing.assert_allclose(at_rest(take(10), Plain()), RESTING, atol=1e-6)
    np.testing.assert_allclose(at_rest(take(1.75), Plain()), 0.5 * RESTING, atol=2e-2)
    assert at_rest(take(0.9), Plain()) is None


def test_frames_that_are_not_believed_do_not_count() -> None:
    seen = take(12)
    half = len(seen.found) // 2
    believed = np.arange(len(seen.found)) < half
    found = at_rest(seen, Plain(), believed=believed)
    assert found is not None
    assert found[ARKIT.index("jawOpen")] > 0.25
    nobody = dataclasses.replace(seen, found=np.zeros_like(seen.found))
    assert at_rest(nobody, Plain()) is None


def test_frames_from_the_side_count_only_where_there_are_no_others() -> None:
    seen = take(12)
    half = len(seen.found) // 2
    turned = seen.head_rad.copy()
    turned[half:, 0] = 1.0
    found = at_rest(dataclasses.replace(seen, head_rad=turned), Plain())
    assert found is not None
    assert found[ARKIT.index("jawOpen")] > 0.25
    turned[:, 0] = 1.0
    found = at_rest(dataclasses.replace(seen, head_rad=turned), Plain())
    np.testing.assert_allclose(found, RESTING, atol=1e-6)


def test_who_never_rests_is_not_believed_to_rest() -> None:
    """Laughter throughout is no neutral face, however long it lasts."""
    laughing = np.zeros(52, np.float32)
    laughing[~np.isin(np.arange(52), ARKIT.columns("gaze"))] = 0.1
    seen = take(10)
    busy = dataclasses.replace(seen, features=seen.features + laughing)
    found = at_rest(busy, Plain())
    assert found is not None
    assert 0.1 < np.abs(found).sum() / np.abs(RESTING + laughing).sum() < 0.6
    laughing *= 2.0
    shouting = dataclasses.replace(seen, features=seen.features + laughing)
    np.testing.assert_array_equal(at_rest(shouting, Plain()), Plain().usual)
    assert calmness(np.zeros(52)) == 1.0


def test_off_tells_nothing_and_a_named_frame_is_that_frame() -> None:
    seen = take(4)
    assert at_rest(seen, Plain(), NeutralConfig(mode="off")) is None
    named = at_rest(seen, Plain(), NeutralConfig(mode=10))
    np.testing.assert_array_equal(named, seen.features[10])
    assert at_rest(seen, Plain(), NeutralConfig(mode=1000)) is None


def test_in_between_is_partly_anybodys() -> None:
    animator = Plain()
    animator.usual = np.full(52, 0.2, np.float32)
    np.testing.assert_allclose(between(animator, np.ones(52, np.float32), 0.0), 0.2)
    np.testing.assert_allclose(between(animator, np.ones(52, np.float32), 1.0), 1.0)


@pytest.mark.parametrize("mode", ["auto", 200])
def test_a_take_is_read_in_the_knowledge_of_its_actor(mode: str | int) -> None:
    frown = ARKIT.index("mouthFrownLeft")
    told = act(take(10), ARKIT, Plain(), AnimateOptions(neutral=NeutralConfig(mode=mode)))
    assert np.abs(told.values[:, frown]).max() < 1e-3
    assert told.values[:, ARKIT.index("jawOpen")].max() > 0.9
    off = act(take(10), ARKIT, Plain(), AnimateOptions(neutral=NeutralConfig(mode="off")))
    np.testing.assert_allclose(off.values[:, frown], 0.6, atol=1e-3)
