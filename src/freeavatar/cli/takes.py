"""What `animate` and `retarget` share: formats, avatars, and a folder for each input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import AvatarError, OutputError, UsageError
from freeavatar.export.files import refuse_existing

Avatars = Annotated[
    tuple[str, ...],
    tyro.conf.UseAppendAction,
    tyro.conf.arg(metavar="NAME|FILE", help_behavior_hint="(default: three of the bundled)"),
]
FormatNames = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: those marked * there)"),
]


def format_names(given: Sequence[str]) -> tuple[str, ...]:
    """Separated by spaces or commas."""
    names = [name for some in given for name in some.split(",") if name]
    for name in names:
        if Path(name).suffix:
            raise UsageError(
                f"{name!r} stands where the name of a format is expected. "
                "Put the inputs before --formats. See: freeavatar formats"
            )
    return tuple(names)


def load_avatars(given: Sequence[str]) -> list[Avatar]:
    """Loaded; two of one name would write the same files."""
    avatars: dict[str, Avatar] = {}
    for name in given or catalog.DEFAULT:
        avatar = catalog.resolve(name)
        if avatar.name.lower() in ("preview", "presets"):
            raise AvatarError(
                f"An avatar called {avatar.name!r} would overwrite {avatar.name}.mp4 or .vrma. "
                f"Rename {avatar.source}."
            )
        clash = avatars.setdefault(avatar.name.lower(), avatar)
        if clash.source != avatar.source:
            raise AvatarError(
                f"Two avatars are called {avatar.name!r}: {clash.source} and {avatar.source}. "
                "Rename one of the files, or run them with different --out."
            )
    return list(avatars.values())


def plan_jobs(
    terminal: Terminal,
    sources: Iterable[Path],
    out: Path,
    planned: Callable[[Path], tuple[Path, ...]],
    overwrite: bool,
) -> list[tuple[Path, Path]]:
    """Inputs and their folders. Those that cannot be used are reported before any work."""
    jobs: dict[Path, Path] = {}
    for source in sources:
        folder = out / source.stem
        try:
            if folder in jobs:
                raise OutputError(
                    f"{source} and {jobs[folder]} would both be written to {folder}. "
                    "Rename one of them, or run them with different --out."
                )
            refuse_existing(planned(folder), overwrite)
        except OutputError as error:
            terminal.failed(error)
        else:
            jobs[folder] = source
    return [(source, folder) for folder, source in jobs.items()]
