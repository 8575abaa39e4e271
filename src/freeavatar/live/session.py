"""A live performance from start to end: source -> performer -> couriers, and the count of it all.

    source thread --Latest--> this thread (Performer) --Latest--> one thread per sender

No queue is longer than one: when a step is slow, pictures are dropped and counted, and the avatar
is never behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freeavatar.capture.video import Frame
from freeavatar.live.courier import Courier
from freeavatar.live.delays import Delays
from freeavatar.live.latest import Latest
from freeavatar.live.performer import Performer
from freeavatar.live.senders.sender import Sender
from freeavatar.live.sources import Source

SILENCE_S = 0.25
"""Without a picture for this long the avatar is told to relax, and goes on being sent."""
RESTING_S = 0.1
"""How often it is sent while no pictures come."""
STATUS_S = 0.1
"""How often the caller is told how things go."""


@dataclass(frozen=True)
class SenderReport:
    """One receiver's share."""

    name: str
    frames: int
    packets: int
    dropped: int
    failed: int
    packets_per_s: float
    latency_median_ms: float
    """From the picture's arrival to the packet."""
    latency_95_ms: float


@dataclass(frozen=True)
class LiveReport:
    """What happened so far."""

    source: str
    avatar: str
    duration_s: float
    pictures: int
    """That the source gave."""
    shown: int
    """That became controls."""
    found: int
    """Of these, with a face."""
    dropped: int
    """Pictures that were older than the newest when their turn came."""
    frames_per_s: float
    processing_median_ms: float
    processing_95_ms: float
    senders: tuple[SenderReport, ...]


class LiveSession:
    """`run` works until the source ends or `stop` is called (by any thread)."""

    def __init__(
        self,
        source: Source,
        performer: Performer,
        senders: Sequence[Sender],
        avatar: str = "arkit",
        neutral_file: Path | None = None,
        say: Callable[[str], None] | None = None,
        preview: Sender | None = None,
    ) -> None:
        """`preview` gets what the senders get, and is left out of the numbers."""
        self._source = source
        self._performer = performer
        self._senders = senders
        self._preview = preview
        self._avatar = avatar
        self._neutral_file = neutral_file
        self._say = say or _say_nothing
        self._stop = threading.Event()
        self._calibrate = threading.Event()
        self._pictures: Latest[tuple[Frame, float]] = Latest()
        self._couriers: list[Courier] = []
        self._source_error: BaseException | None = None
        self._processing = Delays()
        self._num_pictures = self._num_shown = self._num_found = 0
        self._started_s = time.perf_counter()
        self._ended_s: float | None = None

    def stop(self) -> None:
        """End after the frame that is being worked on."""
        self._stop.set()
        self._pictures.close()

    def calibrate(self) -> None:
        """Take the face of the next moments for neutral."""
        self._calibrate.set()

    @property
    def calibrating(self) -> bool:
        """Whether a neutral that was asked for is not there yet."""
        return self._calibrate.is_set() or self._performer.calibrating

    def run(self, on_status: Callable[[LiveReport], None] | None = None) -> LiveReport:
        """Perform until the end. Errors of the source are raised here; threads and sockets are
        given back in any case."""
        reader = threading.Thread(target=self._read, name=f"read {self._source.name}", daemon=True)
        watching: list[Courier] = []
        try:
            self._couriers = [Courier(sender, self._say) for sender in self._senders]
            if self._preview is not None:
                watching = [Courier(self._preview, self._say)]
            self._started_s = time.perf_counter()
            reader.start()
            self._perform([*self._couriers, *watching], on_status)
        finally:
            self._ended_s = time.perf_counter()
            self.stop()
            if reader.ident is not None:
                reader.join(10.0)
            for courier in (*self._couriers, *watching):
                courier.close()
        if self._source_error is not None:
            raise self._source_error
        return self.report()

    def report(self) -> LiveReport:
        """The numbers until now."""
        end_s = self._ended_s or time.perf_counter()
        duration_s = max(end_s - self._started_s, 1e-6)
        return LiveReport(
            self._source.name,
            self._avatar,
            round(duration_s, 3),
            self._num_pictures,
            self._num_shown,
            self._num_found,
            self._pictures.num_dropped,
            round(self._num_shown / duration_s, 2),
            self._processing.percentile_ms(50.0),
            self._processing.percentile_ms(95.0),
            tuple(_sender_report(courier, duration_s) for courier in self._couriers),
        )

    def _perform(
        self, couriers: Sequence[Courier], on_status: Callable[[LiveReport], None] | None
    ) -> None:
        last_time_s, last_picture_s, told_s = 0.0, time.perf_counter(), 0.0
        asked = False
        while not self._stop.is_set() and not self._pictures.finished:
            resting = time.perf_counter() - last_picture_s >= SILENCE_S
            item = self._pictures.take(RESTING_S if resting else SILENCE_S)
            now_s = time.perf_counter()
            if self._calibrate.is_set():
                self._calibrate.clear()
                self._performer.calibrate()
                asked = True
            if item is not None:
                frame, arrived_s = item
                shown = replace(self._performer.show(frame, arrived_s), picture=frame.rgb)
                self._processing.add(time.perf_counter() - now_s)
                self._num_shown += 1
                self._num_found += shown.found
                last_time_s, last_picture_s = frame.time_s, now_s
            elif self._pictures.finished:
                break
            else:
                silent_s = now_s - last_picture_s
                shown = self._performer.rest(last_time_s + silent_s, now_s)
            for courier in couriers:
                courier.post(shown)
            if asked and not self._performer.calibrating:
                asked = False
                self._calibrated()
            if on_status is not None and now_s - told_s >= STATUS_S:
                told_s = now_s
                on_status(self.report())

    def _calibrated(self) -> None:
        self._say("Calibrated: this face is neutral now.")
        if self._neutral_file is not None:
            self._performer.save_neutral(self._neutral_file)

    def _read(self) -> None:
        try:
            for frame in self._source.frames(self._stop, self._say):
                self._num_pictures += 1
                self._pictures.put((frame, time.perf_counter()))
        except BaseException as error:  # whatever it is, `run` raises it
            self._source_error = error
        finally:
            self._pictures.close()


def _sender_report(courier: Courier, duration_s: float) -> SenderReport:
    return SenderReport(
        courier.name,
        courier.delays.num,
        courier.num_packets,
        courier.num_dropped,
        courier.num_failed,
        round(courier.num_packets / duration_s, 2),
        courier.delays.percentile_ms(50.0),
        courier.delays.percentile_ms(95.0),
    )


def _say_nothing(sentence: str) -> None:
    pass
