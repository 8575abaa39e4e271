"""Checks every shape annotation of the package while the tests run, and keeps numba and BLAS calm."""

from __future__ import annotations

import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # two test processes share two cores

from jaxtyping import install_import_hook

SOURCE = Path(__file__).resolve().parent.parent / "src"


def _checked_modules() -> list[str]:
    """Every module of the package except those that numba compiles: it cannot see through checks."""
    modules = []
    for path in sorted((SOURCE / "freeavatar").rglob("*.py")):
        if path.name != "__init__.py" and "import numba" not in (text := path.read_text("utf-8")):
            if "from numba" not in text:
                modules.append(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    return modules


install_import_hook(_checked_modules(), "beartype.beartype")
