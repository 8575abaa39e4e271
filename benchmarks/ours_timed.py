"""Curves from one video with our pipeline, timed inside the process: the twin of mediapipe_curves.

python benchmarks/ours_timed.py VIDEO FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2

from freeavatar.pipeline import AnimateOptions, Models, animate


def main(video: Path, folder: Path) -> None:
    """Print one line of JSON: seconds to load, seconds to run, frames."""
    cv2.setNumThreads(1)
    started_s = time.perf_counter()
    models = Models.load()
    loaded_s = time.perf_counter()
    take = animate(video, [], folder, AnimateOptions(("livelink",), overwrite=True), models)
    ended_s = time.perf_counter()
    answer = {
        "load_s": loaded_s - started_s,
        "run_s": ended_s - loaded_s,
        "frames": len(take.arkit),
        "found": int(take.arkit.found.sum()),
        "stage_s": {name: round(seconds, 3) for name, seconds in take.stage_s.items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
