"""What `freeavatar avatars add` says of a rig, and that it registers nothing it cannot use."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.avatars import catalog
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.inspection import advice, describe, inspect
from freeavatar.cli.main import main


@pytest.fixture
def say(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEAVATAR_HOME", str(tmp_path / "home"))

    def run(*arguments: object):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def save(gltf, face, path, names=None):
    gltf.node(mesh=gltf.mesh(face, names), name="face")
    return gltf.save(path)


def test_what_works_what_is_idle_and_what_is_missing(gltf, face, tmp_path):
    face.deltas[face.names.index("mouthPucker")] = 0
    found = inspect(load_avatar(save(gltf, face, tmp_path / "toy.glb")))
    assert found.num_controls == 6
    assert found.idle == ("mouthPucker",)
    assert found.num_named == 5
    assert found.missing_regions == ("brow", "gaze", "cheek", "nose", "tongue")
    assert "mouthPucker" in found.missing_arkit
    assert "jawOpen" not in found.missing_arkit
    assert found.eyes == ()
    words = "\n".join(describe(found))
    assert "nothing moves the brow, gaze" in words
    assert "1 controls move nothing" in words


def test_a_rig_without_known_names_is_told_to_learn_first(gltf, face, tmp_path):
    names = [f"slider {i}" for i in range(6)]
    avatar = load_avatar(save(gltf, face, tmp_path / "toy.glb", names))
    found = inspect(avatar)
    assert not found.speaks_arkit
    assert "freeavatar train avatar toy" in advice(avatar, found)
    assert "learn" in advice(avatar, found)


def test_arkit_names_work_at_once(toy_path):
    avatar = load_avatar(toy_path)
    assert advice(avatar, inspect(avatar)).startswith("Works at once")


def test_adding_tells_draws_and_removing_leaves_nothing(say, toy_path, tmp_path):
    code, out, _ = say("avatars", "add", toy_path, "--name", "hero")
    assert code == 0
    for words in ("hero: added", "controls  6, 6 of them", "missing", "Works at once"):
        assert words in out
    home = tmp_path / "home" / "avatars"
    assert (home / "hero.sheet.png").read_bytes().startswith(b"\x89PNG")
    (home / "hero.weights.npz").touch()
    assert [e.name for e in catalog.list_avatars(home) if not e.bundled] == ["hero"]
    assert say("avatars", "remove", "hero")[0] == 0
    assert list(home.iterdir()) == []


def no_morphs(gltf, face):
    gltf.node(mesh=gltf.mesh(face, targets=[]), name="face")


def two_thousand(gltf, face):
    one = gltf.accessor(face.deltas[0])
    names = [f"m{i}" for i in range(2000)]
    gltf.node(mesh=gltf.mesh(face, names, targets=[{"POSITION": one}] * 2000), name="face")


def broken_buffer(gltf, face):
    gltf.node(mesh=gltf.mesh(face), name="face")
    gltf.json["bufferViews"][0]["byteLength"] = 10**9


def broken_texture(gltf, face):
    view = gltf.view(b"\x89PNG\r\n\x1a\nand nothing more")
    gltf.json["images"] = [{"bufferView": view, "mimeType": "image/png"}]
    gltf.json["textures"] = [{"source": 0}]
    gltf.json["materials"] = [
        {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "name": "skin"}
    ]
    gltf.node(mesh=gltf.mesh(face, material=0), name="face")


@pytest.mark.parametrize("make", [no_morphs, two_thousand, broken_buffer, broken_texture])
def test_a_file_that_cannot_be_used_is_one_sentence_and_nothing_registered(
    say, gltf, face, tmp_path, make
):
    make(gltf, face)
    code, out, err = say("avatars", "add", gltf.save(tmp_path / "hero.glb"))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "hero.glb" in err
    assert not (tmp_path / "home" / "avatars").exists()


@pytest.mark.parametrize("names", [["slider"] * 6, [""] * 6])
def test_doubled_and_empty_names_are_told_apart(say, gltf, face, tmp_path, names):
    code, out, _ = say("avatars", "add", save(gltf, face, tmp_path / "hero.glb", names))
    assert code == 0
    assert "controls  6, 0 of them" in out
    avatar = catalog.resolve("hero", tmp_path / "home" / "avatars")
    assert len(set(avatar.rig.names)) == 6
    assert np.isfinite(avatar.bindings).all()


def test_a_sheet_that_cannot_be_written_leaves_nothing_registered(say, toy_path, tmp_path):
    code, _, err = say("avatars", "add", toy_path, "--sheet", tmp_path / "sheet.xyz")
    assert code == 1
    assert err.count("\n") == 1
    assert list((tmp_path / "home" / "avatars").iterdir()) == []
