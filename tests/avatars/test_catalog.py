"""Names of avatars: bundled, added, removed, mistyped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from freeavatar.avatars import catalog
from freeavatar.errors import AvatarError, OutputError


@pytest.fixture
def folder(tmp_path: Path, toy_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for added avatars, beside two bundled ones."""
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    for name in ("ada", "bruno"):
        shutil.copy(toy_path, bundled / f"{name}.glb")
    monkeypatch.setattr(catalog, "BUNDLED", bundled)
    return tmp_path / "home" / "avatars"


def test_bundled_avatars_are_listed_first_and_load_by_name(folder, face):
    assert catalog.bundled_names() == ("ada", "bruno")
    avatar = catalog.resolve("bruno", folder)
    assert avatar.name == "bruno"
    assert avatar.rig.names == tuple(face.names)


def test_every_bundled_avatar_loads_and_knows_arkit():
    names = catalog.bundled_names()
    if not names:
        pytest.skip("needs the bundled heads (recipes/build_heads.py)")
    assert set(catalog.DEFAULT) <= set(names)
    for name in names:
        avatar = catalog.resolve(name)
        assert avatar.arkit_to_rig is not None
        assert {eye.side for eye in avatar.eyes} == {"left", "right"}
        assert avatar.bindings.any(axis=1).all(), "a morph that no control moves"
        assert avatar.face.left_eye[0] > 0.02 > -0.02 > avatar.face.right_eye[0]


def test_an_added_avatar_has_a_name_until_it_is_removed(folder, toy_path):
    entry = catalog.add(toy_path, folder=folder)
    assert (entry.name, entry.bundled) == ("toy", False)
    assert entry.path.read_bytes() == toy_path.read_bytes()
    assert [e.name for e in catalog.list_avatars(folder)] == ["ada", "bruno", "toy"]
    assert catalog.resolve("toy", folder).source == str(entry.path)
    assert catalog.remove("toy", folder) == entry.path
    assert [e.name for e in catalog.list_avatars(folder)] == ["ada", "bruno"]
    assert list(folder.iterdir()) == []


def test_only_this_avatars_training_is_forgotten(tmp_path):
    names = ("toy-0123abcd", "toy-tall-0123abcd", "toy-notes", "toys-0123abcd", "toy-0123abcd9")
    for name in names:
        (tmp_path / name / "pictures").mkdir(parents=True)
    (tmp_path / "toy-deadbeef").write_text("a file, no folder")
    assert catalog.forget_training("toy", tmp_path) == (tmp_path / "toy-0123abcd",)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], "toy-deadbeef"}
    assert catalog.forget_training("toy", tmp_path / "nowhere") == ()


def test_a_file_is_loaded_by_its_path(folder, toy_path):
    assert catalog.resolve(toy_path, folder).name == "toy"
    assert catalog.resolve(str(toy_path), folder).name == "toy"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("adda", "Did you mean 'ada'"),
        ("BRUNO", "Did you mean 'bruno'"),
        ("zzzzzz", "Choose one of ada, bruno"),
        ("", "Choose one of"),
        ("heads/none.glb", "no avatar file"),
        ("none.vrm", "no avatar file"),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(folder, asked, says):
    with pytest.raises(AvatarError, match=says):
        catalog.resolve(asked, folder)


@pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden", "a/b", "x" * 65, "naïve", "a.b"])
def test_names_that_make_no_file_name_are_refused(folder, toy_path, name):
    with pytest.raises(AvatarError, match="cannot be the name"):
        catalog.add(toy_path, name, folder)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["ada", "Ada", "toy", "TOY"])
def test_a_name_that_is_taken_is_refused(folder, toy_path, name):
    catalog.add(toy_path, folder=folder)
    with pytest.raises(AvatarError, match="already"):
        catalog.add(toy_path, name, folder)


def test_a_file_that_does_not_load_is_not_added(folder, tmp_path):
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"glTF and nothing more")
    with pytest.raises(AvatarError):
        catalog.add(broken, folder=folder)
    assert not folder.exists()


def test_bundled_avatars_and_strangers_cannot_be_removed(folder, toy_path):
    catalog.add(toy_path, "mine", folder)
    with pytest.raises(AvatarError, match="comes with the program"):
        catalog.remove("ada", folder)
    with pytest.raises(AvatarError, match="Did you mean 'mine'"):
        catalog.remove("mime", folder)


def test_a_folder_that_cannot_be_made_is_an_output_error_and_leaves_nothing(folder, toy_path):
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="FREEAVATAR_HOME"):
        catalog.add(toy_path, folder=folder)


def test_a_copy_that_fails_half_way_leaves_nothing(folder, toy_path, monkeypatch):
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(catalog.shutil, "copyfileobj", disk_full)
    with pytest.raises(OutputError, match="No space left"):
        catalog.add(toy_path, folder=folder)
    assert list(folder.iterdir()) == []


def test_the_users_folder_follows_freeavatar_home(monkeypatch, tmp_path):
    monkeypatch.setenv("FREEAVATAR_HOME", str(tmp_path / "here"))
    assert catalog.user_folder() == tmp_path / "here" / "avatars"
    monkeypatch.delenv("FREEAVATAR_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(catalog.sys, "platform", "linux")
    assert catalog.user_folder() == tmp_path / "data" / "freeavatar" / "avatars"
