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
    """A source that gives the same picture again and again.

    `ready(index)` says when the next one may follow, whatever the machine's other work: tests step
    by what has happened and not by the clock.
    """

    name = "pictures"

    def __init__(
        self, rgb: np.ndarray, num: int, ready: Callable[[int], bool] = lambda index: True
    ) -> None:
        self._rgb, self._num, self._ready = rgb, num, ready
        self.given = 0
        """Pictures that were taken over by the session."""

    def check(self) -> None:
        pass

    def frames(self, stop: threading.Event, say: Callable[[str], None]) -> Iterator[Frame]:
        for index in range(self._num):
            wait_for(lambda: stop.is_set() or self._ready(index))  # noqa: B023
            if stop.is_set():
                return
            yield Frame(index, index / 30, self._rgb)
            self.given = index + 1


def wait_for(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Until it holds; fails after a time in which even a busy machine gets there."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"waited for {limit_s} s"
        time.sleep(0.001)


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[..., None]:
    return wait_for


@pytest.fixture
def pictures() -> type[Pictures]:
    return Pictures


class Kept:
    """A sender that keeps what it was given; with `until` it stalls in every call until that."""

    def __init__(self, until: Callable[[], bool] = lambda: True, name: str = "kept") -> None:
        self.name = name
        self.frames: list[LiveFrame] = []
        self.closed = False
        self._until = until

    def send(self, frame: LiveFrame) -> int:
        wait_for(self._until)
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
        listening.settimeout(20.0)
        yield listening


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fails when a thread that the test started does not end.

    It may take a moment: websockets closes a connection before its keepalive thread has noticed.
    """
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    end_s = time.monotonic() + 20.0
    for thread in left:
        thread.join(max(end_s - time.monotonic(), 0.0))
    assert [thread.name for thread in left if thread.is_alive()] == []
