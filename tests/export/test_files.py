"""Files appear whole or not at all, and failures are one sentence that says what to try."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from freeavatar.errors import OutputError
from freeavatar.export.files import check_writable, finished_file, refuse_existing


def test_a_file_appears_when_it_is_finished(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with finished_file(path) as partial:
        partial.write_text("done")
        assert not path.exists()
        assert partial.suffix == ".txt"
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


def break_off(path: Path, failure: BaseException, overwrite: bool = False) -> None:
    with finished_file(path, overwrite) as partial:
        partial.write_text("half")
        raise failure


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, SystemExit])
def test_nothing_is_left_of_an_unfinished_file(tmp_path, failure):
    with pytest.raises(failure):
        break_off(tmp_path / "a.txt", failure())
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_file_leaves_the_old_one_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="of ours"):
        break_off(path, ValueError("of ours"), overwrite=True)
    assert path.read_text() == "old"


def test_existing_files_are_kept_unless_asked(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match="--overwrite"), finished_file(path):
        pass
    with pytest.raises(OutputError, match="1 more"):
        refuse_existing([path, path, tmp_path / "b"])
    with finished_file(path, overwrite=True) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "No permission"),
        (errno.EROFS, "No permission"),
        (errno.EIO, "--out"),
    ],
)
def test_failures_of_the_disk_are_explained(tmp_path, number, words):
    with pytest.raises(OutputError, match=words):
        break_off(tmp_path / "a.txt", OSError(number, "reason"))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_names_the_file_that_was_asked_for(tmp_path):
    partial_name = f".a.partial-{os.getpid()}.txt"
    with pytest.raises(OutputError, match=r"a\.txt is too long") as caught:
        break_off(tmp_path / "a.txt", OutputError(f"{tmp_path / partial_name} is too long"))
    assert "partial" not in str(caught.value)


def test_a_file_in_place_of_a_folder_is_explained(tmp_path):
    (tmp_path / "out").write_text("I am a file")
    with pytest.raises(OutputError, match="not a folder"):
        check_writable(tmp_path / "out" / "take")
    with pytest.raises(OutputError, match="not a folder"), finished_file(tmp_path / "out/a/b.txt"):
        pass


def test_a_writable_folder_is_left_as_it_was(tmp_path):
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
