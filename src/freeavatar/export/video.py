"""<avatar>.mp4 and preview.mp4: the rasterizer's pictures of the performance, frame by frame.

Drawing costs more than everything else in a run, so one pass over the take feeds all its videos.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.video import VideoWriter, open_video
from freeavatar.export.preview import PreviewLayout
from freeavatar.export.takes import AnimatedTake, Character

SIZE_PX = 512
"""Side of a rendered avatar: large enough to judge lips and lids."""
THREADS = 2
"""More gains little: drawing is bound by memory, and the user's machine has other work."""
AHEAD = 3
"""Frames drawn before they are asked for; each holds one picture per avatar."""

OnFrame = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""


def render_clip(
    avatar: Avatar, clip: AnimationClip, size: int = SIZE_PX
) -> Iterator[UInt8[np.ndarray, "size size 3"]]:
    """One picture of the avatar for every frame of its clip."""
    for (picture,) in render_characters([Character(avatar, clip)], size):
        yield picture


def render_characters(
    characters: Sequence[Character], size: int = SIZE_PX
) -> Iterator[tuple[UInt8[np.ndarray, "size size 3"], ...]]:
    """For every frame one picture of each character; drawn on two threads, handed out in order."""
    draws = [_drawer(character, size) for character in characters]
    num_frames = len(characters[0].clip) if characters else 0
    waiting: deque[list[Future[np.ndarray]]] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="draw")
    try:
        for frame in range(num_frames):
            waiting.append([pool.submit(draw, frame) for draw in draws])
            if len(waiting) > AHEAD:
                yield tuple(future.result() for future in waiting.popleft())
        while waiting:
            yield tuple(future.result() for future in waiting.popleft())
    finally:
        # Also reached when the reader stops early: what is queued is not drawn any more.
        pool.shutdown(wait=True, cancel_futures=True)


def write_videos(
    take: AnimatedTake,
    avatar_paths: Mapping[str, Path],
    preview_path: Path | None = None,
    size: int = SIZE_PX,
    on_frame: OnFrame | None = None,
) -> None:
    """Write <avatar>.mp4 for the avatars named, and the preview, in one pass.

    Every video has one picture per input frame, at the input's times, with the input's sound.
    Each appears under its name only when all are finished.
    """
    shown = [
        character
        for character in take.characters
        if preview_path is not None or character.avatar.name in avatar_paths
    ]
    names = [character.avatar.name for character in shown]
    rate_hz = take.arkit.frame_rate_hz

    def writer(path: Path) -> VideoWriter:
        sound = take.source if take.has_pictures else None
        return VideoWriter(path, audio_from=sound, frame_rate_hz=rate_hz)

    with ExitStack() as open_writers:
        avatar_writers = {
            name: open_writers.enter_context(writer(path)) for name, path in avatar_paths.items()
        }
        preview = None
        frames: Iterator[np.ndarray | None] = iter([None] * len(take.arkit))
        if preview_path is not None:
            preview = open_writers.enter_context(writer(preview_path))
            if take.has_pictures:
                layout = PreviewLayout.of(take.source, names)
                frames = (frame.rgb for frame in open_video(take.source, layout.input_side_px))
            else:
                layout = PreviewLayout.alone(names)
        pictures = render_characters(shown, size)
        open_writers.callback(pictures.close)  # type: ignore[attr-defined]
        for index, drawn in enumerate(pictures):
            time_s = float(take.arkit.times_s[index])
            for name, picture in zip(names, drawn, strict=True):
                if name in avatar_writers:
                    avatar_writers[name].write(picture, time_s)
            rgb = next(frames, None)
            if preview is not None:
                found = bool(take.arkit.found[index])
                preview.write(layout.compose(rgb, drawn, found), time_s)
            if on_frame is not None:
                on_frame(index + 1, len(take.arkit))


def _drawer(character: Character, size: int) -> Callable[[int], np.ndarray]:
    """Draws one frame of a character; safe on several threads at once."""
    avatar, clip = character.avatar, character.clip
    prepared = prepare(avatar)
    camera = portrait_camera(avatar.face)

    def draw(frame: int) -> np.ndarray:
        posed = pose(avatar, clip.values[frame], clip.head_rad[frame].tolist())
        return render(prepared, posed, camera, width=size, height=size).rgb

    return draw
