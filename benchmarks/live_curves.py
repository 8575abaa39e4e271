"""Curves as the live path makes them, from a recorded video: every frame, nothing from the future.

python benchmarks/live_curves.py VIDEO OUT.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.capture.video import open_video
from freeavatar.export.livelink import write_livelink
from freeavatar.live.performer import Performer, PerformerConfig
from freeavatar.pipeline import Models
from freeavatar.rig import ARKIT


def main(video: Path, out: Path) -> None:
    """Write a Live Link Face CSV."""
    cv2.setNumThreads(1)
    performer = Performer(Models.load(), config=PerformerConfig(auto_neutral=False))
    shown = [performer.show(frame, frame.time_s) for frame in open_video(video)]
    clip = AnimationClip(
        ARKIT,
        np.array([frame.time_s for frame in shown]),
        np.array([frame.arkit for frame in shown]),
        np.array([frame.found for frame in shown]),
        np.array([frame.head_rad for frame in shown]),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_livelink(out, clip)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
