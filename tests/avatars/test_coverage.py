"""What an avatar can show, told truly: a movement that is listed moves a vertex or an eye."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars.avatar import pose
from freeavatar.avatars.catalog import resolve
from freeavatar.avatars.coverage import arkit_coverage, profile_coverage
from freeavatar.rig import ARKIT, ARKIT_NAMES


def test_a_drawn_face_shows_its_six_morphs_and_no_more(toy_avatar_file):
    avatar = resolve(toy_avatar_file)
    coverage = arkit_coverage(avatar)
    assert set(coverage.shown) == set(avatar.rig.names)
    assert set(coverage.shown) | set(coverage.missing) == set(ARKIT_NAMES)
    by_profile = {one.profile: one for one in profile_coverage(avatar)}
    assert {"aa", "ou", "blink", "blinkLeft", "happy"} <= set(by_profile["vrm1"].shown)
    assert {"sad", "lookUp", "relaxed"} <= set(by_profile["vrm1"].missing)
    assert "v2/JawOpen" in by_profile["vrchat"].shown


@pytest.mark.parametrize("name", ["ada", "elsa"])
def test_what_is_listed_moves_and_what_is_not_does_not(name):
    avatar = resolve(name)
    coverage = arkit_coverage(avatar)
    for movement in ARKIT_NAMES:
        # Beside an open jaw, because closing lips needs lips that are apart.
        row = np.zeros((2, 52), np.float32)
        row[:, ARKIT.index("jawOpen")] = 0.0 if movement == "jawOpen" else 0.5
        row[1, ARKIT.index(movement)] = 1.0
        before, after = (pose(avatar, avatar.rig.clamp(avatar.arkit_to_rig @ r)) for r in row)
        moved = max(np.abs(a - b).max() for a, b in zip(before, after, strict=True))
        assert (moved > 1e-6) == (movement in coverage.shown), movement


def test_an_avatar_of_unknown_names_shows_nothing(toy_avatar_file):
    avatar = replace(resolve(toy_avatar_file), arkit_to_rig=None)
    assert arkit_coverage(avatar).shown == ()
    assert all(one.shown == () for one in profile_coverage(avatar))
