"""What the animator is fed: features of the frozen encoder, computed once per data set.

Three kinds of pictures: renders of many people with exact ARKit truth; the avatars themselves,
whose own controls are exactly known; real faces, of which a teacher's hints are known, and their
mirrors.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from freeavatar.animator.identity import DrivenRig
from freeavatar.expression.augment import AugmentConfig, augment
from freeavatar.expression.data import TAUGHT_CONTROLS, FacePool
from freeavatar.expression.export import load_network
from freeavatar.expression.refine import read_tokens
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import open_avatar_set, range_shares
from freeavatar.rig import ARKIT

CHUNK = 256
"""Crops encoded by one task of one process."""
FOOTAGE = AugmentConfig(blur=0.22, dark=0.09, cover=0.15, noise=0.1)
"""More damage than the encoder is trained with: there the same face comes again undamaged, here a
crop is encoded once, and curves must hold in bad footage."""
SURE_YAW_RAD = 0.6
"""The 52-score teacher is not believed at all beyond this turn of the head."""


@dataclass(frozen=True)
class FeatureTable:
    """Encoder outputs of many crops, and the ARKit values of each (NaN = unknown)."""

    features: Float[np.ndarray, "sample feature"]
    embeddings: Float[np.ndarray, "sample embedding"]
    controls: Float[np.ndarray, "sample 52"]
    confidence: Float[np.ndarray, " sample"]
    """How far `controls` are to be believed, 0 to 1; 1 for renders."""
    people: Int[np.ndarray, " sample"]
    """Who it is, by number; -1 where nobody says."""
    lifelike: Bool[np.ndarray, " sample"]
    """Whether somebody really did this: a frame of a recorded take, or a real face."""

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class FaceTables:
    """The same real faces, as they are and mirrored; controls of both are the teacher's."""

    plain: FeatureTable
    mirrored: FeatureTable


@dataclass(frozen=True)
class OwnTable:
    """Pictures of one avatar, with the controls that drew them."""

    avatar: str
    features: Float[np.ndarray, "sample feature"]
    embeddings: Float[np.ndarray, "sample embedding"]
    shares: Float[np.ndarray, "sample control"]
    rows: Int[np.ndarray, " sample"]
    """Which picture of the avatar's set each sample is."""


def stored_as_drawn(damage: AugmentConfig) -> AugmentConfig:
    """The same damage for pictures that show no more than the encoder's crop."""
    return AugmentConfig(**(damage.__dict__ | {"stored_margin": 1.0, "shift": 0.02, "scale": 0.05}))


# --- encoding, in several processes ------------------------------------------------------------

_Task = tuple[int, int, int]
"""(number of the job, number of the first sample, how many)"""


@dataclass(frozen=True)
class _Job:
    """What a worker process needs."""

    source: _PoolSource | _OwnSource | _FaceSource
    encoder: Path | None


@dataclass(frozen=True)
class _PoolSource:
    """Damaged crops of render sets."""

    folders: tuple[Path, ...]
    seed: int
    lifelike: float

    def load(self) -> Callable[[int, int], tuple[np.ndarray, dict[str, np.ndarray]]]:
        pool = FacePool(list(self.folders), FOOTAGE, lifelike=self.lifelike)

        def draw(start: int, num: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            samples = pool.draw(num, np.random.default_rng((self.seed, start)))
            truth = {"controls": samples.controls, "people": samples.person}
            return samples.crops, truth | {"lifelike": samples.lifelike}

        return draw


@dataclass(frozen=True)
class _OwnSource:
    """Damaged pictures of one avatar; the judging tenth stays out."""

    folder: Path
    seed: int
    num: int

    def load(self) -> Callable[[int, int], tuple[np.ndarray, dict[str, np.ndarray]]]:
        pictures = open_avatar_set(self.folder)
        damage = stored_as_drawn(FOOTAGE)
        rows = np.random.default_rng(self.seed).permutation(pictures.num_train)
        rows = np.resize(rows, self.num)

        def draw(start: int, num: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            chosen = rows[start : start + num]
            rng = np.random.default_rng((self.seed, start))
            stored = pictures.shards.gather(chosen)
            crops = np.stack([augment(picture, damage, rng) for picture in stored])
            shares = range_shares(pictures.rig, pictures.controls[chosen])
            return crops, {"shares": shares, "rows": chosen}

        return draw


@dataclass(frozen=True)
class _FaceSource:
    """Real faces of the training split, reframed a little; each is drawn twice, the second time
    mirrored."""

    folder: Path
    seed: int
    num: int

    def load(self) -> Callable[[int, int], tuple[np.ndarray, dict[str, np.ndarray]]]:
        pool = FacePool([self.folder], AugmentConfig())
        damage = AugmentConfig(cover=0.0, dark=0.02, small=0.04)
        shards = pool.sets[0]
        chosen = np.random.default_rng(self.seed).permutation(len(pool))[: self.num]
        rows = pool.rows[chosen, 1]
        taught = np.isin(ARKIT.names, TAUGHT_CONTROLS)
        hints = np.where(taught, shards.columns["teacher"].astype(np.float32), np.nan)
        quality = shards.columns.get("quality", np.ones(len(shards))).astype(np.float32)
        yaw = shards.columns["head_rad"][:, 0].astype(np.float32)
        confidence = quality * np.clip(1 - np.abs(np.nan_to_num(yaw)) / SURE_YAW_RAD, 0.0, 1.0)

        def draw(start: int, num: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            some = rows[start : start + num]
            crops, controls = [], []
            for mirror in (False, True):
                for row in some:
                    # The same damage for a face and its mirror.
                    rng = np.random.default_rng((self.seed, int(row)))
                    picture = shards.gather(np.array([row]))[0]
                    crops.append(augment(picture, damage, rng, mirror))
                    scores = hints[row]
                    controls.append(scores[ARKIT.mirror_columns] if mirror else scores)
            return np.stack(crops), {
                "controls": np.stack(controls),
                "confidence": np.tile(confidence[some], 2).astype(np.float32),
                "mirrored": np.repeat([False, True], len(some)),
                "people": np.full(2 * len(some), -1),
                "lifelike": np.ones(2 * len(some), bool),
            }

        return draw


class _Worker:
    """One process's encoder, and the source that it draws from at the moment."""

    def __init__(self, jobs: Sequence[_Job]) -> None:
        self.jobs = tuple(jobs)
        self.number = 0
        self.draw = jobs[0].source.load()
        self.encoder = ExpressionEncoder.load(jobs[0].encoder)

    def turn_to(self, number: int) -> None:
        if number != self.number:
            self.number, self.draw = number, self.jobs[number].source.load()


_worker: _Worker


def _start(jobs: Sequence[_Job]) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = _Worker(jobs)


def _encode(task: _Task) -> dict[str, np.ndarray]:
    number, start, num = task
    _worker.turn_to(number)
    crops, columns = _worker.draw(start, num)
    encoder = _worker.encoder
    parts = [encoder.encode(crops[i : i + 32]) for i in range(0, len(crops), 32)]
    columns["features"] = np.concatenate([part.features for part in parts])
    columns["embeddings"] = np.concatenate([part.embeddings for part in parts])
    return columns


def _run(
    jobs: Sequence[_Job], num: int, processes: int, report: Callable[[int, int], None]
) -> Iterator[dict[str, np.ndarray]]:
    """Columns of `num` samples of each job, in order, whatever the number of processes.

    All jobs share the processes, which take some four seconds each to begin.
    """
    tasks: list[_Task] = [
        (number, start, min(CHUNK, num - start))
        for number in range(len(jobs))
        for start in range(0, num, CHUNK)
    ]

    def told(results: Iterable[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
        done, chunks = 0, []
        for result, (_, start, size) in zip(results, tasks, strict=True):
            chunks.append(result)
            done += size
            report(done, num * len(jobs))
            if start + size == num:
                yield _joined(chunks)
                chunks = []

    if processes == 1:
        _start(jobs)
        yield from told(map(_encode, tasks))
        return
    # Spawned: ONNX Runtime's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _start, (jobs,)) as pool:
        yield from told(pool.imap(_encode, tasks))


def _silent(done: int, total: int) -> None:
    pass


def encode_renders(
    folders: Sequence[Path],
    encoder: Path | None,
    num: int,
    seed: int = 0,
    processes: int = 1,
    report: Callable[[int, int], None] = _silent,
    lifelike: float = 1.0,
) -> FeatureTable:
    """`num` damaged crops of render sets through the encoder that ships (None) or another.

    `lifelike`: how many times as often a frame of a recorded take is drawn. What people do is far
    from what random sliders do, and what a picture hardly shows must be guessed from that.
    """
    job = _Job(_PoolSource(tuple(folders), seed, lifelike), encoder)
    (table,) = _run([job], num, processes, report)
    return FeatureTable(
        table["features"],
        table["embeddings"],
        table["controls"],
        np.ones(len(table["features"]), np.float32),
        table["people"],
        table["lifelike"],
    )


def from_tokens(folder: Path, checkpoint: Path) -> FeatureTable:
    """Renders whose tokens `expression.refine` has left, read out by the checkpoint it made; which
    of them are frames of takes is not kept."""
    features, embeddings, controls = read_tokens(folder, load_network(checkpoint))
    num = len(features)
    unknown = np.full(num, -1), np.zeros(num, bool)
    return FeatureTable(features, embeddings, controls, np.ones(num, np.float32), *unknown)


def together(one: FeatureTable, other: FeatureTable) -> FeatureTable:
    """The rows of both."""
    return FeatureTable(
        **{
            f.name: np.concatenate([getattr(one, f.name), getattr(other, f.name)])
            for f in fields(FeatureTable)
        }
    )


def encode_own(
    folders: Sequence[Path],
    encoder: Path | None,
    num: int,
    seed: int = 0,
    processes: int = 1,
    report: Callable[[int, int], None] = _silent,
) -> Iterator[OwnTable]:
    """`num` damaged pictures of each avatar's set."""
    if not folders:
        return
    jobs = [_Job(_OwnSource(folder, seed, num), encoder) for folder in folders]
    for folder, table in zip(folders, _run(jobs, num, processes, report), strict=True):
        name = open_avatar_set(folder).avatar
        yield OwnTable(name, table["features"], table["embeddings"], table["shares"], table["rows"])


def encode_faces(
    folder: Path,
    encoder: Path | None,
    num: int,
    seed: int = 0,
    processes: int = 1,
    report: Callable[[int, int], None] = _silent,
) -> FaceTables:
    """`num` real faces of a face set's training split, and as many mirrored ones."""
    num = min(num, len(FacePool([folder], AugmentConfig())))
    job = _Job(_FaceSource(folder, seed, num), encoder)
    (both,) = _run([job], num, processes, report)
    plain, mirrored = (
        FeatureTable(
            **{f.name: both[f.name][both["mirrored"] == side] for f in fields(FeatureTable)}
        )
        for side in (False, True)
    )
    return FaceTables(plain, mirrored)


def _joined(chunks: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def encode_crops(
    encoder: ExpressionEncoder, crops: UInt8[np.ndarray, "crop size size 3"]
) -> tuple[Float[np.ndarray, "crop feature"], Float[np.ndarray, "crop embedding"]]:
    """Features and embeddings of undamaged crops."""
    parts = [encoder.encode(crops[i : i + 32]) for i in range(0, max(len(crops), 1), 32)]
    return (
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.embeddings for part in parts]),
    )


# --- files and targets -------------------------------------------------------------------------


def save_table(path: Path, table: FeatureTable | OwnTable) -> None:
    """Write a table; `load_table` and `load_own` read it back equal."""
    np.savez(path, **{f.name: getattr(table, f.name) for f in fields(table)})


def load_table(path: Path) -> FeatureTable:
    """A table of renders or faces."""
    with np.load(path, allow_pickle=False) as file:
        return FeatureTable(**{f.name: file[f.name] for f in fields(FeatureTable)})


def load_own(path: Path) -> OwnTable:
    """A table of one avatar's own pictures."""
    with np.load(path, allow_pickle=False) as file:
        values = {f.name: file[f.name] for f in fields(OwnTable)}
    return OwnTable(**(values | {"avatar": str(values["avatar"])}))


def rig_targets(
    member: DrivenRig, controls: Float[np.ndarray, "sample 52"]
) -> Float[np.ndarray, "sample control"]:
    """ARKit truth as shares of the member's ranges; NaN where an unknown control has a say."""
    matrix, rig = member.arkit_to_rig, member.rig
    unknown = np.isnan(controls).astype(np.float32) @ (np.abs(matrix.T) > 0.05) > 0
    values = rig.clamp(rig.rest + np.nan_to_num(controls) @ matrix.T)
    shares = range_shares(rig, values)
    return np.where(unknown, np.nan, shares).astype(np.float32)
