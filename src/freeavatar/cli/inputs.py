"""What the inputs on a command line stand for: files, and folders in place of the media in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.capture.video import MEDIA_SUFFIXES
from freeavatar.errors import MediaError

Inputs = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="INPUT...", help_behavior_hint="(one or more)"),
]


def media_files(given: Path) -> list[Path]:
    """The file itself, or a folder's media files in name order. Hidden files do not count."""
    if given.is_dir():
        files = [path for path in sorted(given.iterdir()) if path.is_file()]
        media = [
            path
            for path in files
            if path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".")
        ]
        if not media:
            raise MediaError(
                f"No video or picture in the folder {given} ({len(files)} other files). "
                "Name a folder that holds them, or the files themselves."
            )
        return media
    if not given.exists():
        raise MediaError(f"There is no file {given}. {_suggestion(given)}")
    return [given]


def without_repeats(paths: Iterable[Path]) -> list[Path]:
    """Every file once, at its first place: `take.mp4 .` names take.mp4 twice."""
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.resolve(), path)
    return list(first.values())


def _suggestion(missing: Path) -> str:
    if not missing.parent.is_dir():
        return f"The folder {missing.parent} does not exist either; check the path."
    names = [path.name for path in missing.parent.iterdir()]
    near = difflib.get_close_matches(missing.name, names, n=1)
    return f"Did you mean {missing.parent / near[0]}?" if near else "Check its name and folder."
