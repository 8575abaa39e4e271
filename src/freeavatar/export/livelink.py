"""Live Link Face CSV: 61 curves with the columns, time codes and signs of Apple's recordings.

Timecode is HH:MM:SS:FF.mmm with sixty frames to the second. The file turns the other way round
than our space does (measured on the eyes of four real recordings, where looking in gives a left
eye positive yaw): yaw > 0 to the character's right, pitch > 0 down, roll > 0 towards its left
shoulder. See docs/formats.md.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.rig import ARKIT, ARKIT_NAMES

FRAMES_PER_SECOND = 60
"""Of the time code, whatever the rate of the recording: at 30 frames a second it steps by 2."""
DAY_S = 24 * 3600.0
GAZE_YAW_RAD = np.radians(28.0)
GAZE_PITCH_RAD = np.radians(22.0)
"""Turn of an eyeball at eyeLook* = 1 (docs/conventions.md)."""


def _file_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """ARKit names as the file has them: capitalised, jaw and mouth with Right before Left."""
    swapped = {"jawLeft": "jawRight", "mouthLeft": "mouthRight"}
    swapped |= {right: left for left, right in swapped.items()}
    ordered = (swapped.get(name, name) for name in names)
    return tuple(name[0].upper() + name[1:] for name in ordered)


SHAPE_COLUMNS = _file_order(ARKIT_NAMES)
HEAD_COLUMNS = ("HeadYaw", "HeadPitch", "HeadRoll")
EYE_COLUMNS = (
    *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
    *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
CURVES = (*SHAPE_COLUMNS, *HEAD_COLUMNS, *EYE_COLUMNS)
HEADER = ("Timecode", "BlendShapeCount", *CURVES)
FILE_FROM_HEAD = np.array([-1.0, 1.0, -1.0])
"""Signs of yaw, pitch and roll in the file, relative to AnimationClip.head_rad."""


def write_livelink(path: Path, clip: AnimationClip) -> None:
    """Write an ARKit clip. Where no face was seen BlendShapeCount is 0, as in Apple's files, but
    the bridged values follow all the same."""
    if clip.rig.names != ARKIT.names:
        raise ValueError(f"Live Link Face needs the ARKit rig, this clip has {clip.rig.name!r}")
    shapes = clip.values[:, [ARKIT.index(name[0].lower() + name[1:]) for name in SHAPE_COLUMNS]]
    # Adding zero turns -0.0 into 0.0, which would be written with its sign.
    curves = np.hstack([shapes, clip.head_rad * FILE_FROM_HEAD, eye_angles(clip)]) + 0.0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for time_s, found, row in zip(clip.times_s, clip.found, curves, strict=True):
            count = len(CURVES) if found else 0
            writer.writerow([timecode(float(time_s)), count, *(f"{value:.10f}" for value in row)])


def read_livelink(path: Path, start_at_zero: bool = True) -> AnimationClip:
    """A Live Link Face recording as an ARKit clip; columns are found by name.

    Rows of two columns or with a BlendShapeCount of 0 are frames without a face. Time starts
    at 0 with the first row, or at midnight with `start_at_zero=False`.
    """
    rows = _rows(path)
    columns = _columns(path, rows[0] if rows else [])
    times = np.array([_seconds(path, line, row[0]) for line, row in enumerate(rows[1:], 2)])
    if len(times) == 0:
        raise CurveFileError(f"{path} has a header but no frames. Record the take again.")
    # Each jump back by more than half a day is a midnight; other jumps back are errors.
    times = times + DAY_S * np.cumsum(np.concatenate([[0.0], np.diff(times) < -DAY_S / 2]))
    if (np.diff(times) <= 0).any():
        line = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 3
        raise CurveFileError(
            f"{path}: the time code in line {line} is not later than the one before it. "
            "Sort the rows by time or export the take again."
        )
    curves = np.zeros((len(times), len(CURVES)))
    found = np.zeros(len(times), bool)
    for frame, row in enumerate(rows[1:]):
        if len(row) > 2:
            curves[frame] = _numbers(path, frame + 2, row, columns)
            found[frame] = row[1].strip() not in ("0", "")
    by_name = {name.lower(): curve for name, curve in zip(CURVES, curves.T, strict=True)}
    values = np.stack([by_name[name.lower()] for name in ARKIT_NAMES], axis=1)
    head = np.stack([by_name[name.lower()] for name in HEAD_COLUMNS], axis=1)
    if start_at_zero:
        times = times - times[0]
    return AnimationClip(ARKIT, times, ARKIT.clamp(values), found, head * FILE_FROM_HEAD + 0.0)


def timecode(time_s: float) -> str:
    """HH:MM:SS:FF.mmm; after 24 hours it starts again."""
    thousandths = round(time_s * FRAMES_PER_SECOND * 1000)
    frames, thousandth = divmod(thousandths, 1000)
    seconds, frame = divmod(frames, FRAMES_PER_SECOND)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minute:02d}:{second:02d}:{frame:02d}.{thousandth:03d}"


def eye_angles(clip: AnimationClip) -> Float[np.ndarray, "frame 6"]:
    """Yaw, pitch and roll of the left and of the right eye, radians in the file's signs, from the
    gaze of an ARKit clip."""

    def look(direction: str, side: str) -> Float[np.ndarray, " frame"]:
        return clip.values[:, ARKIT.index(f"eyeLook{direction}{side}")]

    none = np.zeros(len(clip))
    left_yaw = GAZE_YAW_RAD * (look("In", "Left") - look("Out", "Left"))
    right_yaw = GAZE_YAW_RAD * (look("Out", "Right") - look("In", "Right"))
    left_pitch = GAZE_PITCH_RAD * (look("Down", "Left") - look("Up", "Left"))
    right_pitch = GAZE_PITCH_RAD * (look("Down", "Right") - look("Up", "Right"))
    return np.stack([left_yaw, left_pitch, none, right_yaw, right_pitch, none], axis=1)


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except OSError as error:
        reason = error.strerror or error
        raise CurveFileError(f"{path} cannot be read: {reason}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CurveFileError(
            f"{path} is not a text file of comma-separated values. "
            "Use the CSV that Live Link Face saved with the take."
        ) from error


def _columns(path: Path, header: list[str]) -> list[int]:
    """Where each of CURVES stands in a row of this file."""
    position = {name.strip().lower(): column for column, name in enumerate(header)}
    if len(position) != len(header):
        raise CurveFileError(f"{path} names a column twice. Export the take again.")
    missing = [name for name in HEADER if name.lower() not in position]
    if missing or header[0].strip().lower() != "timecode":
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        lacks = f"it lacks {len(missing)} of {len(HEADER)} columns ({named})"
        raise CurveFileError(
            f"{path} is not a Live Link Face recording: "
            f"{lacks if missing else 'Timecode is not its first column'}. "
            "Use the CSV that the app saved, with its header."
        )
    return [position[name.lower()] for name in CURVES]


def _seconds(path: Path, line: int, text: str) -> float:
    """Seconds since midnight."""
    parts = text.strip().split(":")
    try:
        hours, minutes, seconds = (int(part) for part in parts[:3])
        frames = float(parts[3])
        valid = len(parts) == 4 and 0 <= frames < FRAMES_PER_SECOND
    except (ValueError, IndexError):
        valid = False
    if not valid:
        raise CurveFileError(
            f"{path}: line {line} has the time code {text!r}. "
            "Expected HH:MM:SS:FF.mmm with sixty frames to the second."
        )
    return hours * 3600.0 + minutes * 60.0 + seconds + frames / FRAMES_PER_SECOND


def _numbers(
    path: Path, line: int, row: list[str], columns: list[int]
) -> Float[np.ndarray, " curve"]:
    if len(row) <= max(columns):
        raise CurveFileError(
            f"{path}: line {line} has {len(row)} columns, the header has more. "
            "The file may be cut; export the take again."
        )
    try:
        numbers = np.array([float(row[column]) for column in columns])
        valid: Bool[np.ndarray, " curve"] = np.isfinite(numbers)
    except ValueError:
        valid = np.zeros(1, bool)
    if not valid.all():
        raise CurveFileError(
            f"{path}: line {line} holds something that is not a number. Export the take again."
        )
    return numbers
