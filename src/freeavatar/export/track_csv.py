"""track.csv: what capture knows of every frame, whatever the avatar."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip

COLUMNS = (
    *("time_s", "found", "confidence", "shot"),
    *("head_yaw_deg", "head_pitch_deg", "head_roll_deg"),
)


def write_track(path: Path, clip: AnimationClip) -> None:
    """Head rotation as in AnimationClip, in degrees; bridged where found is 0."""
    degrees = np.degrees(clip.head_rad) + 0.0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        rows = zip(clip.times_s, clip.found, clip.confidence, clip.shot, degrees, strict=True)
        for time_s, found, confidence, shot, head in rows:
            head_columns = (f"{angle:.4f}" for angle in head)
            writer.writerow(
                [f"{time_s:.6f}", int(found), f"{confidence:.4f}", int(shot), *head_columns]
            )
