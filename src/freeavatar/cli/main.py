"""The `freeavatar` command: picks a subcommand, turns errors into one line and an exit code.

Exit codes: 0 done, 1 something failed (the rest was done), 2 wrong command line, 130 Ctrl-C.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from freeavatar import __version__
from freeavatar.errors import FreeAvatarError, UsageError

COMMANDS = {
    "animate": "animate avatars with the faces in videos or pictures",
    "avatars": "list, show, add and remove avatars",
    "calibrate": "learn an actor's neutral face and reach, for the actor's other takes",
    "data": "make training sets: real faces, renders of avatars",
    "embed": "describe expressions as vectors: pictures, videos or face crops -> .npz",
    "evaluate": "measure how good results and networks are",
    "formats": "list every file that `animate` and `retarget` can write",
    "live": "drive an avatar in other programs with your face, now",
    "retarget": "drive avatars with curves: Live Link Face CSV, animated GLB, our own files",
    "train": "train the networks (needs the extra [train])",
}
"""Each is a module of this package with a `Command`, loaded only when asked for."""

REPEAT_S = 2.0
"""Signals this soon after the first are the same wish to stop; removing unfinished files takes
milliseconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _stopping_once(), _warnings_shown():
            return _run(given)
    except FreeAvatarError as error:
        print(f"freeavatar: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("freeavatar: stopped. What was finished is kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has left: no error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        print(f"freeavatar: {_missing_library(error)}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    name, *rest = arguments
    if name in ("-V", "--version"):
        print(f"freeavatar {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(COMMANDS)}."
        raise UsageError(f"There is no command {name!r}. {hint} See: freeavatar --help")
    module = importlib.import_module(f"freeavatar.cli.{name}")
    from freeavatar.cli.usage import parse

    return int(parse(module.Command, name, rest).run())


def _help() -> str:
    lines = [f"  {name:<9} {does}" for name, does in COMMANDS.items()]
    return "\n".join(
        [
            "freeavatar turns a video of any face into animation curves for any 3D avatar.",
            "",
            "usage: freeavatar COMMAND ...",
            "",
            *lines,
            "",
            "  freeavatar COMMAND --help   everything a command can do",
            "  freeavatar --version        the version",
        ]
    )


@contextlib.contextmanager
def _stopping_once() -> Iterator[None]:
    """Ctrl-C or a polite kill stops the work; impatient repeats do not disturb the cleaning up."""
    stopped_s = float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped_s
        if time.monotonic() - stopped_s > REPEAT_S:
            stopped_s = time.monotonic()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _NotSaidYet(logging.Filter):
    """A video is read twice, for the face and for the preview; its damage is told once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        new = message not in self._said
        self._said.add(message)
        return new


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """Warnings of the library, one line each on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("freeavatar: %(message)s"))
    handler.addFilter(_NotSaidYet())
    library = logging.getLogger("freeavatar")
    library.addHandler(handler)
    try:
        yield
    finally:
        library.removeHandler(handler)


def _missing_library(error: ImportError) -> str:
    """Which package or system library is missing, and what brings it."""
    if isinstance(error, ModuleNotFoundError):
        return (
            f"The Python package {error.name!r} is missing. "
            "Install freeavatar again: pip install --force-reinstall freeavatar"
        )
    return (
        f"A system library cannot be loaded ({error}). On Debian and Ubuntu, "
        "`apt-get install libgl1 libglib2.0-0 libgomp1` brings what minimal images leave out."
    )


if __name__ == "__main__":
    sys.exit(main())
