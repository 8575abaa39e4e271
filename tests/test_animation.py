"""AnimationClip refuses arrays that do not belong together."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from freeavatar.animation import AnimationClip
from freeavatar.rig import ARKIT


def clip_of(num_frames: int, **changes: np.ndarray) -> AnimationClip:
    arrays = {
        "times_s": np.arange(num_frames) / 30,
        "values": np.zeros((num_frames, 52), np.float32),
        "found": np.ones(num_frames, bool),
        "head_rad": np.zeros((num_frames, 3), np.float32),
    }
    return AnimationClip(ARKIT, **(arrays | changes))


def test_frame_rate_is_the_median_so_that_one_gap_does_not_change_it():
    times_s = np.arange(60) / 50
    times_s[30:] += 4.0
    assert clip_of(60, times_s=times_s).frame_rate_hz == pytest.approx(50)


def test_a_picture_is_a_clip_of_one_frame_at_thirty_hertz():
    clip = clip_of(1)
    assert len(clip) == 1
    assert clip.frame_rate_hz == 30


def test_time_that_stands_still_is_refused():
    with pytest.raises(ValueError, match="must increase"):
        clip_of(3, times_s=np.array([0.0, 0.1, 0.1]))


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.zeros((4, 52), np.float32)},
        {"values": np.zeros((3, 51), np.float32)},
        {"found": np.ones(2, bool)},
        {"head_rad": np.zeros((3, 2), np.float32)},
    ],
)
def test_arrays_of_other_lengths_are_refused(changes):
    # The shape annotations speak first while the tests check them.
    with pytest.raises((ValueError, TypeCheckError)):
        clip_of(3, **changes)


def test_changing_the_values_leaves_the_original_as_it_was():
    clip = clip_of(2)
    changed = clip.with_values(np.ones((2, 52), np.float32))
    assert changed.values.sum() == 104
    assert clip.values.sum() == 0
    assert changed.times_s is clip.times_s
