"""The public surface: what it offers, what importing it costs, and that no PyTorch is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import freeavatar

HEAVY = ("torch", "numpy", "onnxruntime", "numba", "av", "cv2", "tyro", "rich")


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(freeavatar.__file__).parent.parent)},
    ).stdout


def test_every_public_name_can_be_fetched():
    for name in freeavatar.__all__:
        assert getattr(freeavatar, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(freeavatar, "no_such_name")


def test_importing_the_package_loads_nothing_heavy():
    loaded = run_python(
        f"import sys, freeavatar; print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_every_error_is_a_freeavatar_error():
    errors = [n for n in freeavatar.__all__ if n.endswith("Error") or n == "NoFaceFound"]
    assert len(errors) >= 9
    for name in errors:
        assert issubclass(getattr(freeavatar, name), freeavatar.FreeAvatarError)


def test_nothing_is_written_into_the_users_home(tmp_path: Path) -> None:
    """ONNX Runtime would keep a device number and events there."""
    code = "from freeavatar.pipeline import Models; Models.load()"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=os.environ | home, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
