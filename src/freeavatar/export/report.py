"""report.json: what happened to one input, for people and for scripts."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

import freeavatar
from freeavatar.animation import AnimationClip
from freeavatar.motion.bridge import LostInterval, lost_intervals

LIBRARIES = ("numpy", "onnxruntime", "av", "opencv-python-headless", "numba")
"""Whose versions can change a result."""


@dataclass(frozen=True)
class Report:
    """Facts about one animated input."""

    input: str
    frames: int
    found: int
    """Frames in which the actor's face was seen."""
    duration_s: float
    frame_rate_hz: float
    lost: tuple[LostInterval, ...]
    avatars: tuple[str, ...]
    stage_s: Mapping[str, float]
    """Seconds spent in every stage, in order."""
    versions: Mapping[str, str]
    weights_sha256: Mapping[str, str]
    warnings: tuple[str, ...] = field(default=())
    outputs: tuple[str, ...] = field(default=())
    """Files written, relative to the report."""


def describe(
    source: Path,
    clip: AnimationClip,
    avatars: Sequence[str] = (),
    stage_s: Mapping[str, float] | None = None,
    weights: Mapping[str, Path] | None = None,
    warnings: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Report:
    """The report of a finished clip; `weights` are hashed here."""
    # A frame lasts until the next one; the last one as long as the median.
    duration_s = 0.0
    if len(clip):
        duration_s = float(clip.times_s[-1] - clip.times_s[0]) + 1.0 / clip.frame_rate_hz
    return Report(
        input=source.name,
        frames=len(clip),
        found=int(clip.found.sum()),
        duration_s=round(duration_s, 3),
        frame_rate_hz=round(clip.frame_rate_hz, 3),
        lost=lost_intervals(clip),
        avatars=tuple(avatars),
        stage_s={stage: round(seconds, 3) for stage, seconds in (stage_s or {}).items()},
        versions=library_versions(),
        weights_sha256={name: sha256_of(path) for name, path in (weights or {}).items()},
        warnings=tuple(warnings),
        outputs=tuple(outputs),
    )


def write_report(path: Path, report: Report) -> None:
    """Indented JSON in UTF-8; field names are those of `Report`."""
    text = json.dumps(asdict(report), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")


def library_versions() -> dict[str, str]:
    """Versions of freeavatar, Python and of the libraries that can change a result."""
    versions = {"freeavatar": freeavatar.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed as a package"
    return versions


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
