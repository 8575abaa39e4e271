"""The commands that make sets, train and judge: they run, and refuse in one sentence."""

from __future__ import annotations

import builtins
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from freeavatar.cli import main as front
from freeavatar.errors import DataError
from freeavatar.training.shards import open_shards

FEC = Path(__file__).parents[1] / "datasets" / "fec"


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
def test_renders_are_not_drawn_without_what_was_named(run, tmp_path: Path) -> None:
    out, empty, faces = tmp_path / "renders", tmp_path / "empty", tmp_path / "faces"
    empty.mkdir()
    faces.mkdir()
    (faces / "index.json").write_text("{}")
    for arguments, said in (
        (("--data", tmp_path / "nope"), "nope holds nothing to draw from"),
        (("--data", empty), "none of avatars/valid, avatars/ict, motion"),
        (("--backgrounds", tmp_path / "nope"), "nope is not a data set"),
        (("--backgrounds", faces), "holds no finished part"),
        (("--extra-avatars", tmp_path / "nope.glb"), "nope.glb"),
        (("--extra-avatars", empty), "empty holds no avatar"),
    ):
        code, _, error = run("data", "renders", "--out", out, "--num", 2, *arguments)
        assert code == 1
        assert said in error
        assert len(error.strip().splitlines()) == 1
        assert not out.exists()


@pytest.mark.usefixtures("one_bundled_head")
def test_backgrounds_are_cut_from_the_set_that_is_named(run, tmp_path: Path) -> None:
    green = write_set(tmp_path / "faces", np.full((3, 144, 144, 3), (0, 255, 0), np.uint8))
    rendered = []
    for name, arguments in (("plain", ()), ("green", ("--backgrounds", green))):
        out = tmp_path / name
        code, _, _ = run("data", "renders", "--out", out, "--num", 12, "--processes", 1,
                         "--camera-damage", 0, "--occluded", 0, *arguments)  # fmt: skip
        assert code == 0
        corners = open_shards(out).gather(np.arange(12))[:, :4, :4].astype(int)
        rendered.append((corners[..., 1] - corners[..., [0, 2]].max(-1)).max())
    assert rendered[1] > rendered[0] + 50


def write_set(folder: Path, crops: np.ndarray) -> Path:
    """A set whose truth is the number of each picture."""
    part = folder / "part-000"
    part.mkdir(parents=True)
    np.save(part / "crops.npy", crops)
    np.savez(part / "truth.npz", key=np.arange(len(crops)))
    (folder / "index.json").write_text("{}")
    return folder


@pytest.mark.usefixtures("one_bundled_head")
def test_renders_refuse_what_cannot_be(run, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    code, _, error = run("data", "renders", "--out", out, "--people", "held-out")
    assert code == 1
    assert "Nobody plays" in error
    assert run("data", "renders", "--out", out, "--num", 0)[0] == 2
    assert run("data", "renders", "--out", out, "--occluded", 2)[0] == 2
    assert run("data", "renders", "--out", out, "--seed", -1)[0] == 2
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


@pytest.mark.parametrize("part_of_path", ["itself", "above"])
def test_an_output_folder_that_is_a_file_is_refused_before_any_work(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_of_path: str
) -> None:
    pytest.importorskip("torch")

    def work(*_: Any, **__: Any) -> None:
        raise AssertionError("worked before refusing")

    for function in (
        "datasets.faces.list_once",
        "datasets.casting.make_actor",
        "datasets.fec.open_fec",
        "expression.finetune.finetune",
        "expression.pretrain.pretrain",
        "evaluation.expression.examine",
    ):
        monkeypatch.setattr(f"freeavatar.{function}", work)
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    out = mine if part_of_path == "itself" else mine / "deeper" / "run"
    source = write_set(tmp_path / "set", np.zeros((2, 144, 144, 3), np.uint8))
    for command in (
        ("data", "faces", source),
        ("data", "renders"),
        ("train", "faces", "--faces", source),
        ("train", "expression", "--renders", source, "--fec", source),
        ("evaluate", "expression", "--faces", source),
    ):
        code, _, error = run(*command, "--out", out)
        assert code == 1, command
        assert "mine.txt" in error
        assert "is a file and not a folder" in error
        assert len(error.strip().splitlines()) == 1
    assert mine.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_may_not_be_written_is_told(run, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, error = run("data", "renders", "--out", tmp_path / "locked" / "set")
    assert code == 1
    assert "No permission" in error


def test_training_refuses_numbers_that_cannot_be(run, tmp_path: Path) -> None:
    for command in (("faces", "--faces", tmp_path), ("expression", "--renders", tmp_path)):
        for option, value in (("--steps", 0), ("--steps", -3), ("--minutes", 0), ("--seed", -1)):
            code, _, error = run("train", *command, "--out", tmp_path / "run", option, value)
            assert code == 2
            assert option in error
            assert len(error.strip().splitlines()) == 1
    assert run("train", "faces", "--faces", tmp_path, "--out", tmp_path, "--batch", 0)[0] == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("index", "said"),
    [('{"kind": "fa', "index.json is damaged"), ("[1, 2]", "holds a list"), ("", "damaged")],
)
def test_training_on_a_damaged_set_names_the_file(
    run, tmp_path: Path, index: str, said: str
) -> None:
    pytest.importorskip("torch")
    source = write_set(tmp_path / "set", np.zeros((2, 144, 144, 3), np.uint8))
    (source / "index.json").write_text(index)
    for what, option in (("faces", "--faces"), ("expression", "--renders")):
        code, _, error = run("train", what, option, source, "--out", tmp_path / "run",
                             "--device", "cpu")  # fmt: skip
        assert code == 1
        assert said in error
        assert "index.json" in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_crops_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", np.zeros((2, 144), np.float32))
    with pytest.raises(DataError, match=r"its crops are float32 of shape \(2, 144\)"):
        open_shards(source)


def test_labels_that_are_not_there_are_one_sentence(
    run, tmp_path: Path, face_pictures: list[np.ndarray]
) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), face_pictures[0][..., ::-1])
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    for labels in ("nope.csv", "binary.csv"):
        code, _, error = run("data", "faces", tmp_path / "face.png", "--out", tmp_path / "set",
                             "--labels", tmp_path / labels)  # fmt: skip
        assert code == 1
        assert labels in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_human_triplets_in_a_cut_tar_are_one_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "triplets.csv").write_text("a,p,n,type\n0,1,2,one\n")
    (tmp_path / "faces-48px.tar").write_bytes(b"face-0.png" + b"\0" * 90)
    code, _, error = run("evaluate", "expression", "--out", tmp_path / "report",
                         "--triplets", tmp_path)  # fmt: skip
    assert code == 1
    assert "faces-48px.tar is damaged or cut short" in error
    assert len(error.strip().splitlines()) == 1


def test_training_needs_something_to_compare(run, tmp_path: Path) -> None:
    code, _, error = run("train", "expression", "--out", tmp_path / "run")
    assert code == 2
    assert "Give --renders, --fec or both" in error


def test_votes_alone_train_an_encoder_that_is_exported_and_measured(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from freeavatar.expression.runtime import ExpressionEncoder
    from freeavatar.expression.vit import ViTConfig

    torch.set_num_threads(1)
    monkeypatch.setattr(
        "freeavatar.cli.train_expression.trunk_of",
        lambda _: ViTConfig(patch_size=28, width=16, depth=1, num_heads=2),
    )
    common = ("train", "expression", "--fec", FEC, "--device", "cpu")
    code, said, error = run(*common, "--out", tmp_path / "one", "--steps", 2)
    assert code == 0, error
    assert "3 comparisons by people" in said
    parities = json.loads((tmp_path / "one" / "parity.json").read_text())
    assert [parity["variant"] for parity in parities] == ["expression.onnx", "expression.int8.onnx"]
    assert parities[0]["worst_cosine"] > 0.999
    for parity in parities:
        assert f"{parity['worst_cosine']:.5f}" in said
        encoder = ExpressionEncoder.load(tmp_path / "one" / parity["variant"])
        assert encoder.encode(np.zeros((1, 224, 224, 3), np.uint8)).embeddings.shape == (1, 32)
    # A run teaches another one; what is no run does not.
    monkeypatch.setattr("freeavatar.expression.export.export_network", lambda *_: ())
    teacher = tmp_path / "one" / "final.safetensors"
    code, said, error = run(*common, "--out", tmp_path / "two", "--steps", 20, "--teacher", teacher)
    assert code == 0, error
    assert "distil" in said
    code, _, error = run(*common, "--out", tmp_path / "three", "--steps", 2,
                         "--teacher", tmp_path / "absent")  # fmt: skip
    assert code == 1
    assert "no checkpoint" in error


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
