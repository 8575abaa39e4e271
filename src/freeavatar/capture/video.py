"""Reads videos and pictures frame by frame with their real times.

Everything that ends up in `Frame` is upright, square-pixelled RGB; time starts at 0 with the first
picture and never goes backwards, whatever the file says. Writing is in video_writer.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

from freeavatar.capture.video_writer import VideoWriter, presented_s, write_video
from freeavatar.errors import MediaError

__all__ = [
    "MEDIA_SUFFIXES",
    "PICTURE_SUFFIXES",
    "Frame",
    "Video",
    "VideoWriter",
    "open_video",
    "write_video",
]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ts")
MEDIA_SUFFIXES = PICTURE_SUFFIXES + VIDEO_SUFFIXES
"""What to look for in a folder; a file that is named by the user is judged by its content."""

_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")
_SMALLEST_STEP_S = 0.001
_MAX_DECODER_THREADS = 4
"""Each thread holds a decoded frame, and one of 8K takes 50 MB. More threads than cores cost a
fifth of the decoding time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """One picture of a take."""

    index: int
    time_s: float
    rgb: UInt8[np.ndarray, "height width 3"]


class Video:
    """A take that can be read from its start, any number of times."""

    def __init__(self, path: Path, max_side_px: int) -> None:
        self.path = path
        self.is_picture = False
        self.has_sound = False
        self.width = 0
        self.height = 0
        """Of the frames as they are handed out: upright and shrunk to max_side_px."""
        self.frame_rate_hz = 30.0
        self.duration_s: float | None = None
        """What the file promises, None when it does not say."""
        self.num_frames: int | None = None
        """What the file promises; count frames to be sure."""
        self.warning: str | None = None
        """After reading: one sentence on what could not be read, None when all was."""
        self._max_side_px = max_side_px
        self._pixel_aspect = 1.0

    def read_header(self) -> None:
        """What the file says about itself; MediaError when it has no pictures."""
        with _open(self.path) as container:
            if not container.streams:
                raise _unreadable(self.path, "it holds no streams")
            if not container.streams.video:
                found = "sound but no pictures" if container.streams.audio else "no pictures"
                raise MediaError(f"{self.path} has {found}. Give a video that shows a face.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise _unreadable(self.path, "its pictures are coded in an unknown way")
            self.has_sound = bool(container.streams.audio)
            rate = stream.average_rate or stream.guessed_rate
            if rate and 0.1 <= float(rate) <= 1000.0:
                self.frame_rate_hz = float(rate)
            if stream.sample_aspect_ratio:
                self._pixel_aspect = float(stream.sample_aspect_ratio)
            if stream.duration is not None and stream.time_base is not None:
                self.duration_s = float(stream.duration * stream.time_base)
            elif container.duration is not None and not self.has_sound:
                self.duration_s = container.duration / 1e6
            self.num_frames = stream.frames or None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self) -> Generator[Frame, None, None]:
        """All frames from the start; closing the generator closes the file."""
        self.warning = None
        if self.is_picture:
            yield Frame(0, 0.0, _read_picture(self.path, self._max_side_px))
            return
        time_s, start_s = 0.0, None
        for index, frame in enumerate(self._decode()):
            stamp_s = presented_s(frame)
            stamp_s = index / self.frame_rate_hz if stamp_s is None else stamp_s
            start_s = stamp_s if start_s is None else start_s
            time_s = max(stamp_s - start_s, time_s + _SMALLEST_STEP_S) if index else 0.0
            yield Frame(index, time_s, _upright_rgb(frame, self._pixel_aspect, self._max_side_px))
        self._warn_if_short(time_s)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Frames that can be decoded; damaged packets are skipped and counted."""
        num_damaged = 0
        with _open(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = min(_MAX_DECODER_THREADS, _num_cores())
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except FFmpegError:
                    self.warning = f"{self.path.name} is cut or damaged: its end cannot be read."
                    return
                if packet is None:
                    break
                try:
                    yield from packet.decode()
                except FFmpegError:
                    num_damaged += 1
        if num_damaged:
            self.warning = f"{self.path.name} is damaged: {num_damaged} frames cannot be decoded."

    def _warn_if_short(self, time_s: float) -> None:
        """A file that was cut while copying often just ends."""
        if self.warning is None and self.duration_s is not None:
            missing_s = self.duration_s - time_s - 2.0 / self.frame_rate_hz
            if missing_s > max(0.5, 0.02 * self.duration_s):
                self.warning = (
                    f"{self.path.name} ends after {time_s:.1f} s of the {self.duration_s:.1f} s "
                    "that it promises: it was cut."
                )
        if self.warning is not None:
            logger.warning(self.warning)


def open_video(path: Path | str, max_side_px: int = 3840) -> Video:
    """Open a video or picture; MediaError says in one sentence why it cannot be used.

    Frames larger than max_side_px are shrunk while they are decoded (8K in bounded memory).
    """
    path = Path(path)
    start = _first_bytes(path)
    video = Video(path, max_side_px)
    if start.startswith(_PICTURE_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        video.is_picture = True
        video.height, video.width = _read_picture(path, max_side_px).shape[:2]
        video.num_frames = 1
        return video
    if _is_text(start):
        raise MediaError(f"{path} holds text, not a video. Check that this is the right file.")
    video.read_header()
    frames = video.frames()
    first = next(frames, None)
    frames.close()
    if first is None:
        raise MediaError(
            f"{path} has a picture stream, but none of its pictures can be decoded. "
            "Try to play it, or copy it again from where it came from."
        )
    video.height, video.width = first.rgb.shape[:2]
    video.warning = None
    return video


def _num_cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise MediaError(f"{path} is a folder. Give a video or picture file.")
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        raise MediaError(f"There is no file {path}. Check the name.") from None
    except OSError as error:
        raise MediaError(f"{path} cannot be opened ({error.strerror}).") from error
    if not start:
        raise MediaError(f"{path} is empty (0 bytes). Copy it again from where it came from.")
    return start


def _is_text(start: bytes) -> bool:
    """Also keeps playlists away from ffmpeg, which would follow them to other files."""
    return not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 or byte == 127 for byte in start)


def _open(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path), mode="r", metadata_errors="ignore")
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, reason) from error


def _unreadable(path: Path, reason: str) -> MediaError:
    return MediaError(
        f"{path} is not a video or picture that we can read, or it was cut ({reason}). "
        "Try to play it; if that works, convert it to MP4 (H.264)."
    )


def _upright_rgb(
    frame: av.VideoFrame, pixel_aspect: float, max_side_px: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Square pixels, at most max_side_px, turned as the file's display matrix asks."""
    width, height = frame.width, frame.height
    stretched = width * pixel_aspect
    scale = min(1.0, max_side_px / max(stretched, height))
    new_width, new_height = max(1, round(stretched * scale)), max(1, round(height * scale))
    if (new_width, new_height) == (width, height):
        rgb = frame.to_ndarray(format="rgb24")
    else:
        rgb = frame.to_ndarray(
            format="rgb24", width=new_width, height=new_height, interpolation="AREA"
        )
    quarter_turns = round(frame.rotation / 90.0) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns)) if quarter_turns else rgb


def _read_picture(path: Path, max_side_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """OpenCV turns pictures as their EXIF asks."""
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):  # a header that promises more than OpenCV or the machine has
        picture = None
    if picture is None:
        raise MediaError(f"{path} is a damaged or unusual picture. Save it again as JPEG or PNG.")
    height, width = picture.shape[:2]
    scale = max_side_px / max(height, width)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[..., ::-1])
