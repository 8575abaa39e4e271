"""All export formats: their names on the command line, their files, and how each is written."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from freeavatar.errors import UsageError
from freeavatar.export.controls_csv import write_controls
from freeavatar.export.files import finished_file
from freeavatar.export.livelink import write_livelink
from freeavatar.export.report import write_report
from freeavatar.export.takes import AnimatedTake, Character

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

    @property
    def suffix(self) -> str:
        return Path(self.file).suffix

    def files(self, avatar_names: Iterable[str]) -> tuple[str, ...]:
        """The names of this format's files for a take."""
        if "{avatar}" not in self.file:
            return (self.file,)
        return tuple(self.file.replace("{avatar}", name) for name in avatar_names)


def _livelink(path: Path, take: AnimatedTake, character: Character | None) -> None:
    write_livelink(path, take.arkit)


def _controls(path: Path, take: AnimatedTake, character: Character | None) -> None:
    assert character is not None
    write_controls(path, character.clip)


def _glb(path: Path, take: AnimatedTake, character: Character | None) -> None:
    from freeavatar.export.glb import write_glb

    assert character is not None
    write_glb(path, character.avatar, character.clip, name=take.source.stem)


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
        ),
        Format(
            "controls",
            "{avatar}.controls.csv",
            "time_s, found, then one column per control of the avatar's own rig",
            _controls,
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
    )
}
VIDEOS = frozenset({"mp4", "preview"})


def choose_formats(names: Sequence[str] = ()) -> tuple[Format, ...]:
    """Formats by name, in the order of FORMATS; all of them when none is named."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        near = difflib.get_close_matches(unknown[0].lower(), FORMATS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(FORMATS)}."
        raise UsageError(f"There is no format {unknown[0]!r}. {hint} See: freeavatar formats")
    return tuple(format_ for name, format_ in FORMATS.items() if not names or name in names)


def formats_help() -> str:
    """One line for every format: its name, its file, what is in it."""
    return "\n".join(
        f"{format_.name:<10}{format_.files(['<avatar>'])[0]:<23}{format_.description}"
        for format_ in FORMATS.values()
    )


def planned_files(
    folder: Path, formats: Iterable[Format], avatar_names: Sequence[str]
) -> tuple[Path, ...]:
    """Every file that `write_take` is going to write, to be checked before the work is done."""
    return tuple(folder / file for format_ in formats for file in format_.files(avatar_names))


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
