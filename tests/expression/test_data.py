"""Batches: every crop with its own truth, mirrored or not, twice where twins are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import DataError
from freeavatar.expression.augment import AugmentConfig
from freeavatar.expression.data import OTHER_VIEW, FacePool, rare_first, strengths
from freeavatar.rig import ARKIT
from freeavatar.training.shards import open_shards


@pytest.fixture
def pool(tmp_path: Path) -> FacePool:
    """Twelve renders; the first control of picture i is i / 12, on the left side only."""
    part = tmp_path / "part-000"
    part.mkdir()
    arkit = np.zeros((12, 52), np.float16)
    arkit[:, ARKIT.names.index("eyeBlinkLeft")] = np.arange(1, 13) / 12
    np.save(part / "crops.npy", np.zeros((12, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.ones((12, 3), np.float16))
    (tmp_path / "index.json").write_text(json.dumps({}))
    return FacePool([tmp_path], AugmentConfig())


def test_mirroring_swaps_sides_and_turns_the_head(pool: FacePool) -> None:
    samples = pool.draw(64, np.random.default_rng(0))
    left, right = (
        samples.controls[:, ARKIT.names.index(f"eyeBlink{side}")] for side in ("Left", "Right")
    )
    assert np.all((left > 0) != (right > 0))
    np.testing.assert_array_equal(samples.head_rad[:, 0] < 0, right > 0)
    assert 16 < (right > 0).sum() < 48


def test_rare_shapes_come_more_often_and_common_ones_once() -> None:
    controls = np.zeros((100, 52), np.float32)
    controls[:, ARKIT.index("browInnerUp")] = np.nan
    controls[:60, ARKIT.index("jawOpen")] = 0.8
    controls[:2, ARKIT.index("cheekPuff")] = 0.9
    controls[::2, 8:14] = 0.5
    chances = rare_first(controls, most=4.0)
    assert (chances[:2] == 4.0).all()
    assert (chances[2:] <= 1.5).all()
    assert chances.min() == 1.0


def test_a_rare_shape_is_drawn_as_often_as_asked(tmp_path: Path) -> None:
    part = tmp_path / "part-000"
    part.mkdir()
    arkit = np.zeros((100, 52), np.float16)
    arkit[10:, ARKIT.index("jawOpen")] = 0.9
    arkit[10:50, ARKIT.index("browInnerUp")] = 0.9
    arkit[:10, ARKIT.index("cheekPuff")] = 0.9
    np.save(part / "crops.npy", np.zeros((100, 41, 41, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.zeros((100, 3)))
    (tmp_path / "index.json").write_text(json.dumps({}))
    config = AugmentConfig(size=32)
    for oversampling, share in ((1.0, 0.1), (4.0, 40 / 130)):
        pool = FacePool([tmp_path], config, oversampling=oversampling)
        drawn = pool.draw(2000, np.random.default_rng(0)).controls[:, ARKIT.index("cheekPuff")]
        assert (drawn > 0).mean() == pytest.approx(share, abs=0.04)


def test_twins_show_the_same_face_twice(pool: FacePool) -> None:
    samples = pool.draw(12, np.random.default_rng(0), mirror=False, twins=0.5)
    shown = samples.controls[:, ARKIT.names.index("eyeBlinkLeft")]
    assert len(shown) == 12
    np.testing.assert_array_equal(shown[9:], shown[:3])


def test_most_twins_are_another_view_where_a_set_has_some(tmp_path: Path) -> None:
    arkit = np.zeros((40, 52), np.float16)
    arkit[:, ARKIT.index("jawOpen")] = np.repeat(np.arange(1, 21) / 20, 2)
    yaw = np.where(np.arange(40) % 2, 0.5, 0.25).astype(np.float16)
    head = np.stack([yaw, 0 * yaw, 0 * yaw], axis=1)
    expression = np.repeat(np.arange(20, dtype=np.int32), 2)
    folder = a_set(tmp_path, {}, arkit=arkit, head_rad=head, expression=expression)
    pool = FacePool([folder], AugmentConfig(size=32))
    samples = pool.draw(400, np.random.default_rng(0), mirror=False, twins=1.0)
    jaw, turned = samples.controls[:, ARKIT.index("jawOpen")], samples.head_rad[:, 0]
    np.testing.assert_array_equal(jaw[200:], jaw[:200])
    assert (turned[200:] != turned[:200]).mean() == pytest.approx(OTHER_VIEW, abs=0.1)


def test_twins_that_are_no_other_view_take_more_damage(tmp_path: Path) -> None:
    folder = a_set(tmp_path, {}, arkit=np.zeros((40, 52), np.float16))
    config = AugmentConfig(size=32, colour=0.0, scale=0.0, shift=0.0, cover=0.0, blur=0.0,
                           small=0.0, compress=0.0, dark=0.0, grey=0.0, noise=0.3)  # fmt: skip
    crops = FacePool([folder], config).draw(400, np.random.default_rng(0), twins=1.0).crops
    noisy = crops.std(axis=(1, 2, 3)) > 1
    assert noisy[:200].mean() == pytest.approx(0.3, abs=0.1)
    assert noisy[200:].mean() == pytest.approx(0.6, abs=0.1)


def test_what_moves_is_the_truth_times_the_strength_of_the_face(tmp_path: Path) -> None:
    part = tmp_path / "part-000"
    part.mkdir()
    jaw, smile = ARKIT.index("jawOpen"), ARKIT.index("mouthSmileLeft")
    arkit = np.zeros((6, 52), np.float16)
    arkit[:, [jaw, smile]] = np.arange(1, 7)[:, None] / 8
    actor = np.array([0, 1, 1, 0, 1, 0], np.int16)
    np.save(part / "crops.npy", np.zeros((6, 8, 8, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, head_rad=np.zeros((6, 3)), actor=actor)
    strength = np.ones((2, 52))
    strength[1, smile] = 0.5
    shows = np.ones((2, 52), bool)
    shows[1, 0] = False
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"shows": shows.tolist(), "strength": strength.tolist()}))
    rows = np.array([1, 3, 4])
    read = strengths(open_shards(tmp_path), rows)
    np.testing.assert_array_equal(read, strength[actor[rows]])
    samples = FacePool([tmp_path], AugmentConfig(size=32)).draw(64, np.random.default_rng(0))
    ratio = samples.moved / np.where(samples.controls == 0, np.nan, samples.controls)
    ratio = np.fmax(ratio, ratio[:, ARKIT.mirror_columns])  # mirrored or not
    np.testing.assert_array_equal(ratio[:, jaw], 1.0)
    assert set(ratio[:, smile]) == {0.5, 1.0}
    # What an actor cannot show stays unknown, and only of that actor.
    hidden = np.isnan(samples.controls).any(axis=1)
    np.testing.assert_array_equal(hidden, ratio[:, smile] == 0.5)
    np.testing.assert_array_equal(np.isnan(samples.moved), np.isnan(samples.controls))
    # Sets from before strengths were measured.
    index.write_text(json.dumps({"shows": shows.tolist()}))
    np.testing.assert_array_equal(strengths(open_shards(tmp_path), rows), np.ones((3, 52)))


def test_parts_with_other_columns_are_refused(pool: FacePool, tmp_path: Path) -> None:
    part = tmp_path / "part-001"
    part.mkdir()
    np.save(part / "crops.npy", np.zeros((1, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=np.zeros((1, 52)), head_rad=np.zeros((1, 3)),
             emotion=np.zeros((1, 7)))  # fmt: skip
    with pytest.raises(DataError, match="emotion"):
        FacePool([tmp_path], AugmentConfig())


def a_set(folder: Path, index: dict[str, object], **columns: np.ndarray) -> Path:
    """A set of grey pictures with these columns."""
    part = folder / "part-000"
    part.mkdir(parents=True)
    num = len(next(iter(columns.values())))
    np.save(part / "crops.npy", np.full((num, 41, 41, 3), 128, np.uint8))
    np.savez(part / "truth.npz", **columns)  # type: ignore[arg-type]
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_companions_show_the_person_of_another_row(tmp_path: Path) -> None:
    actor = np.repeat(np.arange(20, dtype=np.int16), 5)
    arkit = np.random.default_rng(0).uniform(0, 1, (100, 52)).astype(np.float16)
    index = {"actors": [f"person{i}" for i in range(20)]}
    pool = FacePool([a_set(tmp_path, index, actor=actor, arkit=arkit)], AugmentConfig(size=32))
    samples = pool.draw(16, np.random.default_rng(0), companions=0.5)
    np.testing.assert_array_equal(samples.person[:4], samples.person[:-5:-1])
    alone = pool.draw(16, np.random.default_rng(0))
    np.testing.assert_array_equal(alone.person[:12], samples.person[:12])


def test_no_companion_comes_from_the_judging_split(tmp_path: Path) -> None:
    split = np.array(["train"] * 2 + ["val"] * 18)
    yaw = np.where(split == "train", 0.25, 1.0).astype(np.float16)
    head = np.stack([yaw, 0 * yaw, 0 * yaw], axis=1)
    folder = a_set(tmp_path, {}, head_rad=head, split=split, person=np.zeros(20, int))
    pool = FacePool([folder], AugmentConfig(size=32))
    samples = pool.draw(40, np.random.default_rng(0), companions=1.0)
    np.testing.assert_array_equal(np.abs(samples.head_rad[:, 0]), 0.25)
    assert (samples.person == 0).all()


def test_one_person_has_one_number_in_all_sets_but_equal_names_do_not_make_one(
    tmp_path: Path,
) -> None:
    def named(folder: str, names: list[str], reach: list[float]) -> Path:
        strength = [[r] * 52 for r in reach]
        index: dict[str, object] = {"actors": names, "strength": strength}
        actor = np.arange(len(names), dtype=np.int16)
        arkit = np.zeros((len(names), 52), np.float16)
        return a_set(tmp_path / folder, index, actor=actor, arkit=arkit)

    folders = [
        named("one", ["ada", "actor0001"], [1.0, 0.8]),
        named("two", ["ada", "actor0001"], [1.0, 0.7]),
    ]
    pool = FacePool(folders, AugmentConfig(size=32))
    people = {int(p) for p in pool.draw(64, np.random.default_rng(0)).person}
    assert people == {0, 1, 2}


def test_every_session_is_somebody_and_its_mirror_image_somebody_else(tmp_path: Path) -> None:
    actor, session = np.zeros(40, np.int16), np.repeat(np.arange(4, dtype=np.int32), 10)
    yaw = np.repeat([0.1, 0.2, 0.3, 0.4], 10).astype(np.float16)
    head = np.stack([yaw, 0 * yaw, 0 * yaw], axis=1)
    arkit = np.zeros((40, 52), np.float16)
    index: dict[str, object] = {"actors": ["one"]}
    folder = a_set(tmp_path, index, actor=actor, session=session, head_rad=head, arkit=arkit)
    samples = FacePool([folder], AugmentConfig(size=32)).draw(200, np.random.default_rng(0))
    number = np.rint(np.abs(samples.head_rad[:, 0]) * 10).astype(int) - 1
    np.testing.assert_array_equal(samples.person, 2 * number + (samples.head_rad[:, 0] < 0))


def test_who_a_real_face_is_is_unknown_unless_a_set_says_so(tmp_path: Path) -> None:
    head = np.zeros((4, 3), np.float16)
    wild = a_set(tmp_path / "wild", {}, head_rad=head)
    studio = a_set(tmp_path / "studio", {}, head_rad=head, person=np.array([7, 7, 8, 8]))
    drawn = FacePool([wild], AugmentConfig(size=32)).draw(8, np.random.default_rng(0))
    assert (drawn.person == -1).all()
    drawn = FacePool([wild, studio], AugmentConfig(size=32)).draw(64, np.random.default_rng(0))
    assert set(drawn.person.tolist()) <= {-1, 0, 1}
    assert (drawn.person >= 0).mean() > 0.8  # few, but told: drawn more often


def test_a_teacher_is_not_believed_about_blurred_faces_or_when_unsure(tmp_path: Path) -> None:
    emotion = np.zeros((3, 7), np.float16)
    emotion[:, 0], emotion[:, 1] = (0.9, 0.4, 0.9), (0.1, 0.3, 0.1)
    folder = a_set(
        tmp_path, {}, emotion=emotion, teacher=np.full((3, 52), 0.5, np.float16),
        quality=np.array([1.0, 1.0, 0.2], np.float16), head_rad=np.zeros((3, 3), np.float16),
    )  # fmt: skip
    pool = FacePool([folder], AugmentConfig(size=32))
    samples = [pool._sample(0, row, np.random.default_rng(0), False) for row in range(3)]
    assert [bool(np.isnan(sample[4]).all()) for sample in samples] == [False, True, False]
    assert [bool(np.isnan(sample[1]).all()) for sample in samples] == [False, False, True]


def test_recorded_takes_are_drawn_as_often_as_asked(tmp_path: Path) -> None:
    arkit = np.zeros((100, 52), np.float16)
    arkit[:20, 0] = 1.0
    source = np.where(np.arange(100) < 20, 1, 0).astype(np.int8)
    folder = a_set(tmp_path, {"sources": ["sparse", "take"]}, arkit=arkit, source=source)
    for lifelike, share in ((1.0, 0.2), (4.0, 80 / 160)):
        pool = FacePool([folder], AugmentConfig(size=32), lifelike=lifelike)
        drawn = pool.draw(1500, np.random.default_rng(0), mirror=False)
        performed = drawn.controls[:, 0] > 0
        assert performed.mean() == pytest.approx(share, abs=0.05)
        np.testing.assert_array_equal(drawn.lifelike, performed)


def test_a_real_face_is_something_that_somebody_did(tmp_path: Path) -> None:
    folder = a_set(tmp_path, {}, teacher=np.full((3, 52), 0.5, np.float16))
    pool = FacePool([folder], AugmentConfig(size=32))
    assert pool.draw(4, np.random.default_rng(0)).lifelike.all()
