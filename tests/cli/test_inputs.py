"""A folder stands for the media files in it, in name order; mistakes are explained."""

from __future__ import annotations

import pytest

from freeavatar.cli.inputs import media_files, without_repeats
from freeavatar.errors import MediaError


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def test_a_folder_stands_for_its_media_in_name_order(tmp_path):
    touch(tmp_path, "b.mp4", "a.JPG", "c.mov", "notes.txt", ".hidden.mp4")
    (tmp_path / "deeper").mkdir()
    touch(tmp_path / "deeper", "d.mp4")
    assert [path.name for path in media_files(tmp_path)] == ["a.JPG", "b.mp4", "c.mov"]


def test_a_named_file_counts_whatever_its_name(tmp_path):
    touch(tmp_path, "take.bin")
    assert media_files(tmp_path / "take.bin") == [tmp_path / "take.bin"]


def test_an_empty_folder_says_so(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(MediaError, match=r"No video or picture .* \(1 other files\)"):
        media_files(tmp_path)


def test_a_missing_file_suggests_the_nearest_name(tmp_path):
    touch(tmp_path, "take_01.mp4")
    with pytest.raises(MediaError, match=r"Did you mean .*take_01\.mp4\?"):
        media_files(tmp_path / "take_1.mp4")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"folder .*nowhere does not exist"):
        media_files(tmp_path / "nowhere" / "take.mp4")


def test_a_file_given_twice_is_used_once_at_its_first_place(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    assert without_repeats([b, a, tmp_path / "." / "b.mp4"]) == [b, a]
