"""Writing files so that nobody ever meets half of one: a hidden temporary file, then a rename."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from freeavatar.errors import OutputError


@contextmanager
def finished_file(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well and vanishes when it does not.

    The temporary file lies in the same folder, where a rename is atomic, and keeps the suffix,
    from which video and other writers guess the format.
    """
    refuse_existing([path], overwrite)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        # Somebody else may have written the file meanwhile.
        refuse_existing([path], overwrite)
        os.replace(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    except OutputError as error:
        # A writer that tells of its own failure knows only the temporary name.
        raise OutputError(str(error).replace(str(partial), str(path))) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def refuse_existing(paths: Iterable[Path], overwrite: bool = False) -> None:
    """OutputError when one of the files exists already and may not be replaced."""
    if overwrite:
        return
    existing = [path for path in paths if path.exists()]
    if not existing:
        return
    more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
    raise OutputError(
        f"{existing[0]} exists already{more}. "
        "Add --overwrite to replace it, or choose another --out."
    )


def check_writable(folder: Path) -> None:
    """OutputError when files cannot be made in a folder, found out before the work is done."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """One sentence for a failed write: what happened and what to try."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"The disk is full: {path} was not written. "
            "Free some space, choose another --out, or leave out videos with --formats."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"No permission to write {path}. Choose another folder with --out, "
            "or change the permissions of this one."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(
            f"{path} cannot be written, because part of its path is a file and not a folder. "
            "Choose another folder with --out."
        )
    reason = error.strerror or str(error) or type(error).__name__
    return OutputError(f"{path} was not written: {reason}. Choose another folder with --out.")
