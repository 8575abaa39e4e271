"""Own controls of an avatar's own pictures: perfect, opposite and constant guesses; the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf import load_avatar
from freeavatar.cli.main import main
from freeavatar.datasets.motion_sources import MotionSources
from freeavatar.errors import DataError
from freeavatar.evaluation.own_controls import (
    OwnPictures,
    judging_pictures,
    own_controls,
    own_correlation,
)
from freeavatar.expression.runtime import ExpressionEncoder, Expressions
from freeavatar.renderer.data import open_avatar_set, write_avatar_set
from freeavatar.rig import ARKIT, RigSpec


def own(controls: np.ndarray) -> OwnPictures:
    return OwnPictures("somebody", ARKIT, np.zeros((len(controls), 4), np.float32), controls)


@pytest.fixture
def controls() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (30, 52)).astype(np.float32)


def test_truth_is_1_its_opposite_minus_1_and_a_constant_0(controls: np.ndarray) -> None:
    pictures = own(controls)
    assert own_correlation(pictures, controls) == pytest.approx(1.0)
    assert own_correlation(pictures, 0.3 + 0.1 * controls) == pytest.approx(1.0, abs=1e-5)
    assert own_correlation(pictures, 1 - controls) == pytest.approx(-1.0)
    assert own_correlation(pictures, np.full_like(controls, 0.4)) == 0.0
    half = np.where(np.arange(52) < 26, controls, 0.4).astype(np.float32)
    assert own_correlation(pictures, half) == pytest.approx(0.5)


def test_controls_that_stay_still_are_not_judged(controls: np.ndarray) -> None:
    still = controls.copy()
    still[:, 5:] = 0.2
    assert own_correlation(own(still), controls * (np.arange(52) < 5)) == pytest.approx(1.0)
    assert np.isnan(own_correlation(own(np.full_like(controls, 0.2)), controls))


class Counting(ExpressionEncoder):
    """The feature of a picture is its mean brightness."""

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, crops: np.ndarray) -> Expressions:
        self.seen += len(crops)
        features = crops.reshape(len(crops), -1).mean(axis=1, keepdims=True).astype(np.float32)
        return Expressions(np.ones((len(crops), 2), np.float32), features)


class Knowing(Animator):
    """Knows some rigs by name; an avatar's own file gives other values than the table."""

    def __init__(self, rigs: dict[str, RigSpec], personal: tuple[str, ...] = ()) -> None:
        self.rigs, self.personal = rigs, personal
        self.asked: list[str] = []

    def knows(self, avatar: Avatar) -> bool:
        return avatar.name in self.personal

    def controls(
        self,
        features: np.ndarray,
        avatar: Avatar | RigSpec,
        neutral: np.ndarray | None = None,
    ) -> np.ndarray:
        rig = avatar.rig if isinstance(avatar, Avatar) else avatar
        if isinstance(avatar, Avatar):
            self.asked.append(f"{avatar.name} itself")
        return np.zeros((len(features), len(rig)), np.float32)

    def member_controls(self, name: str, features: np.ndarray) -> np.ndarray:
        rig = self.rigs[name]
        if len(features):
            self.asked.append(name)
        return np.zeros((len(features), len(rig)), np.float32)


@pytest.fixture(scope="module")
def toy(toy_avatar_file: Path) -> Avatar:
    return load_avatar(toy_avatar_file)


@pytest.fixture(scope="module")
def sets(toy: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of each of two avatars."""
    folder = tmp_path_factory.mktemp("sets")
    motion = MotionSources(np.zeros((0, 52), np.float32))
    for name in ("hero", "toy"):
        write_avatar_set(dataclasses.replace(toy, name=name), motion, folder / name, 30)
    (folder / "notes").mkdir()
    return folder


def silent(_stage: str, _done: int, _total: int | None) -> None:
    pass


def test_only_pictures_that_no_training_sees_are_judged(sets: Path) -> None:
    avatar_set, encoder = open_avatar_set(sets / "toy"), Counting()
    pictures = judging_pictures(avatar_set, encoder)
    assert encoder.seen == 3
    np.testing.assert_array_equal(pictures.controls, avatar_set.controls[27:])
    fewer = judging_pictures(avatar_set, encoder, most=2)
    np.testing.assert_array_equal(fewer.features, pictures.features[:2])


def test_known_avatars_have_a_row_and_strangers_are_named(sets: Path, toy: Avatar) -> None:
    animator = Knowing({"hero": toy.rig})
    section = own_controls(sets, [], Counting(), animator, silent)
    assert [row.measure for row in section.rows] == ["hero, 6 controls", "mean"]
    assert "their rigs: toy." in section.note
    assert animator.asked == ["hero"]
    # The avatar itself, where it is at hand: weights of its own lie beside its file.
    animator = Knowing({"hero": toy.rig, "toy": toy.rig}, personal=("toy",))
    section = own_controls(sets, [toy], Counting(), animator, silent)
    assert animator.asked == ["hero", "toy itself"]
    assert len(section.rows) == 3


def test_a_set_of_another_rig_is_left_out(sets: Path) -> None:
    section = own_controls(sets, [], Counting(), Knowing({"hero": ARKIT, "toy": ARKIT}), silent)
    assert section.rows == []
    assert "hero, toy" in section.note


def test_a_folder_without_sets_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture sets of avatars"):
        own_controls(tmp_path, [], Counting(), Knowing({}), silent)


def test_the_report_has_a_row_per_avatar(
    stand_in_networks: None,
    sets: Path,
    toy_avatar_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in = type(Animator.load())
    monkeypatch.setattr(stand_in, "knows", lambda *_: True)

    def unknown(*_: object) -> np.ndarray:
        raise KeyError("hero")

    monkeypatch.setattr(stand_in, "member_controls", unknown)
    given = ["--sets", sets, "--avatar", toy_avatar_file, "--out", tmp_path / "out"]
    assert main(["evaluate", "animator", *map(str, given)]) == 0
    said = capsys.readouterr().out
    assert "| toy, 6 controls |" in said
    assert "their rigs: hero." in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [s["title"] for s in report["sections"]] == ["Own controls", "Speed"]
    (row, mean) = report["sections"][0]["rows"]
    assert row["values"] == mean["values"]
    assert -1.0 <= row["values"]["correlation"] <= 1.0
