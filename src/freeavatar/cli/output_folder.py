"""The folder that --out names, checked before a command starts to work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from freeavatar.export.files import cannot_write


def check_output_folder(folder: Path) -> None:
    """OutputError when the folder is a file, lies under one, or may not be written.

    Nothing is made: a command that fails later leaves no empty folder behind.
    """
    try:
        nearest = next(path for path in _upwards(folder) if path.exists())
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not nearest.is_dir():
        raise cannot_write(folder, NotADirectoryError(errno.ENOTDIR, "not a folder"))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise cannot_write(folder, PermissionError(errno.EACCES, "no permission"))


def _upwards(folder: Path) -> tuple[Path, ...]:
    """The folder and all those that it lies in, up to the root."""
    whole = folder.absolute()
    return (whole, *whole.parents)
