"""Turns every shape annotation of the package into a check while the tests run."""

from __future__ import annotations

import re
from pathlib import Path

from jaxtyping import install_import_hook

SOURCE = Path(__file__).resolve().parent.parent / "src"


def checked_modules() -> list[str]:
    """Every module except those that numba compiles, for it cannot see through the checks."""
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sorted((SOURCE / "freeavatar").rglob("*.py"))
        if path.name != "__init__.py"
        and not re.search(r"^(import|from) numba", path.read_text("utf-8"), re.MULTILINE)
    ]


install_import_hook(checked_modules(), "beartype.beartype")
