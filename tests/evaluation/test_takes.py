"""A take beside its reference: each kind of fault shows where it should, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.cli.main import main
from freeavatar.errors import CurveFileError
from freeavatar.evaluation.take_plots import TAKE, bar_plot, curve_plot
from freeavatar.evaluation.takes import TakeConfig, compare, jitter, sections
from freeavatar.export.livelink import write_livelink
from freeavatar.rig import ARKIT, Control, RigSpec

RATE_HZ = 30.0
STILL = ARKIT.index("tongueOut")


def curves(times_s: np.ndarray) -> np.ndarray:
    """Every control on waves of its own, all but one."""
    rng = np.random.default_rng(3)
    phase = 2 * np.pi * (rng.uniform(0.3, 1.2, 52) * times_s[:, None] + rng.random(52))
    values = 0.4 + 0.3 * np.sin(phase)
    values[:, STILL] = 0.0
    return values


def recording(duration_s: float = 6.0, rate_hz: float = RATE_HZ, late_s: float = 0.0):
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    head = 0.2 * np.sin((times_s[:, None] - late_s) * [1.0, 2.0, 3.0])
    found = np.ones(len(times_s), bool)
    return AnimationClip(ARKIT, times_s, ARKIT.clamp(curves(times_s - late_s)), found, head)


def test_a_recording_beside_itself_is_perfect():
    found = compare(recording(), recording())
    assert np.nanmin(found.correlation) == pytest.approx(1.0)
    assert np.isnan(found.correlation[STILL])
    assert not found.moving[STILL]
    assert found.error.max() == 0.0
    assert found.lag_s == pytest.approx(0.0, abs=1e-3)
    assert found.head_correlation.min() == pytest.approx(1.0)
    assert found.head_error_deg.max() == 0.0
    assert found.found == 1.0


@pytest.mark.parametrize("late_s", [-0.2, 0.05, 0.31])
@pytest.mark.parametrize("take_rate_hz", [24.0, 60.0])
def test_a_delay_is_measured_between_frames_and_at_another_rate(late_s, take_rate_hz):
    take = recording(rate_hz=take_rate_hz, late_s=late_s)
    found = compare(take, recording())
    assert found.lag_s == pytest.approx(late_s, abs=0.005)
    aligned = compare(take, recording(), TakeConfig(align=True))
    assert np.nanmean(aligned.correlation) > 0.99
    assert np.nanmean(found.correlation) < np.nanmean(aligned.correlation)


def test_recordings_that_were_started_apart_are_laid_over_each_other():
    whole = recording(12.0)
    later = replace(
        whole,
        times_s=whole.times_s[120:] - whole.times_s[120],
        values=whole.values[120:],
        found=whole.found[120:],
        head_rad=whole.head_rad[120:],
        confidence=whole.confidence[120:],
        shot=whole.shot[120:],
    )
    found = compare(whole, later, TakeConfig(offset_s=4.0))
    assert np.nanmin(found.correlation) == pytest.approx(1.0)
    searched = compare(whole, later, TakeConfig(most_lag_s=5.0, align=True))
    assert searched.lag_s == pytest.approx(4.0, abs=0.005)
    assert np.nanmean(searched.correlation) > 0.99


def test_noise_is_jitter_of_its_own_size_and_a_blink_is_none():
    times_s = np.arange(600) / RATE_HZ
    rng = np.random.default_rng(0)
    calm = 0.5 + 0.3 * np.sin(2 * np.pi * 0.7 * times_s)
    noisy = calm + 0.02 * rng.standard_normal(600)
    blinking = calm.copy()
    blinking[::90] = 1.0
    measured = jitter(times_s, np.stack([calm, noisy, blinking], axis=1))
    assert measured[0] < 0.001
    assert measured[1] == pytest.approx(0.02, rel=0.1)
    assert measured[2] < 0.001


def test_a_gain_costs_error_but_no_correlation():
    truth = recording()
    take = truth.with_values(ARKIT.clamp(0.5 * truth.values))
    found = compare(take, truth)
    assert np.nanmin(found.correlation) == pytest.approx(1.0, abs=1e-5)
    assert found.error[found.moving].min() > 0.15
    assert found.scaled_error[found.moving].max() < 1e-5


def test_a_still_head_in_the_reference_is_not_judged():
    truth = recording()
    found = compare(recording(), replace(truth, head_rad=np.zeros_like(truth.head_rad)))
    assert np.isnan(found.head_correlation).all()
    assert np.isnan(found.head_error_deg).all()


def test_frames_in_which_the_reference_saw_nobody_do_not_count():
    truth = recording()
    gone = truth.found.copy()
    gone[60:90] = False
    values = truth.values.copy()
    values[60:90] = 0.0
    found = compare(recording(), replace(truth, found=gone, values=values))
    assert found.error.max() == 0.0
    assert len(found.times_s) == 150


def test_controls_are_compared_by_name_and_strangers_are_refused():
    rig = RigSpec("small", (Control("jawOpen", "jaw", "jawOpen"), Control("horn")))
    truth = recording()
    column = truth.values[:, [ARKIT.index("jawOpen")]]
    small = AnimationClip(
        rig, truth.times_s, np.hstack([column, column]), truth.found, truth.head_rad
    )
    found = compare(truth, small)
    assert found.rig.names == ("jawOpen",)
    assert found.error.max() == 0.0
    strange = AnimationClip(
        RigSpec("strange", (Control("horn"),)), truth.times_s, column, truth.found, truth.head_rad
    )
    with pytest.raises(CurveFileError, match="no name in common"):
        compare(truth, strange)


def test_recordings_that_do_not_overlap_say_so():
    with pytest.raises(CurveFileError, match="offset-s"):
        compare(recording(), recording(), TakeConfig(offset_s=100.0))


def test_plots_show_the_take_and_tables_every_moving_control():
    found = compare(recording(late_s=0.1), recording())
    curve, bars = curve_plot(found), bar_plot(found)
    assert (np.abs(curve.astype(int) - TAKE).max(axis=2) < 40).sum() > 500
    assert (np.abs(bars.astype(int) - TAKE).max(axis=2) < 40).sum() > 500
    whole, regions, controls = sections(found)
    assert len(controls.rows) == 51
    assert {row.measure for row in regions.rows} >= {"brow", "jaw", "mouth", "gaze"}
    late = {row.measure: row.values["value"] for row in whole.rows}["late by, seconds"]
    assert late == pytest.approx(0.1, abs=0.005)


def test_the_command_writes_a_report_beside_the_take(tmp_path, capsys):
    take, truth = tmp_path / "out" / "take", tmp_path / "truth.csv"
    take.mkdir(parents=True)
    write_livelink(take / "livelink.csv", recording(late_s=0.1))
    write_livelink(truth, recording())
    assert main(["evaluate", "take", str(take), str(truth)]) == 0
    said = capsys.readouterr().out
    assert "late by, seconds" in said
    folder = take / "evaluation"
    record = json.loads((folder / "report.json").read_text())
    assert record["sections"][0]["title"] == "Take"
    assert cv2.imread(str(folder / "curves.png")) is not None
    assert main(["evaluate", "take", str(take), str(truth)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["evaluate", "take", str(take), str(truth), "--overwrite"]) == 0


def test_a_folder_without_curves_says_what_it_needs(tmp_path, capsys):
    assert main(["evaluate", "take", str(tmp_path), str(tmp_path / "truth.csv")]) == 1
    assert "livelink.csv" in capsys.readouterr().err
    assert sorted(Path(tmp_path).iterdir()) == []
