"""Real faces for training: tars or folders of pictures -> a shard set of aligned crops.

Crops are made by capture, so that training sees what the product sees. Teachers (a blendshape
net, an emotion net) are optional files that label the crops; the product never runs them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.align import crop, frame_from_pose, shard_crop
from freeavatar.capture.detect import Detection, FaceDetector
from freeavatar.capture.headpose import fit_detection, fit_mesh
from freeavatar.capture.landmarks import FaceMesh, Mesh, region_from_detection, region_from_mesh
from freeavatar.datasets.teachers import EMOTIONS, Teachers, load_teachers
from freeavatar.errors import DataError
from freeavatar.rig import ARKIT_NAMES

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
PART_SIZE = 2048
Rejection = Literal["unreadable", "no face", "small", "unsure", "flat"]


@dataclass(frozen=True)
class FaceFilter:
    """Which faces are worth training on."""

    min_side_px: float = 80.0
    """Side of the 112 px crop in the source: below, most of the crop is interpolation."""
    min_mesh_score: float = 0.5
    """Below, the landmark mesh failed: the crop then comes from the detector alone."""
    min_detector_score: float = 0.75
    """What the detector must say of a face whose mesh failed."""
    min_sharpness: float = 0.0025
    """See `sharpness`: below, the picture is blurred beyond expression, or black."""


@dataclass(frozen=True)
class FaceSample:
    """One row of the set."""

    crop: UInt8[np.ndarray, "144 144 3"]
    head_rad: Float[np.ndarray, "3"]
    quality: float
    """Mesh score in [0, 1]; half the detector's score where the mesh failed."""
    sharpness: float
    box: Float[np.ndarray, "4"]
    mesh: Mesh | None
    narrow: UInt8[np.ndarray, "112 112 3"]


class FaceReader:
    """Detector and mesh: the main face of a picture, aligned and judged."""

    def __init__(self, limits: FaceFilter) -> None:
        self._limits = limits
        self._detector = FaceDetector()
        self._network = FaceMesh()

    def read(self, picture: UInt8[np.ndarray, "height width 3"]) -> FaceSample | Rejection:
        """The face nearest to the middle, or why it is not fit for training."""
        found = self._detector.find(picture)
        if not found:
            return "no face"
        detection = _main_face(found, picture.shape[1], picture.shape[0])
        mesh = self._network.read(picture, region_from_detection(detection))
        if mesh.score < 0.9:  # a second look from its own place rescues some turned faces
            mesh = max(
                mesh,
                self._network.read(picture, region_from_mesh(mesh)),
                key=lambda mesh: mesh.score,
            )
        trusted = mesh.score >= self._limits.min_mesh_score
        if not trusted and detection.score < self._limits.min_detector_score:
            return "unsure"
        pose = fit_mesh(mesh) if trusted else fit_detection(detection)
        frame = frame_from_pose(pose)
        if frame.side_px < self._limits.min_side_px:
            return "small"
        narrow = crop(picture, frame)
        fine = sharpness(narrow)
        if fine < self._limits.min_sharpness:
            return "flat"
        quality = mesh.score if trusted else 0.5 * detection.score
        return FaceSample(
            shard_crop(picture, frame),
            pose.head_rad,
            quality,
            fine,
            detection.box,
            mesh if trusted else None,
            narrow,
        )


def sharpness(picture: UInt8[np.ndarray, "height width 3"]) -> float:
    """Share of the brightness variance that a 5-pixel blur removes, in [0, 1]."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    # 4 grey levels squared: noise in a nearly black picture is not detail.
    return float(((grey - smooth) ** 2).mean() / (grey.var() + 16.0))


def _main_face(found: Sequence[Detection], width: int, height: int) -> Detection:
    middle = np.array([width, height]) / 2.0

    def prominence(face: Detection) -> float:
        away = np.linalg.norm((face.box[:2] + face.box[2:]) / 2.0 - middle)
        return face.size_px - float(away)

    return max(found, key=prominence)


@dataclass(frozen=True)
class PictureFile:
    """One picture in a folder or a tar."""

    source: Path
    name: str

    @property
    def key(self) -> str:
        """Name without suffix, folders kept."""
        return str(Path(self.name).with_suffix(""))


def list_pictures(sources: Sequence[Path]) -> tuple[list[PictureFile], int]:
    """All different pictures of tars and folders in name order, and how many exact copies went."""
    seen: set[str] = set()
    files: list[PictureFile] = []
    num_copies = 0
    for source in sources:
        for name, data in _read_all(source):
            digest = hashlib.sha1(data).hexdigest()
            if digest in seen:
                num_copies += 1
            else:
                seen.add(digest)
                files.append(PictureFile(source, name))
    if not files:
        listed = ", ".join(str(source) for source in sources)
        raise DataError(f"No pictures ({', '.join(PICTURE_SUFFIXES)}) in {listed}.")
    return sorted(files, key=lambda file: (file.source, file.name)), num_copies


def _read_all(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                yield str(path.relative_to(source)), path.read_bytes()
        return
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                if member.isfile() and Path(member.name).suffix.lower() in PICTURE_SUFFIXES:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    yield member.name, stream.read()
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            f"{source} is neither a folder nor a readable tar ({error}). "
            "Give folders of pictures or .tar files."
        ) from error


def read_labels(path: Path) -> dict[str, str]:
    """Key -> split from a csv with the columns key and split."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"key", "split"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path} needs the columns key and split; found {reader.fieldnames}.")
        return {row["key"]: row["split"] for row in reader}


@dataclass(frozen=True)
class FaceSetConfig:
    """What to read and how to judge it."""

    sources: tuple[Path, ...]
    labels: Path | None = None
    """csv with the columns key and split; without it every face is in split 'train'."""
    teachers: Path | None = None
    """Folder that holds face_blendshapes.onnx and faceapi_expression.onnx; without it no labels."""
    limits: FaceFilter = FaceFilter()
    num_processes: int = 1


def build_face_set(
    config: FaceSetConfig,
    out: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Counter[str]:
    """Write the shard set; parts that are complete from an earlier run are kept.

    Returns how many pictures were kept and why the others were not.
    """
    files, num_copies = list_pictures(config.sources)
    splits = read_labels(config.labels) if config.labels else {}
    out.mkdir(parents=True, exist_ok=True)
    recipe = _describe(config, files)
    _refuse_other_set(out, recipe)
    for abandoned in out.glob(".part-*"):
        shutil.rmtree(abandoned)
    jobs = [
        _Job(out / f"part-{i:03d}", tuple(files[start : start + PART_SIZE]), splits, config)
        for i, start in enumerate(range(0, len(files), PART_SIZE))
    ]
    progress(0, len(jobs))
    if config.num_processes > 1:
        with get_context("spawn").Pool(config.num_processes) as pool:
            for done, _ in enumerate(pool.imap_unordered(_build_part, jobs), 1):
                progress(done, len(jobs))
    else:
        for done, job in enumerate(jobs, 1):
            _build_part(job)
            progress(done, len(jobs))
    outcome: Counter[str] = Counter({"copy": num_copies})
    for job in jobs:
        finished = job.folder if job.folder.is_dir() else job.empty
        outcome.update(json.loads((finished / "outcome.json").read_text()))
    _write_json(out / "index.json", recipe | {"outcome": dict(outcome)})
    return outcome


@dataclass(frozen=True)
class _Job:
    folder: Path
    files: tuple[PictureFile, ...]
    splits: dict[str, str]
    config: FaceSetConfig

    @property
    def empty(self) -> Path:
        """Stands for a finished part of which no face was kept."""
        return self.folder.with_name(self.folder.name.replace("part", "empty"))


def _build_part(job: _Job) -> None:
    """One part, written beside its place and renamed when complete."""
    if job.folder.is_dir() or job.empty.is_dir():
        return
    cv2.setNumThreads(1)
    reader = FaceReader(job.config.limits)
    teachers = load_teachers(job.config.teachers) if job.config.teachers else None
    crops: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    outcome: Counter[str] = Counter()
    for file, data in _contents(job.files):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        sample = "unreadable" if picture is None else reader.read(picture[..., ::-1].copy())
        if isinstance(sample, str):
            outcome[sample] += 1
            continue
        outcome["kept"] += 1
        crops.append(sample.crop)
        rows.append(_row(file, sample, teachers, job.splits))
    unfinished = job.folder.with_name(f".{job.folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        if rows:
            columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            np.save(unfinished / "crops.npy", np.stack(crops))
            np.savez(unfinished / "truth.npz", **columns)  # type: ignore[arg-type]
        _write_json(unfinished / "outcome.json", dict(outcome))
        unfinished.rename(job.folder if rows else job.empty)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _row(
    file: PictureFile, sample: FaceSample, teachers: Teachers | None, splits: dict[str, str]
) -> dict[str, Any]:
    key = file.key
    row = {
        "key": key,
        "split": splits.get(key, splits.get(Path(key).name, "train")),
        "head_rad": sample.head_rad.astype(np.float16),
        "quality": np.float16(sample.quality),
        "sharpness": np.float16(sample.sharpness),
        "box": sample.box.astype(np.float16),
    }
    if teachers is not None:
        emotion, features = teachers.emotion(sample.narrow)
        row["teacher"] = teachers.arkit(sample.mesh).astype(np.float16)
        row["emotion"] = emotion.astype(np.float16)
        row["emotion_features"] = features.astype(np.float16)
    return row


def _contents(files: Sequence[PictureFile]) -> Iterator[tuple[PictureFile, bytes]]:
    opened: dict[Path, tarfile.TarFile] = {}
    try:
        for file in files:
            if file.source.is_dir():
                yield file, (file.source / file.name).read_bytes()
                continue
            if file.source not in opened:
                opened[file.source] = tarfile.open(file.source)  # noqa: SIM115 (closed below)
            stream = opened[file.source].extractfile(file.name)
            assert stream is not None
            yield file, stream.read()
    finally:
        for tar in opened.values():
            tar.close()


def _describe(config: FaceSetConfig, files: Sequence[PictureFile]) -> dict[str, Any]:
    names = "\n".join(f"{file.source.name}/{file.name}" for file in files)
    return {
        "kind": "faces",
        "crop_size": 144,
        "pictures": hashlib.sha256(names.encode()).hexdigest()[:16],
        "limits": vars(config.limits),
        "sources": [source.name for source in config.sources],
        "columns": {
            "key": "picture name",
            "split": "from the labels file",
            "head_rad": "yaw, pitch, roll in radians (docs/conventions.md)",
            "quality": "mesh score, or half the detector's score where the mesh failed",
            "sharpness": "share of variance in fine detail",
            "box": "left, top, right, bottom in the source picture",
            "teacher": list(ARKIT_NAMES) if config.teachers else None,
            "emotion": list(EMOTIONS) if config.teachers else None,
            "emotion_features": "256 activations of the emotion net" if config.teachers else None,
        },
    }


def _refuse_other_set(out: Path, recipe: dict[str, Any]) -> None:
    """Parts of another set must not be taken for finished parts of this one."""
    marker = out / "recipe.json"
    if not marker.is_file():
        _write_json(marker, recipe)
    elif json.loads(marker.read_text()) != json.loads(json.dumps(recipe)):
        raise DataError(
            f"{out} holds a set made from other pictures or settings. "
            "Give another --out, or delete that folder."
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1))
    unfinished.rename(path)
