"""Training pictures: their truth is possible, they repeat, and a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.avatars.avatar import FaceFrame, pose, rotation
from freeavatar.avatars.gltf import load_avatar
from freeavatar.datasets.actors import Actor, cut_to_face, make_actor
from freeavatar.datasets.motion_sources import (
    HELD_OUT_TAKES,
    RARE,
    SOURCES,
    MotionSources,
    _pair,
    load_motion,
    plausible,
    read_take,
)
from freeavatar.datasets.render_variation import Backgrounds, crop_camera
from freeavatar.datasets.renders import RenderSet, draw_shard, write_renders
from freeavatar.errors import CurveFileError, DataError
from freeavatar.rig import ARKIT, ARKIT_NAMES
from freeavatar.training.shards import open_shards

NO_TAKES = MotionSources(np.zeros((0, 52), np.float32))


@pytest.fixture(scope="module")
def actor(toy_avatar_file: Path) -> Actor:
    return make_actor(load_avatar(toy_avatar_file))


@pytest.fixture
def spec(actor: Actor) -> RenderSet:
    backgrounds = Backgrounds((np.full((20, 30, 3), 90, np.uint8),))
    return RenderSet((actor,), (1.0,), NO_TAKES, backgrounds, 5, 7, part_size=3, size=48)


def test_an_actor_shows_exactly_the_controls_that_move_it(actor: Actor):
    shown = {name for name, shows in zip(ARKIT_NAMES, actor.shows, strict=True) if shows}
    assert shown == set(actor.avatar.rig.names)


def test_cutting_to_the_face_leaves_the_face_as_it_poses(toy_avatar_file: Path):
    avatar = load_avatar(toy_avatar_file)
    part = avatar.surfaces[0]
    far = replace(
        part,
        vertices=np.concatenate([part.vertices, part.vertices - (0, 9, 0)]).astype(np.float32),
        triangles=np.concatenate([part.triangles + len(part.vertices), part.triangles]),
        uvs=np.concatenate([part.uvs, part.uvs]),
        deltas=np.concatenate([part.deltas, part.deltas], 1),
        head_share=np.repeat(np.array([1, 0], np.float32), len(part.vertices)),
    )
    small = cut_to_face(replace(avatar, surfaces=(far,)))
    controls = np.linspace(0, 1, len(avatar.rig)).astype(np.float32)
    whole = pose(avatar, controls, (0.1, 0.2, 0.0))[0][avatar.surfaces[0].triangles]
    cut = pose(small, controls, (0.1, 0.2, 0.0))[0][small.surfaces[0].triangles]
    np.testing.assert_allclose(cut, whole, atol=1e-7)


def test_a_picture_depends_on_seed_and_number_alone(spec: RenderSet):
    crops, truth = draw_shard(spec, 0, 7)
    again, truth_again = draw_shard(spec, 4, 3)
    np.testing.assert_array_equal(again, crops[4:])
    np.testing.assert_array_equal(truth_again["arkit"], truth["arkit"][4:])
    other, _ = draw_shard(replace(spec, seed=6), 0, 7)
    assert (other != crops).any()


def test_truth_is_what_the_actor_shows(spec: RenderSet):
    _, truth = draw_shard(replace(spec, size=16), 0, 60)
    assert (truth["arkit"][:, ~spec.actors[0].shows] == 0).all()
    assert truth["arkit"].min() >= 0
    assert truth["arkit"].max() <= 1
    assert truth["arkit"].max(0)[spec.actors[0].shows].min() > 0.1


def test_a_stopped_run_goes_on_and_gives_the_same_set(spec: RenderSet, tmp_path: Path):
    write_renders(spec, tmp_path / "whole")
    write_renders(replace(spec, num=3), tmp_path / "stopped")
    (tmp_path / "stopped" / ".unfinished-abc").mkdir()
    progress: list[tuple[int, int]] = []
    write_renders(spec, tmp_path / "stopped", report=lambda *counts: progress.append(counts))
    assert progress == [(3, 7), (6, 7), (7, 7)]
    whole, stopped = open_shards(tmp_path / "whole"), open_shards(tmp_path / "stopped")
    assert len(whole) == len(stopped) == 7
    np.testing.assert_array_equal(whole.gather(np.arange(7)), stopped.gather(np.arange(7)))
    for column, values in whole.columns.items():
        np.testing.assert_array_equal(values, stopped.columns[column])
    assert whole.columns["arkit"].dtype == np.float16
    assert whole.index["shows"] == [[bool(value) for value in spec.actors[0].shows]]
    assert not list((tmp_path / "stopped").glob(".unfinished*"))


def test_another_set_is_never_mixed_into_a_folder(spec: RenderSet, tmp_path: Path):
    write_renders(replace(spec, num=2), tmp_path)
    before = (tmp_path / "index.json").read_text()
    with pytest.raises(DataError, match="seed differ"):
        write_renders(replace(spec, seed=6), tmp_path)
    with pytest.raises(DataError, match="rare_share differ"):
        write_renders(replace(spec, motion=replace(NO_TAKES, rare_share=0.5)), tmp_path)
    assert json.loads((tmp_path / "index.json").read_text()) == json.loads(before)


def test_turned_heads_show_the_same_faces(spec: RenderSet, tmp_path: Path):
    crops, truth = draw_shard(spec, 0, 4)
    turned_crops, turned = draw_shard(replace(spec, turned_rad=0.7), 0, 4)
    for column in ("arkit", "actor", "source"):
        np.testing.assert_array_equal(turned[column], truth[column])
    np.testing.assert_allclose(turned["head_rad"][:, 0], [-0.7, 0.7, -0.7, 0.7], atol=1e-3)
    np.testing.assert_array_equal(turned["head_rad"][:, 1:], truth["head_rad"][:, 1:])
    assert (turned_crops != crops).any(axis=(1, 2, 3)).all()
    write_renders(replace(spec, num=2), tmp_path)
    with pytest.raises(DataError, match="turned_rad differ"):
        write_renders(replace(spec, num=2, turned_rad=0.7), tmp_path)


def test_two_processes_write_what_one_does(spec: RenderSet, tmp_path: Path):
    write_renders(spec, tmp_path / "one", num_processes=1)
    write_renders(spec, tmp_path / "two", num_processes=2)
    for part in ("part-000", "part-001", "part-002"):
        one, two = (np.load(tmp_path / n / part / "crops.npy") for n in ("one", "two"))
        np.testing.assert_array_equal(one, two)


def drawn(num: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    takes = MotionSources(rng.uniform(0, 1, (50, 52)).astype(np.float32))
    values, sources = zip(*(takes.draw(rng) for _ in range(num)), strict=True)
    return np.stack(values), np.array(sources)


def test_no_eye_looks_two_ways_and_no_lips_close_beyond_the_jaw():
    values, sources = drawn()
    assert set(sources) == set(range(len(SOURCES)))
    column = {name: values[:, ARKIT.index(name)] for name in ARKIT_NAMES}
    for side in ("Left", "Right"):
        for first, second in (("In", "Out"), ("Up", "Down")):
            both = column[f"eyeLook{first}{side}"] * column[f"eyeLook{second}{side}"]
            assert (both == 0).all()
    assert (column["mouthClose"] <= column["jawOpen"]).all()
    assert (column["jawOpen"] >= 0.29)[column["tongueOut"] > 0.7].all()
    assert values.min() >= 0
    assert values.max() <= 1


def test_every_control_is_seen_alone_and_every_side_as_often_as_the_other():
    values, sources = drawn(2500)
    alone = values[sources == SOURCES.index("single")]
    gaze = ARKIT.columns("gaze")
    face = np.setdiff1d(np.arange(52), gaze)
    assert ((alone[:, face] > 0).sum(1) <= 1).all()
    never = set(np.array(ARKIT_NAMES)[alone.max(0) < 0.15])
    assert never <= {"mouthClose", "tongueOut"}
    mean, partner = values.mean(0), values.mean(0)[ARKIT.mirror_columns]
    np.testing.assert_allclose(mean, partner, atol=0.04)


def test_pairs_are_two_controls_and_not_only_partners():
    rng = np.random.default_rng(3)
    pairs = [plausible(_pair(rng)) for _ in range(3000)]
    together = [tuple(np.flatnonzero(values)) for values in pairs]
    assert {len(columns) for columns in together} == {2}
    partners = [ARKIT.mirror_columns[first] == second for first, second in together]
    assert 0.3 < np.mean(partners) < 0.5  # a half, but for those that have no partner to move with
    jaw = ARKIT.index("jawOpen")
    beside = {column for columns in together if jaw in columns for column in columns} - {jaw}
    assert len(beside) > 20
    # Jaw left and right are partners and exclude each other.
    left, right = ARKIT.index("jawLeft"), ARKIT.index("jawRight")
    assert any(left in columns for columns in together)
    assert (left, right) not in together


def test_pairs_of_one_seed_are_the_same_and_as_often_left_as_right():
    one, two = (
        np.stack([_pair(rng) for _ in range(4000)])
        for rng in (np.random.default_rng(4), np.random.default_rng(4))
    )
    np.testing.assert_array_equal(one, two)
    mean = one.mean(0)
    np.testing.assert_allclose(mean, mean[ARKIT.mirror_columns], atol=0.01)


def test_rare_controls_can_be_asked_for():
    rng = np.random.default_rng(0)
    usual, values = (
        np.stack([source.draw(rng)[0] for _ in range(600)])
        for source in (NO_TAKES, replace(NO_TAKES, rare_share=1.0))
    )
    columns = [ARKIT.index(name) for name in RARE]
    assert ((values > 0.25).mean(0)[columns] > 0.03).all()
    sideways = [ARKIT.index(name) for name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")]
    often, seldom = ((each[:, sideways] > 0.4).any(1).mean() for each in (values, usual))
    assert often > 2 * seldom
    np.testing.assert_allclose(values.mean(0), values.mean(0)[ARKIT.mirror_columns], atol=0.03)


def test_what_is_plausible_is_plausible_in_the_mirror():
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = rng.uniform(0, 1, 52)
        np.testing.assert_allclose(
            plausible(values[ARKIT.mirror_columns]),
            plausible(values)[ARKIT.mirror_columns],
            atol=1e-6,
        )


def live_link(path: Path, rows: list[list[str]]) -> Path:
    """A recording whose columns are in the file's own order: jaw and mouth right before left."""
    names = [name[0].upper() + name[1:] for name in ARKIT_NAMES]
    for left in ("JawLeft", "MouthLeft"):
        i = names.index(left)
        names[i], names[i + 1] = names[i + 1], names[i]
    lines = [["Timecode", "BlendShapeCount", *names], *rows]
    path.write_text("\n".join(",".join(line) for line in lines) + "\n")
    return path


def test_takes_are_read_by_column_name_without_the_rows_that_saw_no_face(tmp_path: Path):
    values = [f"{i / 100:.2f}" for i in range(52)]
    rows = [["0:00:00:01", "61", *values], ["0:00:00:02", "0"], ["0:00:00:03", "61", *values]]
    take = read_take(live_link(tmp_path / "take.csv", rows))
    assert take.shape == (2, 52)
    right = ARKIT.index("jawRight")
    # The file's first jaw column is the right one.
    np.testing.assert_allclose(take[0, right], (right - 1) / 100, atol=1e-6)
    np.testing.assert_allclose(take[0, ARKIT.index("jawLeft")], right / 100, atol=1e-6)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_a_file_that_is_no_recording_is_named(tmp_path: Path, content: str):
    path = tmp_path / "no_take.csv"
    path.write_text(content)
    with pytest.raises(CurveFileError, match=r"no_take\.csv is no Live Link Face recording"):
        read_take(path)


def test_takes_that_judge_the_product_are_never_trained_on(tmp_path: Path):
    for name in HELD_OUT_TAKES:
        path = live_link(tmp_path / f"{name}.csv", [["0", "61", *["0"] * 52]])
        with pytest.raises(ValueError, match="held out"):
            load_motion([path])


@pytest.mark.parametrize("head_rad", [(0.0, 0.0, 0.0), (0.7, 0.0, 0.0), (-0.4, 0.3, 0.3)])
def test_the_camera_frames_the_crop_that_the_product_would_cut(head_rad: tuple):
    face = FaceFrame(
        *(np.array(p, np.float32) for p in ((0.03, 1.6, 0.1), (-0.03, 1.6, 0.1))),
        np.array((0, 1.534, 0.12), np.float32),
        np.array((0, 1.55, 0.03), np.float32),
    )
    mid_to_mouth = float(np.hypot(0.066, 0.02))
    unit = 0.5 * (0.06 + mid_to_mouth / 1.1)
    camera = crop_camera(face, head_rad, 60.0)
    turn = rotation(*head_rad)

    def in_crop(point: np.ndarray) -> np.ndarray:
        """Place in the encoder's crop, from its middle; a camera this far is nearly parallel."""
        moved = face.neck + turn @ (point - face.neck) - camera.target
        right = np.cross(camera.up, (0, 0, 1))
        share = np.array([moved @ right, -(moved @ camera.up)]) / (2 * np.tan(camera.fov_y_rad / 2))
        return 288 * share / (60.0 * unit)

    eyes = (face.left_eye + face.right_eye) / 2.0
    np.testing.assert_allclose(in_crop(eyes - (0, 0.65 * unit, 0)), 0, atol=1e-3)
    # The eyes are above the middle, exactly so however the head leans.
    middle = in_crop(eyes)
    assert abs(middle[0]) < 1e-3
    tilt = np.hypot(turn[0, 1], turn[1, 1])
    np.testing.assert_allclose(middle[1], -0.65 / 3.2 * 224 * tilt, atol=0.05)


def test_further_views_show_the_same_expression_from_elsewhere(spec: RenderSet, tmp_path: Path):
    crops, truth = draw_shard(replace(spec, views=2), 0, 6)
    alone_crops, alone = draw_shard(spec, 0, 3)
    np.testing.assert_array_equal(truth["expression"], [0, 0, 1, 1, 2, 2])
    for column in ("arkit", "actor", "source"):
        np.testing.assert_array_equal(truth[column][::2], alone[column])
        np.testing.assert_array_equal(truth[column][1::2], alone[column])
    np.testing.assert_array_equal(crops[0], alone_crops[0])
    np.testing.assert_array_equal(truth["head_rad"][::2], alone["head_rad"])
    assert (truth["head_rad"][1::2] != alone["head_rad"]).all()
    assert (crops[1::2] != crops[::2]).any(axis=(1, 2, 3)).all()
    write_renders(replace(spec, num=4, views=2), tmp_path)
    with pytest.raises(DataError, match="views differ"):
        write_renders(replace(spec, num=4), tmp_path)


def test_a_session_shows_one_person_in_one_light_first_at_rest(actor: Actor, spec: RenderSet):
    other = replace(actor, avatar=replace(actor.avatar, name="other"))
    several = replace(spec, actors=(actor, other), weights=(1.0, 1.0), session=8)
    crops, truth = draw_shard(several, 0, 48)
    np.testing.assert_array_equal(truth["session"], np.arange(48) // 8)
    of_session = truth["actor"].reshape(6, 8)
    assert (of_session == of_session[:, :1]).all()
    assert len(set(of_session[:, 0].tolist())) == 2
    still = np.setdiff1d(np.arange(52), [*ARKIT.columns("gaze"), *ARKIT.columns("eye")])
    effort = truth["arkit"][:, still].sum(1).reshape(6, 8)
    assert (effort[:, :4] == 0).all()
    assert (effort[:, 4:] > 0).any(1).all()
    yaw = truth["head_rad"][:, 0].astype(np.float64).reshape(6, 8)
    assert yaw.std(1).mean() < 0.2
    again, _ = draw_shard(several, 20, 2)
    np.testing.assert_array_equal(again, crops[20:22])
    with pytest.raises(ValueError, match="one of them is 1"):
        replace(spec, views=2, session=8)


def test_takes_are_played_as_often_as_asked():
    takes = MotionSources(np.full((4, 52), 0.1, np.float32), takes_share=0.8)
    rng = np.random.default_rng(0)
    drawn = [SOURCES[takes.draw(rng)[1]] for _ in range(400)]
    assert drawn.count("take") / 400 == pytest.approx(0.8 + 0.2 * 0.23, abs=0.05)
    without = replace(NO_TAKES, takes_share=0.8)
    assert "take" not in {SOURCES[without.draw(rng)[1]] for _ in range(40)}
