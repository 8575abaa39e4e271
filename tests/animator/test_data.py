"""Encoding what the animator is fed: several sets share one pass and do not mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freeavatar.animator import data
from freeavatar.animator.data import encode_own, load_own, save_table
from freeavatar.avatars.gltf import load_avatar
from freeavatar.datasets.motion_sources import MotionSources
from freeavatar.renderer.data import open_avatar_set, range_shares, write_avatar_set


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, toy_avatar_file: Path) -> list[Path]:
    root, takes = tmp_path_factory.mktemp("sets"), MotionSources(np.zeros((0, 52), np.float32))
    avatar = load_avatar(toy_avatar_file)
    for seed, name in enumerate(("one", "other")):
        write_avatar_set(avatar, takes, root / name, 8, seed)
    return [root / "one", root / "other"]


def test_sets_encoded_together_are_what_each_is_alone(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(data, "CHUNK", 3)
    seen: list[tuple[int, int]] = []
    both = list(encode_own(folders, None, 7, report=lambda done, total: seen.append((done, total))))
    assert seen == [(3, 14), (6, 14), (7, 14), (10, 14), (13, 14), (14, 14)]
    for folder, table in zip(folders, both, strict=True):
        (alone,) = encode_own([folder], None, 7)
        pictures = open_avatar_set(folder)
        np.testing.assert_array_equal(
            table.shares, range_shares(pictures.rig, pictures.controls[table.rows])
        )
        assert table.rows.max() < pictures.num_train
        np.testing.assert_array_equal(table.rows, alone.rows)
        save_table(tmp_path / "own.npz", table)
        np.testing.assert_array_equal(load_own(tmp_path / "own.npz").features, table.features)
    assert np.abs(both[0].features - both[1].features).max() > 1e-3
    assert list(encode_own([], None, 7)) == []
