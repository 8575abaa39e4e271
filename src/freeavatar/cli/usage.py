"""Reads a command line into a dataclass with tyro; a mistake in it becomes one plain sentence."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any

import tyro

from freeavatar.errors import UsageError


def parse(command_type: Any, name: str, arguments: Sequence[str]) -> Any:
    """An instance of the command's dataclass; `--help` prints and exits as usual."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                command_type,
                prog=f"freeavatar {name}",
                args=list(arguments),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as stop:
        if stop.code in (None, 0):
            raise
        raise UsageError(
            f"{one_sentence(complaint.getvalue())} See: freeavatar {name} --help"
        ) from None


def one_sentence(boxed: str) -> str:
    """First paragraph inside the box that tyro draws around its messages, as one line."""
    words: list[str] = []
    for line in boxed.splitlines():
        if line.startswith(("╭", "╰")):
            continue
        if re.search("─{3,}", line):
            break
        words += line.strip("│ ").split()
    sentence = " ".join(words).replace(" (required)", "")
    return sentence if sentence.endswith(".") else f"{sentence}."
