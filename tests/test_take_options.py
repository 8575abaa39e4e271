"""What a person asks of a take on the command line: who, whose profile, which rate, which side."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from freeavatar.animator.runtime import Animator
from freeavatar.cli.main import main
from freeavatar.export.livelink import read_livelink
from freeavatar.rig import ARKIT

pytestmark = pytest.mark.usefixtures("stand_in_networks")


@pytest.fixture
def run(tmp_path, toy_avatar_file, capsys):
    """run("animate", file, ...) with the toy avatar; the value is (exit code, stdout, stderr)."""

    def go(command: str, *arguments: object) -> tuple[int, str, str]:
        given = [command, *map(str, arguments)]
        if command == "animate":
            given += ["--avatar", str(toy_avatar_file), "--formats", "livelink", "controls"]
        code = main(given)
        said = capsys.readouterr()
        return code, said.out, said.err

    return go


@pytest.fixture
def take(make_video, face_pictures):
    return make_video("take.mp4", face_pictures * 2)


@pytest.fixture
def two_people(make_video, face_pictures):
    pictures = [np.concatenate([p, p[:, ::-1]], axis=1) for p in face_pictures]
    return make_video("two.mp4", pictures)


def test_everybody_is_listed_and_each_gets_a_folder(run, two_people, tmp_path):
    code, out, _ = run("animate", two_people, "--list-actors")
    assert code == 0
    assert "2 people" in out
    assert "--actor 1" in out
    code, _, err = run("animate", two_people, "--actor", "all", "--out", tmp_path / "out")
    assert code == 0, err
    folders = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert folders == ["two-actor0", "two-actor1"]
    left, right = (
        read_livelink(tmp_path / "out" / name / "livelink.csv").head_rad for name in folders
    )
    # The right one is the left one's mirror image: it turns the other way.
    np.testing.assert_allclose(np.median(left[:, 0]), -np.median(right[:, 0]), atol=0.1)


def dark(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 3, picture.shape)
    return np.clip(0.06 * picture + noise, 0, 255).astype(np.uint8)


def on_its_side(picture: np.ndarray) -> np.ndarray:
    """And far away, or the plain picture would do."""
    room = np.full((360, 640, 3), 120, np.uint8)
    room[126:234, 224:416] = cv2.resize(picture, (192, 108), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(room))


@pytest.mark.parametrize("filmed", [dark, on_its_side])
def test_who_is_hard_to_see_is_listed_and_chosen_all_the_same(
    run, make_video, face_pictures, tmp_path, filmed
):
    video = make_video("hard.mp4", [filmed(picture) for picture in face_pictures])
    code, out, err = run("animate", video, "--list-actors")
    assert code == 0, err
    assert "1 person" in out
    assert "there in 100 %" in out
    for actor in ("largest", "0", "all"):
        code, _, err = run("animate", video, "--actor", actor, "--out", tmp_path / actor)
        assert code == 0, err
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["hard-actor0"]
    chosen, everybody = (
        read_livelink(tmp_path / folder / "livelink.csv")
        for folder in ("0/hard", "all/hard-actor0")
    )
    np.testing.assert_array_equal(chosen.values, everybody.values)


def test_a_face_that_comes_and_goes_between_two_looks_is_actor_0(
    run, make_video, face_pictures, tmp_path
):
    wall = np.full_like(face_pictures[0], 120)
    video = make_video("short.mp4", [wall, *face_pictures[:2], *[wall] * 6])
    assert "0 people" in run("animate", video, "--list-actors")[1]
    for actor, folder in (("0", "short"), ("all", "short-actor0")):
        code, out, err = run("animate", video, "--actor", actor, "--out", tmp_path / actor)
        assert code == 0, err
        assert "face seen in 2" in out
        assert [path.name for path in (tmp_path / actor).iterdir()] == [folder]


def test_an_actor_that_is_not_there_is_refused(run, two_people, tmp_path):
    code, _, err = run("animate", two_people, "--actor", "7", "--out", tmp_path / "out")
    assert code == 1
    assert "no actor 7" in err
    assert not (tmp_path / "out").exists()


def test_a_profile_is_learned_from_one_take_and_used_for_another(
    run, make_video, face_pictures, take, tmp_path
):
    profile, out = tmp_path / "actor.json", tmp_path / "out"
    session = make_video("session.mp4", face_pictures * 6)
    code, said, err = run("calibrate", session, "--out", profile)
    assert code == 0, err
    assert "neutral face of session.mp4" in said
    record = json.loads(profile.read_text())
    assert set(record["gains"]) == set(ARKIT.names)
    assert run("animate", take, "--out", out / "plain", "--neutral", "off")[0] == 0
    code, _, err = run("animate", take, "--out", out / "known", "--profile", profile)
    assert code == 0, err
    plain, known = (
        read_livelink(out / name / "take" / "livelink.csv").values for name in ("plain", "known")
    )
    # Told whose face it is, the animator reads it as it would read anybody's at rest.
    animator = Animator.load()
    anybody = animator.controls(animator.usual[None], ARKIT)[0]
    plainly = np.array([record["gains"][name] for name in ARKIT.names]) == 1.0
    plainly[ARKIT.columns("gaze")] = False
    before, after = (np.abs(c.mean(axis=0) - anybody)[plainly].mean() for c in (plain, known))
    assert after < 0.7 * before
    assert run("calibrate", session, "--out", profile)[0] == 1
    profile.write_text("{}")
    assert "not an actor's profile" in run("animate", take, "--profile", profile)[2]


def test_a_take_that_is_too_short_gives_no_profile(run, make_video, face_pictures, tmp_path):
    short = make_video("short.mp4", face_pictures[:3])
    code, _, err = run("calibrate", short, "--out", tmp_path / "actor.json")
    assert code == 1
    assert "too short" in err
    assert not (tmp_path / "actor.json").exists()


def test_rate_side_and_tuning_are_seen_in_the_files(run, take, tmp_path):
    tuning = tmp_path / "tune.toml"
    tuning.write_text('mute = ["jawOpen"]\n')
    out = tmp_path / "out"
    assert run("animate", take, "--out", out / "a")[0] == 0
    code, _, err = run(
        *("animate", take, "--out", out / "b", "--fps", "24", "--swap-sides"),
        *("--controls", tuning),
    )
    assert code == 0, err
    before, after = (read_livelink(out / name / "take" / "livelink.csv") for name in ("a", "b"))
    assert after.frame_rate_hz == pytest.approx(24.0, rel=0.01)
    assert after.values[:, ARKIT.index("jawOpen")].max() == 0.0
    left, right = ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")
    assert after.values[0, left] == pytest.approx(before.values[0, right], abs=1e-5)
    np.testing.assert_allclose(after.head_rad[0], before.head_rad[0] * [-1, 1, -1], atol=1e-5)
    controls = (out / "b" / "take" / "toy.controls.csv").read_text().splitlines()[0].split(",")
    assert "jawOpen" in controls


def test_head_rotation_is_in_degrees_in_the_track_file_and_confidence_beside_it(
    take, toy_avatar_file, tmp_path
):
    given = ["animate", str(take), "--avatar", str(toy_avatar_file), "--out", str(tmp_path / "out")]
    assert main([*given, "--formats", "track", "livelink"]) == 0
    folder = tmp_path / "out" / "take"
    lines = (folder / "track.csv").read_text().splitlines()
    header, rows = lines[0].split(","), np.array([line.split(",") for line in lines[1:]], float)
    angles = rows[:, [header.index(name) for name in header if "deg" in name]]
    radians = read_livelink(folder / "livelink.csv").head_rad
    np.testing.assert_allclose(np.radians(angles), radians, atol=1e-4)
    confidence = rows[:, header.index("confidence")]
    assert confidence.min() > 0.9
