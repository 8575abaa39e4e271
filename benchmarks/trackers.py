"""The trackers under test: videos in, curves out. Each runs as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from freeavatar.animation import AnimationClip
from freeavatar.capture.headpose import head_from_rotation
from freeavatar.capture.video import open_video
from freeavatar.errors import FreeAvatarError
from freeavatar.export.livelink import read_livelink
from freeavatar.rig import ARKIT

HERE = Path(__file__).resolve().parent
LIVE_SCRIPT = HERE / "live_curves.py"
MEDIAPIPE_SCRIPT = HERE / "peers" / "mediapipe_curves.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class TrackerFailed(RuntimeError):
    """A tracker's process ended with an error; the message holds its last words."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What the user can fix ends the program with its sentence and no traceback."""
    try:
        yield
    except (TrackerFailed, FreeAvatarError) as error:
        raise SystemExit(f"benchmark: {error}") from None


@dataclass(frozen=True)
class Mediapipe:
    """mediapipe in an environment of its own."""

    python: Path
    """Interpreter that has mediapipe."""
    model: Path
    """face_landmarker.task."""

    def command(self, videos: Sequence[Path], out: Path, repeats: int = 1) -> list[str]:
        """Arguments of the process that writes one .npz a video into `out`."""
        fixed = [str(self.python), str(MEDIAPIPE_SCRIPT), "--model", str(self.model)]
        rest = ["--out", str(out), "--repeats", str(repeats), *map(str, videos)]
        return fixed + rest

    def track(self, videos: Sequence[Path], cache: Path) -> list[AnimationClip]:
        """Curves of every video; what an earlier run left in `cache` is not made again."""
        missing = [video for video in videos if not _is_fresh(_answer(cache, video), video)]
        if missing:
            run_quietly(self.command(missing, cache))
        return [_read_mediapipe(_answer(cache, video), video) for video in videos]


NEUTRAL_OFF = ("--neutral", "off")
"""Without any correction that looks at the whole clip."""


def track_ours(videos: Sequence[Path], out: Path, flags: Sequence[str] = ()) -> list[AnimationClip]:
    """`freeavatar animate` on every video, as a user would run it. A video in which nobody is
    found gives the rest pose, seen in no frame."""
    fixed = ["--formats", "livelink", "--out", str(out), "--overwrite"]
    for video in videos:
        (out / video.stem / "livelink.csv").unlink(missing_ok=True)
    said = run_quietly([*freeavatar_command(), "animate", *map(str, videos), *fixed, *flags], 1)
    missing = [video for video in videos if not (out / video.stem / "livelink.csv").is_file()]
    if len(missing) != said.count("freeavatar: No face in"):
        raise TrackerFailed("\n".join(said.strip().splitlines()[-4:]))
    return [_read_ours(out / video.stem / "livelink.csv", video) for video in videos]


def track_live(video: Path, out: Path) -> AnimationClip:
    """The live path over a recorded video, every frame, its neutral not looked for."""
    table = out / f"{video.stem}.csv"
    run_quietly([sys.executable, str(LIVE_SCRIPT), str(video), str(table)])
    return read_livelink(table)


def track_stand_in(truths: Sequence[AnimationClip], noise: float = 0.05) -> list[AnimationClip]:
    """The truth with noise: checks the scoring where no weights are."""
    rng = np.random.default_rng(5)
    return [
        truth.with_values(
            ARKIT.clamp(truth.values + noise * rng.standard_normal(truth.values.shape))
        )
        for truth in truths
    ]


def peer_model(python: Path) -> Path:
    """face_landmarker.task, which one of the packages beside this interpreter carries."""
    found = sorted(python.parent.parent.glob("lib/python*/site-packages/*/face_landmarker*.task"))
    if not found:
        raise TrackerFailed(
            f"No face_landmarker.task beside {python}. Run make bench, which installs it, "
            "or name the file with --mediapipe-model."
        )
    return found[0]


def freeavatar_command() -> list[str]:
    """The command line of this very checkout."""
    return [sys.executable, "-m", "freeavatar.cli.main"]


def run_quietly(command: Sequence[str], allowed: int = 0) -> str:
    """What a program says on stderr, run to its end with one thread; TrackerFailed repeats its
    last words, unless its exit code is 0 or the allowed one."""
    done = subprocess.run(
        command,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, allowed):
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise TrackerFailed(last)
    return done.stderr


def _answer(folder: Path, video: Path) -> Path:
    return folder / f"{video.stem}.npz"


def _is_fresh(answer: Path, video: Path) -> bool:
    return answer.is_file() and answer.stat().st_mtime > video.stat().st_mtime


def _read_ours(path: Path, video: Path) -> AnimationClip:
    if path.is_file():
        return read_livelink(path)
    num = sum(1 for _ in open_video(video))
    times_s = _frame_times(video, num)
    return AnimationClip(
        ARKIT, times_s, np.zeros((num, len(ARKIT))), np.zeros(num, bool), np.zeros((num, 3))
    )


def _read_mediapipe(path: Path, video: Path) -> AnimationClip:
    """Its scores by name: slot 0 is `_neutral`, and tongueOut does not exist."""
    with np.load(path) as answer:
        names = [str(name) for name in answer["names"]]
        scores, found, rotations = answer["scores"], answer["found"], answer["rotations"]
    values = np.zeros((len(found), len(ARKIT)), np.float32)
    for column, name in enumerate(ARKIT.names):
        if name in names:
            values[:, column] = scores[:, names.index(name)]
    # Its camera space and its face model have our axes: +Y up, +Z towards the camera.
    head = np.array([head_from_rotation(rotation) for rotation in rotations.astype(np.float64)])
    return AnimationClip(ARKIT, _frame_times(video, len(found)), values, found, head)


def _frame_times(video: Path, num_frames: int) -> np.ndarray:
    with av.open(str(video)) as container:
        rate = container.streams.video[0].average_rate or 30
    return np.arange(num_frames) / float(rate)
