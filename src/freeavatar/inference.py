"""Networks at run time: ONNX Runtime sessions and the weights that ship with the package."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnxruntime

from freeavatar.errors import WeightsError

WEIGHTS_FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class ShippedFile:
    """One line of `weights/manifest.json`."""

    path: Path
    sha256: str
    revision: str


@cache
def manifest() -> dict[str, ShippedFile]:
    """What ships with this version, by file name."""
    path = WEIGHTS_FOLDER / "manifest.json"
    if not path.is_file():
        return {}
    lines = json.loads(path.read_text())
    return {
        name: ShippedFile(WEIGHTS_FOLDER / name, line["sha256"], line["revision"])
        for name, line in lines.items()
    }


@cache
def shipped(name: str) -> Path:
    """Path of a shipped file after checking its bytes; WeightsError when missing or damaged."""
    if name not in manifest():
        raise WeightsError(
            f"This installation carries no weights called {name!r} "
            f"(it has: {', '.join(sorted(manifest())) or 'none'}). Reinstall freeavatar."
        )
    entry = manifest()[name]
    if not entry.path.is_file():
        raise WeightsError(f"The weights file {entry.path} is missing. Reinstall freeavatar.")
    found = hashlib.sha256(entry.path.read_bytes()).hexdigest()
    if found != entry.sha256:
        raise WeightsError(
            f"The weights file {entry.path} is damaged (sha256 {found[:12]}..., "
            f"expected {entry.sha256[:12]}...). Reinstall freeavatar."
        )
    return entry.path


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session. One thread by default: two collapse when another process takes a core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises unnamed C++ errors for damaged files
        raise WeightsError(f"{path} cannot be run by ONNX Runtime ({error}).") from error


@cache
def shared_session(path: Path) -> onnxruntime.InferenceSession:
    """One session of a file for all who ask; it may be run from several threads at once."""
    return open_session(path)
