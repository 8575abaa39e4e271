"""Meanings told by shape: a rig without names is understood like the one with names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from freeavatar.animator.likeness import geometry_map, understood
from freeavatar.avatars.gltf import load_avatar
from freeavatar.rig import ARKIT, Control, RigSpec


def test_shape_alone_finds_what_the_names_say(toy_avatar_file: Path) -> None:
    avatar = load_avatar(toy_avatar_file)
    assert avatar.arkit_to_rig is not None
    order = [3, 0, 5, 1, 4, 2]
    nameless = dataclasses.replace(
        avatar,
        rig=RigSpec("x", tuple(Control(f"slider {i}") for i in range(6))),
        bindings=avatar.bindings[:, order],
        arkit_to_rig=None,
    )
    found = geometry_map(nameless, reference=avatar)
    named = avatar.arkit_to_rig[order]
    used = np.flatnonzero(named.any(axis=0))
    assert len(used) == 6
    np.testing.assert_array_equal(found[:, used].argmax(axis=0), named[:, used].argmax(axis=0))
    assert (found[:, np.setdiff1d(np.arange(52), used)] == 0).all()


def test_size_and_place_of_the_head_do_not_matter(toy_avatar_file: Path) -> None:
    avatar = load_avatar(toy_avatar_file)
    scale, shift = 2.5, np.array([0.3, 1.0, -0.2], np.float32)
    face = avatar.face
    moved = dataclasses.replace(
        avatar,
        surfaces=tuple(
            dataclasses.replace(s, vertices=s.vertices * scale + shift, deltas=s.deltas * scale)
            for s in avatar.surfaces
        ),
        face=dataclasses.replace(
            face,
            left_eye=face.left_eye * scale + shift,
            right_eye=face.right_eye * scale + shift,
            mouth=face.mouth * scale + shift,
            neck=face.neck * scale + shift,
        ),
    )
    np.testing.assert_allclose(
        geometry_map(moved, reference=avatar), geometry_map(avatar, reference=avatar), atol=0.02
    )


def test_names_are_believed_where_there_are_any(toy_avatar_file: Path) -> None:
    avatar = load_avatar(toy_avatar_file)
    np.testing.assert_array_equal(understood(avatar), avatar.arkit_to_rig)
    assert ARKIT.names[int(understood(avatar)[avatar.rig.index("jawOpen")].argmax())] == "jawOpen"
