"""Everything that compares us with the strongest free peer, in one command.

    make bench        (or: python benchmarks/run.py --data FOLDER --mediapipe-python PYTHON)

Draws the clips once, then judges quality, robustness, steadiness, drawn faces and speed; the tables
go to --out/results.md, the numbers to results.json beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import tyro

from freeavatar import __version__
from provenance import PARTS, differences, newest, read_part
from quality import Options as QualityOptions
from quality import compare
from robustness import Options as RobustnessOptions
from robustness import compare_robustness
from speed import Options as SpeedOptions
from speed import compare_speed
from steadiness import Options as SteadinessOptions
from steadiness import compare_steadiness
from stylised import Options as StylisedOptions
from stylised import compare_stylised
from trackers import one_line_errors


@dataclass(frozen=True)
class Options:
    """Judge quality, robustness, steadiness, drawn faces and speed beside mediapipe."""

    data: Path = Path("../shared/data")
    """Folder with avatars/ and motion/ (see docs/benchmarks.md)."""
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""
    repetitions: int = 3
    """Of the speed measurement."""
    parts: tuple[str, ...] = PARTS
    """Which parts to run, for instance: --parts quality speed."""
    long: bool = False
    """Whole clips under every corruption, ablations, and ten minutes of 1080p:
    hours instead of minutes."""


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    print(f"# freeavatar {__version__} beside mediapipe")
    options.out.mkdir(parents=True, exist_ok=True)
    has_data = (options.data / "avatars").is_dir()
    if not has_data:
        print(
            f"Only speed is measured: there is no folder {options.data / 'avatars'}. "
            "Name the data with DATA=FOLDER (docs/benchmarks.md)."
        )
    for part, run in _runs(options).items():
        if part in options.parts and (has_data or part == "speed"):
            print(f"measuring {part}", flush=True)
            run()
    print(_collected(options.out))
    print(f"files: {options.out}")


def _runs(options: Options) -> dict[str, Callable[[], None]]:
    """In this order; steadiness takes over what quality has tracked."""
    data, out = options.data, options.out
    peer, model = options.mediapipe_python, options.mediapipe_model
    played = {}

    def quality() -> None:
        chosen = QualityOptions(
            data=data,
            out=out,
            mediapipe_python=peer,
            mediapipe_model=model,
            ablations=options.long,
        )
        played.update(compare(chosen))

    def robustness() -> None:
        chosen = RobustnessOptions(data=data, out=out, mediapipe_python=peer, mediapipe_model=model)
        if options.long:
            chosen = RobustnessOptions(
                data=data,
                out=out,
                mediapipe_python=peer,
                mediapipe_model=model,
                frames=0,
            )
        compare_robustness(chosen)

    def steadiness() -> None:
        chosen = SteadinessOptions(data=data, out=out, mediapipe_python=peer, mediapipe_model=model)
        compare_steadiness(chosen, played or None)

    def stylised() -> None:
        compare_stylised(
            StylisedOptions(data=data, out=out, mediapipe_python=peer, mediapipe_model=model)
        )

    def speed() -> None:
        chosen = SpeedOptions(
            out=out,
            mediapipe_python=peer,
            mediapipe_model=model,
            repetitions=options.repetitions,
            long=options.long,
        )
        compare_speed(chosen)

    return {
        "quality": quality,
        "robustness": robustness,
        "steadiness": steadiness,
        "stylised": stylised,
        "speed": speed,
    }


def _collected(out: Path) -> str:
    """One text and one JSON of what all parts have written, now or in an earlier run: each says
    of itself when and with which weights."""
    parts = {part: found for part in PARTS if (found := read_part(out, part)) is not None}
    last = newest({part: made for part, (made, _) in parts.items()})
    texts = [f"# freeavatar {__version__} beside mediapipe"]
    record: dict[str, object] = {}
    for part, (made, results) in parts.items():
        texts += [f"## {part.capitalize()}", f"{made.said()}:"]
        if last is not None and (warning := differences(made, last)):
            texts.append(f"**{warning}**")
        texts.append((out / f"{part}.md").read_text("utf-8").strip())
        record[part] = {"made": asdict(made), **results}
    text = "\n\n".join(texts) + "\n"
    (out / "results.md").write_text(text, "utf-8")
    (out / "results.json").write_text(json.dumps(record, indent=1), "utf-8")
    return text


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Options))
