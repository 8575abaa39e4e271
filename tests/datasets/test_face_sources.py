"""Sources of faces: copies, cut tars, videos, and crops as live tracking makes them."""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from freeavatar.datasets.face_sources import NearCopies, list_once, list_pictures, read_pictures
from freeavatar.datasets.faces import FaceSetConfig, build_face_set
from freeavatar.errors import DataError
from freeavatar.training.shards import open_shards


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def noise(seed: int, size: int = 96) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_a_tar_cut_short_gives_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str, share: float
) -> None:
    rng = np.random.default_rng(0)  # noise, which gzip cannot shrink
    files = {f"{i}.png": png(rng.integers(0, 255, (64, 64, 3), np.uint8)) for i in range(8)}
    whole = make_tar(tmp_path / "whole.tar", files, mode)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with caplog.at_level(logging.WARNING):
        assert len(list_pictures([whole]).files) == 8
        assert not caplog.messages
        listing = list_pictures([cut])
    assert 3 <= len(listing.files) < 8
    assert "was cut short" in caplog.text
    for file, data in read_pictures(listing.files):
        assert data == files[file.name]


def test_a_tar_cut_between_two_pictures_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_tar(tmp_path / "whole.tar", {"a.png": png(noise(0)), "b.png": png(noise(1))})
    with tarfile.open(whole) as tar:
        second = tar.getmembers()[1].offset
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:second].rstrip(b"\0") or b"x")
    with caplog.at_level(logging.WARNING):
        assert [file.name for file in list_pictures([cut]).files] == ["a.png"]
    assert "was cut short" in caplog.text


def test_a_tar_without_a_readable_start_is_refused(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "whole.tar", {"a.png": png(noise(0))})
    for data in (b"", whole.read_bytes()[:100]):
        (tmp_path / "cut.tar").write_bytes(data)
        with pytest.raises(DataError):
            list_pictures([tmp_path / "cut.tar"])


def test_recompressed_and_shrunk_pictures_are_copies_and_smiles_are_not() -> None:
    near = NearCopies()
    picture = cv2.cvtColor(noise(0, 200), cv2.COLOR_RGB2GRAY)
    assert not near.is_copy(picture)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    assert near.is_copy_of_another(data.tobytes())
    assert near.is_copy(cv2.resize(picture, (120, 120), interpolation=cv2.INTER_AREA))
    smiling = picture.copy()
    cv2.ellipse(smiling, (100, 140), (25, 12), 0, 0, 180, 255, -1)
    assert not near.is_copy(smiling)
    assert not near.is_copy(cv2.cvtColor(noise(1, 200), cv2.COLOR_RGB2GRAY))
    assert not near.is_copy_of_another(b"no picture")


def test_copies_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(noise(0)))
    (tmp_path / "b.png").write_bytes(png(noise(0)))
    cv2.imwrite(str(tmp_path / "c.jpg"), noise(0)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])
    cv2.imwrite(str(tmp_path / "d.jpg"), noise(1)[..., ::-1])
    listing = list_pictures([tmp_path])
    assert [file.name for file in listing.files] == ["a.png", "d.jpg"]
    assert dict(listing.left_out) == {"copy": 1, "near copy": 1}
    assert len(list_pictures([tmp_path], without_near_copies=False).files) == 3


def test_a_listing_is_remembered_until_its_sources_change(tmp_path: Path) -> None:
    pictures, note = tmp_path / "pictures", tmp_path / "listing.json"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(png(noise(0)))
    seen: list[int] = []
    first = list_once([pictures], True, note, seen.append)
    assert list_once([pictures], True, note, seen.append) == first
    assert seen == [0]
    (pictures / "b.png").write_bytes(png(noise(1)))
    assert len(list_once([pictures], True, note).files) == 2
    note.write_text("{")
    assert len(list_once([pictures], True, note).files) == 2


def test_a_video_gives_its_different_faces(
    tmp_path: Path, make_video: Callable[..., Path], face_pictures: list[np.ndarray]
) -> None:
    still = [face_pictures[0]] * 12
    make_video("videos/take.mp4", still + [face_pictures[-1]] * 4, rate=10)
    labels = tmp_path / "labels.csv"
    labels.write_text("key,split\ntake,val\n")
    config = FaceSetConfig((tmp_path / "videos",), labels, video_step_s=0.3)
    outcome = build_face_set(config, tmp_path / "set")
    rows = open_shards(tmp_path / "set")
    assert outcome["near copy"] >= 2
    assert outcome["kept"] == len(rows) <= 3
    assert set(rows.columns["split"]) == {"val"}
    assert rows.columns["key"][0] == "take/000000"


def test_more_crops_of_a_face_are_a_little_off_and_repeat(
    tmp_path: Path, face_pictures: list[np.ndarray]
) -> None:
    source = tmp_path / "face.png"
    source.write_bytes(png(face_pictures[0]))
    sets = []
    for name in ("one", "two"):
        build_face_set(FaceSetConfig((source,), crops_per_face=4), tmp_path / name)
        sets.append(open_shards(tmp_path / name))
    crops = sets[0].parts[0].astype(float)
    assert list(sets[0].columns["framing"]) == [0, 1, 2, 3]
    assert set(sets[0].columns["key"]) == {"face"}
    np.testing.assert_array_equal(sets[0].parts[0], sets[1].parts[0])
    for other in crops[1:]:
        likeness = np.corrcoef(crops[0].ravel(), other.ravel())[0, 1]
        assert 0.5 < likeness < 0.9999


def test_unreadable_pictures_are_named(
    tmp_path: Path, face_pictures: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    (source / "face.png").write_bytes(png(face_pictures[0]))
    (source / "broken.png").write_bytes(b"\x89PNG not really")
    (source / "empty.jpg").touch()
    (source / "take.mp4").write_bytes(b"no video at all")
    with caplog.at_level(logging.WARNING):
        outcome = build_face_set(FaceSetConfig((source,)), tmp_path / "set")
    assert outcome["unreadable"] == 3
    assert outcome["kept"] == 1
    assert "Cannot be read and left out: broken, empty, take." in caplog.text
