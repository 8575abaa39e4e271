"""The written tables hold every group and every tracker, and say nothing where nothing is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import speed
from chart import write_chart
from freeavatar.animation import AnimationClip
from freeavatar.rig import ARKIT, ARKIT_NAMES
from scores import GROUPS, Judged, judge
from speed import Timing, speed_markdown, timed
from tables import number, quality_markdown, quality_record
from takes import range_take
from trackers import TrackerFailed


def some_scores():
    values = range_take(0)
    num = len(values)
    clip = AnimationClip(ARKIT, np.arange(num) / 30, values, np.ones(num, bool), np.zeros((num, 3)))
    return {"ours": judge([Judged("one", clip, np.ones(52, bool), clip)])}


def test_every_group_and_channel_has_a_row_and_every_row_as_many_cells():
    text = quality_markdown(some_scores())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for name in (*GROUPS, *ARKIT_NAMES):
        assert any(line.startswith(f"| {name} |") for line in lines)
    for block in text.split("\n\n"):
        cells = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(cells) <= 1


def test_the_record_is_json_without_nan():
    json.dumps(quality_record(some_scores()), allow_nan=False)
    assert number(float("nan")) == "–"


def test_the_chart_is_a_picture(tmp_path):
    write_chart(tmp_path / "chart.png", some_scores())
    assert cv2.imread(str(tmp_path / "chart.png")).std() > 5


def test_the_speed_table_compares_medians():
    ours = [Timing(100, 100, seconds, 6.0, 5.0) for seconds in (2.0, 2.0, 9.0)]
    peer = [Timing(100, 90, 1.0, 2.0, 1.0)] * 3
    text = speed_markdown({"720p": {"ours": ours, "peer": peer}})
    assert "50.0 (11.1 to 50.0)" in text
    assert "720p: ours takes 2.00 of peer's time" in text


def test_memory_is_reported_after_a_minute_and_later():
    grown = [float(200 + 10 * i) for i in range(12)] + [400.0, 410.0, 405.0]
    long = [Timing(2250, 2250, 60.0, 61.0, 60.0, 500.0, grown)]
    text = speed_markdown({"long": {"ours": long}})
    assert "ours used 400 MB after a minute, later at most 410 MB" in text


def test_a_process_is_timed_with_its_own_memory(monkeypatch):
    script = (
        "import json, ours_timed; hold = bytearray(80 << 20);"
        "hold[::4096] = b'x' * len(hold[::4096]); peak = ours_timed.peak_mb();"
        "print(json.dumps({'frames': 3, 'found': 2, 'run_s': 0.5, 'peak_mb': peak}))"
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(speed.__file__).parent))
    big = timed([sys.executable, "-c", script], cores=1)
    small = timed([sys.executable, "-c", script.replace("80 << 20", "1 << 20")], cores=1)
    assert (big.frames, big.found, big.run_s) == (3, 2, 0.5)
    assert 70 < big.peak_mb - small.peak_mb < 90
    assert big.whole_s > 0
    assert big.cpu_s > 0
    with pytest.raises(TrackerFailed, match="no such thing"):
        timed([sys.executable, "-c", "raise SystemExit('no such thing')"], cores=1)
