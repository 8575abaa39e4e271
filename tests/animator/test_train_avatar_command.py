"""`freeavatar train avatar`: what it refuses, and what it hands over."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freeavatar.animator import onboard
from freeavatar.cli.main import main


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FREEAVATAR_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Folders that look like finished trainings."""
    for name, files in (
        ("expression", ("expression.onnx", "final.safetensors")),
        ("animator", ("animator.onnx", "final.safetensors")),
        ("renderer", ("final.safetensors",)),
    ):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_bytes(b"weights")
    return [tmp_path / name for name in ("expression", "animator", "renderer")]


@pytest.fixture
def hero(tmp_path: Path, toy_avatar_file: Path) -> Path:
    return Path(shutil.copy(toy_avatar_file, tmp_path / "hero.glb"))


def test_it_learns_and_says_where_the_weights_are(
    say: Any, hero: Path, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    works: list[Path] = []

    def learn(avatar: Any, work: Path, _: Any, config: Any, target: Path, __: Any) -> Any:
        works.append(work)
        assert config.num_pictures == 150
        assert not config.by_name
        np.savez(target, codes=np.zeros(3))
        return onboard.Onboarded(target, len(avatar.rig), 5)

    monkeypatch.setattr(onboard, "onboard", learn)
    given = ("train", "avatar", hero, "--runs", *runs, "--pictures", 150, "--no-names")
    code, out, err = say(*given)
    assert (code, err) == (0, "")
    assert "learned 6 controls" in out
    assert "5 of them also by shape" in out
    assert str(hero.with_name("hero.weights.npz")) in out
    code, _, err = say(*given)
    assert code == 1
    assert "--overwrite" in err
    assert say(*given, "--overwrite")[0] == 0
    assert works[0] == works[1], "a stopped run is found again"
    hero.write_bytes(hero.read_bytes() + b"\0\0\0\0")
    assert say(*given, "--overwrite")[0] == 0
    assert works[2] != works[0], "another file is another avatar"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody",), "nobody"),
        (("ada",), "knows it already"),
        (("ada", "--pictures", 3), "at least 100"),
    ],
)
def test_what_cannot_be_learned_is_one_sentence(
    say: Any, arguments: tuple[object, ...], says: str
) -> None:
    code, out, err = say("train", "avatar", *arguments)
    assert code in (1, 2)
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_unfinished_trainings_are_named(say: Any, hero: Path, runs: list[Path]) -> None:
    (runs[2] / "final.safetensors").unlink()
    code, _, err = say("train", "avatar", hero, "--runs", *runs)
    assert code == 1
    assert str(runs[2] / "final.safetensors") in err
    assert not hero.with_name("hero.weights.npz").exists()
