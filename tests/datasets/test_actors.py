"""What an avatar can show, and how far its controls go beside the canonical head's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars.avatar import Avatar, Surface
from freeavatar.avatars.catalog import CANONICAL_HEAD, resolve
from freeavatar.avatars.scene import face_unit
from freeavatar.datasets.actors import control_reach, cut_to_face, make_actor
from freeavatar.rig import ARKIT


@pytest.fixture(scope="module")
def ada() -> Avatar:
    return cut_to_face(resolve(CANONICAL_HEAD))


def scaled(avatar: Avatar, name: str, share: float) -> Avatar:
    """One control moves the face by a share of its way."""
    bindings = avatar.bindings.copy()
    bindings[:, avatar.rig.names.index(name)] *= share
    return replace(avatar, bindings=bindings)


def moved_by(avatar: Avatar, name: str, moves: Callable[[Surface], np.ndarray]) -> Avatar:
    """One control does nothing but this, on every surface."""
    control = avatar.rig.names.index(name)
    bindings = np.vstack([avatar.bindings, np.zeros((1, len(avatar.rig)), np.float32)])
    bindings[:, control] = 0.0
    bindings[-1, control] = 1.0
    surfaces = tuple(
        replace(
            surface,
            morphs=np.append(surface.morphs, len(avatar.bindings)),
            deltas=np.concatenate([surface.deltas, moves(surface)[None].astype(np.float32)]),
        )
        for surface in avatar.surfaces
    )
    names = (*avatar.morph_names, "new")
    return replace(avatar, surfaces=surfaces, morph_names=names, bindings=bindings)


def test_the_canonical_head_is_as_strong_as_itself(ada: Avatar) -> None:
    actor = make_actor(ada)
    assert actor.shows.all()
    np.testing.assert_array_equal(actor.strength, 1.0)


def test_a_face_that_moves_half_as_far_is_half_as_strong_unless_the_end_is_the_same(
    ada: Avatar,
) -> None:
    surfaces = tuple(replace(surface, deltas=surface.deltas * 0.5) for surface in ada.surfaces)
    actor = make_actor(replace(ada, surfaces=surfaces))
    strength = dict(zip(ARKIT.names, actor.strength, strict=True))
    for name in ("mouthLeft", "mouthSmileRight", "browInnerUp", "cheekPuff", "jawForward"):
        assert strength[name] == pytest.approx(0.5, abs=0.01)
    # A shut eye is shut, an open jaw is open, however far the way was.
    for name in ("eyeBlinkLeft", "eyeLookUpRight", "jawOpen", "mouthClose", "tongueOut"):
        assert strength[name] == 1.0


def test_a_control_that_moves_less_than_two_pixels_is_not_shown(ada: Avatar) -> None:
    column = ARKIT.index("mouthLeft")
    reach = control_reach(ada)[column]
    for wanted_u, seen in ((0.028, False), (0.032, True)):
        actor = make_actor(scaled(ada, "mouthLeft", wanted_u / reach))
        assert actor.shows[column] == seen
        assert np.delete(actor.shows, column).all()


def test_reach_is_that_of_a_patch_of_the_face_not_of_a_vertex_or_of_hair(ada: Avatar) -> None:
    column = ARKIT.index("mouthLeft")
    whole_u = 0.2 / face_unit(ada.face)

    def hair_and_one_vertex(surface: Surface) -> np.ndarray:
        moves = np.zeros((len(surface.vertices), 3))
        moves[: None if surface.material.kind == "hair" else 1, 0] = 0.2
        return moves

    def skin(surface: Surface) -> np.ndarray:
        share = 0.2 if surface.material.kind == "skin" else 0.0
        return np.full((len(surface.vertices), 3), (share, 0.0, 0.0))

    assert control_reach(moved_by(ada, "mouthLeft", hair_and_one_vertex))[column] == 0.0
    reach = control_reach(moved_by(ada, "mouthLeft", skin))
    assert reach[column] == pytest.approx(whole_u, rel=1e-4)
    np.testing.assert_array_equal(np.delete(reach, column), np.delete(control_reach(ada), column))
