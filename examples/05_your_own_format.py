"""A file format of your own, written beside ours; as a plugin it joins `freeavatar formats`.

    python examples/05_your_own_format.py examples/clips/crying_to_laughing.mp4 out/example5

In a package of yours, this makes `--formats shout` work wherever the package is installed:

    [project.entry-points."freeavatar.exports"]
    shout = "my_package:SHOUT"
"""

import sys
from pathlib import Path

import freeavatar
from freeavatar.export.registry import FORMATS, Format, write_take
from freeavatar.export.takes import AnimatedTake, Character


def write_shout(path: Path, take: AnimatedTake, character: Character | None) -> None:
    """When the mouth is wide open: a line with start and end for every time."""
    jaw = take.arkit.values[:, take.arkit.rig.index("jawOpen")]
    loud, lines = jaw > 0.3 * max(jaw.max(), 1e-6), []
    start_s = None
    for time_s, is_loud in zip(take.arkit.times_s, [*loud[:-1], False], strict=True):
        if is_loud and start_s is None:
            start_s = time_s
        elif not is_loud and start_s is not None:
            lines.append(f"{start_s:.3f} {time_s:.3f}")
            start_s = None
    path.write_text("\n".join(lines) + "\n", "utf-8")


SHOUT = Format(
    "shout",
    "shout.txt",
    "when the mouth is wide open: start and end in seconds",
    write_shout,
    default=False,
    from_arkit=True,
)


def main(video: Path, out: Path) -> None:
    ada = freeavatar.load_avatar("ada")
    options = freeavatar.AnimateOptions(formats=("livelink",), overwrite=True)
    finished = freeavatar.animate(video, [ada], out, options)
    character = Character(ada, finished.clips[ada.name])
    take = AnimatedTake(video, finished.arkit, (character,))
    for file in write_take(take, [SHOUT, FORMATS["npz"]], out, overwrite=True):
        print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
