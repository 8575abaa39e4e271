"""<avatar>.curves.json: every curve of the performance by name, for scripts and web pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.rig import RigSpec

FORMAT = "freeavatar curves"
VERSION = 1


def write_json(path: Path, clip: AnimationClip) -> None:
    """One object; `curves` has a list per control, as long as `time_s`. Six decimals."""
    columns = zip(clip.rig.names, clip.values.T, strict=True)
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "rig": clip.rig.to_json(),
        "time_s": _numbers(clip.times_s),
        "found": [bool(found) for found in clip.found],
        "confidence": _numbers(clip.confidence),
        "head_rad": {
            axis: _numbers(angles)
            for axis, angles in zip(("yaw", "pitch", "roll"), clip.head_rad.T, strict=True)
        },
        "curves": {name: _numbers(values) for name, values in columns},
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


def read_json(path: Path) -> AnimationClip:
    """The clip that `write_json` wrote; CurveFileError when the file is something else."""
    try:
        document = json.loads(path.read_text("utf-8-sig"))
        if document["format"] != FORMAT:
            raise CurveFileError(f"{path} says it is {document['format']!r}, not {FORMAT!r}.")
        rig = RigSpec.from_json(document["rig"])
        head = [document["head_rad"][axis] for axis in ("yaw", "pitch", "roll")]
        values = np.array([document["curves"][name] for name in rig.names], np.float32)
        times_s = np.array(document["time_s"], np.float64)
        return AnimationClip(
            rig,
            times_s,
            rig.clamp(values.T.reshape(len(times_s), len(rig))),
            np.array(document["found"], bool),
            np.array(head, np.float64).T.reshape(len(times_s), 3),
            np.array(document.get("confidence", []), np.float64),
        )
    except OSError as error:
        reason = error.strerror or error
        raise CurveFileError(f"{path} cannot be read: {reason}. Check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CurveFileError(
            f"{path} is not a curves file of freeavatar ({error}). Export it again."
        ) from error


def _numbers(values: np.ndarray) -> list[float]:
    # Adding zero turns -0.0 into 0.0.
    return [round(float(value), 6) + 0.0 for value in values]
