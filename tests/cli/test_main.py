"""The front door: help, version, mistakes in one sentence, exit codes, and stopping."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import freeavatar
from freeavatar.cli import main as front
from freeavatar.errors import MediaError

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(freeavatar.__file__).parent.parent)}


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = front.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in front.COMMANDS:
        assert f"\n  {name}" in out


def test_no_arguments_give_the_help(capsys):
    assert run(capsys) == run(capsys, "--help")


def test_version_is_the_packages(capsys):
    assert run(capsys, "--version") == (0, f"freeavatar {freeavatar.__version__}\n", "")


def test_a_mistyped_command_suggests_the_nearest(capsys):
    code, out, err = run(capsys, "animat")
    assert (code, out) == (2, "")
    assert "Did you mean animate?" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("animate", "a.mp4", "--bogus"),
        ("animate", "a.mp4", "--smoothing.strength", "much"),
        ("animate", "a.mp4", "--out"),
        ("avatars", "paint"),
        ("avatars", "show"),
        ("embed", "a.jpg"),
        ("formats", "extra"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_code_two(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("freeavatar: ")
    assert err.count("\n") == 1
    assert f"freeavatar {arguments[0]}" in err
    assert "--help" in err
    assert "│" not in err


@pytest.mark.parametrize("name", front.COMMANDS)
def test_every_command_has_help_with_an_explanation_of_each_option(capsys, name):
    with pytest.raises(SystemExit) as stop:
        front.main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: freeavatar {name}" in capsys.readouterr().out


def test_an_error_of_the_users_is_one_line_without_traceback(capsys, monkeypatch):
    def fail(arguments):
        raise MediaError("The film is torn. Tape it.")

    monkeypatch.setattr(front, "_run", fail)
    assert run(capsys, "animate") == (1, "", "freeavatar: The film is torn. Tape it.\n")


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch):
    def fail(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(front, "_run", fail)
    with pytest.raises(ZeroDivisionError):
        front.main(["animate"])


def test_a_missing_system_library_is_named(capsys, monkeypatch):
    def fail(arguments):
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(front, "_run", fail)
    code, _, err = run(capsys, "animate")
    assert code == 1
    assert "libGL.so.1" in err
    assert "apt-get install" in err


def test_signal_handlers_are_as_before_afterwards(capsys):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(capsys, "--version")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_gives_130_and_a_second_one_does_not_disturb_the_cleaning_up(tmp_path, number):
    cleaned = tmp_path / "cleaned"
    code = f"""
import sys, time
from pathlib import Path
from freeavatar.cli import main as front
def work(arguments):
    try:
        print("working", flush=True)
        time.sleep(30)
    finally:
        time.sleep(0.3)
        Path({str(cleaned)!r}).touch()
front._run = work
sys.exit(front.main(["animate"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert cleaned.exists()
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_a_reader_that_leaves_early_is_no_error():
    code = (
        "import sys; from freeavatar.cli import main as front;"
        "front._run = lambda a: print('x' * 10_000_000) or 0;"
        "sys.exit(front.main(['formats']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=20) == 0
