"""The avatars a user can name: those that come with the program, and those added to a folder."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf import load_avatar
from freeavatar.errors import AvatarError, OutputError

BUNDLED = Path(__file__).with_name("bundled")
CANONICAL_HEAD = "ada"
"""The bundled head that others are measured by."""
SUFFIXES = (".glb", ".vrm")
"""Kinds of file that `add` takes; a .gltf would leave its parts behind."""
SHEET_SUFFIX, WEIGHTS_SUFFIX = ".sheet.png", ".weights.npz"
"""Endings of what may lie beside an added avatar: its picture, and what networks learned of it."""
VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Entry:
    """One avatar that can be named."""

    name: str
    path: Path
    bundled: bool


def user_folder() -> Path:
    """Where added avatars are kept; FREEAVATAR_HOME moves it."""
    home = os.environ.get("FREEAVATAR_HOME")
    if home:
        return Path(home) / "avatars"
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "freeavatar" / "avatars"


def bundled_names() -> tuple[str, ...]:
    """Names of the avatars that come with the program, sorted."""
    return tuple(sorted(path.stem for path in BUNDLED.glob("*.glb")))


def training_folder() -> Path:
    """Where `freeavatar train avatar` keeps pictures and unfinished training, NAME-DIGEST each."""
    return user_folder().parent / "training"


DEFAULT = ("ada", "bruno", "bibi")
"""Who is animated when nobody is named: a woman, a man and a cartoon."""


def list_avatars(folder: Path | None = None) -> tuple[Entry, ...]:
    """Everything that can be named: bundled ones first, then those in the user's folder."""
    folder = folder or user_folder()
    bundled = tuple(Entry(name, BUNDLED / f"{name}.glb", True) for name in bundled_names())
    added = tuple(
        Entry(path.stem, path, False)
        for path in sorted(folder.glob("*"))
        if path.suffix in SUFFIXES and VALID_NAME.fullmatch(path.stem)
    )
    return bundled + added


def resolve(name_or_path: str | Path, folder: Path | None = None) -> Avatar:
    """Load an avatar by its name or from a file of the user's own."""
    path = _path_of(name_or_path, folder)
    return load_avatar(path)


def _path_of(name_or_path: str | Path, folder: Path | None) -> Path:
    entries = {entry.name: entry.path for entry in list_avatars(folder)}
    text = str(name_or_path)
    if text in entries:
        return entries[text]
    if not text:
        raise AvatarError(f"The name of an avatar is empty. {_suggestion(text, list(entries))}")
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise AvatarError(f"{path} is a folder; name a .glb or .vrm file in it.")
    if path.suffix.lower() in (*SUFFIXES, ".gltf") or len(path.parts) > 1:
        raise AvatarError(f"There is no avatar file {path}; check the path.")
    raise AvatarError(f"There is no avatar called {text!r}. {_suggestion(text, list(entries))}")


def _suggestion(text: str, names: list[str]) -> str:
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), list(lowered), n=1, cutoff=0.5)
    if near:
        return f"Did you mean {lowered[near[0]]!r}?"
    if names:
        return f"Choose one of {', '.join(names)}, or name a .glb or .vrm file."
    return "Name a .glb or .vrm file."


def add(file: Path | str, name: str | None = None, folder: Path | None = None) -> Entry:
    """Copy a file into the user's folder after loading it once; it appears whole or not at all."""
    file, folder = Path(file).expanduser(), folder or user_folder()
    name = file.stem if name is None else name
    if not VALID_NAME.fullmatch(name):
        raise AvatarError(
            f"{name!r} cannot be the name of an avatar; "
            "use letters, digits, - and _ (--name NAME chooses another)."
        )
    if any(entry.name.lower() == name.lower() for entry in list_avatars(folder)):
        raise AvatarError(
            f"There is an avatar called {name!r} already; "
            "choose another with --name, or remove that one first."
        )
    load_avatar(file)
    if file.suffix.lower() not in SUFFIXES:
        raise AvatarError(
            f"{file} keeps its parts in other files; export it as one .glb file to add it."
        )
    target = folder / f"{name}{file.suffix.lower()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
            try:
                with file.open("rb") as source:
                    shutil.copyfileobj(source, part)
                part.close()
                Path(part.name).replace(target)
            finally:
                Path(part.name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot keep the avatar in {folder}: {error.strerror or error}; "
            "set FREEAVATAR_HOME to a folder that can be written."
        ) from error
    return Entry(name, target, False)


def remove(name: str, folder: Path | None = None) -> Path:
    """Delete an added avatar with all that was made of it; the path it had."""
    entries = list_avatars(folder)
    chosen = next((entry for entry in entries if entry.name == name), None)
    if chosen is None:
        added = [entry.name for entry in entries if not entry.bundled]
        raise AvatarError(f"There is no added avatar called {name!r}. {_suggestion(name, added)}")
    if chosen.bundled:
        raise AvatarError(f"{name!r} comes with the program and cannot be removed.")
    try:
        chosen.path.unlink()
        for suffix in (SHEET_SUFFIX, WEIGHTS_SUFFIX):
            chosen.path.with_name(chosen.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot remove {chosen.path}: {error.strerror or error}.") from error
    return chosen.path


def forget_training(name: str, folder: Path | None = None) -> tuple[Path, ...]:
    """Delete what `freeavatar train avatar` kept to go on with; the folders there were.

    Only work is lost: the weights lie beside the avatar, the pictures can be drawn again.
    """
    folder = folder or training_folder()
    own = re.compile(re.escape(name) + r"-[0-9a-f]{8}")
    found = tuple(p for p in sorted(folder.glob("*")) if own.fullmatch(p.name) and p.is_dir())
    for path in found:
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise OutputError(
                f"Cannot remove {path}: {error.strerror or error}; delete that folder yourself."
            ) from error
    return found
