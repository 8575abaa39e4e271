"""Live from a 30 fps source to three protocols at once: packets, latency, drops, memory.

    python benchmarks/live.py --minutes 5

Receivers are real sockets in another process, and count what reaches them. With --stalled a
WebSocket client joins that connects and never reads. Linux only (memory comes from /proc).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import selectors
import socket
import threading
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import tyro

from freeavatar.capture.video import open_video
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.live.performer import Performer
from freeavatar.live.protocols import open_senders
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
    stalled: bool = False
    """Also serve a WebSocket client that never reads."""
    clips: Path = Path("data/bench")
    """Where the 30 fps clip is kept."""
    out: Path = Path("out/bench")


@dataclass(frozen=True)
class Result:
    """What came of it."""

    report: LiveReport
    received_per_s: dict[str, float]
    """Packets that reached the receivers."""
    memory_mb: list[float]
    """Resident memory of the sending process, every second."""
    load: tuple[float, float]
    """The machine's load average before and after: others may have been working."""

    @property
    def growth_mb(self) -> float:
        """Between the medians of the second and of the last tenth of the run."""
        tenth = max(1, len(self.memory_mb) // 10)
        early = np.median(self.memory_mb[tenth : 2 * tenth] or self.memory_mb)
        return float(np.median(self.memory_mb[-tenth:]) - early)


def measure(options: Options) -> Result:
    """One run."""
    clip = _clip_at_30(options)
    receivers, places = _start_receivers()
    targets = [f"{name}:{port}" for name, port in zip(PROTOCOLS, places, strict=True)]
    if options.stalled:
        targets.append(f"websocket:{_free_port()}")
    source = FileSource(clip, loop=True)
    session = LiveSession(source, Performer(Models.load()), open_senders(targets))
    stalled = _connect_and_sleep(targets[-1]) if options.stalled else None
    load_before = os.getloadavg()[0]
    memory: list[float] = []
    watcher = threading.Thread(target=_watch, args=(session, options.minutes * 60, memory))
    watcher.start()
    report = session.run()
    watcher.join()
    if stalled is not None:
        stalled.close()
    receivers.send("stop")
    counts = receivers.recv()
    received = {n: round(c / report.duration_s, 2) for n, c in zip(PROTOCOLS, counts, strict=True)}
    return Result(report, received, memory, (load_before, os.getloadavg()[0]))


def markdown(result: Result) -> str:
    """For people."""
    rows = [
        [
            sender.name.split()[0],
            f"{sender.frames / result.report.duration_s:.2f}",
            f"{result.received_per_s.get(sender.name.split()[0], 0.0):.2f}",
            f"{sender.latency_median_ms:.1f}",
            f"{sender.latency_95_ms:.1f}",
            str(sender.dropped),
        ]
        for sender in result.report.senders
    ]
    header = ["", "frames/s", "packets/s received", "median ms", "95 % ms", "dropped"]
    report = result.report
    return (
        f"{table(header, rows)}\n\n"
        f"{report.duration_s:.0f} s, {report.pictures} pictures, {report.dropped} dropped, "
        f"face in {report.found}. Memory {result.memory_mb[-1]:.0f} MB, "
        f"growth {result.growth_mb:+.1f} MB. "
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


def _start_receivers() -> tuple[Connection, list[int]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_receive, args=(theirs,), daemon=True
    )
    process.start()
    return ours, ours.recv()


def _receive(pipe: Connection) -> None:
    """Count datagrams on one socket per protocol."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in PROTOCOLS]
    selector = selectors.DefaultSelector()
    counts = [0] * len(sockets)
    for number, listening in enumerate(sockets):
        listening.bind(("127.0.0.1", 0))
        selector.register(listening, selectors.EVENT_READ, number)
    pipe.send([listening.getsockname()[1] for listening in sockets])
    while not pipe.poll():
        for key, _ in selector.select(0.1):
            sockets[key.data].recv(65535)
            counts[key.data] += 1
    pipe.send(counts)


def _connect_and_sleep(target: str) -> socket.socket:
    """A client that shakes hands and is never heard of again."""
    port = int(target.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return connection


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
        "memory_mb": [round(value, 1) for value in result.memory_mb],
        "growth_mb": round(result.growth_mb, 2),
        "load": result.load,
    }
    (chosen.out / "live.json").write_text(json.dumps(record, indent=1))
    print(markdown(result))
