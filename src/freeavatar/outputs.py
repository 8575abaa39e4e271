"""The folder of one input's results, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from freeavatar.errors import OutputError
from freeavatar.export.files import cannot_write


@contextlib.contextmanager
def finished_folder(final: Path) -> Iterator[Path]:
    """A hidden folder on the same disk to write into; its files join `final` when the block ends
    well. An error or Ctrl-C leaves `final`, and the folders above it, as they were.

    Files that `final` holds under the same names are replaced, others stay.
    """
    created = _missing_folders(final.parent)
    # Named before it exists: Ctrl-C between making and naming it would leave it behind.
    working = final.with_name(f".{final.name}.partial-{os.getpid()}")
    try:
        working.mkdir(parents=True)
        yield working
        _move_into(working, final)
    except OutputError as error:
        # People know the folder by its final name.
        raise OutputError(str(error).replace(str(working), str(final))) from error
    except OSError as error:
        raise cannot_write(final, error) from error
    finally:
        shutil.rmtree(working, ignore_errors=True)
        for folder in created:
            with contextlib.suppress(OSError):
                folder.rmdir()  # succeeds only where nothing was finished


def _missing_folders(folder: Path) -> list[Path]:
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
        if path.is_dir():
            _move_into(path, final / path.name)
        else:
            os.replace(path, final / path.name)
