from __future__ import annotations

import threading

import numpy as np
import pytest

from freeavatar.errors import CurveFileError, MediaError
from freeavatar.live.performer import Performer
from freeavatar.live.session import LiveSession
from freeavatar.live.sources import FileSource
from freeavatar.pipeline import Models

pytestmark = pytest.mark.usefixtures("stand_in_networks", "no_thread_left")


@pytest.fixture
def grey_picture() -> np.ndarray:
    return np.full((96, 128, 3), 128, np.uint8)


class Instant(Performer):
    """A performer without networks; `before` is called with every picture, and may wait."""

    def __init__(self, before=lambda frame: None) -> None:
        super().__init__(Models.load())
        self._before = before

    def show(self, frame, arrived_s):
        self._before(frame)
        values = np.full(52, 0.5, np.float32)
        arkit, head = self._arkit.seen(frame.time_s, values, np.zeros(3))
        return self._frame(frame.time_s, arrived_s, True, arkit, head, arkit)


def test_every_sender_gets_every_frame(pictures, kept, grey_picture):
    one, other = kept(), kept(name="other")
    report = LiveSession(pictures(grey_picture, 8), Instant(), [one, other]).run()
    assert report.pictures == 8
    assert report.shown + report.dropped == 8
    assert one.closed
    assert other.closed
    for sender, kept_sender in zip(report.senders, (one, other), strict=True):
        assert sender.frames == len(kept_sender.frames)
        assert sender.frames + sender.dropped == report.shown
        assert 0 < sender.latency_median_ms <= sender.latency_95_ms


def test_a_slow_performer_drops_pictures_and_is_never_late(pictures, kept, grey_picture, wait_for):
    """Five pictures come while each is worked on: it always takes the newest, four are dropped."""
    worked_on: list[int] = []
    source = pictures(grey_picture, 40, lambda index: index < 5 + 5 * len(worked_on))

    def slow(frame):
        worked_on.append(frame.index)
        wait_for(lambda: source.given >= min(40, 5 + 5 * len(worked_on)))

    sender = kept()
    report = LiveSession(source, Instant(slow), [sender]).run()
    # The first may be any of the first five.
    assert worked_on[1:] == [9, 14, 19, 24, 29, 34, 39]
    assert report.shown == len(worked_on)
    assert report.shown + report.dropped == 40
    assert sender.frames[-1].time_s == pytest.approx(39 / 30)


def test_a_sender_that_stalls_slows_no_other(pictures, kept, grey_picture):
    lively = kept(name="lively")
    stalled = kept(until=lambda: len(lively.frames) == 30, name="stalled")
    # The next picture comes when the lively one has the last, whatever the stalled one does.
    source = pictures(grey_picture, 30, lambda index: len(lively.frames) >= index)
    report = LiveSession(source, Instant(), [stalled, lively]).run()
    slow, quick = report.senders
    assert [frame.number for frame in lively.frames] == list(range(30))
    assert (quick.frames, quick.dropped) == (30, 0)
    # The one it stalled at, and the newest once it was free.
    assert [frame.number for frame in stalled.frames] == [0, 29]
    assert slow.dropped == 28


def test_a_sender_that_fails_is_told_once_and_tried_again(pictures, kept, grey_picture):
    class Broken(kept):
        tries = 0

        def send(self, frame):
            self.tries += 1
            raise OSError("no route")

    broken, sound = Broken(), kept()
    said: list[str] = []
    source = pictures(grey_picture, 6, lambda index: broken.tries == len(sound.frames) == index)
    report = LiveSession(source, Instant(), [broken, sound], say=said.append).run()
    assert report.senders[0].failed == 6
    assert report.senders[1].frames == 6
    assert said == ["Sending to kept failed (no route); trying on."]


def test_stop_ends_a_session_from_another_thread(pictures, kept, grey_picture):
    sender = kept()
    source = pictures(grey_picture, 100_000, lambda index: len(sender.frames) >= index)
    session = LiveSession(source, Instant(), [sender])
    threading.Timer(0.1, session.stop).start()
    assert session.run().shown < 100_000
    assert sender.closed


def test_ctrl_c_ends_a_session_cleanly(pictures, kept, grey_picture):
    sender = kept()
    session = LiveSession(pictures(grey_picture, 100_000), Instant(), [sender])

    def on_status(report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.run(on_status)
    assert sender.closed
    assert session.report().pictures >= 1


def test_an_error_of_the_source_is_raised(kept, tmp_path):
    sender = kept()
    with pytest.raises(MediaError):
        LiveSession(FileSource(tmp_path / "none.mp4"), Instant(), [sender]).run()
    assert sender.closed


def test_without_pictures_the_avatar_relaxes(kept, grey_picture, monkeypatch, wait_for):
    monkeypatch.setattr("freeavatar.live.session.SILENCE_S", 0.05)
    monkeypatch.setattr("freeavatar.live.session.RESTING_S", 0.02)

    class Unplugged:
        name = "unplugged"

        def check(self):
            pass

        def frames(self, stop, say):
            from freeavatar.capture.video import Frame

            yield Frame(0, 0.0, grey_picture)
            wait_for(lambda: len(sender.frames) > 1 and sender.frames[-1].arkit[17] == 0.0)

    sender = kept()
    LiveSession(Unplugged(), Instant(), [sender]).run()
    jaw = [frame.arkit[17] for frame in sender.frames]
    assert jaw[0] == 0.5
    assert jaw[-1] == 0.0
    assert not sender.frames[-1].found
    assert (np.diff(jaw) <= 0).all()


def test_calibration_makes_the_face_neutral_and_is_kept(pictures, kept, grey_picture, tmp_path):
    neutral = tmp_path / "neutral.json"
    sender = kept()
    performer = Instant()
    said: list[str] = []
    source = pictures(grey_picture, 40, lambda index: len(sender.frames) >= index)
    session = LiveSession(source, performer, [sender], "arkit", neutral, said.append)
    session.calibrate()
    session.run()
    assert sender.frames[0].arkit.max() == 0.5
    assert sender.frames[-1].arkit.max() == 0.0
    assert said == ["Calibrated: this face is neutral now."]

    again = Instant()
    again.load_neutral(neutral)
    sender = kept()
    LiveSession(pictures(grey_picture, 3), again, [sender]).run()
    assert sender.frames[0].arkit.max() == 0.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"arkit": 3}', '{"arkit": {"controls": {}}}'])
def test_a_file_that_is_no_neutral_is_told(tmp_path, text):
    path = tmp_path / "neutral.json"
    path.write_text(text)
    with pytest.raises(CurveFileError, match="does not hold a neutral face"):
        Instant().load_neutral(path)


def test_memory_does_not_grow_with_the_number_of_frames(pictures, grey_picture, kept):
    import tracemalloc

    class Forgetful(kept):
        def send(self, frame):
            return 1

    session = LiveSession(pictures(grey_picture, 300), Instant(), [Forgetful()])
    sizes: list[int] = []
    tracemalloc.start()
    try:
        session.run(lambda report: sizes.append(tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[len(sizes) // 2] < 300_000
