"""Teach the trained networks one more avatar: a code and vectors of its own, nothing else changes.

draw the avatar -> fit its renderer code -> encode it and bundled heads -> fit its animator code.
The trunks stay frozen, so no other avatar can change. Every stage is kept in the work folder, a
part at a time: a stopped run goes on where it was, to the same weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import cv2
import numpy as np
import torch

from freeavatar.animator.data import (
    CHUNK,
    FeatureTable,
    OwnTable,
    _OwnSource,
    encode_crops,
    load_own,
    load_table,
    save_table,
)
from freeavatar.animator.export import load_animator, write_table
from freeavatar.animator.identity import Cast, DrivenRig
from freeavatar.animator.likeness import understood
from freeavatar.animator.linear import arkit_readout, put_into
from freeavatar.animator.model import Animator
from freeavatar.animator.onlooker import Onlooker
from freeavatar.animator.reach import widen
from freeavatar.animator.runtime import personal_weights, trunk_digest
from freeavatar.animator.train import AnimatorTrainConfig, Lessons, LossWeights, fit
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import DEFAULT, resolve
from freeavatar.checkpoints import load_checkpoint
from freeavatar.datasets.actors import make_actor
from freeavatar.datasets.motion_sources import SOURCES, MotionSources
from freeavatar.datasets.render_variation import Backgrounds
from freeavatar.datasets.renders import RenderSet, draw_shard
from freeavatar.expression.augment import plain
from freeavatar.expression.export import load_network
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.inference import shipped
from freeavatar.renderer.data import AvatarSet, open_avatar_set, write_avatar_set
from freeavatar.renderer.model import KIND as RENDERER_KIND
from freeavatar.renderer.model import NeuralRenderer
from freeavatar.renderer.train import (
    KnownAvatar,
    RendererTrainConfig,
    fit_renderer,
    load_renderer,
    new_renderer,
)
from freeavatar.training.loop import LoopConfig

OnProgress = Callable[[str, int, int | None], None]
"""Stage, steps done, steps in all."""
PEOPLE_PART = 100
"""People drawn and looked at between two saves: a few seconds of work."""
_KEEP_EVERY_S = 5.0
"""Between two notes of the time spent: a killed run forgets no more."""

Table = TypeVar("Table", FeatureTable, OwnTable)


@dataclass(frozen=True)
class SharedNetworks:
    """The networks that all avatars share: as the product runs them, and with gradients."""

    encoder: Path
    encoder_weights: Path
    animator: Path
    animator_weights: Path
    renderer_weights: Path

    @staticmethod
    def of_package() -> SharedNetworks:
        """What ships with the package; WeightsError names what this installation lacks."""
        return SharedNetworks(
            shipped("expression.onnx"),
            shipped("expression.safetensors"),
            shipped("animator.onnx"),
            shipped("animator.safetensors"),
            shipped("renderer.safetensors"),
        )

    @staticmethod
    def of_runs(expression: Path, animator: Path, renderer: Path) -> SharedNetworks:
        """From the folders of training runs."""
        return SharedNetworks(
            expression / "expression.onnx",
            expression / "final.safetensors",
            animator / "animator.onnx",
            animator / "final.safetensors",
            renderer / "final.safetensors",
        )


@dataclass(frozen=True)
class OnboardConfig:
    """How much work one avatar is worth; the defaults take some ten minutes on two cores."""

    num_pictures: int = 2000
    """Of the avatar, with random controls."""
    num_people: int = 1600
    """Pictures of the bundled heads, whose expressions the avatar learns to repeat."""
    renderer_steps: int = 500
    animator_steps: int = 900
    by_name: bool = True
    """Use what the names of the controls say; False tells meanings by shape alone."""
    weak_teacher: bool = True
    """Use names or shape at all; False leaves own pictures and looks."""
    seed: int = 0


@dataclass(frozen=True)
class Onboarded:
    """What was made."""

    weights: Path
    num_controls: int
    num_understood: int
    """Controls that a name or a shape ties to ARKit."""
    worked_s: float = 0.0
    """What it took, over all runs that were stopped and went on."""


def work_name(avatar: Avatar, networks: SharedNetworks, config: OnboardConfig) -> str:
    """A folder name for everything that decides the outcome: with another file, other networks or
    another config nothing of an earlier run may be used."""
    parts = [Path(avatar.source).read_bytes(), repr(dataclasses.astuple(config)).encode()]
    parts += [path.read_bytes() for path in dataclasses.astuple(networks)]
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    return f"{avatar.name}-{digest[:8]}"


class WorkClock:
    """Seconds that went into a work folder, added up over its runs until the work is finished.

    Noted in `worked.json` while the block runs and at its end, however it ends.
    """

    def __init__(self, work: Path) -> None:
        self._file = work / "worked.json"
        self._before_s, self._finished = 0.0, False
        if self._file.is_file():
            noted = json.loads(self._file.read_text())
            self._before_s, self._finished = float(noted["worked_s"]), bool(noted["finished"])

    def __enter__(self) -> WorkClock:
        self._started_s = self._noted_s = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._note(finished=kind is None)

    @property
    def worked_s(self) -> float:
        """So far; looking again at what was finished does not count."""
        if self._finished:
            return self._before_s
        return self._before_s + time.monotonic() - self._started_s

    def tick(self) -> None:
        """To be called now and then."""
        if time.monotonic() - self._noted_s > _KEEP_EVERY_S:
            self._note(finished=False)

    def _note(self, finished: bool) -> None:
        if self._finished:
            return
        worked_s, self._noted_s = self.worked_s, time.monotonic()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f".{self._file.name}.partial")
        partial.write_text(json.dumps({"worked_s": worked_s, "finished": finished}))
        partial.replace(self._file)
        if finished:
            self._before_s, self._finished = worked_s, True


def onboard(
    avatar: Avatar,
    work: Path,
    networks: SharedNetworks,
    config: OnboardConfig | None = None,
    target: Path | None = None,
    on_progress: OnProgress = lambda _stage, _done, _total: None,
) -> Onboarded:
    """Learn an avatar and write its weights beside its file (or to `target`)."""
    cv2.setNumThreads(1)
    config = config or OnboardConfig()
    path = target or personal_weights(Path(avatar.source))
    with WorkClock(work) as clock:

        def told(stage: str, done: int, total: int | None) -> None:
            clock.tick()
            on_progress(stage, done, total)

        num_understood = _learn(avatar, work, networks, config, path, told)
    return Onboarded(path, len(avatar.rig), num_understood, clock.worked_s)


def _learn(
    avatar: Avatar,
    work: Path,
    networks: SharedNetworks,
    config: OnboardConfig,
    path: Path,
    on_progress: OnProgress,
) -> int:
    """All stages; the value is the number of controls that are understood."""
    matrix = understood(avatar, config.by_name)
    if not config.weak_teacher:
        matrix = np.zeros_like(matrix)
    member = DrivenRig(avatar.name, avatar.rig, matrix)
    motion = MotionSources(np.zeros((0, 52), np.float32))
    pictures = work / "pictures"
    playable = dataclasses.replace(avatar, arkit_to_rig=understood(avatar, config.by_name))
    write_avatar_set(
        playable,
        motion,
        pictures,
        config.num_pictures,
        config.seed,
        part_size=250,
        report=lambda done, total: on_progress("drawing", done, total),
    )
    avatar_set = open_avatar_set(pictures)
    renderer = _fit_renderer(avatar_set, networks, work / "renderer", config, on_progress)
    own, people = _encoded(pictures, networks, work, config, motion, on_progress)
    encoder = load_network(networks.encoder_weights)
    known = KnownAvatar(avatar.name, avatar.rig)
    lessons = Lessons(people, None, (own,), (avatar_set,), Onlooker(renderer, (known,), encoder))
    model = _fit_animator(member, lessons, networks, work / "animator", config, on_progress)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as unfinished:
        whole = Path(unfinished) / path.name
        write_table(whole, model, Cast((member,)), trunk_digest(networks.animator))
        whole.replace(path)
    return int(matrix.any(axis=1).sum())


def _fit_renderer(
    avatar_set: AvatarSet,
    networks: SharedNetworks,
    folder: Path,
    config: OnboardConfig,
    on_progress: OnProgress,
) -> NeuralRenderer:
    """The shared trunk with a code and vectors for this avatar, begun from its likes."""
    shared, known = load_renderer(networks.renderer_weights)
    model = new_renderer([avatar_set], shared.config)
    model.trunk.load_state_dict(shared.trunk.state_dict())
    model.trunk.requires_grad_(False)
    rows = {
        name: shared.vectors_of(i)[k.rig.index(name)]
        for i, k in enumerate(known)
        for name in k.rig.names
    }
    with torch.no_grad():
        model.codes[0] = shared.codes.mean(0)
        for column, name in enumerate(avatar_set.rig.names):
            if name in rows:
                model.vectors[column] = rows[name]
    loop = LoopConfig(
        num_steps=config.renderer_steps,
        learning_rate=2e-2,
        weight_decay=0.0,
        warmup_steps=20,
        ema_decay=0.98,
        save_every_s=20.0,
        log_every=5,
        seed=config.seed,
    )
    checkpoint = fit_renderer(
        model,
        [avatar_set],
        folder,
        RendererTrainConfig(shared.config, batch_size=16, loop=loop),
        lambda line: on_progress("learning its looks", int(line["step"]), config.renderer_steps),
    )
    model.load_state_dict(load_checkpoint(checkpoint, RENDERER_KIND).tensors)
    return model


def _encoded(
    pictures: Path,
    networks: SharedNetworks,
    work: Path,
    config: OnboardConfig,
    motion: MotionSources,
    on_progress: OnProgress,
) -> tuple[OwnTable, FeatureTable]:
    """What the encoder says of the avatar and of people who play; kept in the work folder."""
    digest = trunk_digest(networks.encoder)[:8]
    encoder = ExpressionEncoder.load(networks.encoder)
    own = _look_in_parts(
        work / f"own-{digest}.npz",
        load_own,
        lambda: own_looks(pictures, encoder, config),
        (config.num_pictures, CHUNK),
        lambda done, total: on_progress("looking at it", done, total),
    )
    people = _look_in_parts(
        work / f"people-{digest}.npz",
        load_table,
        lambda: people_looks(encoder, config, motion),
        (config.num_people, PEOPLE_PART),
        lambda done, total: on_progress("looking at others", done, total),
    )
    return own, people


def own_looks(
    pictures: Path, encoder: ExpressionEncoder, config: OnboardConfig
) -> Callable[[int, int], OwnTable]:
    """Damaged pictures of the avatar's set through the encoder: from which on, how many."""
    draw = _OwnSource(pictures, config.seed, config.num_pictures).load()
    name = open_avatar_set(pictures).avatar

    def look(start: int, num: int) -> OwnTable:
        crops, columns = draw(start, num)
        features, embeddings = encode_crops(encoder, crops)
        return OwnTable(name, features, embeddings, columns["shares"], columns["rows"])

    return look


def people_looks(
    encoder: ExpressionEncoder, config: OnboardConfig, motion: MotionSources
) -> Callable[[int, int], FeatureTable]:
    """Bundled heads in random expressions, poses and light: what every installation can draw."""
    actors = tuple(make_actor(resolve(name)) for name in DEFAULT)
    spec = RenderSet(
        actors,
        (1.0,) * len(actors),
        motion,
        Backgrounds(),
        config.seed,
        config.num_people,
        camera_damage_share=0.1,
    )

    def look(start: int, num: int) -> FeatureTable:
        crops, truth = draw_shard(spec, start, num)
        features, embeddings = encode_crops(encoder, np.stack([plain(c) for c in crops]))
        shows = np.array([spec.actors[who].shows for who in truth["actor"]])
        controls = np.where(shows, truth["arkit"].astype(np.float32), np.nan).astype(np.float32)
        people = truth["actor"].astype(np.int64)
        recorded = truth["source"] == SOURCES.index("take")
        sure = np.ones(num, np.float32)
        return FeatureTable(features, embeddings, controls, sure, people, recorded)

    return look


def _look_in_parts(
    path: Path,
    load: Callable[[Path], Table],
    begin: Callable[[], Callable[[int, int], Table]],
    sizes: tuple[int, int],
    report: Callable[[int, int], None],
) -> Table:
    """The table at `path`; where there is none, `begin()` is looked through for it first.

    `sizes` are the samples in all and of a part. Finished parts are kept until the table is whole;
    each depends on its start alone, so a stopped run that goes on makes the same table.
    """
    if path.is_file():
        return load(path)
    (num, part_size), look = sizes, begin()
    folder = path.with_suffix(".parts")
    folder.mkdir(exist_ok=True)
    tables = []
    for start in range(0, num, part_size):
        part = folder / f"{start:06d}.npz"
        size = min(part_size, num - start)
        if not part.is_file():
            _save_whole(part, look(start, size))
        tables.append(load(part))
        report(start + size, num)
    whole = _joined(tables)
    _save_whole(path, whole)
    shutil.rmtree(folder, ignore_errors=True)
    return whole


def _save_whole(path: Path, table: FeatureTable | OwnTable) -> None:
    partial = path.with_name(f".{path.stem}.partial.npz")
    save_table(partial, table)
    partial.replace(path)


def _joined(tables: Sequence[Table]) -> Table:
    """All rows; what is no column is that of the first."""
    first = tables[0]
    columns: dict[str, Any] = {
        field.name: np.concatenate([getattr(table, field.name) for table in tables])
        for field in dataclasses.fields(first)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    return dataclasses.replace(first, **columns)


def _fit_animator(
    member: DrivenRig,
    lessons: Lessons,
    networks: SharedNetworks,
    folder: Path,
    config: OnboardConfig,
    on_progress: OnProgress,
) -> Animator:
    """The shared trunk with a code and control vectors for this avatar."""
    shared, shared_cast = load_animator(networks.animator_weights)
    model = Animator(shared.config, 1, len(member.rig))
    model.trunk.load_state_dict(shared.trunk.state_dict())
    model.trunk.requires_grad_(False)
    model.usual.copy_(shared.usual)
    rows = {name: i for i, name in enumerate(shared_cast.control_names)}
    with torch.no_grad():
        model.codes[0] = shared.codes.mean(0)
        for column, name in enumerate(member.rig.names):
            if name in rows:
                model.vectors[column] = shared.vectors[rows[name]]
                model.biases[column] = shared.biases[rows[name]]
            elif member.arkit_to_rig[column].any():
                # Begin as the mixture of ARKit controls that it is understood to be.
                mixture = torch.from_numpy(member.arkit_to_rig[column])
                arkit = torch.tensor(shared_cast.slots(shared_cast.members[0]))
                model.vectors[column] = mixture @ shared.vectors[arkit] / mixture.sum().clamp_min(1)
    # What names or shape tell is better left alone by looks, which overdo real faces
    # (docs/experiments.md); without either, looks are all that tells meanings.
    weak = config.weak_teacher
    # The frozen trunk knows movement from person already: pairs would only outvote own pictures.
    names, looks = (1.0, 0.0) if weak else (0.0, 1.0)
    weights = LossWeights(names=names, within=0.0, consistency=looks)
    loop = LoopConfig(
        num_steps=config.animator_steps,
        learning_rate=5e-3,
        weight_decay=0.0,
        warmup_steps=20,
        ema_decay=0.99,
        save_every_s=20.0,
        log_every=10,
        seed=config.seed,
    )
    train = AnimatorTrainConfig(shared.config, weights, avatars_per_step=1, loop=loop)
    described = dataclasses.asdict(shared.config) | {"cast": Cast((member,)).to_json()}
    checkpoint = fit(
        model,
        described,
        Cast((member,)),
        lessons,
        folder,
        train,
        lambda line: on_progress("learning to move", int(line["step"]), config.animator_steps),
    )
    fitted, cast = load_animator(checkpoint)
    widen(fitted, cast, lessons.renders, lessons.own)
    put_into(fitted, cast, arkit_readout(shared, shared_cast))
    return fitted
