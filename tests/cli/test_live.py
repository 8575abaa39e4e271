"""`freeavatar live` as a person uses it: sources, receivers, keys, mistakes, and stopping."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from freeavatar.cli import live as command
from freeavatar.cli.keys import typed_keys
from freeavatar.cli.live import Screen, status_line, summary
from freeavatar.cli.main import main
from freeavatar.live.performer import Performer, PerformerConfig
from freeavatar.live.session import LiveReport, LiveSession, SenderReport
from freeavatar.motion.profile import ActorProfile, write_profile
from freeavatar.pipeline import weights_digest

pytestmark = pytest.mark.usefixtures("stand_in_networks")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20.0)
        yield listening


@pytest.fixture
def video(make_video) -> str:
    return str(make_video("take.mp4", [np.full((64, 96, 3), 60 + i, np.uint8) for i in range(8)]))


def test_a_file_is_performed_to_a_receiver(video, listener, tmp_path, capsys):
    report = tmp_path / "live.json"
    port = listener.getsockname()[1]
    code = main(["live", "--video", video, "--send", f"vmc:{port}", "--report", str(report)])
    out, err = capsys.readouterr()
    assert code == 0
    assert listener.recv(65535).startswith(b"#bundle\0")
    assert "take.mp4: 8 pictures in" in out
    assert f"vmc 127.0.0.1:{port} (vrm0)" in err
    numbers = json.loads(report.read_text())
    assert numbers["pictures"] == numbers["shown"] + numbers["dropped"] == 8
    assert numbers["senders"][0]["latency_median_ms"] > 0


def test_the_users_own_names_are_sent(video, listener, tmp_path, capsys):
    mapping = tmp_path / "mine.toml"
    mapping.write_text('[map]\nGrin = "mouthSmileLeft"\n')
    port = listener.getsockname()[1]
    words = ["live", "--video", video, "--send", f"vmc:{port}", "--mapping", str(mapping)]
    assert main(words) == 0
    packet = listener.recv(65535)
    assert b"Grin" in packet
    assert b"Joy" not in packet


def test_side_profile_and_tuning_reach_the_performer(video, listener, tmp_path, monkeypatch):
    profile, tuning = tmp_path / "actor.json", tmp_path / "tune.toml"
    tuning.write_text('mute = ["jawOpen"]\n')
    known = ActorProfile(
        "session.mp4", weights_digest(), 1.0, np.ones(16, np.float32), np.zeros(3), np.ones(52)
    )
    write_profile(profile, known)
    made: list[PerformerConfig] = []
    monkeypatch.setattr(
        command,
        "Performer",
        lambda models, avatar, config: made.append(config) or Performer(models, avatar, config),
    )
    words = ["live", "--video", video, "--send", f"vmc:{listener.getsockname()[1]}"]
    words += ["--swap-sides", "--profile", str(profile), "--controls", str(tuning)]
    assert main(words) == 0
    (config,) = made
    assert config.swap_sides
    assert config.profile is not None
    assert config.profile.source == "session.mp4"
    assert config.tuning is not None
    assert config.tuning.mute == {"jawOpen"}


def test_files_that_cannot_be_used_are_told_before_anything_starts(video, tmp_path, capsys):
    (tmp_path / "tune.toml").write_text('mute = ["jawOpne"]\n')
    (tmp_path / "actor.json").write_text("{}")
    words = ["live", "--video", video, "--send", "vmc"]
    assert main([*words, "--controls", str(tmp_path / "tune.toml")]) == 1
    assert "'jawOpne', which is not a control" in capsys.readouterr().err
    assert main([*words, "--profile", str(tmp_path / "actor.json")]) == 1
    assert "not an actor's profile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Say where to send with --send"),
        (["--send", "vcm"], "Did you mean vmc?"),
        (["--send", "vmc", "--video", "a.mp4", "--url", "rtsp://a/b"], "Choose one"),
        (["--send", "vmc", "--url", "file:///etc/passwd"], "is not a stream"),
        (["--send", "vmc", "--loop"], "--loop repeats a file"),
        (["--send", "vmc", "--actor", "all"], "--actor all is for files"),
        (["--send", "vmc", "--profile", "a.json", "--neutral", "off"], "Leave one of them out"),
    ],
)
def test_mistakes_are_told_in_one_sentence(words, sentence, capsys):
    assert main(["live", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


def test_a_missing_video_or_camera_is_told(capfd):
    assert main(["live", "--send", "vmc", "--video", "none.mp4"]) == 1
    assert "none.mp4" in capfd.readouterr().err
    assert main(["live", "--send", "vmc", "--camera", "97"]) == 1
    said = capfd.readouterr().err
    assert said.startswith("freeavatar: There is no camera 97")
    # Nothing of OpenCV's own.
    assert said.count("\n") == 1


def test_ctrl_c_is_how_a_performance_ends(video, listener, capsys, monkeypatch):
    def interrupted(self, on_status=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.LiveSession, "run", interrupted)
    code = main(["live", "--video", video, "--send", f"vmc:{listener.getsockname()[1]}"])
    assert code == 0
    assert "take.mp4: 0 pictures" in capsys.readouterr().out


REPORT = LiveReport(
    *("cam", "arkit", 10.0, 300, 290, 280, 10, 29.0, 12.0, 20.0),
    (SenderReport("vmc", 289, 578, 1, 0, 57.8, 14.2, 22.4),),
)


class Watched(LiveSession):
    """A session that shows its status a few times."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self, on_status=None):
        for _ in range(3):
            on_status(REPORT)
        return REPORT

    def calibrate(self) -> None:
        self.calls.append("calibrate")

    def stop(self) -> None:
        self.calls.append("stop")


def test_keys_calibrate_and_stop(monkeypatch):
    typed = iter(["", "c", "xQ"])

    @contextlib.contextmanager
    def keyboard():
        yield lambda: next(typed)

    monkeypatch.setattr(command, "typed_keys", keyboard)
    screen, session = Screen(), Watched()
    monkeypatch.setattr(type(screen._console), "is_terminal", property(lambda self: True))
    assert screen.run(session) is REPORT
    assert session.calls == ["calibrate", "stop"]


def test_latency_and_drops_are_shown():
    line = status_line(REPORT)
    assert "29.0 frames/s" in line
    assert "latency 14 ms, 95 % 22 ms" in line
    assert "10 of 300 dropped" in line
    assert "latency 14.2 ms (95 %: 22.4), 1 dropped" in summary(REPORT)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_single_keys_are_read_from_a_terminal(monkeypatch):
    import pty
    import termios

    outside, inside = pty.openpty()
    with os.fdopen(inside) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(inside)
        with typed_keys() as typed:
            assert typed() == ""
            # No Enter.
            os.write(outside, b"c")
            seen = ""
            while not seen:
                seen = typed()
            assert seen == "c"
        assert termios.tcgetattr(inside) == before
    os.close(outside)
