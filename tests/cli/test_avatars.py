"""`freeavatar avatars` and `freeavatar formats`."""

from __future__ import annotations

import pytest

from freeavatar.avatars.catalog import bundled_names
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


def test_formats_has_a_line_for_each(say):
    code, out, _ = say("formats")
    assert code == 0
    *lines, legend = out.splitlines()
    assert [line.split()[0] for line in lines] == list(FORMATS)
    assert legend.startswith("*")
