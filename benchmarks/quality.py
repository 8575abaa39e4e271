"""Curves against exact truth: ours beside mediapipe, on people and takes kept out of training.

    python benchmarks/quality.py --data ../shared/data --mediapipe-python PYTHON

Writes quality.md, quality.json and quality.png into --out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import tyro

from chart import write_chart
from freeavatar.animation import AnimationClip
from provenance import provenance, write_part
from scores import Judged, judge
from tables import quality_markdown, quality_record
from trackers import (
    NEUTRAL_OFF,
    Mediapipe,
    one_line_errors,
    peer_model,
    track_ours,
    track_stand_in,
)
from truth import Options as TruthOptions
from truth import TruthClip, draw_clips

Tracker = Literal["freeavatar", "mediapipe", "stand-in"]
VARIANTS: dict[str, tuple[str, ...]] = {"neutral off": NEUTRAL_OFF}
"""Beside the product as it is."""
ABLATIONS: dict[str, tuple[str, ...]] = {
    "no smoothing": ("--smoothing.strength", "0"),
    "landmarks in every frame": ("--gap-s", "0"),
    "crops not steadied": ("--steady.look-ahead", "0"),
}
"""The product without one of its parts."""


@dataclass(frozen=True)
class Options:
    """Compare curves with exact truth."""

    data: Path = Path("../shared/data")
    clips: Path = Path("data/bench")
    """Where the drawn clips and cached curves of peers lie."""
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    """Interpreter with mediapipe 0.10.33."""
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""
    trackers: tuple[Tracker, ...] = ("freeavatar", "mediapipe")
    """The first is drawn first; stand-in is the truth with noise, to check the scoring."""
    only: str = ""
    """Only clips whose name contains this."""
    ablations: bool = False
    """Also the product without one of its parts at a time."""


def compare(options: Options) -> dict[str, list[AnimationClip]]:
    """Draw what is missing, run the trackers, score them, write the files; the value is every
    tracker's curves."""
    made = provenance()
    clips = draw_clips(TruthOptions(options.data, options.clips, options.only), print)
    trackers: list[str] = [*options.trackers]
    if "freeavatar" in trackers:
        trackers += [*VARIANTS, *(ABLATIONS if options.ablations else ())]
    curves = {name: _track(name, clips, options) for name in trackers}
    scores = {name: judge(_judged(clips, own)) for name, own in curves.items()}
    write_part(options.out, "quality", made, quality_record(scores), quality_markdown(scores))
    write_chart(options.out / "quality.png", {name: scores[name] for name in options.trackers})
    return curves


def _track(name: str, clips: Sequence[TruthClip], options: Options) -> list[AnimationClip]:
    videos = [clip.video for clip in clips]
    if name == "stand-in":
        return track_stand_in([clip.truth for clip in clips])
    if name == "mediapipe":
        model = options.mediapipe_model or peer_model(options.mediapipe_python)
        peer = Mediapipe(options.mediapipe_python, model)
        return peer.track(videos, options.clips / "mediapipe")
    folder = options.out / "curves" / name.replace(" ", "_")
    return track_ours(videos, folder, (VARIANTS | ABLATIONS).get(name, ()))


def _judged(clips: Sequence[TruthClip], curves: Sequence[AnimationClip]) -> list[Judged]:
    return [
        Judged(clip.plan.name, clip.truth, clip.shown, found)
        for clip, found in zip(clips, curves, strict=True)
    ]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    chosen = tyro.cli(Options)
    with one_line_errors():
        compare(chosen)
    print((chosen.out / "quality.md").read_text())
    print(f"files: {chosen.out}")
