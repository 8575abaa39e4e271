"""A thread per sender: a receiver that stalls or vanishes holds up nobody but itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from freeavatar.live.delays import Delays
from freeavatar.live.frame import LiveFrame
from freeavatar.live.latest import Latest
from freeavatar.live.senders.sender import Sender


class Courier:
    """Hands the newest frame to its sender; frames that come while it is busy are dropped."""

    def __init__(self, sender: Sender, say: Callable[[str], None]) -> None:
        self.name = sender.name
        self.delays = Delays()
        """From the picture's arrival to the packet on the wire."""
        self.num_packets = 0
        self.num_failed = 0
        self._sender = sender
        self._say = say
        self._latest: Latest[LiveFrame] = Latest()
        self._thread = threading.Thread(target=self._run, name=f"send {sender.name}", daemon=True)
        self._thread.start()

    @property
    def num_dropped(self) -> int:
        return self._latest.num_dropped

    def post(self, frame: LiveFrame) -> None:
        """Never waits."""
        self._latest.put(frame)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what was posted last, then stop."""
        self._latest.close()
        self._thread.join(timeout_s)
        self._sender.close()

    def _run(self) -> None:
        while not self._latest.finished:
            frame = self._latest.take()
            if frame is None:
                continue
            try:
                num_packets = self._sender.send(frame)
            except (OSError, TimeoutError) as error:
                if self.num_failed == 0:
                    self._say(f"Sending to {self.name} failed ({error}); trying on.")
                self.num_failed += 1
                continue
            if num_packets:
                self.num_packets += num_packets
                self.delays.add(time.perf_counter() - frame.arrived_s)
