"""`freeavatar avatars` and `freeavatar formats`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnxruntime
import pytest

from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.runtime import Animator, _members_of
from freeavatar.avatars import sheet as sheets
from freeavatar.avatars.catalog import bundled_names, user_folder
from freeavatar.avatars.gltf import load_avatar
from freeavatar.cli.main import main
from freeavatar.export.registry import FORMATS


@pytest.fixture
def say(capsys, tmp_path, monkeypatch):
    """Runs a command with an empty folder for added avatars; (exit code, stdout, stderr)."""
    monkeypatch.setenv("FREEAVATAR_HOME", str(tmp_path / "home"))

    def run(*arguments: object):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_an_added_avatar_is_listed_shown_and_removed(say, toy_avatar_file):
    assert say("avatars", "add", toy_avatar_file, "--name", "sheet")[0] == 0
    _, listed, _ = say("avatars", "list")
    assert [line for line in listed.splitlines() if line.startswith("sheet ")]
    code, shown, _ = say("avatars", "show", "sheet")
    assert code == 0
    for control in ("eyeBlinkLeft", "jawOpen", "mouthPucker"):
        assert control in shown
    assert say("avatars", "remove", "sheet")[0] == 0
    assert "sheet " not in say("avatars", "list")[1]
    assert toy_avatar_file.exists()


def test_the_bundled_avatars_are_listed(say):
    code, out, _ = say("avatars", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(bundled_names())


def test_a_file_can_be_shown_without_adding_it(say, toy_avatar_file):
    code, out, _ = say("avatars", "show", toy_avatar_file)
    assert code == 0
    assert "6 controls" in out


def test_a_sheet_is_drawn_and_not_overwritten(say, toy_avatar_file, tmp_path):
    pytest.importorskip("freeavatar.avatars.sheet")
    sheet = tmp_path / "sheet.png"
    assert say("avatars", "show", toy_avatar_file, "--sheet", sheet)[0] == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    code, _, err = say("avatars", "show", toy_avatar_file, "--sheet", sheet)
    assert code == 1
    assert "--overwrite" in err


@pytest.mark.parametrize("action", ["show", "remove"])
def test_an_unknown_name_is_one_sentence(say, action):
    code, out, err = say("avatars", action, "nobody")
    assert (code, out) == (1, "")
    assert "nobody" in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_avatar_is_not_added(say, tmp_path):
    (tmp_path / "stone.glb").write_text("stone")
    code, _, err = say("avatars", "add", tmp_path / "stone.glb")
    assert code == 1
    assert "stone.glb" in err
    assert "stone" not in say("avatars", "list")[1]


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt(), RuntimeError("a bug"), MemoryError()])
def test_an_avatar_whose_sheet_is_not_drawn_is_not_added(
    say, toy_avatar_file, tmp_path, monkeypatch, stopped_by
):
    def stopped(*_):
        raise stopped_by

    monkeypatch.setattr(sheets, "write_sheet", stopped)
    if isinstance(stopped_by, KeyboardInterrupt):
        code, out, _ = say("avatars", "add", toy_avatar_file)
        assert (code, out) == (130, "")
    else:
        with pytest.raises(type(stopped_by)):
            say("avatars", "add", toy_avatar_file)
    assert list(user_folder().iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("FREEAVATAR_HOME", str(tmp_path / "home"))
    assert say("avatars", "add", toy_avatar_file)[0] == 0


def test_removing_an_avatar_removes_what_its_training_kept(say, toy_avatar_file, tmp_path):
    assert say("avatars", "add", toy_avatar_file, "--name", "hero")[0] == 0
    training = tmp_path / "home" / "training"
    kept = [training / "hero-0123abcd", training / "hero-ffffffff"]
    of_others = [training / "hero-2-0123abcd", training / "heroine-0123abcd", training / "hero-old"]
    for folder in (*kept, *of_others):
        (folder / "pictures").mkdir(parents=True)
        (folder / "pictures" / "rest.npy").write_bytes(b"picture")
    assert say("avatars", "remove", "nobody")[0] == 1
    assert all(folder.is_dir() for folder in kept)
    code, out, err = say("avatars", "remove", "hero")
    assert (code, err) == (0, "")
    assert all(str(folder) in out for folder in kept)
    assert sorted(training.iterdir()) == sorted(of_others)


class Unasked(onnxruntime.InferenceSession):
    """Foreign weights are refused before any network runs."""

    def __init__(self):
        pass


def animator_table(driven, trunk):
    num = len(driven.rig)
    return {
        "codes": np.zeros((1, 4), np.float32),
        "vectors": np.zeros((num, 8), np.float32),
        "biases": np.zeros(num, np.float32),
        "readouts": np.zeros((num, 16), np.float16),
        "offsets": np.zeros(num, np.float32),
        "shares": np.zeros(num, np.float32),
        "cast": np.frombuffer(json.dumps(Cast((driven,)).to_json()).encode(), np.uint8),
        "trunk": np.frombuffer(trunk.encode(), np.uint8),
    }


@pytest.mark.parametrize("foreign", ["rig", "network", "file"])
def test_animating_beside_foreign_weights_is_one_sentence(
    say, stand_in_networks, monkeypatch, make_video, no_face_pictures, toy_avatar_file, tmp_path,
    foreign,
):  # fmt: skip
    """No curves may come out that another avatar's weights made."""
    hero = tmp_path / "hero.glb"
    shutil.copy(toy_avatar_file, hero)
    rig = load_avatar(hero).rig
    driven = DrivenRig("hero", rig, np.zeros((len(rig), 52), np.float32))
    ours, other = "a" * 64, "b" * 64
    weights = tmp_path / "hero.weights.npz"
    if foreign == "file":
        weights.write_bytes(b"saved by another program")
    else:
        made_for = arkit_member() if foreign == "rig" else driven
        np.savez(weights, **animator_table(made_for, other if foreign == "network" else ours))
    knows_arkit = _members_of(animator_table(arkit_member(), ours))
    animator = Animator(Unasked(), knows_arkit, np.zeros(16, np.float32), ours)
    monkeypatch.setattr(Animator, "load", staticmethod(lambda: animator))
    take, out = make_video("take.mp4", no_face_pictures), tmp_path / "out"
    code, said, err = say("animate", take, "--avatar", hero, "--out", out)
    assert (code, said) == (1, "")
    assert err.count("\n") == 1
    assert "hero.weights.npz" in err
    assert "train avatar hero" in err
    assert not out.exists()


def test_formats_has_a_line_for_each(say):
    code, out, _ = say("formats")
    assert code == 0
    *lines, legend = out.splitlines()
    assert [line.split()[0] for line in lines] == list(FORMATS)
    assert legend.startswith("*")
