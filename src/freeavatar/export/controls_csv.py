"""<avatar>.controls.csv: time_s, found, then one column for every control of the avatar's rig."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.rig import RigSpec


def write_controls(path: Path, clip: AnimationClip) -> None:
    """Seconds with microseconds, found as 0 or 1, controls with six decimals."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time_s", "found", *clip.rig.names])
        for time_s, found, row in zip(clip.times_s, clip.found, clip.values + 0.0, strict=True):
            writer.writerow([f"{time_s:.6f}", int(found), *(f"{value:.6f}" for value in row)])


def read_controls(path: Path, rig: RigSpec) -> AnimationClip:
    """Read a controls CSV for a rig; columns are found by name. The head is straight ahead."""
    try:
        rows = [row for row in csv.reader(io.StringIO(path.read_text("utf-8-sig"))) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise CurveFileError(f"{path} cannot be read as text. Check the path.") from error
    header = rows[0] if rows else []
    missing = [name for name in ("time_s", "found", *rig.names) if name not in header]
    if missing:
        raise CurveFileError(
            f"{path} lacks {len(missing)} columns of the rig {rig.name!r}, "
            f"first {missing[0]!r}. Use a file written for this avatar."
        )
    try:
        table = np.array([[float(cell) for cell in row] for row in rows[1:]])
        table = table.reshape(len(rows) - 1, len(header))
    except ValueError as error:
        raise CurveFileError(
            f"{path} has rows of unequal length or cells that are not numbers. Export it again."
        ) from error
    columns = [header.index(name) for name in rig.names]
    return AnimationClip(
        rig,
        table[:, header.index("time_s")],
        rig.clamp(table[:, columns]),
        table[:, header.index("found")] > 0.5,
        np.zeros((len(table), 3)),
    )
