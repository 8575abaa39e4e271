"""What the UDP protocols share: a socket that never waits for anybody."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from freeavatar.live.address import Address, resolve


class UdpSocket:
    """Sends datagrams to one address; a full buffer drops them, as the network would."""

    def __init__(self, address: Address) -> None:
        family, self._place = resolve(address)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if address.is_loopback:
            # Or the system would take a port that other computers reach. What comes in is never
            # read in any case.
            self._socket.bind((self._place[0], 0))
        # 255.255.255.255 is a host that somebody may name.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def send(self, packets: Sequence[bytes]) -> int:
        """How many were sent. A receiver that is not there is no error: it may come yet."""
        num_sent = 0
        for packet in packets:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                self._socket.sendto(packet, self._place)
                num_sent += 1
        return num_sent

    @property
    def port(self) -> int:
        """Where packets leave from."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        self._socket.close()
