"""Short windows of the drawn clips, clean and damaged, as videos that any tracker can read.

What is drawn once is kept: NAME.mp4 in --clips/damaged, made again when this version number rises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corruptions import CORRUPTIONS, STRENGTHS, Shown, corrupted, covered
from freeavatar.animation import AnimationClip
from freeavatar.capture.align import CropFrame
from freeavatar.capture.follow import Follower, TrackConfig
from freeavatar.capture.video import Frame, open_video
from freeavatar.capture.video_writer import VideoWriter
from takes import FRAME_RATE_HZ
from truth import TruthClip

VERSION = 1
CRF = 12
COVER_S = 2.0
BEFORE_COVER_S = 1.0
AFTER_COVER_S = 1.0


@dataclass(frozen=True)
class Window:
    """Some frames of one clip, with their truth."""

    clip: TruthClip
    start: int
    num: int

    @property
    def truth(self) -> AnimationClip:
        """Of these frames; time starts at 0."""
        rows = slice(self.start, self.start + self.num)
        whole = self.clip.truth
        return replace(
            whole,
            times_s=whole.times_s[rows] - whole.times_s[self.start],
            values=whole.values[rows],
            found=whole.found[rows],
            head_rad=whole.head_rad[rows],
            confidence=whole.confidence[rows],
            shot=whole.shot[rows],
        )

    def file(self, folder: Path, what: str) -> Path:
        """Where it is drawn."""
        name = f"{self.clip.plan.name}-{self.start}+{self.num}-{what}-v{VERSION}.mp4"
        return folder / "damaged" / name.replace(" ", "_")


def liveliest_window(clip: TruthClip, num: int) -> Window:
    """The frames in which the face does most."""
    values = clip.truth.values[:, clip.shown]
    num = min(num, len(values))
    starts = range(0, len(values) - num + 1, 5)
    return Window(clip, max(starts, key=lambda s: float(values[s : s + num].std(0).sum())), num)


def draw_damaged(windows: Sequence[Window], folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Videos by (corruption, strength), one a window; ("clean", "") is without damage."""
    videos: dict[tuple[str, str], list[Path]] = {("clean", ""): []}
    videos |= {(name, strength): [] for name in CORRUPTIONS for strength in STRENGTHS}
    for window in windows:
        files = {key: window.file(folder, "-".join(filter(None, key))) for key in videos}
        missing = {key: file for key, file in files.items() if not file.is_file()}
        if missing:
            shown = list(_shown(window))
            for (name, strength), file in missing.items():
                clean = name == "clean"
                pictures = (s.picture for s in shown) if clean else corrupted(name, strength, shown)
                _write(file, pictures)
        for key, file in files.items():
            videos[key].append(file)
    return videos


def draw_covered(clips: Sequence[TruthClip], folder: Path) -> list[tuple[Window, Path, Path]]:
    """For each clip a window, its video, and the same with the face behind a board for 2 s."""
    lengths_s = (BEFORE_COVER_S, COVER_S, AFTER_COVER_S)
    before, during, after = (round(s * FRAME_RATE_HZ) for s in lengths_s)
    drawn = []
    for clip in clips:
        window = Window(clip, 0, min(before + during + after, len(clip.truth)))
        clear, hidden = window.file(folder, "clear"), window.file(folder, "covered")
        if not (clear.is_file() and hidden.is_file()):
            shown = list(_shown(window))
            _write(clear, (s.picture for s in shown))
            behind = range(before, before + during)
            _write(hidden, (covered(s) if i in behind else s.picture for i, s in enumerate(shown)))
        drawn.append((window, clear, hidden))
    return drawn


def covered_frame() -> int:
    """The first frame behind the board."""
    return round(BEFORE_COVER_S * FRAME_RATE_HZ)


def uncovered_frame() -> int:
    """The first frame after the board has gone."""
    return round((BEFORE_COVER_S + COVER_S) * FRAME_RATE_HZ)


def _shown(window: Window) -> Iterator[Shown]:
    """The window's frames and where the face is, as the tracker sees it in the clean clip."""
    follower = Follower(TrackConfig(gap_s=0.0))
    place: CropFrame | None = None
    for frame in open_video(window.clip.video):
        index = frame.index - window.start
        if index < 0:
            continue
        if index >= window.num:
            return
        sighting = follower.look(Frame(index, frame.time_s, frame.rgb))
        place = place if sighting is None else sighting.frame
        if place is None:
            raise RuntimeError(f"no face in {window.clip.video} at {frame.time_s:.1f} s")
        yield Shown(index, frame.rgb, place)


def _write(path: Path, pictures: Iterable[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=CRF) as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, index / FRAME_RATE_HZ)
