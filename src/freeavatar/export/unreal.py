"""<avatar>.unreal.csv: a curve table for Unreal Engine, drawn from the avatar's own controls.

Layout of UCurveTable's CSV (Engine documentation, "Data Driven Gameplay Elements"): times across
the first row behind an empty cell, then one row per curve, its name first. Times must rise.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.export.livelink import FILE_FROM_HEAD, HEAD_COLUMNS


def write_curve_table(path: Path, clip: AnimationClip) -> None:
    """A row for every control, then HeadYaw, HeadPitch and HeadRoll in Live Link's signs
    (radians), which Unreal's face blueprints expect. Seconds and values with six decimals."""
    head = clip.head_rad * FILE_FROM_HEAD
    rows = zip(
        (*clip.rig.names, *HEAD_COLUMNS),
        np.hstack([clip.values.astype(np.float64), head]).T + 0.0,
        strict=True,
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *(f"{time_s:.6f}" for time_s in clip.times_s)])
        for name, values in rows:
            writer.writerow([name, *(f"{value:.6f}" for value in values)])
