"""What moves that should not, and what is lost by calming it: stills, jitter, quick movements, lag.

    python benchmarks/steadiness.py --data ../shared/data --mediapipe-python PYTHON

A held picture must give held curves, moving ones no more jitter than the truth has; a blink, a
plosive and a laugh must stay as deep as the networks see them, and the curves must not be late.
Writes steadiness.md, steadiness.json and steadiness.png.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro

from chart import Panel, write_panels
from freeavatar.animation import AnimationClip
from freeavatar.capture.video import open_video
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.evaluation.takes import best_lag_s, jitter
from provenance import provenance, write_part
from quick import (
    PLOSIVES,
    QuickClips,
    blink_depth,
    draw_quick_clips,
    gaze_change,
    laughter_amplitude,
    plosive_depths,
)
from scores import moving_channels
from tables import number, table
from takes import FRAME_RATE_HZ
from trackers import Mediapipe, one_line_errors, peer_model, track_live, track_ours
from truth import Options as TruthOptions
from truth import TruthClip, draw_clips

HELD_S = 10.0
NOISE = 3.0
"""Grey levels of sensor noise in the second kind of still."""
REAL_CLIP = Path("examples/clips/crying_to_laughing.mp4")
Played = Mapping[str, Sequence[AnimationClip]]
UNSMOOTHED = ("--smoothing.strength", "0")
GAZE_FREE = ("--gaze.no-hold",)
OURS, LIVE, TRUTH = "freeavatar", "freeavatar live", "truth"
NAN = float("nan")
KEPT = "kept of what the networks see"
LEGEND = (
    "Jitter is that of `freeavatar evaluate`: third differences from frame to frame, mean of the "
    "controls that move in the twelve quality clips (live: in two of them). "
    "*Lips meet* (p, b, m): the jaw stays open, the opening between the lips is jawOpen less "
    "mouthClose. *Laughter*: jaw and smile go up and down five times a second. *Gaze*: the head is "
    "turned by 23 degrees, the eyes rest aside and the lids close now and then; no eye moved, so "
    "every change is an error."
)


@dataclass(frozen=True)
class Options:
    """Compare how calm, deep and late curves are."""

    data: Path = Path("../shared/data")
    clips: Path = Path("data/bench")
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""
    blinker: str = "White_F_3"
    """The held-out person who blinks, speaks and laughs."""
    live_clips: int = 2
    """Clips on which lag and jitter of the live path are measured."""


@dataclass(frozen=True)
class Quick:
    """What comes out of movements of a few frames; NaN where it was not measured."""

    blink: float = NAN
    """Mean rise of the lids in one-frame blinks, of 1."""
    plosives: dict[int, float] = field(default_factory=dict)
    """How far lips that meet over an open jaw come together, of 1, by length in frames."""
    laughter: float = NAN
    """Amplitude of a 5 Hz movement of jaw and smile, of 1."""

    def share_of(self, unsmoothed: Quick) -> Quick:
        """What smoothing has left."""
        return Quick(
            _ratio(self.blink, unsmoothed.blink),
            {n: _ratio(own, unsmoothed.plosives[n]) for n, own in self.plosives.items()},
            _ratio(self.laughter, unsmoothed.laughter),
        )


@dataclass(frozen=True)
class Steadiness:
    """One tracker, or the truth itself; NaN and empty: not measured."""

    still_worst: dict[str, float] = field(default_factory=dict)
    """Largest standard deviation of its curves, by kind of still."""
    still_mean: dict[str, float] = field(default_factory=dict)
    jitter: float = NAN
    """Mean over the moving controls of the quality clips."""
    jitter_of_truth: float = NAN
    """That jitter as a multiple of the truth's in the same clips."""
    quick: Quick = field(default_factory=Quick)
    kept: Quick = field(default_factory=Quick)
    """The same as shares of what comes out without smoothing, which only ours can be asked for."""
    gaze_change: float = NAN
    """The largest change of an eyeLook control inside blinks of eyes that rest on something."""
    gaze_change_free: float = NAN
    """The same where the gaze is not held over blinks; ours only."""
    lag_frames: float = NAN
    """Mean over clips of the shift that makes the curves most like the truth; above 0: late."""
    lag_worst: float = NAN


@dataclass(frozen=True)
class Watched:
    """One tracker's curves of everything that is judged here."""

    stills: dict[str, AnimationClip]
    blinks: AnimationClip
    plosives: AnimationClip
    laughter: AnimationClip
    gaze: AnimationClip
    clips: Sequence[TruthClip]
    takes: Sequence[AnimationClip]
    """Of those clips."""

    def quick(self) -> Quick:
        """Movements of a few frames."""
        return _quick(self.blinks, self.plosives, self.laughter)


def compare_steadiness(options: Options, played: Played | None = None) -> dict[str, Steadiness]:
    """Draw what is missing, run the trackers, write the files. `played` are curves of the truth
    clips that were made already, by tracker."""
    made = provenance()
    clips = draw_clips(TruthOptions(options.data, options.clips), print)
    stills = _draw_stills(clips, options.clips)
    quick = draw_quick_clips(options.clips, options.blinker, options.data)
    watched = _watch(options, clips, stills, quick, played)
    result = {name: _judged(own) for name, own in watched.items()}
    result[OURS] = _with_ablations(result[OURS], quick, options.out)
    of_truth = jitter_of(clips, [clip.truth for clip in clips])
    result[TRUTH] = Steadiness(jitter=of_truth, jitter_of_truth=1.0)
    record = {name: _plain(asdict(one)) for name, one in result.items()}
    write_part(options.out, "steadiness", made, record, steadiness_markdown(result))
    _draw(options.out / "steadiness.png", result)
    return result


def jitter_of(clips: Sequence[TruthClip], curves: Sequence[AnimationClip]) -> float:
    """Mean over clips of the mean jitter of the controls that move in the truth."""
    found = []
    for clip, own in zip(clips, curves, strict=True):
        moving = moving_channels(clip.truth) & clip.shown
        if moving.any():
            values = own.values[:, moving].astype(np.float64)
            found.append(float(jitter(own.times_s, values).mean()))
    return statistics.mean(found) if found else NAN


def lags(clips: Sequence[TruthClip], curves: Sequence[AnimationClip]) -> tuple[float, float]:
    """Mean and largest lag in frames over clips."""
    found = []
    for clip, own in zip(clips, curves, strict=True):
        moving = moving_channels(clip.truth) & clip.shown
        lag_s = best_lag_s(
            own.times_s,
            own.values[:, moving].astype(np.float64),
            clip.truth.times_s,
            clip.truth.values[:, moving].astype(np.float64),
            0.4,
            0.25 / FRAME_RATE_HZ,
        )
        if not np.isnan(lag_s):
            found.append(lag_s * FRAME_RATE_HZ)
    if not found:
        return float("nan"), float("nan")
    return statistics.mean(found), max(found, key=abs)


def steadiness_markdown(result: Mapping[str, Steadiness]) -> str:
    """One column a tracker, and what the rows mean."""
    each = list(result.values())
    rows = []
    for kind in next(iter(result.values())).still_worst:
        worst = [number(one.still_worst.get(kind, NAN), 4) for one in each]
        mean = [number(one.still_mean.get(kind, NAN), 4) for one in each]
        rows.append([f"still picture, {kind}: largest standard deviation", *worst])
        rows.append([f"still picture, {kind}: mean standard deviation", *mean])
    rows += [
        ["moving clips, jitter", *(number(one.jitter, 4) for one in each)],
        [
            "moving clips, jitter as a multiple of the truth's",
            *(number(one.jitter_of_truth) for one in each),
        ],
        ["one-frame blink, depth of 1", *(number(one.quick.blink) for one in each)],
        [f"one-frame blink, {KEPT}", *(_percent(one.kept.blink) for one in each)],
    ]
    for length in PLOSIVES:
        name = f"lips meet for {length} frame{'s' if length > 1 else ''}"
        depths = [number(one.quick.plosives.get(length, NAN)) for one in each]
        shares = [_percent(one.kept.plosives.get(length, NAN)) for one in each]
        rows += [[f"{name}, depth of 1", *depths], [f"{name}, {KEPT}", *shares]]
    rows += [
        ["laughter at 5 Hz, amplitude of 1", *(number(one.quick.laughter) for one in each)],
        [f"laughter at 5 Hz, {KEPT}", *(_percent(one.kept.laughter) for one in each)],
        ["gaze aside, largest change in blinks", *(number(one.gaze_change) for one in each)],
        [
            "the same with `--gaze.no-hold`",
            *(number(one.gaze_change_free) for one in each),
        ],
        ["lag in frames, mean of clips", *(number(one.lag_frames) for one in each)],
        ["lag in frames, largest", *(number(one.lag_worst) for one in each)],
    ]
    return f"{table(['', *result], rows)}\n\n{LEGEND}\n"


def _watch(
    options: Options,
    clips: Sequence[TruthClip],
    stills: Mapping[str, Path],
    quick: QuickClips,
    played: Played | None,
) -> dict[str, Watched]:
    """Run all trackers; the live path sees only some of the truth clips."""
    short = [*stills.values(), quick.blinks, quick.plosives, quick.laughter, quick.gaze]
    long = [] if played else [clip.video for clip in clips]
    some = clips[: options.live_clips]
    model = options.mediapipe_model or peer_model(options.mediapipe_python)
    peer = Mediapipe(options.mediapipe_python, model)
    live = [*short, *(clip.video for clip in some)]
    curves = {
        OURS: track_ours([*short, *long], options.out / "steadiness"),
        "mediapipe": peer.track([*short, *long], options.clips / "mediapipe"),
        LIVE: [track_live(video, options.out / "live") for video in live],
    }
    watched = {}
    for name, own in curves.items():
        takes = played[name] if played and name != LIVE else own[len(short) :]
        held = dict(zip(stills, own[: len(stills)], strict=True))
        judged = some if name == LIVE else clips
        watched[name] = Watched(held, *own[len(stills) : len(short)], judged, takes)
    return watched


def _judged(own: Watched) -> Steadiness:
    spread = {kind: held.values.astype(np.float64).std(0) for kind, held in own.stills.items()}
    found = jitter_of(own.clips, own.takes)
    lag, worst = lags(own.clips, own.takes)
    return Steadiness(
        still_worst={kind: float(std.max()) for kind, std in spread.items()},
        still_mean={kind: float(std.mean()) for kind, std in spread.items()},
        jitter=found,
        jitter_of_truth=_ratio(found, jitter_of(own.clips, [clip.truth for clip in own.clips])),
        quick=own.quick(),
        gaze_change=gaze_change(own.gaze),
        lag_frames=lag,
        lag_worst=worst,
    )


def _with_ablations(ours: Steadiness, quick: QuickClips, out: Path) -> Steadiness:
    """What only the product itself can be asked for: what its networks see, a gaze let go."""
    videos = [quick.blinks, quick.plosives, quick.laughter]
    raw = _quick(*track_ours(videos, out / "unsmoothed", flags=UNSMOOTHED))
    free = track_ours([quick.gaze], out / "gaze-free", flags=GAZE_FREE)[0]
    return replace(ours, kept=ours.quick.share_of(raw), gaze_change_free=gaze_change(free))


def _quick(blinks: AnimationClip, plosives: AnimationClip, laughter: AnimationClip) -> Quick:
    return Quick(blink_depth(blinks), plosive_depths(plosives), laughter_amplitude(laughter))


def _ratio(value: float, whole: float) -> float:
    """NaN where there is nothing to compare with."""
    return value / whole if abs(whole) > 1e-6 else NAN


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.0f} %"


def _draw(path: Path, result: Mapping[str, Steadiness]) -> None:
    """Stills and jitter, quick movements, gaze and lag: a panel each, for they have other units."""
    trackers = {name: one for name, one in result.items() if name != TRUTH}
    kinds = list(result[OURS].still_worst)
    lengths = list(PLOSIVES)
    write_panels(
        path,
        [
            Panel(
                "largest standard deviation of a still (0 is perfect)",
                kinds,
                {n: [one.still_worst.get(k, NAN) for k in kinds] for n, one in trackers.items()},
                digits=4,
            ),
            Panel(
                "jitter of moving clips, as a multiple of the truth's (1 is the truth)",
                ["all moving controls"],
                {name: [one.jitter_of_truth] for name, one in trackers.items()},
                digits=2,
            ),
            Panel(
                "what comes out of quick movements (1 is all of it)",
                ["blink, 1 frame", *(f"lips meet, {n}" for n in lengths), "laughter, 5 Hz"],
                {
                    name: [
                        one.quick.blink,
                        *(one.quick.plosives.get(n, NAN) for n in lengths),
                        one.quick.laughter,
                    ]
                    for name, one in trackers.items()
                },
                digits=2,
            ),
            Panel(
                "largest change of a resting gaze in blinks (0 is perfect)",
                ["held over blinks", "--gaze.no-hold"],
                {name: [one.gaze_change, one.gaze_change_free] for name, one in trackers.items()},
                digits=2,
            ),
            Panel(
                "lag in frames (0 is perfect)",
                ["mean of clips", "largest"],
                {name: [one.lag_frames, one.lag_worst] for name, one in trackers.items()},
                digits=2,
            ),
        ],
        missing="not measured",
    )


def _draw_stills(clips: Sequence[TruthClip], folder: Path) -> dict[str, Path]:
    """One picture for 10 s: of a drawn person and of a real one, and the real one with noise."""
    drawn, real = _picture(clips[0].video, 100), _picture(REAL_CLIP, 150)
    num = round(HELD_S * FRAME_RATE_HZ)
    rng = np.random.default_rng(7)

    def noisy() -> Iterable[np.ndarray]:
        for _ in range(num):
            noise = rng.normal(0.0, NOISE, real.shape)
            yield np.clip(np.round(real + noise), 0, 255).astype(np.uint8)

    kinds: dict[str, Iterable[np.ndarray]] = {
        "drawn": (drawn for _ in range(num)),
        "real": (real for _ in range(num)),
        "real with sensor noise": noisy(),
    }
    files = {kind: folder / f"still-{kind.replace(' ', '_')}.mp4" for kind in kinds}
    for kind, pictures in kinds.items():
        if not files[kind].is_file():
            _write(files[kind], pictures)
    return files


def _write(path: Path, pictures: Iterable[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=14) as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, index / FRAME_RATE_HZ)


def _picture(video: Path, index: int) -> np.ndarray:
    return next(frame.rgb for frame in open_video(video) if frame.index == index)


def _plain(record: object) -> Any:
    """NaN is no JSON."""
    if isinstance(record, dict):
        return {key: _plain(value) for key, value in record.items()}
    if isinstance(record, float):
        return None if np.isnan(record) else round(record, 5)
    return record


if __name__ == "__main__":
    cv2.setNumThreads(1)
    chosen = tyro.cli(Options)
    with one_line_errors():
        compare_steadiness(chosen)
    print((chosen.out / "steadiness.md").read_text())
