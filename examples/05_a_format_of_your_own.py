"""A file format of yours among the others: SRT captions that say what the face is doing.

python examples/05_a_format_of_your_own.py out/example-1/livelink.csv --out out/five

A package makes it known to `freeavatar animate --formats captions` with an entry point:
    [project.entry-points."freeavatar.exports"]
    captions = "my_package:CAPTIONS"
"""

from pathlib import Path

import tyro

import freeavatar
from freeavatar.export.curve_files import read_clip
from freeavatar.export.registry import Format, write_take
from freeavatar.export.takes import AnimatedTake, Character
from freeavatar.retarget import as_arkit, onto


def write_captions(path: Path, take: AnimatedTake, character: Character | None) -> None:
    """One caption a second: the control that is strongest in the middle of it."""
    assert character is not None  # because the file name has {avatar}
    clip = character.clip
    lines = []
    for second in range(int(clip.times_s[-1]) + 1):
        frame = int(abs(clip.times_s - (second + 0.5)).argmin())
        column = int(clip.values[frame].argmax())
        said = f"{clip.rig.names[column]} {clip.values[frame, column]:.2f}"
        lines.append(f"{second + 1}\n{stamp(second)} --> {stamp(second + 1)}\n{said}\n")
    path.write_text("\n".join(lines), "utf-8")


def stamp(seconds: int) -> str:
    """HH:MM:SS,mmm."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},000"


CAPTIONS = Format(
    "captions", "{avatar}.srt", "what the face does, as subtitles", write_captions, default=False
)


def main(
    curves: tyro.conf.Positional[Path], avatar: str = "ada", out: Path = Path("out/example-5")
) -> None:
    """Write the captions of one avatar, as `freeavatar retarget` would."""
    clip = read_clip(curves)
    character = freeavatar.load_avatar(avatar)
    arkit = as_arkit(clip) or clip
    take = AnimatedTake(
        curves, arkit, (Character(character, onto(clip, character)),), has_pictures=False
    )
    out.mkdir(parents=True, exist_ok=True)
    for file in write_take(take, [CAPTIONS], out, overwrite=True):
        print(f"wrote {file}")


if __name__ == "__main__":
    tyro.cli(main)
