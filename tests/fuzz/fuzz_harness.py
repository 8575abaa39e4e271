"""Damages files reproducibly, lets a worker process open them, and says what must not happen."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import freeavatar

WORKER = Path(__file__).with_name("worker.py")
LONGEST_S = 30.0
Damage = Callable[[bytearray, np.random.Generator], None]


def damaged(data: bytes, seed: int) -> bytes:
    """The file cut off, or with a few of its bytes changed, moved, repeated or missing."""
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    # Mostly one fault: files that are broken in many places are refused at the first.
    for _ in range(1 if rng.random() < 0.7 else 3):
        DAMAGES[int(rng.integers(len(DAMAGES)))](changed, rng)
    return bytes(changed)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """A quarter of the time near the start, where headers are."""
    reach = min(len(data), 400) if rng.random() < 0.25 else len(data)
    return int(rng.integers(reach)) if reach else 0


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data) + 1)) :]


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 4)) if data else 0):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def _extreme(data: bytearray, rng: np.random.Generator) -> None:
    """Four bytes that are a huge, a negative or no number."""
    at = _place(data, rng)
    words = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\x00\x00\xc0\x7f")
    data[at : at + 4] = words[int(rng.integers(len(words)))]


def _noise(data: bytearray, rng: np.random.Generator) -> None:
    at, num = _place(data, rng), int(rng.integers(1, 64))
    data[at : at + num] = rng.bytes(num)


def _remove(data: bytearray, rng: np.random.Generator) -> None:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, 64))]


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + int(rng.integers(1, 200))]


def _digit(data: bytearray, rng: np.random.Generator) -> None:
    """Another digit, sign or letter where a number stands: counts and offsets in text."""
    digits = [i for i in range(min(len(data), 20_000)) if 48 <= data[i] <= 57]
    for _ in range(3 if digits else 0):
        data[digits[int(rng.integers(len(digits)))]] = b"0123456789-.,eE:xN"[int(rng.integers(18))]


DAMAGES: tuple[Damage, ...] = (_cut, _flip, _flip, _extreme, _noise, _remove, _repeat, _digit)


@dataclass(frozen=True)
class Answer:
    """How one command ended."""

    code: int
    err: str
    crash: str
    """A traceback, or what became of the process; empty when all is well."""


class Worker:
    """Gives command lines to a process, and starts another one when it dies or hangs.

    Its working directory, home and folder for temporary files are empty ones in `folder`: what is
    left in them is found by whoever watches that folder.
    """

    def __init__(self, folder: Path, *, real_networks: bool = False) -> None:
        self._watched = {name: folder / name for name in ("cwd", "home", "tmp")}
        for path in self._watched.values():
            path.mkdir(exist_ok=True)
        self._command = [sys.executable, str(WORKER), *(["real"] if real_networks else [])]
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: list[str]) -> Answer:
        """One command, in the folder; a hang or a death is told as a crash."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], LONGEST_S)
        line = process.stdout.readline() if ready else ""
        if line:
            return Answer(**json.loads(line))
        process.kill()
        code = process.wait()
        self._process = None
        return Answer(-1, "", f"died with {code}" if ready else f"no end after {LONGEST_S:g} s")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        source = str(Path(freeavatar.__file__).parent.parent)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        environment |= {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
        environment |= {"HOME": str(self._watched["home"]), "TMPDIR": str(self._watched["tmp"])}
        self._process = subprocess.Popen(
            self._command,
            cwd=self._watched["cwd"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # Importing may take long on a busy machine; that is no hang of any file.
        first = self._process
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write('["--version"]\n')
        first.stdin.flush()
        assert first.stdout.readline()
        return first


def complaint(answer: Answer, new: set[Path], out: Path) -> str:
    """What is wrong with how a command ended that made these paths; empty when nothing is."""
    if answer.crash:
        return answer.crash
    if answer.code not in (0, 1, 2):
        return f"exit code {answer.code}: {answer.err}"
    if "Traceback" in answer.err:
        return answer.err
    outside = [path for path in new if out not in (path, *path.parents)]
    if outside:
        return f"files outside of the output folder: {outside}"
    hidden = [path for path in new if path.name.startswith(".")]
    if hidden:
        return f"half-written files: {hidden}"
    if answer.code and new:
        return f"failed with {answer.err!r} but left {sorted(new)}"
    if answer.code and not answer.err.startswith("freeavatar: "):
        return f"exit code {answer.code} without a message: {answer.err!r}"
    if answer.code == 0 and not any(path.is_file() for path in new):
        return "success without a file"
    return ""
