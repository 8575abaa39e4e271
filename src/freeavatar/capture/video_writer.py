"""Writes H.264 MP4 with real frame times and the sound of another file, whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

from freeavatar.errors import OutputError

logger = logging.getLogger(__name__)

_TIME_BASE = Fraction(1, 90_000)
_COPIED_CODECS = ("aac", "mp3", "mp3float")
"""Sound that plays everywhere inside MP4; anything else is encoded anew as AAC."""


class VideoWriter:
    """with VideoWriter(path) as writer: writer.write(rgb, time_s)

    The file appears under its name only when the block ends well.
    """

    def __init__(
        self,
        path: Path,
        audio_from: Path | None = None,
        frame_rate_hz: float = 30.0,
        quality_crf: int = 20,
    ) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
        self._audio_from = audio_from
        self._rate = Fraction(frame_rate_hz).limit_denominator(1001)
        self._crf = quality_crf
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._sound: _Sound | None = None
        self._last_pts = -1
        self._durations: dict[int, int] = {}
        self._waiting: deque[av.Packet] = deque()

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, rgb: UInt8[np.ndarray, "height width 3"], time_s: float) -> None:
        """Append a frame; times must rise. Odd sizes grow by one copied row or column."""
        try:
            if self._stream is None:
                self._start(rgb.shape[1], rgb.shape[0])
            assert self._stream is not None
            frame = av.VideoFrame.from_ndarray(_even(rgb), format="rgb24")
            frame.pts = max(round(time_s / _TIME_BASE), self._last_pts + 1)
            frame.time_base = _TIME_BASE
            if self._last_pts >= 0:
                self._durations[self._last_pts] = frame.pts - self._last_pts
            self._last_pts = frame.pts
            self._put(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.write_until(time_s)
        except (FFmpegError, OSError) as error:
            raise output_error(self._path, error) from error

    def _start(self, width: int, height: int) -> None:
        self._container = av.open(str(self._unfinished), "w", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        stream.options = {"crf": str(self._crf), "preset": "veryfast"}
        self._stream = stream
        if self._audio_from is not None:
            self._sound = _open_sound(self._audio_from, self._container)

    def _put(self, packets: Iterable[av.Packet]) -> None:
        """Mux with durations, which players and GIF makers need on variable frame rates."""
        assert self._container is not None
        self._waiting.extend(packets)
        while self._waiting and self._waiting[0].pts in self._durations:
            packet = self._waiting.popleft()
            packet.duration = self._durations[packet.pts or 0]
            self._container.mux(packet)

    def _finish(self) -> None:
        if self._container is None or self._stream is None:
            raise OutputError(f"{self._path} was not written: there were no frames for it.")
        frame_ticks = round(1 / self._rate / _TIME_BASE)
        self._durations[self._last_pts] = frame_ticks
        self._put(self._stream.encode(None))
        if self._sound is not None:
            self._sound.write_until(float((self._last_pts + frame_ticks) * _TIME_BASE))
        self._container.close()
        self._unfinished.replace(self._path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except (FFmpegError, OSError) as error:
            raise output_error(self._path, error) from error
        finally:
            self._discard()

    def _discard(self) -> None:
        """Close what is open, remove what is unfinished."""
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            try:
                self._container.close()
            except (FFmpegError, OSError) as error:
                logger.debug("closing %s: %s", self._unfinished, error)
        self._unfinished.unlink(missing_ok=True)


def write_video(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    times_s: Iterable[float],
    audio_from: Path | None = None,
    frame_rate_hz: float = 30.0,
) -> None:
    """Write all frames at their times, with the sound of audio_from; nothing is left on failure.

    frame_rate_hz says how long the last frame stays.
    """
    with VideoWriter(path, audio_from, frame_rate_hz) as writer:
        for rgb, time_s in zip(frames, times_s, strict=True):
            writer.write(rgb, time_s)


def _even(
    rgb: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "even_height even_width 3"]:
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(rgb)


def output_error(path: Path, error: Exception) -> OutputError:
    """What the user can do about a failed write."""
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC:
        return OutputError(f"The disk is full: {path} was not written. Make room and run again.")
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"{path} cannot be written ({reason}). Choose another output folder.")


class _Sound:
    """The sound of one file on the clock of its pictures, copied or encoded as AAC."""

    def __init__(
        self,
        source: av.container.InputContainer,
        output: av.container.OutputContainer,
        start_s: float,
    ) -> None:
        self._source = source
        self._output = output
        self._input = source.streams.audio[0]
        self._copied = self._input.codec_context.name in _COPIED_CODECS
        if self._copied:
            self._stream = output.add_stream_from_template(self._input)
        else:
            rate = min(self._input.rate or 48_000, 48_000)
            stream = output.add_stream("aac", rate=rate)
            stream.codec_context.layout = "mono" if self._input.channels == 1 else "stereo"
            self._stream = stream
        self._packets = self._packets_from(start_s)
        self._next: av.Packet | None = None

    def write_until(self, time_s: float) -> None:
        """Mux all sound that begins before this time."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or (presented_s(self._next) or 0.0) >= time_s:
                return
            self._output.mux(self._next)
            self._next = None

    def close(self) -> None:
        self._packets.close()
        self._source.close()

    def _packets_from(self, start_s: float) -> Generator[av.Packet, None, None]:
        """Packets on the pictures' clock; what sounds before the first picture is dropped."""
        try:
            if self._copied:
                yield from self._copy(start_s)
            else:
                yield from self._encode(start_s)
        except FFmpegError as error:
            logger.warning("The sound of %s ends early: %s", self._source.name, error)

    def _copy(self, start_s: float) -> Iterator[av.Packet]:
        for packet in self._source.demux(self._input):
            if packet.pts is None or packet.time_base is None:
                continue
            shift = round(start_s / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts
            if packet.pts >= 0:
                packet.stream = self._stream
                yield packet

    def _encode(self, start_s: float) -> Iterator[av.Packet]:
        context = self._stream.codec_context
        resampler = av.AudioResampler(format="fltp", layout=context.layout, rate=context.rate)
        shift = round(start_s * context.rate)
        for frame in chain(self._source.decode(self._input), [None]):
            for piece in resampler.resample(frame):
                piece.pts = round((presented_s(piece) or 0.0) * context.rate) - shift
                piece.time_base = Fraction(1, context.rate)
                if piece.pts >= 0:
                    yield from self._stream.encode(piece)
        yield from self._stream.encode(None)


def presented_s(item: av.VideoFrame | av.AudioFrame | av.Packet) -> float | None:
    """When a frame or packet is due on its file's clock; None when the file does not say."""
    if item.pts is None or item.time_base is None:
        return None
    return float(item.pts * item.time_base)


def _open_sound(path: Path, output: av.container.OutputContainer) -> _Sound | None:
    """None when the file has no sound or is a picture."""
    try:
        source = av.open(str(path), metadata_errors="ignore")
    except FFmpegError as error:
        logger.warning("The sound of %s cannot be read: %s", path, error)
        return None
    if not source.streams.audio or not source.streams.video:
        source.close()
        return None
    first = next(source.decode(source.streams.video[0]), None)
    start_s = 0.0 if first is None else presented_s(first) or 0.0
    source.seek(0)
    return _Sound(source, output, start_s)
