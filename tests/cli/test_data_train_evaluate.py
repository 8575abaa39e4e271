"""The commands that make sets, train and judge: they run, and refuse in one sentence."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from freeavatar.cli import main as front
from freeavatar.training.shards import open_shards


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> tuple[int, str, str]:
        code = front.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_faces_become_a_set_with_a_sheet(
    run, tmp_path: Path, face_pictures: list[np.ndarray]
) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), face_pictures[0][..., ::-1])
    out = tmp_path / "set"
    code, said, _ = run("data", "faces", tmp_path / "face.png", "--out", out, "--processes", 1)
    assert code == 0
    assert "kept: 1" in said
    assert (out / "sheet.png").is_file()
    assert len(open_shards(out)) == 1


def test_face_sources_that_cannot_be_used_are_one_sentence(run, tmp_path: Path) -> None:
    out = tmp_path / "set"
    (tmp_path / "empty").mkdir()
    (tmp_path / "wall.png").write_bytes(
        cv2.imencode(".png", np.full((90, 90, 3), 80, np.uint8))[1].tobytes()
    )
    for source, said in (
        (tmp_path / "absent.tar", "There is no"),
        (tmp_path / "empty", "No pictures"),
        (tmp_path / "wall.png", "fit for training"),
    ):
        code, _, error = run("data", "faces", source, "--out", out)
        assert code == 1
        assert said in error
        assert len(error.strip().splitlines()) == 1
    assert run("data", "faces", "--out", out)[0] == 2
    assert run("data", "faces", tmp_path, "--out", out, "--crops-per-face", 0)[0] == 2


@pytest.fixture
def one_bundled_head(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_avatar_file: Path
) -> None:
    """In place of the eight, which take seconds to prepare."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    (folder / "toy.glb").write_bytes(toy_avatar_file.read_bytes())
    monkeypatch.setattr("freeavatar.datasets.casting.BUNDLED", folder)


@pytest.mark.usefixtures("one_bundled_head")
def test_renders_of_one_seed_are_the_same_bytes(run, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        code, _, _ = run("data", "renders", "--out", tmp_path / name, "--num", 12, "--seed", seed,
                         "--processes", 1)  # fmt: skip
        assert code == 0
    one, two, other = (
        (tmp_path / name / "part-000" / "crops.npy").read_bytes()
        for name in ("one", "two", "other")
    )
    assert one == two
    assert one != other
    index = open_shards(tmp_path / "one").index
    assert index["occluded_share"] == index["camera_damage_share"] == 0.2


@pytest.mark.usefixtures("one_bundled_head")
def test_renders_refuse_what_cannot_be(run, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    code, _, error = run("data", "renders", "--out", out, "--people", "held-out")
    assert code == 1
    assert "Nobody plays" in error
    assert run("data", "renders", "--out", out, "--num", 0)[0] == 2
    assert run("data", "renders", "--out", out, "--occluded", 2)[0] == 2
    assert not out.exists()


@pytest.mark.parametrize("arguments", [("faces", "--faces", "x"), ("expression", "--renders", "x")])
def test_training_without_pytorch_names_the_extra(
    run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    real_import = builtins.__import__

    def no_torch(name: str, *rest: Any) -> Any:
        if name.startswith("freeavatar.expression"):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_torch)
    code, _, error = run("train", *arguments, "--out", tmp_path / "run")
    assert code == 1
    assert 'pip install "freeavatar[train]"' in error
    assert len(error.strip().splitlines()) == 1


def test_training_on_nothing_is_one_sentence(run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for what in ("faces", "expression"):
        option = "--faces" if what == "faces" else "--renders"
        code, _, error = run(
            "train", what, option, tmp_path, "--out", tmp_path / "run", "--device", "cpu"
        )
        assert code == 1
        assert "not a data set" in error


def test_triplets_are_answered_by_type(run, tmp_path: Path) -> None:
    table, rows = tmp_path / "triplets.csv", tmp_path / "rows.npz"
    table.write_text("a,p,n,type\n0,1,2,one\n0,2,1,two\n0,1,3,one\n")
    found = np.array([True, True, True, False])
    np.savez(rows, embeddings=np.array([[0.0], [0.1], [5.0], [9.0]]), found=found)
    code, said, _ = run("evaluate", "triplets", rows, table)
    assert code == 0
    assert said.splitlines() == ["all 0.333 (3)", "one 0.500 (2)", "two 0.000 (1)"]
    rows.write_bytes(b"no embeddings")
    code, _, error = run("evaluate", "triplets", rows, table)
    assert code == 1
    assert "no file of embeddings" in error
