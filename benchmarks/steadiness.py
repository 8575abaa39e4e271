"""What moves that should not, and what is lost by calming it: stills, one-frame blinks, lag.

    python benchmarks/steadiness.py --data ../shared/data --mediapipe-python PYTHON

A held picture must give held curves, a blink of one frame must stay as deep as the networks see
it, and the curves must not be late. Writes steadiness.md and steadiness.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.video import open_video
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.datasets.render_variation import Backgrounds, draw_lights
from freeavatar.evaluation.takes import best_lag_s
from freeavatar.rig import ARKIT
from heldout import load_person
from scores import moving_channels
from tables import number, table
from takes import FRAME_RATE_HZ
from trackers import Mediapipe, one_line_errors, peer_model, track_live, track_ours
from truth import Options as TruthOptions
from truth import TruthClip, draw_clips

HELD_S = 10.0
NOISE = 3.0
"""Grey levels of sensor noise in the second kind of still."""
BLINKS = (20, 40, 61, 85)
BLINK_FRAMES = 105
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
REAL_CLIP = Path("examples/clips/crying_to_laughing.mp4")
Played = Mapping[str, Sequence[AnimationClip]]
UNSMOOTHED = ("--smoothing.strength", "0")


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
    """The held-out person who blinks."""
    live_clips: int = 2
    """Clips on which the lag of the live path is measured."""


@dataclass(frozen=True)
class Steadiness:
    """One tracker. Still: largest and mean standard deviation of its curves, by kind of still."""

    still_worst: dict[str, float]
    still_mean: dict[str, float]
    blink_depth: float
    """Mean rise of the lids in one-frame blinks, of 1."""
    blink_kept: float | None
    """The same as a share of what comes out without smoothing; None where that cannot be known."""
    lag_frames: float
    """Mean over clips of the shift that makes the curves most like the truth; above 0: late."""
    lag_worst: float


def compare_steadiness(options: Options, played: Played | None = None) -> dict[str, Steadiness]:
    """Draw what is missing, run the trackers, write the files. `played` are curves of the truth
    clips that were made already, by tracker."""
    clips = draw_clips(TruthOptions(options.data, options.clips), print)
    stills = _draw_stills(clips, options.clips)
    blinking = options.clips / f"blink-{options.blinker.lower()}.mp4"
    if not blinking.is_file():
        _draw_blinks(blinking, load_person(options.blinker, options.data))
    videos = [*stills.values(), blinking]
    if played is None:
        videos += [clip.video for clip in clips]
    model = options.mediapipe_model or peer_model(options.mediapipe_python)
    peer = Mediapipe(options.mediapipe_python, model)
    curves = {
        "freeavatar": track_ours(videos, options.out / "steadiness"),
        "mediapipe": peer.track(videos, options.clips / "mediapipe"),
    }
    raw = track_ours([blinking], options.out / "unsmoothed", flags=UNSMOOTHED)[0]
    result = {}
    for name, own in curves.items():
        held = dict(zip(stills, own[: len(stills)], strict=True))
        blinks = own[len(stills)]
        takes = own[len(stills) + 1 :] if played is None else played[name]
        kept = blink_depth(blinks) / max(blink_depth(raw), 1e-9) if name == "freeavatar" else None
        result[name] = _steadiness(held, blinks, kept, lags(clips, takes))
    some = clips[: options.live_clips]
    live = [track_live(clip.video, options.out / "live") for clip in some]
    result["freeavatar live"] = Steadiness({}, {}, float("nan"), None, *lags(some, live))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "steadiness.md").write_text(steadiness_markdown(result))
    record = {name: asdict(one) for name, one in result.items()}
    text = json.dumps(_plain(record), indent=1)
    (options.out / "steadiness.json").write_text(text)
    return result


def blink_depth(curves: AnimationClip) -> float:
    """How far the lids rise above their usual level in the blinks, mean of both eyes and all
    blinks."""
    lids = curves.values[:, [ARKIT.index(name) for name in LIDS]].astype(np.float64)
    away = np.ones(len(lids), bool)
    for blink in BLINKS:
        away[blink - 3 : blink + 4] = False
    usual = np.median(lids[away], axis=0)
    return float(np.mean([lids[blink - 1 : blink + 2].max(0) - usual for blink in BLINKS]))


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


def steadiness_markdown(result: dict[str, Steadiness]) -> str:
    """One column a tracker."""
    each = list(result.values())
    rows = []
    for kind in next(iter(result.values())).still_worst:
        worst = [number(one.still_worst.get(kind, float("nan")), 4) for one in each]
        mean = [number(one.still_mean.get(kind, float("nan")), 4) for one in each]
        rows.append([f"still picture, {kind}: largest standard deviation", *worst])
        rows.append([f"still picture, {kind}: mean standard deviation", *mean])
    kept = ["–" if one.blink_kept is None else f"{100 * one.blink_kept:.0f} %" for one in each]
    rows += [
        ["one-frame blink, depth of 1", *(number(one.blink_depth) for one in each)],
        ["one-frame blink, kept of what the networks see", *kept],
        ["lag in frames, mean of clips", *(number(one.lag_frames) for one in each)],
        ["lag in frames, largest", *(number(one.lag_worst) for one in each)],
    ]
    return table(["", *result], rows) + "\n"


def _steadiness(
    held: dict[str, AnimationClip],
    blinks: AnimationClip,
    kept: float | None,
    lag: tuple[float, float],
) -> Steadiness:
    spread = {kind: own.values.astype(np.float64).std(0) for kind, own in held.items()}
    return Steadiness(
        {kind: float(std.max()) for kind, std in spread.items()},
        {kind: float(std.mean()) for kind, std in spread.items()},
        blink_depth(blinks),
        kept,
        *lag,
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


def _draw_blinks(path: Path, avatar: Avatar) -> None:
    """A person at rest who shuts both eyes for one frame, now and then."""
    assert avatar.arkit_to_rig is not None
    rng = np.random.default_rng(11)
    lights, background = draw_lights(rng), Backgrounds().draw(512, rng)
    camera, prepared = portrait_camera(avatar.face, margin=1.15), prepare(avatar)
    pictures = []
    for shut in (0.0, 1.0):
        arkit = np.zeros(len(ARKIT))
        arkit[[ARKIT.index(name) for name in LIDS]] = shut
        posed = pose(avatar, avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ arkit))
        pictures.append(
            render(prepared, posed, camera, lights, 512, 512, background, samples=1).rgb
        )
    _write(path, (pictures[int(frame in BLINKS)] for frame in range(BLINK_FRAMES)))


def _write(path: Path, pictures: Iterable[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=14) as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, index / FRAME_RATE_HZ)


def _picture(video: Path, index: int) -> np.ndarray:
    return next(frame.rgb for frame in open_video(video) if frame.index == index)


def _plain(record: object) -> object:
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
