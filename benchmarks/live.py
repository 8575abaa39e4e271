"""Live from a 30 fps source to three protocols at once: packets, latency, drops, memory.

    python benchmarks/live.py                 # five minutes
    python benchmarks/live.py --minutes 1 --extra-ms 6

Receivers are real sockets in another process, and count what reaches them. Beside the three there
are troubled ones: a WebSocket client that never reads, one that vanishes without a goodbye at half
time, and a UDP receiver that never reads and is gone from half time on. Linux only (memory comes
from /proc).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import selectors
import socket
import struct
import threading
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import tyro

from freeavatar.capture.video import Frame, open_video
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.live.frame import LiveFrame
from freeavatar.live.performer import Performer
from freeavatar.live.protocols import open_senders
from freeavatar.live.senders.sender import Sender
from freeavatar.live.session import LiveReport, LiveSession
from freeavatar.live.sources import FileSource
from freeavatar.pipeline import Models
from tables import table

RATE_HZ = 30
PROTOCOLS = ("vmc", "livelink", "vrchat")


@dataclass(frozen=True)
class Options:
    """Perform for a while and count."""

    minutes: float = 5.0
    clip: Path = Path("examples/clips/crying_to_laughing.mp4")
    """Played forwards and backwards, at 30 frames a second, so that it has no cuts."""
    height_px: int = 720
    troubled: bool = True
    """Also serve receivers that stall and vanish."""
    extra_ms: float = 0.0
    """Work added to every frame: what a larger network would cost."""
    clips: Path = Path("data/bench")
    """Where the 30 fps clip is kept."""
    out: Path = Path("out/bench")


@dataclass(frozen=True)
class Result:
    """What came of it."""

    report: LiveReport
    received_per_s: dict[str, float]
    """Packets that reached the receivers."""
    minutes: list[tuple[int, float, float]]
    """For every minute: frames sent by vmc, median and 95 % of their latency in ms."""
    memory_mb: list[float]
    """Resident memory of the sending process, every second."""
    cores: float
    """Processor time over time: how many cores were busy with us."""
    load: tuple[float, float]
    """The machine's load average before and after: others may have been working."""

    @property
    def growth_mb(self) -> float:
        """Between the medians of the second and of the last tenth of the run."""
        tenth = max(1, len(self.memory_mb) // 10)
        early = np.median(self.memory_mb[tenth : 2 * tenth] or self.memory_mb)
        return float(np.median(self.memory_mb[-tenth:]) - early)


class Timed:
    """Passes frames on to a sender and keeps when each left and how late it was."""

    def __init__(self, sender: Sender) -> None:
        self.name = sender.name
        self.left: list[tuple[float, float]] = []
        self._sender = sender

    def send(self, frame: LiveFrame) -> int:
        num_packets = self._sender.send(frame)
        now_s = time.perf_counter()
        self.left.append((now_s, now_s - frame.arrived_s))
        return num_packets

    def close(self) -> None:
        self._sender.close()

    def by_minute(self) -> list[tuple[int, float, float]]:
        times_s, delays_s = np.array(self.left).T
        minute = ((times_s - times_s[0]) // 60).astype(int)
        groups = [delays_s[minute == m] * 1000 for m in range(minute.max() + 1)]
        return [
            (len(g), round(float(np.median(g)), 1), round(float(np.percentile(g, 95)), 1))
            for g in groups
            if len(g) >= RATE_HZ
        ]


class Laden(Performer):
    """A performer with more to do."""

    extra_s = 0.0

    def show(self, frame: Frame, arrived_s: float) -> LiveFrame:
        end_s = time.thread_time() + self.extra_s
        while time.thread_time() < end_s:
            pass
        return super().show(frame, arrived_s)


def measure(options: Options) -> Result:
    """One run."""
    clip = _clip_at_30(options)
    receivers, places = _start_receivers(options)
    targets = [f"{name}:{port}" for name, port in zip(PROTOCOLS, places, strict=False)]
    if options.troubled:
        targets += [f"ifacialmocap:{places[-1]}", f"websocket:{_free_port()}"]
    performer = Laden(Models.load())
    performer.extra_s = options.extra_ms / 1000
    first, *others = open_senders(targets)
    timed = Timed(first)
    session = LiveSession(FileSource(clip, loop=True), performer, [timed, *others])
    receivers.send(int(targets[-1].rpartition(":")[2]) if options.troubled else 0)
    load_before, cpu_before_s = os.getloadavg()[0], time.process_time()
    memory: list[float] = []
    watcher = threading.Thread(target=_watch, args=(session, options.minutes * 60, memory))
    watcher.start()
    report = session.run()
    watcher.join()
    cores = (time.process_time() - cpu_before_s) / report.duration_s
    receivers.send("stop")
    counts = receivers.recv()
    received = {n: round(c / report.duration_s, 2) for n, c in zip(PROTOCOLS, counts, strict=True)}
    load = (load_before, os.getloadavg()[0])
    return Result(report, received, timed.by_minute(), memory, round(cores, 2), load)


def markdown(result: Result) -> str:
    """For people."""
    rows = [
        [
            sender.name.split()[0],
            f"{sender.frames / result.report.duration_s:.2f}",
            f"{result.received_per_s[sender.name.split()[0]]:.2f}"
            if sender.name.split()[0] in result.received_per_s
            else "stalls, vanishes",
            f"{sender.latency_median_ms:.1f}",
            f"{sender.latency_95_ms:.1f}",
            str(sender.dropped),
        ]
        for sender in result.report.senders
    ]
    header = ["", "frames/s", "packets/s received", "median ms", "95 % ms", "dropped"]
    minutes = [[str(m + 1), *map(str, row)] for m, row in enumerate(result.minutes)]
    report = result.report
    return (
        f"{table(header, rows)}\n\n"
        f"{table(['minute', 'frames', 'median ms', '95 % ms'], minutes)}\n\n"
        f"{report.duration_s:.0f} s, {report.pictures} pictures, {report.dropped} dropped, "
        f"face in {report.found}. Work on a frame {report.processing_median_ms:.1f} ms "
        f"(95 %: {report.processing_95_ms:.1f}), {result.cores:.2f} cores busy. "
        f"Memory {result.memory_mb[-1]:.0f} MB, growth {result.growth_mb:+.1f} MB. "
        f"Load {result.load[0]:.2f} before, {result.load[1]:.2f} after.\n"
    )


def _watch(session: LiveSession, duration_s: float, memory: list[float]) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    end_s = time.monotonic() + duration_s
    while time.monotonic() < end_s:
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        memory.append(resident * page / 1e6)
        time.sleep(min(1.0, max(0.0, end_s - time.monotonic())))
    session.stop()


def _start_receivers(options: Options) -> tuple[Connection, list[int]]:
    """A pipe to them, and the ports of the three and of the one that stalls."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_receive, args=(theirs, options.minutes * 30), daemon=True
    )
    process.start()
    return ours, ours.recv()


def _receive(pipe: Connection, half_s: float) -> None:
    """Count datagrams on one socket per protocol; the troubled ones live here too."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(len(PROTOCOLS) + 1)]
    selector = selectors.DefaultSelector()
    counts = [0] * len(PROTOCOLS)
    for number, listening in enumerate(sockets):
        listening.bind(("127.0.0.1", 0))
        if number < len(PROTOCOLS):
            selector.register(listening, selectors.EVENT_READ, number)
    pipe.send([listening.getsockname()[1] for listening in sockets])
    websocket_port = pipe.recv()
    clients = [_join(websocket_port) for _ in range(2)] if websocket_port else []
    half_time_s = time.monotonic() + half_s
    while not pipe.poll():
        for key, _ in selector.select(0.1):
            sockets[key.data].recv(65535)
            counts[key.data] += 1
        if time.monotonic() > half_time_s and len(clients) == 2:
            _vanish(clients.pop())
            sockets[-1].close()
    pipe.send(counts)


def _join(port: int) -> socket.socket:
    """A WebSocket client that shakes hands and never reads."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return connection


def _vanish(connection: socket.socket) -> None:
    """As when a computer loses power."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _clip_at_30(options: Options) -> Path:
    path = options.clips / f"live-{options.clip.stem}-{options.height_px}.mp4"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [_resized(frame.rgb, options.height_px) for frame in open_video(options.clip)]
    with VideoWriter(path, quality_crf=18) as writer:
        for index, picture in enumerate([*pictures, *pictures[-2:0:-1]]):
            writer.write(picture, index / RATE_HZ)
    return path


def _resized(rgb: np.ndarray, height_px: int) -> np.ndarray:
    width_px = round(rgb.shape[1] * height_px / rgb.shape[0] / 2) * 2
    return cv2.resize(rgb, (width_px, height_px), interpolation=cv2.INTER_CUBIC)


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    result = measure(chosen)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "live.md").write_text(markdown(result))
    record = asdict(result.report) | {
        "received_per_s": result.received_per_s,
        "minutes": result.minutes,
        "cores": result.cores,
        "extra_ms": chosen.extra_ms,
        "memory_mb": [round(value, 1) for value in result.memory_mb],
        "growth_mb": round(result.growth_mb, 2),
        "load": result.load,
    }
    (chosen.out / "live.json").write_text(json.dumps(record, indent=1))
    print(markdown(result))
