"""A page for this computer's browser: the camera beside the avatar, numbers, a button to calibrate.

Its address holds a secret, because it shows the camera: other users and web pages cannot guess it.
Pictures are drawn only while somebody looks, ten a second, on a thread of their own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.errors import UsageError
from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame
from freeavatar.live.session import LiveSession
from freeavatar.rig import ARKIT

log = logging.getLogger(__name__)

PORT = 8766
SIDE_PX = 320
"""Height of both pictures: an avatar of this size is drawn in 25 ms."""
INTERVAL_S = 0.1
"""Drawing must leave the processor to the face."""
JPEG_QUALITY = 80
MAX_VIEWERS = 4
WAIT_S = 10.0
"""Silent strangers are hung up on after this long."""


class PreviewPage:
    """A sender whose receiver is a browser; `attend` names the session that it shows.

    The avatar is the one whose controls the frames have.
    """

    def __init__(self, address: Address, avatar: Avatar) -> None:
        self._avatar = avatar
        self._session: LiveSession | None = None
        self._latest: LiveFrame | None = None
        self._drawn_s = 0.0
        self._jpeg: tuple[int, bytes] = (0, b"")
        """Counts up with every picture."""
        self._changed = threading.Condition()
        self._closed = False
        self._num_viewers = 0
        self._secret = secrets.token_urlsafe(12)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            self._server = _Server(family, (address.host, address.port), _handler(self))
        except OSError as error:
            raise UsageError(
                f"No preview page can be opened at {address} ({error.strerror or error}). "
                f"Another program may use the port; try --preview-port {address.port + 1}"
            ) from error
        self.name = f"preview http://{Address(address.host, self._server.server_port)}/"
        self.url = f"http://{Address(address.host, self._server.server_port)}/{self._secret}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=self.name, daemon=True
        )
        self._thread.start()

    def attend(self, session: LiveSession) -> None:
        """Show the numbers of this session, and calibrate it."""
        self._session = session

    def send(self, frame: LiveFrame) -> int:
        """Number of pictures drawn: 0 when nobody looks, or it is too early for another."""
        self._latest = frame
        now_s = time.perf_counter()
        if self._num_viewers == 0 or now_s - self._drawn_s < INTERVAL_S:
            return 0
        self._drawn_s = now_s
        picture = self._draw(frame)
        _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        with self._changed:
            self._jpeg = (self._jpeg[0] + 1, jpeg.tobytes())
            self._changed.notify_all()
        return 1

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # --- what the browser asks for -------------------------------------------------------------

    def asked_for(self, path: str) -> str | None:
        """The part of the path behind the secret; None for who does not know it."""
        given, _, rest = path.removeprefix("/").partition("/")
        known = secrets.compare_digest(given.encode("utf-8", "replace"), self._secret.encode())
        return rest if known else None

    def calibrate(self) -> None:
        if self._session is not None:
            self._session.calibrate()

    def status(self) -> dict[str, Any]:
        """Numbers for the page."""
        values = np.zeros(len(ARKIT)) if self._latest is None else self._latest.arkit
        rounded = [round(float(value), 3) for value in values]
        return {
            "report": None if self._session is None else asdict(self._session.report()),
            "values": dict(zip(ARKIT.names, rounded, strict=True)),
            "calibrating": self._session is not None and self._session.calibrating,
        }

    def watch(self, show: Callable[[bytes], object]) -> bool:
        """Call `show` with every new JPEG until the page is closed; False when it is too full."""
        with self._changed:
            if self._num_viewers >= MAX_VIEWERS:
                return False
            self._num_viewers += 1
        shown = 0
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._jpeg[0] > shown)  # noqa: B023
                    if self._closed:
                        return True
                    shown, jpeg = self._jpeg
                show(jpeg)
        finally:
            with self._changed:
                self._num_viewers -= 1

    # --- drawing -------------------------------------------------------------------------------

    @cached_property
    def _prepared(self) -> Any:
        """On first use: nobody may ever look."""
        return prepare(self._avatar), portrait_camera(self._avatar.face)

    def _draw(self, frame: LiveFrame) -> UInt8[np.ndarray, "height width 3"]:
        prepared, camera = self._prepared
        posed = pose(self._avatar, frame.controls, frame.head_rad.tolist())
        drawn = render(prepared, posed, camera, width=SIDE_PX, height=SIDE_PX).rgb
        if frame.picture is None:
            return np.hstack([np.zeros_like(drawn), drawn])
        height, width = frame.picture.shape[:2]
        size = (min(2 * SIDE_PX, max(1, SIDE_PX * width // height)), SIDE_PX)
        return np.hstack([cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA), drawn])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, family: socket.AddressFamily, place: tuple[str, int], handler: Any) -> None:
        self.address_family = family
        super().__init__(place, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no news, and a stranger's nonsense is not ours."""
        log.debug("The preview lost %s", client_address, exc_info=True)


def _handler(page: PreviewPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = WAIT_S

        def do_GET(self) -> None:
            asked = page.asked_for(self.path)
            if asked == "":
                html = resources.files(__package__).joinpath("preview_page.html").read_bytes()
                self._answer("text/html; charset=utf-8", html)
            elif asked == "status":
                self._answer("application/json", json.dumps(page.status()).encode())
            elif asked == "pictures":
                self._pictures()
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            if page.asked_for(self.path) != "calibrate":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            page.calibrate()
            self._answer("text/plain", b"")

        def log_message(self, format: str, *args: Any) -> None:
            log.debug(format, *args)

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(HTTPStatus.OK)
            self._say_head(kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _say_head(self, kind: str) -> None:
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("X-Frame-Options", "DENY")

        def _pictures(self) -> None:
            self.send_response(HTTPStatus.OK)
            self._say_head("multipart/x-mixed-replace; boundary=next")
            self.end_headers()

            # A part is shown once its end is seen, so the boundary goes with it.
            self.wfile.write(b"--next\r\n")

            def show(jpeg: bytes) -> None:
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n--next\r\n")

            with contextlib.suppress(ConnectionError, TimeoutError):
                page.watch(show)

    return Handler
