"""Pictures to shards: what is kept, what is refused, and going on after a stop."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import freeavatar.datasets.faces as faces
from freeavatar.capture.align import shard_crop
from freeavatar.capture.track import Follower, TrackConfig
from freeavatar.capture.video import Frame, open_video
from freeavatar.datasets.faces import FaceSetConfig, build_face_set, sharpness
from freeavatar.datasets.teachers import EMOTIONS, load_teachers
from freeavatar.errors import DataError
from freeavatar.rig import ARKIT_NAMES
from freeavatar.training.shards import open_shards

DEMO_CLIP = Path(__file__).parents[2] / "examples" / "clips" / "crying_to_laughing.mp4"
TEACHERS = Path(__file__).parents[3] / "shared" / "components"


@pytest.fixture(scope="module")
def demo_pictures() -> dict[str, bytes]:
    """Two different faces, an exact copy, a blurred one, a wall and a broken file."""
    frames = {frame.index: frame.rgb for frame in open_video(DEMO_CLIP)}
    wall = np.full((200, 200, 3), 90, np.uint8)

    def png(rgb: np.ndarray) -> bytes:
        return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()

    return {
        "b/laughing.png": png(frames[150]),
        "a/first.png": png(frames[60]),
        "c/copy.png": png(frames[150]),
        "c/blurred.png": png(cv2.GaussianBlur(frames[150], (0, 0), 25)),
        "c/wall.png": png(wall),
        "c/broken.png": b"\x89PNG not really",
        "notes.txt": b"no picture",
    }


@pytest.fixture
def tar_of_pictures(tmp_path, demo_pictures) -> Path:
    path = tmp_path / "faces.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in demo_pictures.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_a_tar_becomes_crops_like_those_of_the_product(tmp_path, tar_of_pictures, demo_pictures):
    labels = tmp_path / "labels.csv"
    labels.write_text("key,split\na/first,val\nlaughing,train\n")
    outcome = build_face_set(FaceSetConfig((tar_of_pictures,), labels), tmp_path / "set")
    assert outcome["kept"] == 2
    assert outcome["copy"] == 1
    assert outcome["unreadable"] == 1
    assert outcome["no face"] + outcome["flat"] + outcome["unsure"] == 2
    rows = open_shards(tmp_path / "set")
    assert list(rows.columns["key"]) == ["a/first", "b/laughing"]
    assert list(rows.columns["split"]) == ["val", "train"]
    assert rows.columns["quality"].min() > 0.9
    data = np.frombuffer(demo_pictures["b/laughing.png"], np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()
    sighting = Follower(TrackConfig()).look(Frame(0, 0.0, picture))
    assert sighting is not None
    # The tracker refines its place by half a pixel, so alike is as much as we can ask.
    shown = rows.gather(np.array([1]))[0]
    expected = shard_crop(picture, sighting.frame)
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.95


def test_a_folder_gives_the_same_set_as_a_tar(tmp_path, tar_of_pictures):
    with tarfile.open(tar_of_pictures) as tar:
        tar.extractall(tmp_path / "folder", filter="data")
    sets = []
    for source, name in ((tar_of_pictures, "one"), (tmp_path / "folder", "two")):
        build_face_set(FaceSetConfig((source,)), tmp_path / name)
        sets.append(open_shards(tmp_path / name))
    np.testing.assert_array_equal(sets[0].parts[0], sets[1].parts[0])


def test_a_stopped_run_goes_on_with_the_parts_it_has(tmp_path, tar_of_pictures, monkeypatch):
    monkeypatch.setattr(faces, "PART_SIZE", 2)
    out = tmp_path / "set"
    config = FaceSetConfig((tar_of_pictures,))

    def stop_after_first(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_face_set(config, out, stop_after_first)
    finished = [part.name for part in out.glob("part-*")]
    assert finished == ["part-000"]
    stamp = (out / "part-000" / "crops.npy").stat().st_mtime_ns
    assert build_face_set(config, out)["kept"] == 2
    assert (out / "part-000" / "crops.npy").stat().st_mtime_ns == stamp
    assert len(open_shards(out)) == 2
    assert not list(out.glob(".*"))


def test_two_processes_write_what_one_does(tmp_path, tar_of_pictures, monkeypatch):
    monkeypatch.setattr(faces, "PART_SIZE", 2)
    outcomes = [
        build_face_set(
            FaceSetConfig((tar_of_pictures,), num_processes=num, crops_per_face=3),
            tmp_path / str(num),
        )
        for num in (1, 2)
    ]
    assert outcomes[0] == outcomes[1]
    names = [
        sorted(str(path.relative_to(tmp_path / num)) for path in (tmp_path / num).rglob("*"))
        for num in ("1", "2")
    ]
    assert names[0] == names[1]
    one, two = (open_shards(tmp_path / num) for num in ("1", "2"))
    assert len(one) == 6
    np.testing.assert_array_equal(one.gather(np.arange(6)), two.gather(np.arange(6)))
    assert one.columns.keys() == two.columns.keys()
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, two.columns[name])
    assert one.index == two.index


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00\x80\x00", "cannot be read"),
        (b"", "needs the columns key and split"),
        (b"file,part\na,train\n", "found 'file, part'"),
        (b"key,split\na,train\nb\n", "row 3 lacks its key or its split"),
    ],
)
def test_labels_that_cannot_be_used_are_told_before_any_work(
    tmp_path, tar_of_pictures, content, said
):
    labels = tmp_path / "labels.csv"
    if content is not None:
        labels.write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        build_face_set(FaceSetConfig((tar_of_pictures,), labels), tmp_path / "set")
    assert "labels.csv" in str(refused.value)
    assert not (tmp_path / "set").exists()


def test_a_damaged_note_of_a_set_is_named(tmp_path, tar_of_pictures):
    config = FaceSetConfig((tar_of_pictures,))
    build_face_set(config, tmp_path / "set")
    note = tmp_path / "set" / "recipe.json"
    note.write_text(note.read_text()[:30])
    with pytest.raises(DataError, match=r"recipe\.json is damaged"):
        build_face_set(config, tmp_path / "set")


def test_parts_of_another_set_are_not_reused(tmp_path, tar_of_pictures):
    build_face_set(FaceSetConfig((tar_of_pictures,)), tmp_path / "set")
    other = FaceSetConfig((tar_of_pictures,), limits=faces.FaceFilter(min_side_px=10.0))
    with pytest.raises(DataError, match="other pictures or settings"):
        build_face_set(other, tmp_path / "set")


def test_sources_without_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="No pictures"):
        build_face_set(FaceSetConfig((tmp_path,)), tmp_path / "set")
    (tmp_path / "x.tar").write_text("no tar")
    with pytest.raises(DataError, match="neither a folder nor a readable tar"):
        build_face_set(FaceSetConfig((tmp_path / "x.tar",)), tmp_path / "set")


def test_blur_lowers_sharpness_and_brightness_does_not_raise_it():
    rng = np.random.default_rng(0)
    sharp = np.repeat(rng.integers(0, 255, (64, 64, 1)), 3, axis=2).astype(np.uint8)
    soft = cv2.GaussianBlur(sharp, (0, 0), 3)
    assert sharpness(soft) < 0.5 * sharpness(sharp)
    assert sharpness(sharp // 2) <= sharpness(sharp) * 1.01


def test_teachers_read_a_laugh(demo_pictures):
    """Needs the teachers' files, which are not part of freeavatar."""
    if not TEACHERS.is_dir():
        pytest.skip(f"no teachers in {TEACHERS}")
    teachers = load_teachers(TEACHERS)
    data = np.frombuffer(demo_pictures["b/laughing.png"], np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()
    sample = faces.FaceReader(faces.FaceFilter()).read(picture)
    assert isinstance(sample, faces.FaceSample)
    scores = dict(zip(ARKIT_NAMES, teachers.arkit(sample.mesh), strict=True))
    assert min(scores["mouthSmileLeft"], scores["mouthSmileRight"]) > 0.5
    assert max(scores["mouthFrownLeft"], scores["browDownLeft"]) < 0.3
    assert np.isnan(scores["tongueOut"])
    assert np.isnan(teachers.arkit(None)).all()
    emotion, features = teachers.emotion(sample.narrow)
    assert EMOTIONS[int(emotion.argmax())] == "happy"
    assert features.shape == (256,)


def test_missing_teachers_are_named(tmp_path):
    with pytest.raises(DataError, match=r"face_blendshapes\.onnx"):
        load_teachers(tmp_path)
