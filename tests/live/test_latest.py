from __future__ import annotations

import threading

from freeavatar.live.delays import Delays
from freeavatar.live.latest import Latest


def test_only_the_newest_is_kept_and_the_rest_counted():
    latest: Latest[int] = Latest()
    for item in (1, 2, 3):
        latest.put(item)
    assert latest.take(0.0) == 3
    assert latest.num_dropped == 2
    assert latest.take(0.0) is None


def test_the_last_item_can_be_taken_after_closing():
    latest: Latest[int] = Latest()
    latest.put(1)
    latest.close()
    latest.put(2)
    assert not latest.finished
    assert latest.take() == 1
    assert latest.finished
    assert latest.take() is None


def test_closing_wakes_who_waits():
    latest: Latest[int] = Latest()
    taken: list[int | None] = []
    waiting = threading.Thread(target=lambda: taken.append(latest.take()))
    waiting.start()
    latest.close()
    waiting.join(2.0)
    assert taken == [None]


def test_percentiles_are_those_of_the_delays():
    delays = Delays()
    for milliseconds in range(1, 101):
        delays.add(milliseconds / 1000 - 5e-5)
    assert delays.percentile_ms(50.0) == 50.0
    assert delays.percentile_ms(95.0) == 95.0


def test_no_delay_yet_is_zero_and_a_huge_one_is_counted():
    delays = Delays()
    assert delays.percentile_ms(50.0) == 0.0
    delays.add(60.0)
    assert delays.percentile_ms(50.0) == 2000.0
