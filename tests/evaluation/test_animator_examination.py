"""The animator's examination: its measures on cases whose answer is known, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.cli.main import main
from freeavatar.evaluation.animator import (
    HALF_SECOND,
    Driven,
    Shown,
    across_avatars,
    correlations,
    knowing_the_neutral,
    liveliest,
    sides,
)
from freeavatar.evaluation.animator_sheets import (
    FACING_RAD,
    GESTURES,
    gesture_values,
    seen_well,
)
from freeavatar.evaluation.peers import Pictures
from freeavatar.rig import ARKIT, RigSpec
from freeavatar.training.shards import ShardSet

NUM = 40


def shown(controls: np.ndarray, shows: np.ndarray | None = None) -> Shown:
    pictures = np.zeros((len(controls), 224, 224, 3), np.uint8)
    everything = np.ones(controls.shape, bool)
    return Shown(
        Pictures(pictures, pictures),
        controls,
        everything if shows is None else shows,
        np.repeat([0, 1], len(controls) // 2),
    )


@pytest.fixture
def controls() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (NUM, 52)).astype(np.float32)


def test_the_truth_itself_is_perfect_and_its_opposite_is_not(controls: np.ndarray) -> None:
    found, error = correlations(controls, shown(controls))
    np.testing.assert_allclose(found, 1.0, atol=1e-6)
    np.testing.assert_allclose(error, 0.0, atol=1e-6)
    np.testing.assert_allclose(correlations(1 - controls, shown(controls))[0], -1.0, atol=1e-6)
    np.testing.assert_allclose(correlations(np.zeros_like(controls), shown(controls))[0], 0.0)


def test_still_channels_and_hidden_ones_are_not_judged(controls: np.ndarray) -> None:
    controls[:, 3] = 0.5
    shows = np.ones(controls.shape, bool)
    shows[:, 7] = False
    found, _ = correlations(controls, shown(controls, shows))
    assert np.isnan(found[[3, 7]]).all()
    assert np.isfinite(np.delete(found, [3, 7])).all()


def test_a_clip_is_judged_by_itself(controls: np.ndarray) -> None:
    """A constant that differs from clip to clip costs error, and no correlation."""
    shifted = controls + np.repeat([0.0, 5.0], NUM // 2)[:, None].astype(np.float32)
    found, error = correlations(shifted, shown(controls))
    np.testing.assert_allclose(found, 1.0, atol=1e-5)
    np.testing.assert_allclose(error, 2.5, atol=1e-5)


class Differences(Animator):
    """Features less the neutral that is told."""

    def __init__(self) -> None:
        self.usual = np.zeros(52, np.float32)

    def controls(
        self,
        features: np.ndarray,
        avatar: Avatar | RigSpec,
        neutral: np.ndarray | None = None,
    ) -> np.ndarray:
        return features - (self.usual if neutral is None else neutral)


def test_each_clip_is_read_with_its_own_neutral() -> None:
    features = np.repeat([0.02, 0.06], 80)[:, None].repeat(52, axis=1).astype(np.float32)
    curves = knowing_the_neutral(shown(features), features, Differences())
    np.testing.assert_allclose(curves, 0.0, atol=1e-5)
    features[:30] += 0.3
    curves = knowing_the_neutral(shown(features), features, Differences())
    np.testing.assert_allclose(curves[:30], 0.3, atol=1e-5)


def test_left_minus_right_sees_exchanged_sides(controls: np.ndarray) -> None:
    guesses = {"right": controls, "exchanged": controls[:, ARKIT.mirror_columns]}
    found = sides(shown(controls), guesses)
    assert found["right"] == pytest.approx(1.0, abs=1e-6)
    assert found["exchanged"] == pytest.approx(-1.0, abs=1e-6)


def test_the_liveliest_stretch_is_the_one_that_moves() -> None:
    values = np.zeros((100, 52), np.float32)
    values[60:80] = np.random.default_rng(0).uniform(0, 1, (20, 52))
    assert liveliest(values, 20).std(axis=0).mean() > 0.2
    assert len(liveliest(values[:5], 20)) == 5


def test_avatars_that_look_alike_are_nearer_than_half_a_second() -> None:
    rng = np.random.default_rng(0)
    source = rng.standard_normal((30, 8)).astype(np.float32)
    nothing = np.zeros((30, 8, 8, 3), np.uint8)
    alike = [Driven(name, nothing, source + 0.01 * i) for i, name in enumerate("ab")]
    clip = np.repeat([0, 1], 15)
    section = across_avatars(source, clip, alike)
    values = {row.measure: row.values for row in section.rows}
    assert values["nearer"] == {"a": 1.0, "b": 1.0}
    assert values["source"] == {"a": 1.0, "b": 1.0}
    assert values["distance to others over half a second"]["a"] < 0.1
    late = [alike[0], Driven("c", nothing, np.roll(source, HALF_SECOND, axis=0))]
    values = {r.measure: r.values for r in across_avatars(source, clip, late).rows}
    assert values["source"]["c"] < 0.7


def test_gestures_are_on_the_side_that_they_say() -> None:
    by_name = {name: gesture_values(name, controls) for name, controls in GESTURES}
    for stem in ("wink", "smile", "brow", "look"):
        np.testing.assert_allclose(
            by_name[f"{stem} left"][ARKIT.mirror_columns], by_name[f"{stem} right"], atol=1e-6
        )
    assert by_name["look left"][ARKIT.index("eyeLookOutLeft")] > 0.5
    assert not by_name["neutral"].any()


@pytest.fixture
def face_set(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, **columns: np.ndarray) -> Path:
        part = tmp_path / name / "part-000"
        part.mkdir(parents=True)
        crops = np.random.default_rng(1).integers(0, 255, (6, 144, 144, 3)).astype(np.uint8)
        np.save(part / "crops.npy", crops)
        np.savez(part / "truth.npz", **columns)  # type: ignore[arg-type]
        index = {"shows": [[True] * 52]}
        (tmp_path / name / "index.json").write_text(json.dumps(index))
        return tmp_path / name

    return write


def test_the_command_writes_a_report_and_a_sheet(
    stand_in_networks: None,
    face_set: Callable[..., Path],
    toy_avatar_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)
    renders = face_set("renders", arkit=rng.uniform(0, 1, (6, 52)), actor=np.zeros(6, np.int16))
    faces = face_set("faces", split=np.array(["test"] * 6))
    out = tmp_path / "out"
    given = ["evaluate", "animator", "--out", out, "--renders", renders, "--faces", faces]
    arguments = [str(a) for a in (*given, "--avatar", toy_avatar_file)]
    assert main(arguments) == 0
    assert "left minus right" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert "6 controls" in report["facts"]["avatars"]
    assert [s["title"] for s in report["sections"]] == ["Round trip, single pictures", "Speed"]
    assert (out / "faces.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "gestures.png").exists()
    assert main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_nothing_to_look_at_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "animator", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_faces_for_the_eye_look_at_the_camera_and_are_sharp() -> None:
    rng = np.random.default_rng(0)
    yaw = rng.uniform(-1.5, 1.5, 200)
    columns = {
        "head_rad": np.stack([yaw, 0 * yaw, 0 * yaw], axis=1),
        "sharpness": rng.random(200),
    }
    faces = ShardSet((np.zeros((200, 8, 8, 3), np.uint8),), columns, {})
    rows = np.arange(50, 200)
    found = seen_well(faces, rows, 10)
    assert np.isin(found, rows).all()
    assert np.abs(yaw[found]).max() < FACING_RAD
    facing = rows[np.abs(yaw[rows]) < FACING_RAD]
    assert len(found) == -(-len(facing) // 2)
    left_out = np.setdiff1d(facing, found)
    sharpness = columns["sharpness"]
    assert sharpness[left_out].max() < sharpness[found].min()
    # Too few to choose from: whoever there is.
    np.testing.assert_array_equal(seen_well(faces, rows[:3], 10), rows[:3])
