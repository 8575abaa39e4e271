"""Any file of curves -> AnimationClip: Live Link Face or controls CSV, JSON, NPZ, animated GLB."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.export.controls_csv import read_controls
from freeavatar.export.json_curves import read_json
from freeavatar.export.livelink import read_livelink
from freeavatar.export.npz import read_curves
from freeavatar.rig import ARKIT, Control, RigSpec, mirror_name, region_of

SUFFIXES = (".csv", ".npz", ".json", ".glb", ".gltf", ".vrm")


def read_clip(path: Path) -> AnimationClip:
    """The clip in a file, on the rig that the file is for; CurveFileError tells what is wrong."""
    if not path.is_file():
        raise CurveFileError(f"There is no file {path}. Check its name and folder.")
    try:
        clip = _read(path)
    except ValueError as error:
        raise CurveFileError(
            f"{path} contradicts itself ({error}). Export it again from where it came from."
        ) from error
    if len(clip) == 0:
        raise CurveFileError(f"{path} holds no frames. It may be cut; export the take again.")
    if not all(np.isfinite(some).all() for some in (clip.values, clip.times_s, clip.head_rad)):
        raise CurveFileError(f"{path} holds something that is not a number. Export it again.")
    return clip


def _read(path: Path) -> AnimationClip:
    """By the file's suffix."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_curves(path)
    if suffix == ".json":
        return read_json(path)
    if suffix in (".glb", ".gltf", ".vrm"):
        from freeavatar.export.glb_import import read_glb_animation

        return read_glb_animation(path)
    if suffix == ".csv":
        return _read_csv(path)
    raise CurveFileError(
        f"{path} is not a file of curves that can be read. Use one of: {', '.join(SUFFIXES)}. "
        "For a video or picture there is: freeavatar animate"
    )


def _read_csv(path: Path) -> AnimationClip:
    """Ours start with time_s; everything else must be a Live Link Face recording."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        header = []
    if header[:2] != ["time_s", "found"]:
        return read_livelink(path)
    names = header[2:]
    if set(names) == set(ARKIT.names):
        return read_controls(path, ARKIT)
    if len(set(names)) != len(names) or not all(names):
        raise CurveFileError(f"{path} has columns without a name or twice. Export it again.")
    controls = tuple(Control(name, region_of(name), mirror_name(name)) for name in names)
    return read_controls(path, RigSpec(path.name.removesuffix(".controls.csv"), controls))
