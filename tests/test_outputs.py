"""A folder of results appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from freeavatar.errors import OutputError
from freeavatar.outputs import finished_folder


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_appear_together_when_the_work_is_done(tmp_path):
    with finished_folder(tmp_path / "out" / "take") as working:
        (working / "a.txt").write_text("a")
        assert not (tmp_path / "out" / "take").exists()
    assert everything_in(tmp_path) == ["out", "out/take", "out/take/a.txt"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing_behind_not_even_the_folders_above(tmp_path, interruption):
    with pytest.raises(interruption), finished_folder(tmp_path / "out" / "take") as working:
        (working / "half.txt").write_text("half")
        raise interruption
    assert everything_in(tmp_path) == []


def test_an_interruption_keeps_the_inputs_that_were_finished_before(tmp_path):
    with finished_folder(tmp_path / "out" / "one") as working:
        (working / "a.txt").write_text("a")
    with pytest.raises(KeyboardInterrupt), finished_folder(tmp_path / "out" / "two") as working:
        raise KeyboardInterrupt
    assert everything_in(tmp_path) == ["out", "out/one", "out/one/a.txt"]


def test_replacing_changes_only_files_of_the_same_name_and_only_at_the_end(tmp_path):
    take = tmp_path / "take"
    take.mkdir()
    (take / "a.txt").write_text("old")
    (take / "mine.txt").write_text("mine")
    with pytest.raises(RuntimeError), finished_folder(take) as working:
        (working / "a.txt").write_text("new")
        raise RuntimeError
    assert (take / "a.txt").read_text() == "old"
    with finished_folder(take) as working:
        (working / "a.txt").write_text("new")
    assert (take / "a.txt").read_text() == "new"
    assert everything_in(tmp_path) == ["take", "take/a.txt", "take/mine.txt"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(OutputError, match="disk is full"),
        finished_folder(tmp_path / "out" / "take") as working,
    ):
        (working / "half.txt").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert everything_in(tmp_path) == []


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out"), finished_folder(tmp_path / "out" / "take"):
        pass
    assert (tmp_path / "out").read_text() == "a file"


def test_messages_name_the_folder_that_people_know(tmp_path):
    with pytest.raises(OutputError) as refusal, finished_folder(tmp_path / "take") as working:
        raise OutputError(f"{working / 'a.txt'} was not written.")
    assert str(refusal.value) == f"{tmp_path / 'take' / 'a.txt'} was not written."


def test_a_folder_of_pictures_joins_the_one_of_an_earlier_run(tmp_path):
    final = tmp_path / "take"
    for run in ("first", "second"):
        with finished_folder(final) as working:
            (working / "a.textures").mkdir()
            (working / "a.textures" / "skin.jpg").write_text(run)
            (working / "a.textures" / f"{run}.jpg").write_text(run)
    names = {path.name for path in (final / "a.textures").iterdir()}
    assert names == {"skin.jpg", "first.jpg", "second.jpg"}
    assert (final / "a.textures" / "skin.jpg").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["take"]
