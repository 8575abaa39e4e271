"""Bad footage: twelve corruptions at three strengths, a face that is covered, a head in profile.

    python benchmarks/robustness.py --data ../shared/data --mediapipe-python PYTHON

Both trackers see the same files. Writes robustness.md, robustness.json and robustness.png.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from jaxtyping import Bool

from chart import Panel, write_panels
from corruptions import CORRUPTIONS, STRENGTHS
from damage import (
    Window,
    covered_frame,
    draw_covered,
    draw_damaged,
    liveliest_window,
    uncovered_frame,
)
from freeavatar.animation import AnimationClip
from profile_turn import Turn, back_frame, draw_turns, yaw_rad
from provenance import provenance, write_part
from scores import Judged, aligned, correlations, moving_channels
from tables import number, table
from trackers import NEUTRAL_OFF, Mediapipe, one_line_errors, peer_model, track_ours
from truth import Options as TruthOptions
from truth import TruthClip, draw_clips

CLEAN = ("clean", "")
MIDDLE = STRENGTHS[1]
WITHIN = 0.02
"""Right again: the mean control differs by no more from what the clear footage gave."""
STAYS = 5
"""Frames for which it must stay so."""
MOST_GROWTH = 0.25
COVERED, PROFILE = "behind a board, 2 s", "to profile and back"


@dataclass(frozen=True)
class Options:
    """Compare trackers on bad footage."""

    data: Path = Path("../shared/data")
    clips: Path = Path("data/bench")
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""
    people: int = 6
    """Clips, of different people, from which windows are taken: with three, growth differs by up to
    ten points from what all six give."""
    frames: int = 60
    """Of each window; 0 takes whole clips."""


@dataclass(frozen=True)
class Outcome:
    """One tracker under one corruption."""

    error: float
    """Mean absolute error of the controls that move; NaN where the tracker gave nothing at all."""
    correlation: float
    """Mean over the controls that move."""
    coverage: float
    """Share of frames with output."""
    drift: float
    """Mean absolute difference from the same tracker's curves of the clean window."""


@dataclass(frozen=True)
class Recovery:
    """One tracker where a face goes out of sight and comes back."""

    frames: list[int | None]
    """Until it is right again, a clip each; None: not before the end."""
    coverage: float
    """Share of the frames with output in which the face can be seen."""


@dataclass(frozen=True)
class Event:
    """Two videos of one performance: undisturbed, and with the face out of sight for a while."""

    clear: Path
    disturbed: Path
    back: int
    """First frame in which all is as before."""
    visible: Bool[np.ndarray, " frame"]


@dataclass(frozen=True)
class Robustness:
    """Everything measured here, by tracker."""

    outcomes: dict[str, dict[tuple[str, str], Outcome]]
    recovery: dict[str, dict[str, Recovery]]
    """Then by what happened."""


def compare_robustness(options: Options) -> Robustness:
    """Draw what is missing, run both trackers, write the files."""
    made = provenance()
    drawn = draw_clips(TruthOptions(options.data, options.clips), print)
    clips = chosen_clips(drawn, options)
    windows = [liveliest_window(clip, options.frames or len(clip.truth)) for clip in clips]
    videos = draw_damaged(windows, options.clips)
    turns = draw_turns(drawn, options.people, options.clips, options.data)
    events = {COVERED: _covers(draw_covered(clips, options.clips)), PROFILE: _turns(turns)}
    everything = [path for paths in videos.values() for path in paths]
    everything += [path for own in events.values() for e in own for path in (e.clear, e.disturbed)]
    model = options.mediapipe_model or peer_model(options.mediapipe_python)
    peer = Mediapipe(options.mediapipe_python, model)
    # Curves are compared with those of the clear twin, which would be read with another neutral.
    ours = track_ours(everything, options.out / "damaged", NEUTRAL_OFF)
    curves = {
        "freeavatar": dict(zip(everything, ours, strict=True)),
        "mediapipe": dict(
            zip(everything, peer.track(everything, options.clips / "mediapipe"), strict=True)
        ),
    }
    found = Robustness(
        {
            name: {
                key: _outcome(windows, [own[v] for v in paths], [own[v] for v in videos[CLEAN]])
                for key, paths in videos.items()
            }
            for name, own in curves.items()
        },
        {
            name: {what: _recovery(happened, own) for what, happened in events.items()}
            for name, own in curves.items()
        },
    )
    text = robustness_markdown(found)
    write_part(options.out, "robustness", made, robustness_record(found), text)
    _draw(options.out / "robustness.png", found)
    return found


def chosen_clips(clips: Sequence[TruthClip], options: Options) -> list[TruthClip]:
    """Different people, range takes and recorded ones in turns: the first few of them."""
    by_person: dict[str, list[TruthClip]] = {}
    for clip in clips:
        by_person.setdefault(clip.plan.person, []).append(clip)
    turns = [own[(place + 1) % len(own)] for place, own in enumerate(by_person.values())]
    return turns[: options.people]


def recovery_frames(clear: AnimationClip, hidden: AnimationClip, start: int) -> int | None:
    """Frames from `start` on, where all is as before, until the curves are those of clear footage,
    and stay so."""
    num = min(len(clear), len(hidden))
    away = np.abs(clear.values[:num] - hidden.values[:num]).mean(1)
    right = (away <= WITHIN) & hidden.found[:num]
    for frame in range(start, num - STAYS + 1):
        if right[frame : frame + STAYS].all():
            return frame - start
    return None


def robustness_markdown(found: Robustness) -> str:
    """A line for every corruption and strength, then the recovery."""
    names = list(found.outcomes)
    header = ["footage"]
    for measure in ("error", "growth", "correlation", "coverage %", "drift"):
        header += [f"{measure}: {name}" for name in names]
    rows = []
    for key in next(iter(found.outcomes.values())):
        each = [found.outcomes[name][key] for name in names]
        growths = [growth(found, name, key) for name in names]
        rows.append(
            [
                " ".join(filter(None, key)),
                *(number(one.error, 3) for one in each),
                *("–" if np.isnan(g) else f"{100 * g:+.0f} %" for g in growths),
                *(number(one.correlation) for one in each),
                *(f"{100 * one.coverage:.0f}" for one in each),
                *(number(one.drift, 3) for one in each),
            ]
        )
    return "\n\n".join([table(header, rows), verdict(found), events_table(found)]) + "\n"


def events_table(found: Robustness) -> str:
    """One row for each thing that happened to the face."""
    names = list(found.recovery)
    header = ["out of sight"]
    header += [f"coverage %: {name}" for name in names]
    header += [f"frames until right again, by clip: {name}" for name in names]
    rows = []
    for what in next(iter(found.recovery.values())):
        each = [found.recovery[name][what] for name in names]
        rows.append(
            [
                what,
                *(number(100 * one.coverage, 0) for one in each),
                *(", ".join("not at all" if f is None else f"{f}" for f in o.frames) for o in each),
            ]
        )
    return table(header, rows)


def growth(found: Robustness, name: str, key: tuple[str, str]) -> float:
    """By which share the error grew over clean."""
    own = found.outcomes[name]
    return own[key].error / max(own[CLEAN].error, 1e-9) - 1.0


def verdict(found: Robustness) -> str:
    """What was promised at middle strength, counted."""
    first, peer = list(found.outcomes)[:2]
    keys = [(name, MIDDLE) for name in CORRUPTIONS]
    own, other = found.outcomes[first], found.outcomes[peer]
    grown = [key[0] for key in keys if not growth(found, first, key) <= MOST_GROWTH]
    behind = [
        key[0]
        for key in keys
        if np.isnan(own[key].error) or own[key].error >= _or_worst(other[key].error)
    ]
    gaps = [key[0] for key in keys if own[key].coverage < 1.0]
    both = [k for k in keys if not np.isnan([own[k].error, other[k].error]).any()]
    mean = statistics.mean(own[key].error for key in both)
    mean_peer = statistics.mean(other[key].error for key in both)
    silent = [k[0] for k in keys if np.isnan(other[k].error)]
    return (
        f"Middle strength: mean error where both give something {first} {mean:.3f}, {peer} "
        f"{mean_peer:.3f}; {peer} gives nothing under {', '.join(silent) or 'none'}. "
        f"{first}'s error grows by more than {100 * MOST_GROWTH:.0f} % under "
        f"{', '.join(grown) or 'none'}; is not below {peer}'s under {', '.join(behind) or 'none'}; "
        f"frames without output under {', '.join(gaps) or 'none'}."
    )


def _or_worst(error: float) -> float:
    """No output is worse than any."""
    return np.inf if np.isnan(error) else error


def robustness_record(found: Robustness) -> dict[str, object]:
    """The same for programs."""
    return {
        "outcomes": {
            name: {" ".join(filter(None, key)): _plain(one) for key, one in own.items()}
            for name, own in found.outcomes.items()
        },
        "recovery": {
            name: {what: asdict(one) for what, one in own.items()}
            for name, own in found.recovery.items()
        },
    }


def _plain(one: Outcome) -> dict[str, float | None]:
    """NaN is no JSON."""
    return {name: None if np.isnan(v) else round(v, 5) for name, v in asdict(one).items()}


def _outcome(
    windows: Sequence[Window], curves: Sequence[AnimationClip], clean: Sequence[AnimationClip]
) -> Outcome:
    errors, likeness, drifts = [], [], []
    for window, own, unharmed in zip(windows, curves, clean, strict=True):
        truth, shown = window.truth, window.clip.shown
        guess = aligned(Judged(window.clip.plan.name, truth, shown, own)).values
        before = aligned(Judged(window.clip.plan.name, truth, shown, unharmed)).values
        moving = moving_channels(truth) & shown
        # At rest is where a face mostly is: no output must not count as a good one.
        given = own.found.any()
        errors.append(np.abs(guess - truth.values)[:, moving].mean() if given else np.nan)
        drifts.append(np.abs(guess - before)[:, shown].mean())
        likeness.append(correlations(guess, truth.values.astype(np.float64))[moving].mean())
    coverage = sum(int(own.found.sum()) for own in curves) / sum(len(own) for own in curves)
    return Outcome(
        # Where some windows are without any output the others' mean would be of other faces.
        float(np.mean(errors)),
        float(np.mean(likeness)),
        float(coverage),
        float(np.mean(drifts)),
    )


def _covers(hidden: Sequence[tuple[Window, Path, Path]]) -> list[Event]:
    """Nothing is asked while the board is there."""
    events = []
    for window, clear, dark in hidden:
        frames = np.arange(window.num)
        visible = (frames < covered_frame()) | (frames >= uncovered_frame())
        events.append(Event(clear, dark, uncovered_frame(), visible))
    return events


def _turns(turns: Sequence[Turn]) -> list[Event]:
    """In profile half a face can be seen."""
    visible = np.ones(len(yaw_rad()), bool)
    return [Event(turn.front, turn.turning, back_frame(), visible) for turn in turns]


def _recovery(events: Sequence[Event], own: Mapping[Path, AnimationClip]) -> Recovery:
    seen = [own[event.disturbed].found[: len(event.visible)] for event in events]
    visible = [event.visible[: len(found)] for event, found in zip(events, seen, strict=True)]
    frames = [recovery_frames(own[e.clear], own[e.disturbed], e.back) for e in events]
    return Recovery(frames, float(np.concatenate(seen)[np.concatenate(visible)].mean()))


def _draw(path: Path, found: Robustness) -> None:
    """Error and coverage at middle strength beside clean, a pair of bars for each corruption; then
    what happens to the face."""
    keys = [CLEAN, *((name, MIDDLE) for name in CORRUPTIONS)]
    names = [key[0] for key in keys]
    events = list(next(iter(found.recovery.values())))
    of_events = {n: [100 * own[e].coverage for e in events] for n, own in found.recovery.items()}
    errors = {name: [own[key].error for key in keys] for name, own in found.outcomes.items()}
    covered = {
        name: [100 * own[key].coverage for key in keys] + of_events[name]
        for name, own in found.outcomes.items()
    }
    write_panels(
        path,
        [
            Panel("mean absolute error, middle strength (0 is perfect)", names, errors),
            Panel(
                "coverage: frames with output, % (100 is perfect)",
                [*names, *events],
                covered,
                digits=0,
            ),
        ],
    )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    chosen = tyro.cli(Options)
    with one_line_errors():
        compare_robustness(chosen)
    print((chosen.out / "robustness.md").read_text())
