"""Controls CSV, embeddings and report: written, read back, compared."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.errors import CurveFileError
from freeavatar.export.controls_csv import read_controls, write_controls
from freeavatar.export.npz import write_embeddings
from freeavatar.export.report import describe, write_report
from freeavatar.rig import ARKIT, Control, RigSpec


def test_controls_read_back_equal(tmp_path, arkit_clip):
    path = tmp_path / "a.controls.csv"
    write_controls(path, arkit_clip)
    back = read_controls(path, ARKIT)
    np.testing.assert_allclose(back.values, arkit_clip.values, atol=1e-6)
    np.testing.assert_allclose(back.times_s, arkit_clip.times_s, atol=1e-6)
    np.testing.assert_array_equal(back.found, arkit_clip.found)


def test_controls_have_the_promised_columns(tmp_path, arkit_clip):
    rig = RigSpec("odd", (Control('a "quoted", name'), Control("plain", minimum=-1.0)))
    clip = replace(arkit_clip, rig=rig, values=arkit_clip.values[:, :2])
    path = tmp_path / "a.controls.csv"
    write_controls(path, clip)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["time_s", "found", 'a "quoted", name', "plain"]
    assert {row[1] for row in rows[1:]} == {"0", "1"}
    assert len(rows) == len(clip) + 1


def test_controls_of_another_rig_are_refused(tmp_path, arkit_clip):
    write_controls(tmp_path / "a.csv", arkit_clip)
    with pytest.raises(CurveFileError, match="'own'"):
        read_controls(tmp_path / "a.csv", RigSpec("mine", (Control("own"),)))
    (tmp_path / "b.csv").write_text("time_s,found,own\n0,1\n")
    with pytest.raises(CurveFileError, match="unequal"):
        read_controls(tmp_path / "b.csv", RigSpec("mine", (Control("own"),)))


def test_embeddings_read_back_without_pickle(tmp_path, rng):
    vectors = rng.normal(size=(5, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0
    found = np.array([True, True, True, False, True])
    path = tmp_path / "embeddings.npz"
    write_embeddings(path, vectors, ["a.jpg", "ü.png", "c", "d", "e"], np.arange(5.0), found)
    with np.load(path, allow_pickle=False) as back:
        assert set(back) == {"embeddings", "source", "time_s", "found"}
        assert back["embeddings"].dtype == np.float32
        np.testing.assert_allclose(back["embeddings"], vectors, atol=1e-6)
        assert back["source"].tolist()[1] == "ü.png"
        np.testing.assert_array_equal(back["found"], found)


def test_embeddings_that_are_not_unit_vectors_are_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="lengths"):
        write_embeddings(tmp_path / "e.npz", np.ones((1, 4)), ["a"], np.zeros(1), np.ones(1, bool))


def test_the_report_counts_frames_losses_and_hashes_weights(tmp_path, arkit_clip):
    weights = tmp_path / "net.onnx"
    weights.write_bytes(b"numbers")
    report = describe(
        tmp_path / "take.mp4",
        arkit_clip,
        avatars=("anna",),
        stage_s={"capture": 1.23456},
        weights={"expression": weights},
        warnings=("dark",),
    )
    path = tmp_path / "report.json"
    write_report(path, report)
    facts = json.loads(path.read_text())
    assert facts["input"] == "take.mp4"
    assert facts["frames"] == 40
    assert facts["found"] == 35
    (lost,) = facts["lost"]
    assert (lost["first_frame"], lost["last_frame"]) == (15, 19)
    assert lost["end_s"] == pytest.approx(arkit_clip.times_s[20])
    assert facts["stage_s"] == {"capture": 1.235}
    assert facts["weights_sha256"]["expression"] == hashlib.sha256(b"numbers").hexdigest()
    assert {"freeavatar", "python", "numpy", "onnxruntime"} <= set(facts["versions"])
    assert facts["warnings"] == ["dark"]
