"""Single keys typed while a command runs, without Enter; where there is no keyboard, none."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def typed_keys() -> Iterator[Callable[[], str]]:
    """The value returns what was typed since it was called last, and never waits."""
    if not sys.stdin or not sys.stdin.isatty():
        yield lambda: ""
        return
    if os.name == "nt":
        yield _windows_keys
        return
    import select
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def read() -> str:
        ready, _, _ = select.select([terminal], [], [], 0)
        return os.read(terminal, 64).decode("utf-8", "ignore") if ready else ""

    try:
        # Ctrl-C keeps working; only line editing and echo go.
        tty.setcbreak(terminal)
        yield read
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _windows_keys() -> str:
    import msvcrt

    typed = ""
    while msvcrt.kbhit():  # type: ignore[attr-defined, unused-ignore]
        typed += msvcrt.getwch()  # type: ignore[attr-defined, unused-ignore]
    return typed
