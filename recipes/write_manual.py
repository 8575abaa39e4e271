"""Writes docs/command-line.md from the help texts of the program itself: `make manual`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANUAL = ROOT / "docs" / "command-line.md"
COMMANDS = (
    (),
    ("animate",),
    ("avatars",),
    ("avatars", "list"),
    ("avatars", "show"),
    ("avatars", "add"),
    ("avatars", "remove"),
    ("calibrate",),
    ("data",),
    ("data", "faces"),
    ("data", "renders"),
    ("embed",),
    ("evaluate",),
    ("evaluate", "animator"),
    ("evaluate", "expression"),
    ("evaluate", "triplets"),
    ("formats",),
    ("live",),
    ("retarget",),
    ("train",),
    ("train", "faces"),
    ("train", "expression"),
    ("train", "avatar"),
)
INTRODUCTION = """# Command line

Written from the program's own help by `make manual`; do not edit.

Exit codes: 0 done; 1 something failed, and the rest was done; 2 wrong command line; 130 stopped
with Ctrl-C. Results go to stdout, everything else to stderr, progress only to a terminal.
"""


def help_text(command: tuple[str, ...]) -> str:
    """What `freeavatar COMMAND --help` prints on a terminal of 100 columns."""
    environment = os.environ | {
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT / "src"),
    }
    run = subprocess.run(
        [sys.executable, "-m", "freeavatar.cli.main", *command, "--help"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return "\n".join(line.rstrip() for line in run.stdout.splitlines())


def manual() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for command in COMMANDS:
        parts.append(f"## {' '.join(('freeavatar', *command))}\n")
        parts.append(f"```text\n{help_text(command)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    MANUAL.write_text(manual())
    print(f"wrote {MANUAL.relative_to(ROOT)}")
