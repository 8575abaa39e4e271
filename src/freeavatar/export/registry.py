"""All export formats: their names on the command line, their files, and how each is written."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from freeavatar.errors import UsageError
from freeavatar.export.controls_csv import write_controls
from freeavatar.export.files import finished_file
from freeavatar.export.json_curves import write_json
from freeavatar.export.livelink import write_livelink
from freeavatar.export.maya import write_maya
from freeavatar.export.npz import write_curves
from freeavatar.export.report import write_report
from freeavatar.export.takes import AnimatedTake, Character
from freeavatar.export.track_csv import write_track
from freeavatar.export.unreal import write_curve_table

log = logging.getLogger(__name__)

PLUGINS = "freeavatar.exports"
"""Entry points of other packages: each is a Format, or a function that returns several."""

Write = Callable[[Path, AnimatedTake, Character | None], None]
OnProgress = Callable[[str, int, int | None], None]
"""Called with (what is done, frames done, frames in all)."""


@dataclass(frozen=True)
class Format:
    """One kind of file that `animate` can write."""

    name: str
    file: str
    """Its file name; {avatar} stands for the name of each avatar."""
    description: str
    write: Write
    """Writes one file: for one character when the name has {avatar}, else for the whole take."""
    default: bool = True
    """Whether it is written when no format is named."""
    folder: str = ""
    """A folder that the writer fills beside the file, like textures; {avatar} as in `file`."""
    from_arkit: bool = False
    """Made from the ARKit curves of the take and not from an avatar's."""
    check: Callable[[], None] = lambda: None
    """Raises, before any work, when a program or package that it needs is missing."""

    @property
    def suffix(self) -> str:
        return Path(self.file).suffix

    def files(self, avatar_names: Iterable[str]) -> tuple[str, ...]:
        """The names of this format's files for a take."""
        return _named(self.file, avatar_names)

    def folders(self, avatar_names: Iterable[str]) -> tuple[str, ...]:
        """The names of the folders beside them."""
        return _named(self.folder, avatar_names) if self.folder else ()


def _named(pattern: str, avatar_names: Iterable[str]) -> tuple[str, ...]:
    if "{avatar}" not in pattern:
        return (pattern,)
    return tuple(pattern.replace("{avatar}", name) for name in avatar_names)


def _livelink(path: Path, take: AnimatedTake, character: Character | None) -> None:
    write_livelink(path, take.arkit)


def _controls(path: Path, take: AnimatedTake, character: Character | None) -> None:
    assert character is not None
    write_controls(path, character.clip)


def _track(path: Path, take: AnimatedTake, character: Character | None) -> None:
    write_track(path, take.arkit)


def _glb(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.glb import write_glb

    assert character is not None
    write_glb(path, character.avatar, character.clip, name=take.source.stem)


def _json(path: Path, take: AnimatedTake, character: Character | None) -> None:
    assert character is not None
    write_json(path, character.clip)


def _npz(path: Path, take: AnimatedTake, character: Character | None) -> None:
    assert character is not None
    write_curves(path, character.clip)


def _unreal(path: Path, take: AnimatedTake, character: Character | None) -> None:
    assert character is not None
    write_curve_table(path, character.clip)


def _maya(path: Path, take: AnimatedTake, character: Character | None) -> None:
    assert character is not None
    write_maya(path, character.clip, take.source.name)


def _blender_addon(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export import blender_addon

    path.write_text(Path(blender_addon.__file__).read_text("utf-8"), "utf-8")


def _vrm(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.vrm import write_vrm

    assert character is not None
    write_vrm(path, character.avatar)


def _vrma(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.vrma import write_vrma

    assert character is not None
    write_vrma(path, character.avatar, character.clip, take.source.stem)


def _vrma_presets(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.vrma import write_preset_vrma

    write_preset_vrma(path, take.arkit, take.source.stem)


def _usdc(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.usd import write_usdc

    assert character is not None
    write_usdc(path, character.avatar, character.clip)


def _usdz(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.usd import write_usdz

    assert character is not None
    write_usdz(path, character.avatar, character.clip)


def _with_blender(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.blender import write_with_blender

    assert character is not None
    write_with_blender(path, character.avatar, character.clip)


def _usd_there() -> None:
    from freeavatar.export.usd import check_usd

    check_usd()


def _blender_there() -> None:
    from freeavatar.export.blender import check_blender

    check_blender()


def _mp4(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.video import write_videos

    assert character is not None
    write_videos(take, {character.avatar.name: path})


def _preview(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.video import write_videos

    write_videos(take, {}, path)


def _report(path: Path, take: AnimatedTake, character: Character | None) -> None:
    if take.report is None:
        raise ValueError("the take has no report yet")
    write_report(path, take.report)


# The writers of GLB and video import their modules when called: numba alone takes half a second,
# which `freeavatar formats` and a run without videos should not wait for.
FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        Format(
            "livelink",
            "livelink.csv",
            "Live Link Face CSV: 61 ARKit curves for Unreal, Blender, Maya or MotionBuilder",
            _livelink,
            from_arkit=True,
        ),
        Format(
            "controls",
            "{avatar}.controls.csv",
            "time_s, found, then one column per control of the avatar's own rig",
            _controls,
        ),
        Format(
            "track",
            "track.csv",
            "confidence, shot and head rotation in degrees of every frame",
            _track,
            from_arkit=True,
        ),
        Format(
            "glb",
            "{avatar}.glb",
            "the avatar with the performance as a glTF animation: morphs, eyes, head",
            _glb,
        ),
        Format("mp4", "{avatar}.mp4", "the rendered avatar alone, with the input's sound", _mp4),
        Format("preview", "preview.mp4", "the input and all avatars side by side", _preview),
        Format(
            "report",
            "report.json",
            "frames, lost intervals, time per stage, versions, sha256 of the weights",
            _report,
        ),
        Format(
            "json",
            "{avatar}.curves.json",
            "every curve by name, for scripts, web pages and our Blender add-on",
            _json,
            default=False,
        ),
        Format(
            "npz",
            "{avatar}.curves.npz",
            "the same as NumPy arrays; `freeavatar retarget` reads it back",
            _npz,
            default=False,
        ),
        Format(
            "unreal",
            "{avatar}.unreal.csv",
            "curve table for Unreal Engine: one row per control, and the head",
            _unreal,
            default=False,
        ),
        Format(
            "maya",
            "{avatar}.maya.py",
            "script for Maya: keys blend shape targets by name",
            _maya,
            default=False,
        ),
        Format(
            "blender",
            "freeavatar_blender.py",
            "Blender add-on: applies json, controls or livelink to any shape keys by name",
            _blender_addon,
            default=False,
        ),
        Format(
            "vrm",
            "{avatar}.vrm",
            "the avatar as VRM 1.0: humanoid head, gaze, preset and perfect-sync expressions",
            _vrm,
            default=False,
        ),
        Format(
            "vrma",
            "{avatar}.vrma",
            "the performance as VRM animation for that VRM (perfect sync on ARKit rigs)",
            _vrma,
            default=False,
        ),
        Format(
            "vrma-presets",
            "presets.vrma",
            "the performance as VRM animation for any VRM: moods, vowels, blinks, gaze, head",
            _vrma_presets,
            default=False,
            from_arkit=True,
        ),
        Format(
            "usdc",
            "{avatar}.usdc",
            "USD: UsdSkel blend shapes, head, eyes; pictures in <avatar>.textures [usd]",
            _usdc,
            default=False,
            folder="{avatar}.textures",
            check=_usd_there,
        ),
        Format(
            "usdz",
            "{avatar}.usdz",
            "the same as one package with its pictures [usd]",
            _usdz,
            default=False,
            check=_usd_there,
        ),
        Format(
            "fbx",
            "{avatar}.fbx",
            "FBX with keyed blend shapes, written by Blender [blender]",
            _with_blender,
            default=False,
            check=_blender_there,
        ),
        Format(
            "alembic",
            "{avatar}.abc",
            "Alembic: the moving meshes, written by Blender [blender]",
            _with_blender,
            default=False,
            check=_blender_there,
        ),
    )
}
VIDEOS = frozenset({"mp4", "preview"})


@cache
def all_formats() -> dict[str, Format]:
    """FORMATS and those of installed plugins, by name; ours keep their names."""
    found = dict(FORMATS)
    for entry in metadata.entry_points(group=PLUGINS):
        try:
            given = entry.load()
            plugged = [given] if isinstance(given, Format) else list(given())
        except Exception as error:  # a plugin's own failure, of any kind, must not stop ours
            log.warning("The export plugin %s cannot be loaded: %s", entry.name, error)
            continue
        for format_ in plugged:
            if not isinstance(format_, Format):
                log.warning("The export plugin %s gives %r, not a Format.", entry.name, format_)
            elif format_.name in found:
                log.warning("The format %s of plugin %s exists already.", format_.name, entry.name)
            else:
                found[format_.name] = format_
    return found


def choose_formats(names: Sequence[str] = ()) -> tuple[Format, ...]:
    """Formats by name, in the order of `all_formats`; the default ones when none is named.

    MissingExtra and its like when one of them needs something that is not installed.
    """
    known = all_formats()
    unknown = [name for name in names if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0].lower(), known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
        raise UsageError(f"There is no format {unknown[0]!r}. {hint} See: freeavatar formats")
    chosen = tuple(f for name, f in known.items() if (name in names if names else f.default))
    for format_ in chosen:
        format_.check()
    return chosen


def formats_help() -> str:
    """One line for every format: its name, its file, what is in it. * marks the default ones."""
    return "\n".join(
        f"{format_.name + (' *' if format_.default else ''):<14}"
        f"{format_.files(['<avatar>'])[0]:<23}{format_.description}"
        for format_ in all_formats().values()
    )


def planned_files(
    folder: Path, formats: Iterable[Format], avatar_names: Sequence[str]
) -> tuple[Path, ...]:
    """Everything that `write_take` is going to write, to be checked before the work is done."""
    return tuple(
        folder / name
        for format_ in formats
        for name in (*format_.files(avatar_names), *format_.folders(avatar_names))
    )


def write_take(
    take: AnimatedTake,
    formats: Sequence[Format],
    folder: Path,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Path, ...]:
    """Write every file of the formats; each appears whole or not at all."""
    written: list[Path] = []
    for format_ in formats:
        if format_.name in VIDEOS:
            continue
        for file, character in _files_with_characters(format_, take):
            with finished_file(folder / file, overwrite) as partial:
                format_.write(partial, take, character)
            written.append(folder / file)
    videos = [format_ for format_ in formats if format_.name in VIDEOS]
    if videos and take.characters:
        written += _write_videos(take, videos, folder, overwrite, on_progress)
    return tuple(written)


def _files_with_characters(
    format_: Format, take: AnimatedTake
) -> list[tuple[str, Character | None]]:
    files = format_.files(character.avatar.name for character in take.characters)
    if "{avatar}" not in format_.file:
        return [(files[0], None)]
    return list(zip(files, take.characters, strict=True))


def _write_videos(
    take: AnimatedTake,
    formats: Sequence[Format],
    folder: Path,
    overwrite: bool,
    on_progress: OnProgress | None,
) -> list[Path]:
    """All videos at once: drawing costs most, and every picture is drawn once."""
    from freeavatar.export.video import write_videos

    written: list[Path] = []
    avatar_paths: dict[str, Path] = {}
    preview_path: Path | None = None
    with ExitStack() as unfinished:
        for format_ in formats:
            for file, character in _files_with_characters(format_, take):
                partial = unfinished.enter_context(finished_file(folder / file, overwrite))
                written.append(folder / file)
                if character is None:
                    preview_path = partial
                else:
                    avatar_paths[character.avatar.name] = partial

        def on_frame(done: int, total: int) -> None:
            if on_progress is not None:
                on_progress("drawing", done, total)

        write_videos(take, avatar_paths, preview_path, on_frame=on_frame)
    return written
