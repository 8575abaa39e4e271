"""Files that appear whole or not at all: written beside their place, moved when finished."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from freeavatar.errors import OutputError


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise before any work is done when a file that would be written is there already."""
    existing = [path for path in paths if path.exists()]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputError(
            f"{existing[0]}{more} exist{'' if more else 's'} already. "
            "Replace with --overwrite, or choose another --out."
        )


@contextlib.contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """A folder to write into, on the same disk; its files join `final` when the block succeeds.

    An error or Ctrl-C leaves `final` as it was. Files that `final` has under the same names are
    replaced, others stay.
    """
    created = _missing_parents(final.parent)
    working: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        working.chmod(0o755)  # mkdtemp hides its folder from everybody else
        yield working
        _move_into(working, final)
        created = []
    except OSError as error:
        raise output_error(error, final) from error
    finally:
        if working is not None:
            shutil.rmtree(working, ignore_errors=True)
        for folder in created:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only those that are empty again


@contextlib.contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """The same for one file: write to the path given, it becomes `final` at the end."""
    with _reported(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(
            prefix=f".{final.stem}.", suffix=final.suffix, dir=final.parent
        )
        os.close(number)
        working = Path(name)
        try:
            yield working
            working.chmod(0o644)
            os.replace(working, final)
        finally:
            working.unlink(missing_ok=True)


def output_error(error: OSError, where: Path) -> OutputError:
    """What the operating system's refusal to write means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"The disk is full: {where} could not be written. "
            "Free some space, or choose an --out on another disk."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{where} cannot be written: no permission there. Choose another --out.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(
            f"{where} cannot be written: a file stands where a folder is needed. "
            "Choose another --out."
        )
    reason = error.strerror or str(error)
    return OutputError(f"{where} cannot be written: {reason}. Choose another --out.")


@contextlib.contextmanager
def _reported(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(error, where) from error


def _missing_parents(folder: Path) -> list[Path]:
    """Folders that do not exist yet, innermost first."""
    missing = []
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    return missing


def _move_into(working: Path, final: Path) -> None:
    if not final.exists():
        os.rename(working, final)
        return
    for path in sorted(working.iterdir()):
        os.replace(path, final / path.name)
