"""docs/command-line.md keeps up with the program: same commands, same options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from freeavatar.cli import main as front

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"


def options(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z.-]*[a-z]", text))


def page(command: str) -> str:
    text = MANUAL.read_text("utf-8")
    found = re.search(rf"^## freeavatar {command}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"docs/command-line.md has no part on {command}. Run: make manual"
    return found.group(1)


@pytest.mark.parametrize(
    "command",
    [
        *front.COMMANDS,
        *(f"avatars {action}" for action in ("list", "show", "add", "remove")),
        *(f"data {action}" for action in ("faces", "renders")),
        *(f"evaluate {action}" for action in ("expression", "triplets")),
        *(f"train {action}" for action in ("faces", "expression")),
    ],
)
def test_the_manual_has_every_option_of_every_command(capsys, command):
    with pytest.raises(SystemExit):
        front.main([*command.split(), "--help"])
    said = options(capsys.readouterr().out)
    written = options(page(command))
    assert said == written, "Run: make manual"
