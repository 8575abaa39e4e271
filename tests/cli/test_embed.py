"""`freeavatar embed`: rows, order and honesty about what has no face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from freeavatar.cli.main import main

pytestmark = pytest.mark.usefixtures("stand_in_networks")


@pytest.fixture
def embed(capsys, tmp_path):
    """Runs the command; (exit code, arrays, stderr)."""

    def run(*arguments: object):
        out = tmp_path / "embeddings.npz"
        out.unlink(missing_ok=True)
        code = main(["embed", *map(str, arguments), "--out", str(out)])
        err = capsys.readouterr().err
        if not out.exists():
            return code, None, err
        with np.load(out, allow_pickle=False) as file:
            return code, dict(file), err

    return run


@pytest.fixture
def crops(tmp_path, face_pictures):
    """Face crops of 48, 112 and 300 px, one of them grey, one not square, in unsorted order."""
    folder = tmp_path / "crops"
    folder.mkdir()
    face = face_pictures[0][20:320, 300:600, ::-1]
    cv2.imwrite(str(folder / "c.png"), cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(folder / "a.jpg"), face)
    cv2.imwrite(str(folder / "b.png"), cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[:112, :112])
    cv2.imwrite(str(folder / "d.png"), face[:, 40:260])
    return folder


def test_a_video_gives_a_row_per_frame_in_time(embed, make_video, face_pictures):
    code, arrays, err = embed(make_video("take.mp4", face_pictures))
    assert (code, err) == (0, "")
    assert arrays["embeddings"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(arrays["embeddings"], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(arrays["time_s"], np.arange(6) / 10, atol=1e-6)
    assert all(str(source).endswith("take.mp4") for source in arrays["source"])
    assert arrays["found"].all()


def test_frames_without_a_face_keep_their_row_as_zeros(embed, make_video, face_pictures):
    dark = [np.zeros_like(face_pictures[0])] * 3
    code, arrays, _ = embed(make_video("take.mp4", [*dark, *face_pictures]))
    assert code == 0
    assert arrays["found"].tolist() == [False] * 3 + [True] * 6
    assert not arrays["embeddings"][:3].any()


def test_crops_give_a_row_each_in_name_order(embed, crops):
    code, arrays, err = embed(crops, "--crops")
    assert (code, err) == (0, "")
    assert [source[-5:] for source in arrays["source"]] == ["a.jpg", "b.png", "c.png", "d.png"]
    assert arrays["found"].all()
    assert not arrays["time_s"].any()


def test_a_crop_is_the_same_expression_at_any_size(embed, crops):
    _, arrays, _ = embed(crops, "--crops")
    large, small = arrays["embeddings"][0], arrays["embeddings"][2]
    assert large @ small > 0.999


def test_crops_are_never_searched_for_faces(embed, tmp_path, monkeypatch):
    from freeavatar.capture import cascade

    def search(*_: object, **__: object) -> None:
        raise AssertionError("looked for a face")

    monkeypatch.setattr(cascade, "FaceDetector", search)
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((48, 48, 3), 90, np.uint8))
    code, arrays, _ = embed(wall, "--crops")
    assert code == 0
    assert arrays["found"].tolist() == [True]


def test_a_crop_that_cannot_be_read_keeps_its_row(embed, crops):
    (crops / "b.png").write_bytes(b"\x89PNG broken")
    code, arrays, err = embed(crops, "--crops")
    assert code == 1
    assert "b.png" in err
    assert err.count("\n") == 1
    assert arrays["found"].tolist() == [True, False, True, True]
    assert not arrays["embeddings"][1].any()


def test_more_crops_than_fit_a_batch_keep_their_order(embed, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(70):
        cv2.imwrite(str(folder / f"{i:03}.png"), np.full((48, 48), 3 * i, np.uint8))
    _, arrays, _ = embed(folder, "--crops")
    assert [source[-7:-4] for source in arrays["source"]] == [f"{i:03}" for i in range(70)]


def test_files_keep_the_order_in_which_they_are_given(embed, crops):
    _, arrays, _ = embed(crops / "c.png", crops / "a.jpg", "--crops")
    assert [source[-5:] for source in arrays["source"]] == ["c.png", "a.jpg"]


def test_a_bad_file_among_good_ones_is_reported(embed, make_video, face_pictures, tmp_path):
    (tmp_path / "bad.mp4").write_text("text")
    code, arrays, err = embed(tmp_path / "bad.mp4", make_video("take.mp4", face_pictures[:2]))
    assert code == 1
    assert "bad.mp4" in err
    assert len(arrays["found"]) == 2


def test_nothing_usable_writes_nothing(embed, tmp_path):
    code, arrays, err = embed(tmp_path / "missing.jpg", "--crops")
    assert (code, arrays) == (1, None)
    assert err.count("\n") == 1


def test_an_existing_file_is_kept_unless_told(capsys, crops, tmp_path):
    out = tmp_path / "mine.npz"
    out.write_text("mine")
    assert main(["embed", str(crops), "--crops", "--out", str(out)]) == 1
    assert out.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert main(["embed", str(crops), "--crops", "--out", str(out), "--overwrite"]) == 0
    assert np.load(out)["found"].all()


def test_an_out_folder_that_cannot_be_made_is_one_sentence(capsys, crops, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "embeddings.npz"
    assert main(["embed", str(crops), "--crops", "--out", str(out)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "embeddings.npz" in err
