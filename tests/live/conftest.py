"""Frames, sources and senders that need no camera and no network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from freeavatar.capture.video import Frame
from freeavatar.live.frame import LiveFrame
from freeavatar.rig import ARKIT


def make_live_frame(number: int = 0, head: tuple[float, ...] = (0, 0, 0), **shapes: float):
    arkit = np.zeros(52, np.float32)
    for name, value in shapes.items():
        arkit[ARKIT.index(name)] = value
    head_rad = np.array(head, np.float64)
    return LiveFrame(number, number / 30, time.perf_counter(), True, arkit, head_rad, arkit)


@pytest.fixture
def live_frame() -> Callable[..., LiveFrame]:
    """live_frame(number, head, jawOpen=0.5): one moment."""
    return make_live_frame


class Pictures:
    """A source that gives the same picture at a steady pace."""

    name = "pictures"

    def __init__(self, rgb: np.ndarray, num: int, rate_hz: float = 100.0) -> None:
        self._rgb, self._num, self._rate_hz = rgb, num, rate_hz

    def check(self) -> None:
        pass

    def frames(self, stop: threading.Event, say: Callable[[str], None]) -> Iterator[Frame]:
        start_s = time.perf_counter()
        for index in range(self._num):
            if stop.wait(max(0.0, start_s + index / self._rate_hz - time.perf_counter())):
                return
            yield Frame(index, index / 30, self._rgb)


@pytest.fixture
def pictures() -> type[Pictures]:
    return Pictures


class Kept:
    """A sender that keeps what it was given; `pause_s` makes it slow."""

    def __init__(self, pause_s: float = 0.0, name: str = "kept") -> None:
        self.name = name
        self.frames: list[LiveFrame] = []
        self.closed = False
        self._pause_s = pause_s

    def send(self, frame: LiveFrame) -> int:
        time.sleep(self._pause_s)
        self.frames.append(frame)
        return 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def kept() -> type[Kept]:
    return Kept


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A UDP socket on loopback, at a port of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(2.0)
        yield listening


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fails when a thread that the test started is still running."""
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert left == []
