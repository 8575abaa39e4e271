"""Curves from one video with our pipeline, timed inside the process: the twin of mediapipe_curves.

python benchmarks/ours_timed.py VIDEO FOLDER [everything]
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import av
import cv2

from freeavatar.avatars import catalog
from freeavatar.pipeline import AnimateOptions, Models, animate

MEMORY_STEP = 50
"""Frames between two looks at the memory in use: about 2 s of footage."""


def main(video: Path, folder: Path, everything: bool) -> None:
    """Print one line of JSON: seconds to load, seconds to run, frames, memory as it went."""
    cv2.setNumThreads(1)
    started_s = time.perf_counter()
    models = Models.load()
    avatars = [catalog.resolve(name) for name in catalog.DEFAULT] if everything else []
    loaded_s = time.perf_counter()
    rate_hz = frame_rate_hz(video)
    at_s: list[float] = []
    memory_mb: list[float] = []

    def look(stage: str, done: int, total: int | None) -> None:
        if stage == "watching" and done % MEMORY_STEP == 0:
            at_s.append(round(done / rate_hz, 2))
            memory_mb.append(round(resident_mb(), 1))

    options = AnimateOptions(() if everything else ("livelink",), overwrite=True)
    take = animate(video, avatars, folder, options, models, look)
    ended_s = time.perf_counter()
    answer = {
        "load_s": loaded_s - started_s,
        "run_s": ended_s - loaded_s,
        "frames": len(take.arkit),
        "found": int(take.arkit.found.sum()),
        "stage_s": {name: round(seconds, 3) for name, seconds in take.stage_s.items()},
        "memory_at_s": at_s,
        "memory_mb": memory_mb,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(answer))


def frame_rate_hz(video: Path) -> float:
    """Pictures in a second of the footage; 1 for a picture alone."""
    with av.open(str(video)) as container:
        return float(container.streams.video[0].average_rate or 1.0)


def resident_mb() -> float:
    """Memory in use now; 0 where the system does not tell it this way."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mb() -> float | None:
    """The most memory this process ever used; None where the system does not tell it this way."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), "everything" in sys.argv[3:])
