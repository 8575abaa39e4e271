"""Frames a second from a 720p video to curves: ours and mediapipe in turns, one core each.

    python benchmarks/speed.py --mediapipe-python PYTHON

Every measurement is a process of its own. "Running" counts from the first frame asked for to the
curves; "whole process" also the start of Python and the loading of the models.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import tyro

from freeavatar.capture.video import open_video
from freeavatar.capture.video_writer import VideoWriter
from tables import table
from trackers import ONE_THREAD, Mediapipe, TrackerFailed, one_line_errors, peer_model

WIDTH, HEIGHT = 1280, 720
OURS_SCRIPT = Path(__file__).with_name("ours_timed.py")


@dataclass(frozen=True)
class Options:
    """Compare speeds."""

    clip: Path = Path("examples/clips/crying_to_laughing.mp4")
    """Enlarged to 720p before anything is timed."""
    frames: int = 240
    repetitions: int = 5
    core: int = -1
    """Both run on this core alone (Linux); the last one when negative."""
    clips: Path = Path("data/bench")
    """Where the enlarged clip is kept."""
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""


@dataclass(frozen=True)
class Timing:
    """One process."""

    frames: int
    found: int
    run_s: float
    whole_s: float
    cpu_s: float
    """Of the whole process, all its threads."""


def compare_speed(options: Options) -> dict[str, list[Timing]]:
    """Timings of each tracker, taken in turns so that both see the same moods of the machine."""
    video = _enlarged(options)
    work = options.out / "speed"
    work.mkdir(parents=True, exist_ok=True)
    model = options.mediapipe_model or peer_model(options.mediapipe_python)
    peer = Mediapipe(options.mediapipe_python, model)
    commands = {
        "freeavatar": [sys.executable, str(OURS_SCRIPT), str(video), str(work / "ours")],
        "mediapipe": peer.command([video], work / "mediapipe"),
    }
    timings: dict[str, list[Timing]] = {name: [] for name in commands}
    for repetition in range(options.repetitions + 1):
        for name, command in commands.items():
            timing = _timed(command, options.core)
            # The first round fills the disk cache and the compiled kernels.
            if repetition:
                timings[name].append(timing)
    (options.out / "speed.md").write_text(speed_markdown(timings))
    record = {name: [asdict(timing) for timing in each] for name, each in timings.items()}
    (options.out / "speed.json").write_text(json.dumps(record, indent=1))
    return timings


def speed_markdown(timings: Mapping[str, Sequence[Timing]]) -> str:
    """Medians and how they compare."""
    rows = []
    running: list[float] = []
    for name, each in timings.items():
        run = [timing.frames / timing.run_s for timing in each]
        whole = [timing.frames / timing.whole_s for timing in each]
        cpu_ms = [1000 * timing.cpu_s / timing.frames for timing in each]
        running.append(statistics.median(run))
        rows.append(
            [
                name,
                f"{statistics.median(run):.1f} ({min(run):.1f} to {max(run):.1f})",
                f"{statistics.median(whole):.1f}",
                f"{statistics.median(cpu_ms):.1f}",
                f"{100 * sum(t.found for t in each) / sum(t.frames for t in each):.0f}",
            ]
        )
    header = ["", "frames/s, running", "frames/s, whole process", "CPU ms a frame", "found, %"]
    first, second = list(timings)[:2]
    text = table(header, rows)
    return f"{text}\n\n{first} takes {running[1] / running[0]:.2f} times as long as {second}.\n"


def _timed(command: Sequence[str], core: int) -> Timing:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        preexec_fn=lambda: _stay_on(core),
    )
    whole_s = time.perf_counter() - started_s
    if done.returncode:
        raise TrackerFailed(done.stderr.strip().splitlines()[-1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return Timing(answer["frames"], answer["found"], answer["run_s"], whole_s, cpu_s)


def _stay_on(core: int) -> None:
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core] if core < 0 else core})


def _enlarged(options: Options) -> Path:
    """The clip at 720p, whatever its shape: scaled to fit, black beside it."""
    path = options.clips / f"speed-{options.clip.stem}-{options.frames}.mp4"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, quality_crf=18) as writer:
        for count, frame in enumerate(open_video(options.clip)):
            if count == options.frames:
                break
            writer.write(_fit(frame.rgb), frame.time_s)
    return path


def _fit(rgb: cv2.typing.MatLike) -> cv2.typing.MatLike:
    height, width = rgb.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = round(width * scale), round(height * scale)
    scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    left, top = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
    right, bottom = WIDTH - size[0] - left, HEIGHT - size[1] - top
    return cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT)


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    with one_line_errors():
        compare_speed(chosen)
    print((chosen.out / "speed.md").read_text())
