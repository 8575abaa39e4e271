"""The written tables hold every group and every tracker, and say nothing where nothing is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import speed
from chart import Panel, write_chart, write_panels
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


def test_memory_is_reported_after_a_minute_of_footage_and_later():
    at_s = [7.5 * (i + 1) for i in range(10)]
    grown = [float(200 + 10 * i) for i in range(8)] + [310.0, 290.0]
    long = [Timing(2250, 2250, 60.0, 61.0, 60.0, 500.0, at_s, grown)]
    text = speed_markdown({"long": {"ours": long}})
    assert "ours used 270 MB after a minute of footage, later at most 310 MB (+40)" in text
    assert "at 1.2 min 290 MB (+20)" in text
    short = [Timing(2250, 2250, 60.0, 61.0, 60.0, 500.0, at_s[:7], grown[:7])]
    assert "after a minute" not in speed_markdown({"short": {"ours": short}})


def test_a_long_take_is_compared_with_a_short_one_by_the_frame():
    minute = [Timing(1000, 1000, 10.0, 11.0, 12.0)]
    ten = [Timing(10_000, 10_000, 110.0, 111.0, 180.0)]
    text = speed_markdown({"1080p, 1 min": {"ours": minute}, "1080p, 10 min": {"ours": ten}})
    assert "a frame takes ours 1.10 of the time and 1.50 of the processor's time" in text


def test_panels_with_and_without_values_become_a_picture(tmp_path):
    panels = [
        Panel("one", ["a", "b"], {"ours": [0.5, -0.2], "peer": [float("nan"), 1.0]}),
        Panel("nothing", ["a"], {"ours": [float("nan")]}, digits=0),
    ]
    write_panels(tmp_path / "bars.png", panels)
    picture = cv2.imread(str(tmp_path / "bars.png"))
    assert picture.shape[0] == sum(panel.height_px for panel in panels)
    assert picture.std() > 5


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
