from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from freeavatar.capture.video import Frame
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.errors import MediaError, UsageError
from freeavatar.live.sources import CameraSource, FileSource, StreamSource


def quiet(sentence: str) -> None:
    pass


def grey(num: int) -> list[np.ndarray]:
    return [np.full((64, 96, 3), 40 + 10 * i, np.uint8) for i in range(num)]


def test_a_file_is_played_at_its_own_speed(make_video):
    source = FileSource(make_video("a.mp4", grey(6), rate=20))
    source.check()
    started_s = time.perf_counter()
    times = [frame.time_s for frame in source.frames(threading.Event(), quiet)]
    assert time.perf_counter() - started_s >= 0.25
    np.testing.assert_allclose(times, np.arange(6) / 20, atol=1e-3)


def test_a_looped_file_goes_on_and_time_with_it(make_video):
    source = FileSource(make_video("a.mp4", grey(4), rate=100), loop=True)
    stop = threading.Event()
    frames = []
    for frame in source.frames(stop, quiet):
        frames.append(frame)
        if len(frames) == 10:
            stop.set()
    assert len(frames) == 10
    assert [frame.index for frame in frames] == list(range(10))
    steps = np.diff([frame.time_s for frame in frames])
    np.testing.assert_allclose(steps, 0.01, atol=2e-3)


def test_stopping_does_not_wait_for_the_next_picture(tmp_path):
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for picture, time_s in zip(grey(2), (0.0, 60.0), strict=True):
            writer.write(picture, time_s)
    stop = threading.Event()
    frames = FileSource(tmp_path / "a.mp4").frames(stop, quiet)
    next(frames)
    threading.Timer(0.02, stop.set).start()
    started_s = time.perf_counter()
    assert next(frames, None) is None
    assert time.perf_counter() - started_s < 30.0


class Camera:
    """Stands in for cv2.VideoCapture: unplugged after three pictures, back at the third try."""

    def __init__(self, plan: list[int]) -> None:
        self.plan = plan
        self.left = 0
        self.opened = 0
        self.released = 0

    def __call__(self, number: int) -> Camera:
        self.left = self.plan.pop(0) if self.plan else 0
        self.opened += 1
        return self

    def isOpened(self) -> bool:
        return self.left > 0

    def set(self, propId: int, value: float) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        if self.left < 0:
            return False, None
        return True, np.full((4, 6, 3), (1, 2, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


def test_a_camera_may_be_unplugged_and_come_back():
    camera = Camera([3, 0, 0, 3])
    source = CameraSource(0, open_capture=camera, retry_s=0.01)
    said: list[str] = []
    stop = threading.Event()
    frames = []
    for frame in source.frames(stop, said.append):
        frames.append(frame)
        if len(frames) == 5:
            stop.set()
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()
    assert said == ["Camera 0 is gone; waiting for it to come back.", "Camera 0 is back."]
    assert camera.released == 4


def test_camera_pictures_are_rgb():
    source = CameraSource(0, open_capture=Camera([1]), retry_s=0.01)
    frame = next(source.frames(threading.Event(), quiet))
    assert frame.rgb[0, 0].tolist() == [3, 2, 1]


def test_no_camera_at_the_start_is_an_error():
    with pytest.raises(MediaError, match="There is no camera 3"):
        CameraSource(3, open_capture=Camera([])).check()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "concat:a|b", "/etc/passwd", "ftp://a/b", "data:video;base64,xx"]
)
def test_only_streams_are_opened_by_address(url):
    with pytest.raises(UsageError, match="is not a stream"):
        StreamSource(url)


def test_passwords_of_streams_are_not_repeated():
    source = StreamSource("rtsp://me:secret@127.0.0.1:9/cam")
    assert "secret" not in source.name


def test_a_stream_that_is_not_there_is_an_error():
    with pytest.raises(MediaError, match="cannot be opened"):
        StreamSource("http://127.0.0.1:9/none.mp4").check()


@contextmanager
def web_server(answer: type[BaseHTTPRequestHandler] | partial) -> Iterator[int]:
    """A web server on loopback at the port of the value."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), answer)
    serving = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield web.server_port
    finally:
        web.shutdown()
        serving.join()
        web.server_close()


def take(source: StreamSource, num: int, say: Callable[[str], None] = quiet) -> list[Frame]:
    """The first pictures of a stream; fewer when they take longer than ten seconds."""
    stop = threading.Event()
    late = threading.Timer(10.0, stop.set)
    late.start()
    frames = []
    for frame in source.frames(stop, say):
        frames.append(frame)
        if len(frames) == num:
            stop.set()
    late.cancel()
    return frames


def test_a_stream_over_http_is_played(make_video, tmp_path):
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    make_video("a.mp4", grey(5), rate=100)
    with web_server(partial(Silent, directory=tmp_path)) as port:
        source = StreamSource(f"http://127.0.0.1:{port}/a.mp4", retry_s=0.01)
        source.check()
        # More than the file has: it is opened again.
        frames = take(source, 7)
    assert [frame.index for frame in frames] == list(range(7))
    assert frames[0].rgb.shape == (64, 96, 3)


def test_a_camera_on_the_network_may_go_and_come_back():
    """Motion JPEG over HTTP, as such cameras send it; it ends after a few pictures each time."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            for rgb in grey(4):
                jpeg = cv2.imencode(".jpg", rgb)[1].tobytes()
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")

        def log_message(self, *_: object) -> None:
            pass

    said: list[str] = []
    with web_server(Camera) as port:
        frames = take(StreamSource(f"http://127.0.0.1:{port}/", retry_s=0.01), 6, said.append)
    assert len(frames) == 6
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()
    assert [sentence.split("/ ")[1] for sentence in said] == [
        "was interrupted; trying again.",
        "is back.",
    ]
