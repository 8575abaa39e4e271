"""A WebSocket for pages and programs on this computer: binary or JSON frames of the avatar's rig.

ws://127.0.0.1:8765/?format=binary (or json). The first message is a `Hello` in JSON. Each frame
has a number; a client answers with that number once it has shown the frame. At most two frames are
on their way to a client: who does not answer gets no more, so a slow page is never behind.
Binary, little-endian: u32 number, f64 time_s, u8 found, 3 bytes of nothing, f32[3] head_rad,
f32[] controls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import struct
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

from freeavatar.errors import MissingExtra, UsageError
from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

PORT = 8765
MAX_IN_FLIGHT = 2
MAX_CLIENTS = 16
MAX_MESSAGE_BYTES = 64
"""Clients send frame numbers and nothing else."""
SEND_TIMEOUT_S = 5.0
"""Longer than a busy computer stops for; only the thread of this sender waits."""
_LOCAL_PAGE = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")

Format = Literal["binary", "json"]


@dataclass(frozen=True)
class Hello:
    """First message to every client."""

    avatar: str
    controls: tuple[str, ...]
    """Names of the values of every frame, in their order."""
    format: Format
    protocol: int = 1


@dataclass(frozen=True)
class JsonFrame:
    """One frame for clients that asked for JSON."""

    number: int
    time_s: float
    found: bool
    head_rad: tuple[float, ...]
    controls: tuple[float, ...]


def pack(frame: LiveFrame) -> bytes:
    """One frame for clients that asked for binary, or for nothing."""
    head = struct.pack("<IdB3x3f", frame.number, frame.time_s, frame.found, *frame.head_rad)
    return head + frame.controls.astype("<f4").tobytes()


def to_json(frame: LiveFrame) -> str:
    """One frame as text."""
    plain = JsonFrame(
        frame.number,
        round(frame.time_s, 6),
        frame.found,
        tuple(round(angle, 5) for angle in frame.head_rad.tolist()),
        tuple(round(value, 5) for value in frame.controls.tolist()),
    )
    return json.dumps(asdict(plain), separators=(",", ":"))


@dataclass(eq=False)
class _Client:
    connection: ServerConnection
    format: Format
    unanswered: list[int] = field(default_factory=list)


class WebsocketSender:
    """A server with an event loop in a thread of its own. Pages of other sites are refused."""

    def __init__(
        self,
        address: Address,
        avatar: str,
        controls: Sequence[str],
        origins: Sequence[str] = (),
    ) -> None:
        try:
            import websockets  # noqa: F401
        except ImportError:
            raise MissingExtra("Sending to WebSockets", "live") from None
        self.name = f"websocket ws://{address}/"
        self._address = address
        self._avatar = avatar
        self._controls = tuple(controls)
        self._origins = tuple(origins)
        self._clients: set[_Client] = set()
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True)
        self._thread.start()
        try:
            self._server = self._call(self._open())
        except OSError as error:
            self.close()
            raise UsageError(
                f"No WebSocket can be opened at {address} ({error.strerror or error}). "
                f"Another program may use the port; try --send websocket:{address.port + 1}"
            ) from error

    @property
    def num_clients(self) -> int:
        return len(self._clients)

    def send(self, frame: LiveFrame) -> int:
        if not self._clients:
            return 0
        return self._call(self._spread(frame))

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                self._call(self._server.wait_closed(), timeout_s=3.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Any, timeout_s: float = SEND_TIMEOUT_S) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    async def _open(self) -> Server:
        from websockets.asyncio.server import serve
        from websockets.typing import Origin

        # None: programs that are no browser send no origin.
        allowed = [None, _LOCAL_PAGE, *(Origin(origin) for origin in self._origins)]
        return await serve(
            self._talk,
            self._address.host,
            self._address.port,
            origins=allowed,
            process_request=self._admit,
            compression=None,
            open_timeout=5.0,
            close_timeout=1.0,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=4,
        )

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if len(self._clients) >= MAX_CLIENTS:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        if _format(request.path) is None:
            return connection.respond(HTTPStatus.BAD_REQUEST, "format is binary or json\n")
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        assert connection.request is not None
        chosen = _format(connection.request.path)
        assert chosen is not None
        client = _Client(connection, chosen)
        with contextlib.suppress(ConnectionClosed):
            await connection.send(json.dumps(asdict(Hello(self._avatar, self._controls, chosen))))
            self._clients.add(client)
            try:
                async for said in connection:
                    if not _answered(client, said):
                        await connection.close(1008, "expected the number of a frame")
            finally:
                self._clients.discard(client)

    async def _spread(self, frame: LiveFrame) -> int:
        """To everybody who has answered; two small frames fit every buffer, so nothing waits."""
        from websockets.asyncio.server import broadcast

        ready = [c for c in self._clients if len(c.unanswered) < MAX_IN_FLIGHT]
        for chosen, encode in (("binary", pack), ("json", to_json)):
            some = [client for client in ready if client.format == chosen]
            if some:
                broadcast([client.connection for client in some], encode(frame))
        for client in ready:
            client.unanswered.append(frame.number)
        return len(ready)


def _format(path: str) -> Format | None:
    """What a client asks for in the address it connects to; None when it is neither."""
    try:
        asked = parse_qs(urlsplit(path).query).get("format", ["binary"])
    except ValueError:
        return None
    if asked == ["binary"]:
        return "binary"
    return "json" if asked == ["json"] else None


def _answered(client: _Client, said: str | bytes) -> bool:
    """Frames up to this number have been shown; False for anything else."""
    if not isinstance(said, str) or not re.fullmatch(r"[0-9]{1,10}", said):
        return False
    number = int(said)
    client.unanswered = [waiting for waiting in client.unanswered if waiting > number]
    return True
