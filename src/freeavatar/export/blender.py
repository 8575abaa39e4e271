"""<avatar>.fbx and <avatar>.abc: the animated GLB, converted by a Blender of its own process.

FBX and Alembic have no free writer for Python that is worth using; Blender has both. It is either
the `bpy` package of the extra [blender] or a Blender program, and never runs inside ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import FreeAvatarError, OutputError
from freeavatar.export import blender_convert
from freeavatar.export.glb import write_glb

LIMIT_S = 900
"""An hour of capture takes Blender minutes; longer means that it hangs."""


class NoBlender(FreeAvatarError):
    """FBX or Alembic is asked for, but no Blender is there."""

    def __init__(self) -> None:
        super().__init__(
            "FBX and Alembic are written by Blender, and none was found. "
            "Install Blender 4.2 or newer so that `blender` is on the PATH, set BLENDER to its "
            'program or to a Python that has bpy, or: pip install "freeavatar[blender]"'
        )


def find_blender() -> list[str]:
    """The command that runs a script with `bpy`, before the script's own name; NoBlender."""
    named = os.environ.get("BLENDER", "")
    program = shutil.which(named) if named else None
    if named and program is None:
        raise OutputError(f"BLENDER names {named!r}, which is not a program. Correct or unset it.")
    if program is None and find_spec("bpy") is not None:
        return [sys.executable]
    program = program or shutil.which("blender")
    if program is None:
        raise NoBlender()
    if "python" in Path(program).name.lower():
        return [program]
    return [program, "--background", "--factory-startup", "--python-exit-code", "3", "--python"]


def check_blender() -> None:
    """NoBlender when there is none; costs nothing where there is."""
    find_blender()


def write_with_blender(path: Path, avatar: Avatar, clip: AnimationClip) -> None:
    """Convert the GLB of a performance to the format of the path's suffix (.fbx, .abc).

    Blender samples curves at whole frames of the take's own rate.
    """
    command = find_blender()
    with tempfile.TemporaryDirectory(prefix="freeavatar-") as folder:
        glb = Path(folder) / f"{avatar.name}.glb"
        write_glb(glb, avatar, clip, unpack=True)
        script = blender_convert.__file__
        end = ["--"] if command[1:] else []
        rate = f"{clip.frame_rate_hz:.6f}"
        arguments = [*command, script, *end, str(glb), str(path.absolute()), rate]
        try:
            done = subprocess.run(
                arguments, capture_output=True, text=True, errors="replace", timeout=LIMIT_S
            )
        except subprocess.TimeoutExpired as error:
            raise OutputError(
                f"Blender did not finish {path} in {LIMIT_S // 60} minutes. Try a shorter take."
            ) from error
    if done.returncode != 0 or not path.exists():
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        last = said[-1].strip() if said else f"it ended with code {done.returncode}"
        raise OutputError(f"Blender could not write {path}: {last}. Try the format glb or usdz.")
