"""What every protocol offers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from freeavatar.live.frame import LiveFrame


@runtime_checkable
class Sender(Protocol):
    """Puts frames on the wire in one protocol. Used by one thread."""

    name: str
    """For people: protocol and address."""

    def send(self, frame: LiveFrame) -> int:
        """Number of packets that left; 0 when nobody listens. OSError when sending failed."""
        ...

    def close(self) -> None:
        """Give back sockets and threads."""
        ...
