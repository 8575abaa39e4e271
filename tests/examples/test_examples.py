"""The numbered examples run, each on a tiny input, and leave what they promise."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.export.curve_files import read_clip
from freeavatar.export.livelink import write_livelink
from freeavatar.export.registry import choose_formats
from freeavatar.rig import ARKIT

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = (
    "01_video_to_files",
    "02_iphone_take_to_avatar",
    "03_names_and_mapping",
    "04_live",
    "05_your_own_format",
)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recording(tmp_path) -> Path:
    """A Live Link Face CSV in which everything moves."""
    times_s = np.arange(12) / 60
    values = 0.5 + 0.4 * np.sin(times_s[:, None] * 20 + np.arange(52))
    head_rad = np.zeros((12, 3))
    clip = AnimationClip(ARKIT, times_s, values.astype(np.float32), np.ones(12, bool), head_rad)
    write_livelink(tmp_path / "phone.csv", clip)
    return tmp_path / "phone.csv"


@pytest.fixture
def video(make_video, face_pictures) -> Path:
    return make_video("take.mp4", face_pictures[:4])


def test_every_example_is_tested_here():
    assert tuple(sorted(path.stem for path in EXAMPLES.glob("*.py"))) == NAMES


@pytest.mark.usefixtures("stand_in_networks")
def test_a_video_becomes_files(video, tmp_path, toy_avatar_file, capsys):
    first = example(NAMES[0])
    out = tmp_path / "out"
    first.main(video, out, str(toy_avatar_file))
    assert capsys.readouterr().out.startswith("4 frames, a face in 4 of them")
    expected = [name for f in choose_formats(first.FORMATS) for name in f.files(["toy"])]
    assert sorted(path.name for path in out.iterdir()) == sorted(expected)


def test_a_phone_drives_an_avatar(recording, tmp_path, toy_avatar_file, capsys):
    example(NAMES[1]).main(recording, str(toy_avatar_file), tmp_path / "out")
    clip = read_clip(tmp_path / "out" / "toy.controls.csv")
    phone = read_clip(recording)
    jaw = phone.values[:, ARKIT.index("jawOpen")]
    np.testing.assert_allclose(clip.values[:, clip.rig.index("jawOpen")], jaw, atol=1e-6)
    assert "read back within" in capsys.readouterr().out


def test_values_get_other_names(recording, toy_avatar_file, capsys):
    example(NAMES[2]).main(recording, str(toy_avatar_file))
    said = capsys.readouterr().out
    assert "vrchat: 107 names" in said
    assert "Grin reaches 0." in said
    assert "arkit: 6 names" in said


@pytest.mark.usefixtures("stand_in_networks")
def test_live_reaches_other_programs_and_own_code(video, capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20.0)
        report = example(NAMES[3]).main(video, (f"vmc:{listener.getsockname()[1]}",))
        assert listener.recv(65535).startswith(b"#bundle\0")
    assert report.pictures == 4
    assert [sender.frames >= 1 for sender in report.senders] == [True, True]
    assert "The broadest smile was 0." in capsys.readouterr().out


@pytest.mark.usefixtures("stand_in_networks")
def test_a_format_of_ones_own(video, tmp_path, monkeypatch, toy_avatar_file):
    last = example(NAMES[4])
    toy = last.freeavatar.load_avatar(toy_avatar_file)
    monkeypatch.setattr(last.freeavatar, "load_avatar", lambda name: toy, raising=False)
    out = tmp_path / "out"
    last.main(video, out)
    assert {path.name for path in out.iterdir()} == {"livelink.csv", "shout.txt", "toy.curves.npz"}
    spans = np.loadtxt(out / "shout.txt", ndmin=2)
    assert (spans[:, 0] < spans[:, 1]).all()
