"""Everything that compares us with the strongest free peer, in one command.

    make bench        (or: python benchmarks/run.py --data FOLDER --mediapipe-python PYTHON)

Draws the clips once, then judges quality on them and speed on a real clip; the tables go to --out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import tyro

from freeavatar import __version__
from quality import Options as QualityOptions
from quality import compare
from speed import Options as SpeedOptions
from speed import compare_speed
from trackers import one_line_errors


@dataclass(frozen=True)
class Options:
    """Judge quality and speed beside mediapipe."""

    data: Path = Path("../shared/data")
    """Folder with avatars/ and motion/ (see docs/benchmarks.md)."""
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""
    repetitions: int = 5
    """Of the speed measurement."""


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    peer, model = options.mediapipe_python, options.mediapipe_model
    texts = [f"# freeavatar {__version__} beside mediapipe"]
    if (options.data / "avatars").is_dir():
        compare(
            QualityOptions(
                data=options.data, out=options.out, mediapipe_python=peer, mediapipe_model=model
            )
        )
        texts.append((options.out / "quality.md").read_text())
    else:
        texts.append(
            f"Quality was not judged: there is no folder {options.data / 'avatars'}. "
            "Name the data with DATA=FOLDER (docs/benchmarks.md)."
        )
    compare_speed(
        SpeedOptions(
            out=options.out,
            mediapipe_python=peer,
            mediapipe_model=model,
            repetitions=options.repetitions,
        )
    )
    texts.append((options.out / "speed.md").read_text())
    (options.out / "results.md").write_text("\n\n".join(texts))
    print("\n\n".join(texts))
    print(f"files: {options.out}")


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Options))
