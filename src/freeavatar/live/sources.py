"""Where live pictures come from: a camera, a stream, or a video file played at its own speed.

A source yields each picture as soon as it is there. It waits for nobody: the reader keeps only the
newest (`Latest`). Cameras and streams that go away are tried again until they are back.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import av
import cv2
import numpy as np
from av.error import FFmpegError

from freeavatar.capture.video import Frame, open_video
from freeavatar.errors import MediaError, UsageError

Say = Callable[[str], None]
"""Told in one sentence what a person should know: the camera is gone, the camera is back."""

RETRY_S = 1.0
STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "tcp")
"""No file:, no concat: and the like, which would read other files."""
MAX_SIDE_PX = 1280
"""Live pictures are shrunk to this while they are decoded; faces need no more."""


@runtime_checkable
class Source(Protocol):
    """Pictures in real time."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def check(self) -> None:
        """Fails early, before anything else is started, when there is nothing to see."""
        ...

    def frames(self, stop: threading.Event, say: Say) -> Iterator[Frame]:
        """Pictures until the end, or until stop is set; times never go back."""
        ...


class FileSource:
    """A video file in place of a camera: each picture at its own time, late ones at once."""

    def __init__(self, path: Path, loop: bool = False) -> None:
        self.name = path.name
        self._path = path
        self._loop = loop

    def check(self) -> None:
        open_video(self._path)

    def frames(self, stop: threading.Event, say: Say) -> Iterator[Frame]:
        video = open_video(self._path, MAX_SIDE_PX)
        if video.is_picture:
            raise MediaError(f"{self._path} is a picture. Live needs a video or a camera.")
        started_s = time.perf_counter()
        offset_s, index = 0.0, 0
        while True:
            time_s = 0.0
            with contextlib.closing(video.frames()) as pictures:
                for frame in pictures:
                    time_s = offset_s + frame.time_s
                    if stop.wait(max(0.0, started_s + time_s - time.perf_counter())):
                        return
                    yield Frame(index, time_s, frame.rgb)
                    index += 1
            if not self._loop:
                return
            offset_s = time_s + 1.0 / video.frame_rate_hz


@runtime_checkable
class Capture(Protocol):
    """The part of cv2.VideoCapture that we use."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, np.ndarray | None]: ...
    def set(self, propId: int, value: float) -> bool: ...
    def release(self) -> None: ...


@dataclass(frozen=True)
class CameraConfig:
    """What is asked of the camera; it may give something else."""

    width_px: int = 640
    height_px: int = 480
    rate_hz: float = 30.0


@dataclass(frozen=True)
class CameraSource:
    """A camera by its number. Unplugged, it is tried again until it is back."""

    number: int
    config: CameraConfig = field(default_factory=CameraConfig)
    open_capture: Callable[[int], Capture] = cv2.VideoCapture
    retry_s: float = RETRY_S

    @property
    def name(self) -> str:
        return f"camera {self.number}"

    def check(self) -> None:
        capture = self._open()
        if capture is None:
            raise MediaError(
                f"There is no camera {self.number}, or another program is using it. "
                "Try --camera 1, close the other program, or play a file with --video FILE."
            )
        capture.release()

    def frames(self, stop: threading.Event, say: Say) -> Iterator[Frame]:
        started_s, index, last_s = time.perf_counter(), 0, -1.0
        gone = False
        while not stop.is_set():
            capture = self._open()
            if capture is None:
                if not gone:
                    say(f"Camera {self.number} does not answer; waiting for it.")
                gone = True
                stop.wait(self.retry_s)
                continue
            try:
                while not stop.is_set():
                    good, picture = capture.read()
                    if not good or picture is None:
                        break
                    if gone:
                        say(f"Camera {self.number} is back.")
                        gone = False
                    last_s = max(time.perf_counter() - started_s, last_s + 1e-4)
                    yield Frame(index, last_s, np.ascontiguousarray(picture[..., ::-1]))
                    index += 1
            finally:
                capture.release()
            if not stop.is_set() and not gone:
                say(f"Camera {self.number} is gone; waiting for it to come back.")
                gone = True
            stop.wait(self.retry_s)

    def _open(self) -> Capture | None:
        try:
            with _silent_opencv():
                capture = self.open_capture(self.number)
        except cv2.error:
            return None
        if not capture.isOpened():
            capture.release()
            return None
        # Motion JPEG: raw pictures of 720p do not fit through USB 2 at 30 a second.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self.config.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self.config.height_px)
        capture.set(cv2.CAP_PROP_FPS, self.config.rate_hz)
        # Drivers queue four pictures otherwise, 130 ms of delay.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture


class StreamSource:
    """A network stream, or an http video. Interrupted, it is tried again until it is back."""

    def __init__(self, url: str, retry_s: float = RETRY_S) -> None:
        scheme = url.partition("://")[0].lower()
        if "://" not in url or scheme not in STREAM_SCHEMES:
            raise UsageError(
                f"--url {_without_password(url)} is not a stream. "
                f"Addresses start with {'://, '.join(STREAM_SCHEMES)}://. "
                "Files are played with --video FILE."
            )
        self.name = _without_password(url)
        self._url = url
        self._retry_s = retry_s

    def check(self) -> None:
        """MediaError when the stream cannot be opened."""
        try:
            self._open().close()
        except (FFmpegError, OSError) as error:
            raise MediaError(
                f"The stream {self.name} cannot be opened ({_reason(error)}). "
                "Check the address, and that the other side is sending."
            ) from error

    def frames(self, stop: threading.Event, say: Say) -> Iterator[Frame]:
        started_s, index, last_s = time.perf_counter(), 0, -1.0
        gone = False
        while not stop.is_set():
            # Whatever breaks a stream, the answer is to try again.
            with contextlib.suppress(FFmpegError, OSError):
                for rgb in self._pictures(stop):
                    if gone:
                        say(f"{self.name} is back.")
                        gone = False
                    last_s = max(time.perf_counter() - started_s, last_s + 1e-4)
                    yield Frame(index, last_s, rgb)
                    index += 1
            if not stop.is_set() and not gone:
                say(f"{self.name} was interrupted; trying again.")
                gone = True
            stop.wait(self._retry_s)

    def _pictures(self, stop: threading.Event) -> Iterator[np.ndarray]:
        with self._open() as container:
            if not container.streams.video:
                return
            stream = container.streams.video[0]
            # Slice threads only: frame threads hold pictures back.
            stream.thread_type = "SLICE"
            # A file behind http arrives at once, and is played at its own speed. What is live has
            # no duration and is never held back.
            recorded = container.duration is not None
            started_s: float | None = None
            for frame in container.decode(stream):
                if stop.is_set():
                    return
                scale = min(1.0, MAX_SIDE_PX / max(frame.width, frame.height))
                size = (max(2, round(frame.width * scale)), max(2, round(frame.height * scale)))
                rgb = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
                if recorded and frame.time is not None:
                    now_s = time.perf_counter()
                    started_s = now_s - frame.time if started_s is None else started_s
                    stop.wait(max(0.0, started_s + frame.time - now_s))
                yield rgb

    def _open(self) -> av.container.InputContainer:
        # Not fflags=nobuffer: it throws away the pictures that were read to learn the format, and
        # with them all of a short video.
        options = {"flags": "low_delay"}
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        # Seconds to open and to read: a dead stream must not hold us for ever.
        return av.open(self._url, mode="r", options=options, timeout=(10.0, 5.0))


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """It complains on stderr about every camera that is not there; we say it once, in words."""
    logging = cv2.utils.logging
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _without_password(url: str) -> str:
    """For messages and reports."""
    return re.sub(r"(://)[^/@\s]*@", r"\1", url)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
