"""Speed, memory and start-up: ours and mediapipe in turns, every measurement a process of its own.

    python benchmarks/speed.py --mediapipe-python PYTHON [--long]

"Running" counts from the first frame asked for to the curves; "whole process" also the start of
Python and the loading of the models. --long adds takes of one and of ten minutes at 1080p.
Writes speed.md, speed.json and speed.png.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro

from chart import Panel, write_panels
from footage import enlarged, repeated
from provenance import provenance, write_part
from tables import number, table
from trackers import ONE_THREAD, Mediapipe, TrackerFailed, one_line_errors, peer_model

OURS_SCRIPT = Path(__file__).with_name("ours_timed.py")
CROP_SCRIPT = Path(__file__).with_name("one_crop.py")
LONG_S = (60.0, 600.0)
MINUTE_S = 60.0
START_UP = "start-up"


@dataclass(frozen=True)
class Options:
    """Compare speeds."""

    clip: Path = Path("examples/clips/crying_to_laughing.mp4")
    """Enlarged before anything is timed."""
    frames: int = 187
    repetitions: int = 3
    """Of the main comparison; what else is measured is measured once, start-up as often."""
    clips: Path = Path("data/bench")
    """Where the enlarged clips are kept."""
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""
    long: bool = False
    """Also a minute and ten minutes at 1080p: a quarter of an hour on one core."""


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    video: Path
    cores: int
    repetitions: int
    everything: bool = False
    """All files and videos of three avatars, which no peer makes."""


@dataclass(frozen=True)
class Timing:
    """One process."""

    frames: int
    found: int
    run_s: float
    whole_s: float
    cpu_s: float
    """Of the whole process, all its threads."""
    peak_mb: float = 0.0
    memory_at_s: list[float] = field(default_factory=list)
    """Seconds of footage after which memory was looked at; ours only."""
    memory_mb: list[float] = field(default_factory=list)
    """In use then."""


Timings = dict[str, dict[str, list[Timing]]]
"""By case, then by tracker."""


def compare_speed(options: Options) -> Timings:
    """Timings taken in turns, so that all trackers see the same moods of the machine."""
    made = provenance()
    work = options.out / "speed"
    work.mkdir(parents=True, exist_ok=True)
    model = options.mediapipe_model or peer_model(options.mediapipe_python)
    peer = Mediapipe(options.mediapipe_python, model)
    timings: Timings = {}
    for case in _cases(options):
        ours = [sys.executable, str(OURS_SCRIPT), str(case.video), str(work / "ours")]
        if case.everything:
            commands = {"freeavatar": [*ours, "everything"]}
        else:
            commands = {
                "freeavatar": ours,
                "mediapipe": peer.command([case.video], work / "mediapipe"),
            }
        if not timings:
            # The first run of each fills the disk cache and the compiled kernels.
            for command in commands.values():
                timed(command, case.cores)
        timings[case.name] = {name: [] for name in commands}
        for _ in range(case.repetitions):
            for name, command in commands.items():
                timings[case.name][name].append(timed(command, case.cores))
    crop_ms = one_crop()
    record: dict[str, object] = {
        case: {name: [asdict(timing) for timing in each] for name, each in own.items()}
        for case, own in timings.items()
    }
    record["one crop, ms"] = crop_ms
    write_part(options.out, "speed", made, record, speed_markdown(timings) + crop_markdown(crop_ms))
    _draw(options.out / "speed.png", timings)
    return timings


def one_crop() -> dict[str, float]:
    """Milliseconds of one crop, by network."""
    command = [sys.executable, str(CROP_SCRIPT)]
    said = subprocess.run(
        command,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: _stay_on(1),
    )
    return dict(json.loads(said.stdout))


def crop_markdown(crop_ms: Mapping[str, float]) -> str:
    """One line for each way to encode a crop."""
    mesh = crop_ms["mesh"]
    lines = [
        f"- one crop, one thread: {name} {took:.1f} ms, {took / mesh:.2f} of the mesh network's"
        for name, took in crop_ms.items()
        if name != "mesh"
    ]
    return "\n".join(lines) + "\n"


def speed_markdown(timings: Mapping[str, Mapping[str, Sequence[Timing]]]) -> str:
    """Medians, how they compare, and what memory did."""
    header = ["", "frames", "frames/s, running", "whole process, s", "CPU ms a frame", "peak MB"]
    rows, ratios, memory = [], [], []
    for case, own in timings.items():
        running: list[float] = []
        for name, each in own.items():
            run = [timing.frames / timing.run_s for timing in each]
            running.append(statistics.median(run))
            spread = f" ({min(run):.1f} to {max(run):.1f})" if len(run) > 1 else ""
            rows.append(
                [
                    f"{case}: {name}",
                    str(each[0].frames),
                    f"{statistics.median(run):.1f}{spread}",
                    number(statistics.median(timing.whole_s for timing in each)),
                    number(statistics.median(1000 * t.cpu_s / t.frames for t in each), 1),
                    number(max(timing.peak_mb for timing in each), 0),
                ]
            )
            memory += [said for timing in each if (said := _memory(case, name, timing))]
        if len(running) == 2:
            first, second = own
            ratios.append(
                f"- {case}: {first} takes {running[1] / running[0]:.2f} of {second}'s time"
            )
    return "\n".join([table(header, rows), "", *ratios, *_of_length(timings), *memory]) + "\n"


def timed(command: Sequence[str], cores: int) -> Timing:
    """Run one tracker on the last so many cores."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        started_s = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **ONE_THREAD},
            stdout=said,
            stderr=complained,
            preexec_fn=lambda: _stay_on(cores),
        )
        # Not Popen.wait: only wait4 tells of this very child what it used.
        _, status, used = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        complained.seek(0)
        if process.returncode:
            lines = complained.read().strip().splitlines() or [f"exit code {process.returncode}"]
            raise TrackerFailed(lines[-1])
        answer = json.loads(said.read().strip().splitlines()[-1])
    return Timing(
        answer["frames"],
        answer["found"],
        answer["run_s"],
        whole_s,
        used.ru_utime + used.ru_stime,
        # Asked of the process itself: what wait4 says holds the memory of its parent, too.
        answer.get("peak_mb") or used.ru_maxrss / (2**10 if sys.platform == "linux" else 2**20),
        answer.get("memory_at_s", []),
        answer.get("memory_mb", []),
    )


def _cases(options: Options) -> list[Case]:
    hd = enlarged(options.clip, 1280, 720, options.frames, options.clips)
    full = enlarged(options.clip, 1920, 1080, options.frames, options.clips)
    one = enlarged(options.clip, 1280, 720, 1, options.clips)
    num = options.repetitions
    cases = [
        Case("720p, one core", hd, 1, num),
        Case("720p, two cores", hd, 2, num),
        Case("1080p, one core", full, 1, 1),
        Case("1080p, two cores", full, 2, 1),
        Case("720p, everything, one core", hd, 1, 1, everything=True),
        Case("720p, everything, two cores", hd, 2, 1, everything=True),
        Case("1080p, everything, one core", full, 1, 1, everything=True),
        Case("1080p, everything, two cores", full, 2, 1, everything=True),
        Case(f"{START_UP}: one frame", one, 2, num),
    ]
    if options.long:
        cases += [
            Case(long_case(length_s), repeated(full, length_s, options.clips), 2, 1)
            for length_s in LONG_S
        ]
    return cases


def long_case(length_s: float) -> str:
    """Name of the measurement of a long take."""
    return f"1080p, {length_s / 60:.0f} min"


def _of_length(timings: Mapping[str, Mapping[str, Sequence[Timing]]]) -> list[str]:
    """What a frame of the longest take costs beside one of the shortest: 1 is perfect."""
    short, long = (long_case(length_s) for length_s in LONG_S)
    if short not in timings or long not in timings:
        return []
    lines = []
    for name, each in timings[long].items():
        late, early = each[0], timings[short][name][0]
        run = (late.run_s / late.frames) / (early.run_s / early.frames)
        cpu = (late.cpu_s / late.frames) / (early.cpu_s / early.frames)
        lines.append(
            f"- {long} beside {short}: a frame takes {name} {run:.2f} of the time "
            f"and {cpu:.2f} of the processor's time"
        )
    return lines


def _memory(case: str, name: str, timing: Timing) -> str:
    """After the first minute of footage and later; empty where nobody looked or it is shorter."""
    later = [
        (at_s, mb)
        for at_s, mb in zip(timing.memory_at_s, timing.memory_mb, strict=True)
        if at_s >= MINUTE_S
    ]
    if len(later) < 2:
        return ""
    first = later[0][1]
    most, last = max(mb for _, mb in later), later[-1][1]
    return (
        f"- {case}: {name} used {first:.0f} MB after a minute of footage, later at most "
        f"{most:.0f} MB ({most - first:+.0f}), at {later[-1][0] / 60:.1f} min {last:.0f} MB "
        f"({last - first:+.0f})"
    )


def _draw(path: Path, timings: Timings) -> None:
    """Frames a second and memory; start-up, which is one frame, has a panel of its own."""
    usual = {case: own for case, own in timings.items() if not case.startswith(START_UP)}
    start = {case: own for case, own in timings.items() if case.startswith(START_UP)}
    trackers = list(dict.fromkeys(name for own in timings.values() for name in own))

    def bars(cases: Timings, measure: Callable[[Timing], float]) -> dict[str, list[float]]:
        return {
            name: [
                statistics.median(map(measure, own[name])) if name in own else float("nan")
                for own in cases.values()
            ]
            for name in trackers
        }

    panels = [
        Panel(
            "frames a second, running (more is better)",
            list(usual),
            bars(usual, lambda timing: timing.frames / timing.run_s),
            digits=1,
        ),
        Panel("peak MB", list(usual), bars(usual, lambda timing: timing.peak_mb), digits=0),
        Panel(
            "start-up: seconds of the whole process for one frame",
            list(start),
            bars(start, lambda timing: timing.whole_s),
            digits=2,
        ),
    ]
    write_panels(path, [panel for panel in panels if panel.names], missing="does not do this")


def _stay_on(cores: int) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    with one_line_errors():
        compare_speed(chosen)
    print((chosen.out / "speed.md").read_text())
