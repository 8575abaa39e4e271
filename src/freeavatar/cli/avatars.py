"""`freeavatar avatars`: the characters that can be animated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.coverage import Coverage, profile_coverage
from freeavatar.avatars.gltf import load_avatar
from freeavatar.errors import AvatarError
from freeavatar.export.files import finished_file, refuse_existing
from freeavatar.rig import REGIONS

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True)
class List:
    """Every avatar that can be named."""

    def run(self) -> int:
        """One line per avatar."""
        failed = 0
        for entry in catalog.list_avatars():
            try:
                avatar = catalog.resolve(entry.path)
            except AvatarError as error:
                failed = 1
                print(f"{entry.name:<20} cannot be loaded: {error}")
                continue
            origin = "bundled" if entry.bundled else "yours"
            print(f"{entry.name:<20} {origin:<8} {_rig_line(avatar)}")
        return failed


@dataclass(frozen=True)
class Show:
    """What an avatar can do; with --sheet also a picture of its expressions."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")]
    """An avatar by name, or a GLB or VRM file."""
    sheet: Path | None = None
    """A picture file (.png or .jpg) for the contact sheet."""
    overwrite: bool = False
    """Replace the picture of an earlier run."""

    def run(self) -> int:
        """Print the facts, draw the sheet."""
        if self.sheet is not None:
            refuse_existing([self.sheet], self.overwrite)
        avatar = catalog.resolve(self.name)
        for line in _facts(avatar):
            print(line)
        if self.sheet is not None:
            from freeavatar.avatars.sheet import write_sheet

            with finished_file(self.sheet, self.overwrite) as path:
                write_sheet(path, avatar)
            print(f"contact sheet: {self.sheet}")
        return 0


@dataclass(frozen=True)
class Add:
    """Keep a copy of a GLB or VRM file, to use it by name; say what its rig can do, and draw it."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A GLB or VRM file with morph targets for the face."""
    name: str | None = None
    """Its name here; the file's own when left out."""
    sheet: Path | None = None
    """A picture file (.png or .jpg) for the sheet of all controls; NAME.sheet.png beside the copy
    when left out."""

    def run(self) -> int:
        """Check the file, copy it, tell and draw what was found."""
        from freeavatar.avatars.inspection import advice, describe, inspect
        from freeavatar.avatars.sheet import write_sheet

        if self.sheet is not None:
            refuse_existing([self.sheet])
        avatar = load_avatar(self.file)
        found = inspect(avatar)
        entry = catalog.add(self.file, self.name)
        avatar = replace(avatar, name=entry.name)
        sheet = self.sheet or entry.path.with_name(f"{entry.name}{catalog.SHEET_SUFFIX}")
        try:
            with finished_file(sheet, overwrite=self.sheet is None) as path:
                write_sheet(path, avatar)
        except BaseException:
            # Whatever stopped it, Ctrl-C too: the avatar is there with its sheet, or not at all.
            catalog.remove(entry.name)
            raise
        print(f"{entry.name}: added ({_rig_line(avatar)})")
        for line in describe(found):
            print(line)
        print(f"  sheet     {sheet}")
        print(f"Use it with: freeavatar animate INPUT --avatar {entry.name}")
        print(advice(avatar, found))
        return 0


@dataclass(frozen=True)
class Remove:
    """Delete the copy that `add` made, and all that was learned of it; the original file stays."""

    name: Name
    """An avatar that was added."""

    def run(self) -> int:
        """Delete it and what training kept of it."""
        print(f"{self.name}: removed ({catalog.remove(self.name)})")
        for path in catalog.forget_training(self.name):
            print(f"{self.name}: removed what its training kept, too ({path})")
        return 0


@dataclass(frozen=True)
class Command:
    """List, show, add and remove avatars."""

    action: Annotated[
        Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
        | Annotated[Show, tyro.conf.subcommand("show", prefix_name=False)]
        | Annotated[Add, tyro.conf.subcommand("add", prefix_name=False)]
        | Annotated[Remove, tyro.conf.subcommand("remove", prefix_name=False)],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()


def _rig_line(avatar: Avatar) -> str:
    triangles = sum(len(surface.triangles) for surface in avatar.surfaces)
    licence = f", {avatar.licence}" if avatar.licence else ""
    return f"{len(avatar.rig)} controls ({avatar.rig.name}), {triangles} triangles{licence}"


def _facts(avatar: Avatar) -> list[str]:
    """Everything a person may want to know before using an avatar."""
    regions = []
    for region in REGIONS:
        names = [avatar.rig.names[column] for column in avatar.rig.columns(region)]
        if names:
            regions.append(f"  {region:<7} {len(names):>3}  {' '.join(names)}")
    eyes = " and ".join(eye.side for eye in avatar.eyes) or "none"
    driven = "yes" if avatar.arkit_to_rig is not None else "no, the names are not understood"
    return [
        f"{avatar.name}: {_rig_line(avatar)}",
        f"file: {avatar.source}",
        f"eyes that turn: {eyes}",
        f"can be driven: {driven}",
        "controls:",
        *regions,
        "understands:",
        *(_coverage_line(coverage) for coverage in profile_coverage(avatar)),
    ]


def _coverage_line(coverage: Coverage) -> str:
    """How many names of a profile move the avatar, and which do not."""
    total = len(coverage.shown) + len(coverage.missing)
    lacking = f"; not {' '.join(coverage.missing)}" if coverage.missing else ""
    if not coverage.shown:
        lacking = ""
    return f"  {coverage.profile:<7} {len(coverage.shown):>3} of {total}{lacking}"
