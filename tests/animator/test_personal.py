"""Weights of an avatar's own: used when they fit, refused in one sentence when they do not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.runtime import Animator, _members_of, personal_weights
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf import load_avatar
from freeavatar.errors import AvatarError, WeightsError
from freeavatar.rig import ARKIT

TRUNK = "a" * 64


class Constant(onnxruntime.InferenceSession):  # type: ignore[misc]
    """Every control is the sigmoid of its bias."""

    def __init__(self) -> None:
        pass

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        shares = 1 / (1 + np.exp(-inputs["biases"]))
        return [np.tile(shares, (len(inputs["features"]), 1)).astype(np.float32)]


@pytest.fixture
def avatar(tmp_path: Path, toy_avatar_file: Path) -> Avatar:
    shutil.copy(toy_avatar_file, tmp_path / "hero.glb")
    return load_avatar(tmp_path / "hero.glb")


def tables(driven: DrivenRig, bias: float, trunk: str = TRUNK) -> dict[str, Any]:
    num = len(driven.rig)
    return {
        "codes": np.zeros((1, 4), np.float32),
        "vectors": np.zeros((num, 8), np.float32),
        "biases": np.full(num, bias, np.float32),
        "readouts": np.zeros((num, 16), np.float16),
        "offsets": np.zeros(num, np.float32),
        "shares": np.zeros(num, np.float32),
        "cast": np.frombuffer(json.dumps(Cast((driven,)).to_json()).encode(), np.uint8),
        "trunk": np.frombuffer(trunk.encode(), np.uint8),
    }


def new_animator() -> Animator:
    """Knows the rig of the Live Link curves alone, and answers 0.5 for all of it."""
    (member,) = _members_of(tables(arkit_member(), 0.0))
    return Animator(Constant(), [member], np.zeros(16, np.float32), TRUNK)


def own_weights(avatar: Avatar, bias: float = 3.0, **changes: Any) -> Path:
    path = personal_weights(Path(avatar.source))
    matrix = np.zeros((len(avatar.rig), 52), np.float32)
    np.savez(path, **(tables(DrivenRig(avatar.name, avatar.rig, matrix), bias) | changes))
    return path


FRAMES = np.zeros((3, 16), np.float32)


def test_arkit_names_work_at_once_and_own_weights_take_over(avatar: Avatar) -> None:
    before = new_animator()
    assert not before.knows(avatar)
    np.testing.assert_allclose(before.controls(FRAMES, avatar), 0.5)
    own_weights(avatar)
    after = new_animator()
    assert after.knows(avatar)
    np.testing.assert_allclose(after.controls(FRAMES, avatar), 1 / (1 + np.exp(-3.0)), rtol=1e-5)
    np.testing.assert_allclose(after.controls(FRAMES, ARKIT), 0.5)


def test_names_that_mean_nothing_are_driven_by_own_weights_alone(avatar: Avatar) -> None:
    strange = dataclasses.replace(avatar, arkit_to_rig=None)
    with pytest.raises(AvatarError, match="freeavatar train avatar hero"):
        new_animator().controls(FRAMES, strange)
    own_weights(avatar)
    assert new_animator().controls(FRAMES, strange).shape == (3, len(avatar.rig))


def test_weights_of_another_rig_are_refused(avatar: Avatar) -> None:
    own_weights(avatar, **tables(arkit_member(), 0.0))
    with pytest.raises(WeightsError, match="another rig: it has 52 controls, the avatar 6"):
        new_animator().controls(FRAMES, avatar)


def test_weights_of_another_network_are_refused(avatar: Avatar) -> None:
    path = own_weights(avatar, trunk=np.frombuffer(b"b" * 64, np.uint8))
    with pytest.raises(WeightsError, match=r"another version of freeavatar.*train avatar hero"):
        new_animator().controls(FRAMES, avatar)
    # Another version may have written other tables, too.
    with np.load(path) as file:
        older = {
            name: file[name] for name in file.files if name not in ("readouts", "offsets", "shares")
        }
    np.savez(path, **older)
    with pytest.raises(WeightsError, match=r"another version of freeavatar.*train avatar hero"):
        new_animator().controls(FRAMES, avatar)


@pytest.mark.parametrize("kept", [0, 40, -200])
def test_damaged_weights_are_refused(avatar: Avatar, kept: int) -> None:
    path = own_weights(avatar)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"damaged.*train avatar hero"):
        new_animator().controls(FRAMES, avatar)
