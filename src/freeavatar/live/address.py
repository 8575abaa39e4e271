"""Where to send: `vmc`, `vmc:39540`, `vmc:192.168.1.5`, `livelink:[::1]:11111`.

Nothing leaves this computer unless another host is named.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from freeavatar.errors import UsageError

LOOPBACK = "127.0.0.1"
_HOST_PORT = re.compile(r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+))(:(?P<port>.*))?")


@dataclass(frozen=True)
class Address:
    """A host and a port, as the user named them."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether packets stay on this computer."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(given: str, protocol: str, default_port: int) -> Address:
    """What follows `protocol:`; parts left out are loopback and the protocol's own port."""
    if not given:
        return Address(LOOPBACK, default_port)
    if given.isascii() and given.isdecimal():
        return Address(LOOPBACK, _port(given, protocol))
    found = _HOST_PORT.fullmatch(given)
    if not found:
        raise UsageError(
            f"--send {protocol}:{given} is not understood. Write {protocol}, {protocol}:PORT, "
            f"{protocol}:HOST or {protocol}:HOST:PORT (IPv6 hosts in [brackets])."
        )
    host = found["v6"] or found["host"]
    port = default_port if found["port"] is None else _port(found["port"], protocol)
    return Address(host, port)


def resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Family and numeric address for UDP; UsageError for a host that is not known."""
    try:
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"The host {address.host!r} is not known ({error}). Check its name or use its number."
        ) from error
    family, _, _, _, place = infos[0]
    return family, (str(place[0]), int(place[1]))


def _port(text: str, protocol: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise UsageError(f"--send {protocol}: {text!r} is not a port. Ports are 1 to 65535.")
