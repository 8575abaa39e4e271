"""Things before faces and poor cameras: repeatable, placed on the face, truth untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.avatars.avatar import FaceFrame
from freeavatar.avatars.gltf import load_avatar
from freeavatar.datasets import occluders
from freeavatar.datasets.actors import make_actor
from freeavatar.datasets.camera_damage import film
from freeavatar.datasets.motion_sources import MotionSources
from freeavatar.datasets.occluders import FacePlace, cover
from freeavatar.datasets.render_variation import Backgrounds, crop_camera
from freeavatar.datasets.renders import RenderSet, draw_shard, write_renders
from freeavatar.errors import DataError

FACE = FaceFrame(*(np.array(p, np.float32) for p in (
    (0.031, 0.0, 0.0), (-0.031, 0.0, 0.0), (0.0, -0.07, 0.01), (0.0, -0.08, -0.08)
)))  # fmt: skip


def place(head_rad: tuple[float, float, float] = (0.0, 0.0, 0.0), size: int = 96) -> FacePlace:
    return FacePlace.of(FACE, head_rad, crop_camera(FACE, head_rad, 20.0), size)


@pytest.fixture
def spec(toy_avatar_file: Path) -> RenderSet:
    actor = make_actor(load_avatar(toy_avatar_file))
    motion = MotionSources(np.zeros((0, 52), np.float32))
    return RenderSet((actor,), (1.0,), motion, Backgrounds(), 5, 6, part_size=3, size=48)


def test_damage_leaves_truth_and_the_clean_pictures_alone(spec: RenderSet) -> None:
    clean, truth = draw_shard(spec, 0, 6)
    half, half_truth = draw_shard(replace(spec, occluded_share=0.5), 0, 6)
    whole, _ = draw_shard(replace(spec, occluded_share=1.0, camera_damage_share=1.0), 0, 6)
    for name, column in truth.items():
        np.testing.assert_array_equal(column, half_truth[name])
    changed = [(a != b).any() for a, b in zip(clean, half, strict=True)]
    assert 0 < sum(changed) < 6
    assert all((a != b).any() for a, b in zip(clean, whole, strict=True))


def test_the_same_seed_gives_the_same_bytes(spec: RenderSet, tmp_path: Path) -> None:
    damaged = replace(spec, occluded_share=0.7, camera_damage_share=0.7)
    write_renders(damaged, tmp_path / "one", num_processes=1)
    write_renders(damaged, tmp_path / "two", num_processes=2)
    for name in ("part-000/crops.npy", "part-001/crops.npy", "index.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_clean_and_damaged_sets_are_not_mixed(spec: RenderSet, tmp_path: Path) -> None:
    write_renders(replace(spec, num=3), tmp_path)
    with pytest.raises(DataError, match="occluded_share differ"):
        write_renders(replace(spec, occluded_share=0.5), tmp_path)


@pytest.mark.parametrize("kind", list(occluders.KINDS))
@pytest.mark.parametrize("yaw_rad", [-0.8, 0.0, 0.5])
def test_everything_covers_a_part_of_the_face_and_not_all_of_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, yaw_rad: float
) -> None:
    monkeypatch.setattr(
        occluders, "_KIND_SHARES", tuple(float(name == kind) for name in occluders.KINDS)
    )
    picture = np.full((96, 96, 3), 128, np.uint8)
    for seed in range(4):
        covered = cover(picture, place((yaw_rad, 0.1, 0.1)), np.random.default_rng(seed))
        changed = (np.abs(covered.astype(int) - 128).max(axis=2) > 12).mean()
        assert 0.003 < changed < 0.7
    assert (picture == 128).all()


def test_points_turn_with_the_head() -> None:
    straight, turned = place(), place((0.5, 0.0, 0.0))
    middle = straight.one(0.0, -0.65, 0.0)
    np.testing.assert_allclose(middle, [96.0, 96.0], atol=1.0)
    # A turn to the character's left moves the nose to picture right.
    assert turned.one(0.0, -0.5, 0.8)[0] > straight.one(0.0, -0.5, 0.8)[0] + 5
    assert straight.one(0.5, 0.0, 0.0)[0] > straight.one(-0.5, 0.0, 0.0)[0]
    assert straight.unit_px == pytest.approx(96 * 2 / (3.2 * 9 / 7), rel=0.05)
    assert turned.shows(-1.0)
    assert not turned.shows(1.0)


def test_cameras_damage_repeatably_and_in_every_way() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    before = picture.copy()
    for seed in range(20):
        once, again = (film(picture, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        assert once.shape == picture.shape
        assert (once != picture).any()
    np.testing.assert_array_equal(picture, before)
