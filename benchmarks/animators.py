"""Several animators on the same features, in seconds: which of them to ship.

    python benchmarks/animators.py runs/animator runs/animator-other

The twelve clips of `quality.py` are watched once by each encoder; then every animator reads what
was seen. Real faces are judged as `freeavatar evaluate animator --faces` does: what is good on
drawn clips alone is not shipped (docs/experiments.md, "Looks overdo real faces"). Prints a table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro

from freeavatar.animator.runtime import Animator
from freeavatar.capture.track import TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.evaluation.real_curves import ARKIT_CURVES, SCORES, real_curves
from freeavatar.export.files import finished_file
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.motion.calibrate import NeutralConfig, NeutralMode
from freeavatar.performance import Performance, watch
from freeavatar.pipeline import AnimateOptions, act
from freeavatar.rig import ARKIT
from freeavatar.timing import Clock
from scores import GROUPS, Judged, Scores, group_mean, judge
from tables import DEAD, number, table
from truth import Options as TruthOptions
from truth import TruthClip, draw_clips


@dataclass(frozen=True)
class Options:
    """Compare animators."""

    animators: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of train_animator.py: animator.onnx, animator.npz, expression.onnx."""
    data: Path = Path("../shared/data")
    clips: Path = Path("data/bench")
    faces: Path = Path("data/faces/fairface")
    num_faces: int = 400
    look_twice: bool = False
    """Read every face a second time as a mirror shows it."""


def main(options: Options) -> None:
    clips = draw_clips(TruthOptions(options.data, options.clips), print)
    modes: tuple[NeutralMode, ...] = ("off", "auto")
    rows = [
        [f"{folder.name}, neutral {mode}", *_row(folder, mode, clips, options)]
        for folder in options.animators
        for mode in modes
    ]
    header = ["animator", "correlation", *GROUPS, *DEAD, "left - right", "error", "reach"]
    header += ["real: difference", "correlation", "strong", "shut", "the net: shut"]
    print(table(header, rows))


def _row(
    folder: Path, mode: NeutralMode, clips: Sequence[TruthClip], options: Options
) -> list[str]:
    encoder, animator = (
        ExpressionEncoder.load(folder / "expression.onnx"),
        Animator.load(folder),
    )
    seen = [
        _seen(clip, folder / "expression.onnx", encoder, options.clips, options.look_twice)
        for clip in clips
    ]
    plain = AnimateOptions(neutral=NeutralConfig(mode=mode))
    judged = [
        Judged(clip.plan.name, clip.truth, clip.shown, act(one, ARKIT, animator, plain))
        for clip, one in zip(clips, seen, strict=True)
    ]
    found = judge(judged)
    channels = found.by_channel()
    dead = [
        float(np.nanmean([channels[i] for i, name in enumerate(ARKIT.names) if stem in name]))
        for stem in DEAD
    ]
    numbers = [number(group_mean(found.correlation, "all"), 3)]
    numbers += [number(group_mean(found.correlation, group)) for group in GROUPS]
    numbers += [number(value) for value in dead]
    numbers += [
        number(float(np.nanmean(np.nanmean(found.difference, 0)))),
        number(group_mean(found.error, "all"), 4),
        number(_reach(judged, found)),
    ]
    faces = real_curves(options.faces, options.num_faces, [], encoder, animator)
    said = {row.measure: row.values for row in faces.rows}
    asked = ("mean absolute difference from it", "correlation with it", "share of strong values")
    numbers += [number(said[name][ARKIT_CURVES], 3) for name in asked]
    shut = said["share of faces with a shut left eye"]
    return [*numbers, number(shut[ARKIT_CURVES], 3), number(shut[SCORES], 3)]


def _reach(judged: Sequence[Judged], found: Scores) -> float:
    """How far curves go where the truth goes far: 95th percentile over that of the truth, median
    over moving channels."""
    shares = []
    for clip, moving in zip(judged, ~np.isnan(found.correlation), strict=True):
        high = np.percentile(clip.truth.values, 95, axis=0)
        own = np.percentile(clip.curves.values, 95, axis=0)
        counted = moving & (high > 0.2)
        shares.append(own[counted] / high[counted])
    return float(np.median(np.concatenate(shares)))


def _seen(
    clip: TruthClip, network: Path, encoder: ExpressionEncoder, folder: Path, look_twice: bool
) -> Performance:
    """The clip as this encoder describes it, watched once."""
    digest = hashlib.sha256(network.read_bytes()).hexdigest()[:12]
    file = folder / "seen" / f"{clip.plan.name}-{digest}{'-twice' if look_twice else ''}.npz"
    if not file.is_file():
        seen = watch(
            open_video(clip.video), encoder, TrackConfig(), Clock(), lambda *_: None,
            look_twice=look_twice,
        )  # fmt: skip
        columns = {field.name: getattr(seen, field.name) for field in fields(Performance)}
        file.parent.mkdir(parents=True, exist_ok=True)
        with finished_file(file, overwrite=True) as path, path.open("wb") as stream:
            np.savez(stream, **{name: c for name, c in columns.items() if c is not None})
    with np.load(file) as kept:
        return Performance(**{name: kept[name] for name in kept.files})


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main(tyro.cli(Options))
