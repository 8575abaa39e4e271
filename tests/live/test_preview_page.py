"""The page that shows the camera: to this computer's browser, to nobody else, slowing nothing."""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from freeavatar.avatars import catalog
from freeavatar.errors import UsageError
from freeavatar.live.address import Address
from freeavatar.live.performer import Performer
from freeavatar.live.preview_page import SIDE_PX, PreviewPage
from freeavatar.live.session import LiveSession
from freeavatar.pipeline import Models


class Session(LiveSession):
    """A session that never runs and counts its calibrations."""

    num_calibrations = 0

    def __init__(self) -> None:
        pass

    def calibrate(self) -> None:
        self.num_calibrations += 1


@pytest.fixture
def page(toy_avatar_file) -> Iterator[PreviewPage]:
    opened = PreviewPage(Address("127.0.0.1", 0), catalog.resolve(toy_avatar_file))
    yield opened
    opened.close()


@pytest.fixture
def moment(live_frame):
    """A frame on the toy's rig, with a picture that is red at the left."""
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:, :40] = (200, 0, 0)
    return replace(live_frame(), controls=np.zeros(6, np.float32), picture=picture)


def place(page: PreviewPage) -> tuple[str, int, str]:
    host, _, rest = page.url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    return host, int(port), f"/{path}"


def ask(page: PreviewPage, path: str, method: str = "GET", host: str = "") -> tuple[int, bytes]:
    address, port, _ = place(page)
    connection = http.client.HTTPConnection(address, port, timeout=20)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def watch(page: PreviewPage, moment, wait_for) -> np.ndarray:
    """The first picture that a browser gets."""
    address, port, secret = place(page)
    connection = http.client.HTTPConnection(address, port, timeout=20)
    connection.request("GET", f"{secret}pictures")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=next"
    wait_for(lambda: page.send(moment) == 1)
    length = 0
    while (line := answer.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    jpeg = answer.read(length)
    connection.close()
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_the_camera_stands_beside_the_avatar(page, moment, wait_for):
    picture = watch(page, moment, wait_for)
    assert picture.shape == (SIDE_PX, SIDE_PX * 160 // 90 + SIDE_PX, 3)
    red = picture[SIDE_PX // 2, 20].astype(int)
    assert red[0] > 150 > red[1]
    drawn = picture[:, -SIDE_PX:]
    assert drawn.std() > 5


def test_nothing_is_drawn_while_nobody_looks(page, moment):
    assert page.send(moment) == 0


def test_a_viewer_who_leaves_is_forgotten(page, moment, wait_for):
    watch(page, moment, wait_for)

    def nobody_looks() -> bool:
        page.send(moment)
        return page._num_viewers == 0

    wait_for(nobody_looks)


def test_the_page_calibrates_and_says_the_values(page, live_frame):
    session = Session()
    page.attend(session)
    _, _, secret = place(page)
    status, html = ask(page, secret)
    assert status == 200
    assert b"Calibrate" in html
    assert ask(page, f"{secret}calibrate", "POST")[0] == 200
    assert session.num_calibrations == 1


def test_who_does_not_know_the_secret_sees_nothing(page):
    session = Session()
    page.attend(session)
    _, _, secret = place(page)
    for path in ("/", "/pictures", "/status", "/x/pictures", secret[:-2] + "/status", "//", "/%00"):
        assert ask(page, path)[0] == 404
    for path in ("/calibrate", "/x/calibrate", secret):
        assert ask(page, path, "POST")[0] == 404
    assert session.num_calibrations == 0


def test_a_thousand_packets_of_noise_change_nothing(page, moment, wait_for):
    session = Session()
    page.attend(session)
    host, port, secret = place(page)
    noise = random.Random(0)
    starts = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /calibrate HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"\0",
    ]
    for _ in range(1000):
        with socket.create_connection((host, port), timeout=20.0) as stranger:
            stranger.sendall(noise.choice(starts) + noise.randbytes(noise.randrange(1, 200)))
    assert session.num_calibrations == 0
    assert ask(page, secret)[0] == 200
    assert watch(page, moment, wait_for).shape[0] == SIDE_PX


def test_a_port_that_is_taken_is_told(toy_avatar_file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="--preview-port"):
            PreviewPage(
                Address("127.0.0.1", taken.getsockname()[1]), catalog.resolve(toy_avatar_file)
            )


def test_numbers_of_a_session_are_there(page, pictures, kept, stand_in_networks, moment, wait_for):
    sender = kept()
    grey = np.full((96, 128, 3), 128, np.uint8)
    source = pictures(grey, 3, lambda index: len(sender.frames) >= index)
    session = LiveSession(source, Performer(Models.load()), [sender], preview=page)
    page.attend(session)
    told: list[dict] = []
    _, _, secret = place(page)
    session.run(lambda report: told.append(json.loads(ask(page, f"{secret}status")[1])))
    assert told[0]["report"]["source"] == "pictures"
    # The page itself is no receiver.
    assert [to["name"] for to in told[0]["report"]["senders"]] == ["kept"]
    assert len(told[0]["values"]) == 52
