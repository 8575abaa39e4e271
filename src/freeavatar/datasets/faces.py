"""Real faces for training: tars, folders or videos -> a shard set of aligned crops.

Crops are made by capture, so that training sees what the product sees. Teachers (a blendshape
net, an emotion net) are optional files that label the crops; the product never runs them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.capture.align import (
    SHARD_CROP_SIZE,
    CropFrame,
    crop,
    frame_from_pose,
    shard_crop,
)
from freeavatar.capture.detect import Detection, FaceDetector
from freeavatar.capture.headpose import fit_detection, fit_mesh
from freeavatar.capture.landmarks import FaceMesh, Mesh, region_from_detection, region_from_mesh
from freeavatar.capture.video import open_video
from freeavatar.datasets.face_sources import (
    Listing,
    NearCopies,
    PictureFile,
    list_once,
    read_pictures,
)
from freeavatar.datasets.teachers import EMOTIONS, FACE_SIZE, Teachers, load_teachers
from freeavatar.errors import DataError, MediaError
from freeavatar.rig import ARKIT_NAMES
from freeavatar.training.shards import read_json

PART_SIZE = 2048
Rejection = Literal["unreadable", "no face", "small", "unsure", "flat", "near copy"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FaceFilter:
    """Which faces are worth training on."""

    min_side_px: float = 80.0
    """Side of the crop in the source, in pixels: below, most of it is interpolation."""
    min_mesh_score: float = 0.5
    """Below, the landmark mesh failed: the crop then comes from the detector alone."""
    min_detector_score: float = 0.75
    """What the detector must say of a face whose mesh failed."""
    min_sharpness: float = 0.0025
    """See `sharpness`: below, the picture is blurred beyond expression, or black."""


@dataclass(frozen=True)
class FaceSample:
    """One face of a picture; a row of the set for each of its crops."""

    crops: tuple[UInt8[np.ndarray, "144 144 3"], ...]
    """As the product places it on a still; then as the detector alone would; then with the errors
    and margins of live tracking."""
    head_rad: Float[np.ndarray, "3"]
    quality: float
    """Mesh score in [0, 1]; half the detector's score where the mesh failed."""
    sharpness: float
    box: Float[np.ndarray, "4"]
    mesh: Mesh | None
    narrow: UInt8[np.ndarray, "112 112 3"]
    """What the teachers see."""


class FaceReader:
    """Detector and mesh: the main face of a picture, aligned and judged."""

    def __init__(self, limits: FaceFilter, num_crops: int = 1) -> None:
        self._limits = limits
        self._num_crops = num_crops
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
        narrow = crop(picture, frame, FACE_SIZE)
        fine = sharpness(narrow)
        if fine < self._limits.min_sharpness:
            return "flat"
        quality = mesh.score if trusted else 0.5 * detection.score
        detected = frame_from_pose(fit_detection(detection))
        frames = [frame, detected, *jittered(frame, self._num_crops - 2)][: self._num_crops]
        return FaceSample(
            tuple(shard_crop(picture, frame) for frame in frames),
            pose.head_rad,
            quality,
            fine,
            detection.box,
            mesh if trusted else None,
            narrow,
        )


def jittered(frame: CropFrame, num: int) -> list[CropFrame]:
    """The frame as live tracking would have it: a little off, a little tighter or wider.

    Strength is what two trackers of one face disagree by; the same frame gives the same result.
    """
    rng = np.random.default_rng(abs(int(1e3 * frame.center_px.sum() + 1e6 * frame.side_px)))
    frames = []
    for _ in range(num):
        shift = rng.normal(0.0, 0.02, 2) * frame.side_px
        margin = float(np.exp(rng.normal(0.0, 0.03) + rng.uniform(-0.08, 0.12)))
        roll_rad = frame.roll_rad + float(rng.normal(0.0, 0.05))
        frames.append(CropFrame(frame.center_px + shift, frame.side_px * margin, roll_rad))
    return frames


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


def read_labels(path: Path) -> dict[str, str]:
    """Key -> split from a csv with the columns key and split; DataError when it is none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"The labels {path} cannot be read ({error}). "
            "Give a csv with the columns key and split."
        ) from error
    if not {"key", "split"} <= set(found):
        raise DataError(f"{path} needs the columns key and split; found {', '.join(found)[:80]!r}.")
    for number, row in enumerate(rows, 2):
        if not row["key"] or not row["split"]:
            raise DataError(f"{path}, row {number} lacks its key or its split. Fill in both.")
    return {row["key"]: row["split"] for row in rows}


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
    crops_per_face: int = 1
    """More than one adds crops placed with the errors and margins of live tracking."""
    video_step_s: float = 0.5
    """Between the frames that are taken from a video."""
    without_near_copies: bool = True
    """Leave out pictures that came before in another size or compression."""


def build_face_set(
    config: FaceSetConfig,
    out: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Counter[str]:
    """Write the shard set; parts that are complete from an earlier run are kept.

    `progress` counts pictures and videos. Returns how many pictures were kept and why the others
    were not; unreadable ones and tars cut short are told in warnings.
    """
    splits = read_labels(config.labels) if config.labels else {}
    out.mkdir(parents=True, exist_ok=True)
    listing = list_once(config.sources, config.without_near_copies, out / "listing.json")
    recipe = _describe(config, listing.files)
    _refuse_other_set(out, recipe)
    for abandoned in out.glob(".part-*"):
        shutil.rmtree(abandoned)
    jobs = list(_jobs(out, listing, splits, config))
    total = len(listing.files)
    done = sum(len(job.files) for job in jobs if job.is_done)
    progress(done, total)
    missing = [job for job in jobs if not job.is_done]
    if config.num_processes > 1 and len(missing) > 1:
        with get_context("spawn").Pool(config.num_processes) as pool:
            for num in pool.imap_unordered(_build_part, missing):
                done += num
                progress(done, total)
    else:
        for job in missing:
            done += _build_part(job)
            progress(done, total)
    outcome = Counter(listing.left_out)
    unreadable: list[str] = []
    for job in jobs:
        report = read_json(job.finished / "outcome.json")
        unreadable += report.pop("unreadable names", [])
        outcome.update(report)
    if unreadable:
        more = f" and {len(unreadable) - 5} more" if len(unreadable) > 5 else ""
        logger.warning("Cannot be read and left out: %s%s.", ", ".join(unreadable[:5]), more)
    _write_json(out / "index.json", recipe | {"outcome": dict(outcome)})
    return outcome


def _jobs(
    out: Path, listing: Listing, splits: dict[str, str], config: FaceSetConfig
) -> Iterator[_Job]:
    """Pictures in parts of one size, every video as a part of its own."""
    pictures = [file for file in listing.files if not file.is_video]
    groups = [pictures[i : i + PART_SIZE] for i in range(0, len(pictures), PART_SIZE)]
    groups += [[file] for file in listing.files if file.is_video]
    for i, files in enumerate(groups):
        yield _Job(out / f"part-{i:03d}", tuple(files), splits, config)


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

    @property
    def is_done(self) -> bool:
        return self.folder.is_dir() or self.empty.is_dir()

    @property
    def finished(self) -> Path:
        return self.folder if self.folder.is_dir() else self.empty


def _build_part(job: _Job) -> int:
    """One part, written beside its place and renamed when complete; the number of its files."""
    cv2.setNumThreads(1)
    reader = FaceReader(job.config.limits, job.config.crops_per_face)
    teachers = load_teachers(job.config.teachers) if job.config.teachers else None
    crops: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    outcome: Counter[str] = Counter()
    unreadable: list[str] = []
    shown = NearCopies()
    for file, key, picture in _pictures(job):
        sample = "unreadable" if picture is None else reader.read(picture)
        # Pictures were compared before; frames of a video are so by their faces.
        if file.is_video and isinstance(sample, FaceSample):
            grey = cv2.cvtColor(sample.narrow, cv2.COLOR_RGB2GRAY)
            sample = "near copy" if shown.is_copy(grey) else sample
        if isinstance(sample, str):
            outcome[sample] += 1
            if sample == "unreadable":
                unreadable.append(key)
            continue
        outcome["kept"] += 1
        row = _row(key, sample, teachers, job.splits)
        for framing, cut in enumerate(sample.crops):
            crops.append(cut)
            rows.append(row | {"framing": np.int8(framing)})
    unfinished = job.folder.with_name(f".{job.folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        if rows:
            columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            np.save(unfinished / "crops.npy", np.stack(crops))
            np.savez(unfinished / "truth.npz", **columns)  # type: ignore[arg-type]
        named: dict[str, Any] = {"unreadable names": unreadable} if unreadable else {}
        _write_json(unfinished / "outcome.json", dict(outcome) | named)
        unfinished.rename(job.folder if rows else job.empty)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return len(job.files)


def _pictures(job: _Job) -> Iterator[tuple[PictureFile, str, np.ndarray | None]]:
    """(file, key, RGB): None for what cannot be read."""
    for file in (file for file in job.files if file.is_video):
        for key, picture in _video_frames(file, job.config.video_step_s):
            yield file, key, picture
    for file, data in read_pictures([file for file in job.files if not file.is_video]):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        yield file, file.key, None if picture is None else picture[..., ::-1].copy()


def _video_frames(file: PictureFile, step_s: float) -> Iterator[tuple[str, np.ndarray | None]]:
    next_s = 0.0
    try:
        for frame in open_video(file.path):
            if frame.time_s >= next_s:
                next_s = frame.time_s + step_s
                yield f"{file.key}/{frame.index:06d}", frame.rgb
    except MediaError:
        yield file.key, None


def _split_of(key: str, splits: dict[str, str]) -> str:
    """By its key, by its file name, or by the video that it is a frame of."""
    for name in (key, Path(key).name, str(Path(key).parent), Path(key).parent.name):
        if name in splits:
            return splits[name]
    return "train"


def _row(
    key: str, sample: FaceSample, teachers: Teachers | None, splits: dict[str, str]
) -> dict[str, Any]:
    row = {
        "key": key,
        "split": _split_of(key, splits),
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


def _describe(config: FaceSetConfig, files: Sequence[PictureFile]) -> dict[str, Any]:
    names = "\n".join(f"{file.source.name}/{file.name}" for file in files)
    return {
        "kind": "faces",
        "crop_size": SHARD_CROP_SIZE,
        "pictures": hashlib.sha256(names.encode()).hexdigest()[:16],
        "limits": vars(config.limits),
        "sources": [source.name for source in config.sources],
        "crops_per_face": config.crops_per_face,
        "video_step_s": config.video_step_s,
        "columns": {
            "key": "picture name",
            "split": "from the labels file",
            "head_rad": "yaw, pitch, roll in radians (docs/conventions.md)",
            "quality": "mesh score, or half the detector's score where the mesh failed",
            "sharpness": "share of variance in fine detail",
            "box": "left, top, right, bottom in the source picture",
            "framing": "0 exact, 1 by the detector alone, from 2 on as live tracking may place it",
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
    elif read_json(marker) != json.loads(json.dumps(recipe)):
        raise DataError(
            f"{out} holds a set made from other pictures or settings. "
            "Give another --out, or delete that folder."
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1))
    unfinished.rename(path)
