"""How Blender is found and called: a stand-in plays it here, the real one in the witnesses."""

from __future__ import annotations

import stat
import sys

import pytest

from freeavatar.errors import OutputError
from freeavatar.export import blender
from freeavatar.export.blender import NoBlender, find_blender, write_with_blender
from freeavatar.export.registry import choose_formats


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program `blender` on the PATH that runs this Python code; none is there otherwise."""
    monkeypatch.setattr(blender, "find_spec", lambda name: None)
    monkeypatch.delenv("BLENDER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))

    def make(code: str, name: str = "blender"):
        program = tmp_path / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\nimport sys\n{code}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    return make


def test_without_blender_it_is_said_before_any_work(stand_in):
    for name in ("fbx", "alembic"):
        with pytest.raises(NoBlender, match="none was found") as told:
            choose_formats([name])
        assert "freeavatar[blender]" in str(told.value)


def test_a_program_runs_in_the_background_and_a_python_plainly(stand_in, monkeypatch):
    program = stand_in("")
    assert find_blender()[:2] == [str(program), "--background"]
    assert find_blender()[-1] == "--python"
    monkeypatch.setattr(blender, "find_spec", lambda name: object())
    assert find_blender() == [sys.executable]
    python = stand_in("", "python3.11")
    monkeypatch.setenv("BLENDER", str(python))
    assert find_blender() == [str(python)]
    monkeypatch.setenv("BLENDER", "no-such-program")
    with pytest.raises(OutputError, match="no-such-program"):
        find_blender()


def test_what_blender_complains_of_is_told_in_one_sentence(stand_in, tmp_path, avatar, clip):
    stand_in("print('Error: engine on fire', file=sys.stderr)\nsys.exit(3)")
    with pytest.raises(OutputError, match="engine on fire") as told:
        write_with_blender(tmp_path / "a.fbx", avatar, clip)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "a.fbx").exists()


def test_the_stand_in_gets_a_glb_the_result_and_the_rate(stand_in, tmp_path, avatar, clip):
    stand_in(
        "glb, result, rate = sys.argv[sys.argv.index('--') + 1:]\n"
        "open(result, 'wb').write(open(glb, 'rb').read(4) + rate.encode())"
    )
    write_with_blender(tmp_path / "a.abc", avatar, clip)
    assert (tmp_path / "a.abc").read_bytes() == b"glTF30.000000"
