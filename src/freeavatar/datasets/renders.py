"""Training pictures with exact truth: actors drawn in random expressions, poses and lights.

Picture i of a set depends on the seed and on i alone (what the face does on i // views, who it is
and in what light on i // session), so parts can be made in any order, by any number of processes,
and a stopped run goes on where it was. Things before the face and what cameras do to pictures are
drawn from a generator of their own: without them the same faces come out clean.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.avatars.avatar import pose
from freeavatar.avatars.scene import Camera, render
from freeavatar.datasets.actors import Actor
from freeavatar.datasets.camera_damage import film
from freeavatar.datasets.motion_sources import SOURCES, MotionSources, set_gaze
from freeavatar.datasets.occluders import FacePlace, cover
from freeavatar.datasets.render_variation import (
    Backgrounds,
    draw_camera,
    draw_colors,
    draw_head,
    draw_lights,
    moved_a_little,
)
from freeavatar.errors import DataError
from freeavatar.rig import ARKIT_NAMES
from freeavatar.training.shards import read_json

FORMAT_VERSION = 3
"""Of what one seed draws: goes up when the same seed gives other pictures."""
RESTING = 4
"""Pictures of a session in which the face does nothing."""
TURNED_AGAIN = 0.6
"""How often a further view of an expression turns the head by anything up to 50 degrees."""


@dataclass(frozen=True)
class RenderSet:
    """Everything that decides what the pictures of a set look like."""

    actors: tuple[Actor, ...]
    weights: tuple[float, ...]
    """How often each actor plays; need not add up to 1."""
    motion: MotionSources
    backgrounds: Backgrounds
    seed: int
    num: int
    part_size: int = 1000
    size: int = 288
    fine_share: float = 0.15
    """Share of pictures drawn with 2 x 2 samples per pixel; the others are faster and rougher,
    as video is."""
    shadow_share: float = 0.4
    look_back_share: float = 0.35
    """How often a turned head keeps its eyes on the camera, as people on video do."""
    occluded_share: float = 0.0
    """Share of pictures with something before the face: hands, hair, glasses, masks, mics."""
    camera_damage_share: float = 0.0
    """Share of pictures as a poor camera would take them: lens, blur, noise, compression."""
    turned_rad: float | None = None
    """Yaw of every head, to the left and right in turn; all else is as without."""
    views: int = 1
    """Pictures of every expression: the same actor before another camera, in another light, mostly
    turned, perhaps with something before the face. They stand one after the other."""
    session: int = 1
    """Pictures that are taken one after the other: the same actor before the same camera, in the
    same light, moving a little. The first few show a face at rest."""

    def __post_init__(self) -> None:
        if not self.actors or len(self.actors) != len(self.weights):
            raise ValueError(f"{len(self.actors)} actors, {len(self.weights)} weights")
        if self.num < 1:
            raise ValueError(f"num is {self.num}, a set has at least one picture")
        if self.views < 1:
            raise ValueError(f"views is {self.views}, an expression has at least one picture")
        if self.session < 1 or (self.session > 1 and self.views > 1):
            raise ValueError(f"session is {self.session}, views {self.views}: one of them is 1")


@dataclass(frozen=True)
class Truth:
    """What one picture shows."""

    arkit: Float[np.ndarray, "52"]
    head_rad: tuple[float, float, float]
    actor: int
    source: int


def draw_picture(spec: RenderSet, number: int) -> tuple[UInt8[np.ndarray, "size size 3"], Truth]:
    """Picture `number` of a set and its truth."""
    expression, view = divmod(number, spec.views)
    rng = look = np.random.default_rng((spec.seed, expression))
    if spec.session > 1:  # whom, and in what light, is asked anew for every picture
        look = np.random.default_rng((spec.seed, number // spec.session, 3))
    weights = np.asarray(spec.weights) / np.sum(spec.weights)
    which = int(look.choice(len(spec.actors), p=weights))
    actor = spec.actors[which]
    resting = spec.session > 1 and number % spec.session < RESTING
    arkit, source = spec.motion.rest(rng) if resting else spec.motion.draw(rng)
    head_rad = draw_head(rng) if spec.session == 1 else moved_a_little(draw_head(look), rng)
    if rng.random() < spec.look_back_share and SOURCES[source] not in ("neutral", "single"):
        # Eyes that stay on the camera turn against the head: 28 degrees sideways, 22 up and down.
        yaw, pitch = -head_rad[0] / 0.49, -head_rad[1] / 0.38
        set_gaze(arkit, (yaw, yaw), (pitch, pitch))
    if view:  # what the face does is decided; how it is looked at comes from another generator
        look = np.random.default_rng((spec.seed, number, 2))
        head_rad = draw_head(look, turned_share=TURNED_AGAIN)
    if spec.turned_rad is not None:
        head_rad = (spec.turned_rad if number % 2 else -spec.turned_rad, *head_rad[1:])
    camera = draw_camera(actor.avatar.face, head_rad, look)
    picture = render(
        actor.prepared,
        pose(actor.avatar, actor.controls(arkit), head_rad),
        camera,
        draw_lights(look),
        spec.size,
        spec.size,
        spec.backgrounds.draw(spec.size, look),
        samples=2 if look.random() < spec.fine_share else 1,
        shadow_size=160 if look.random() < spec.shadow_share else 0,
        colors=draw_colors(actor.prepared, look),
    )
    truth = Truth(np.where(actor.shows, arkit, 0.0), head_rad, which, source)
    return _as_filmed(spec, number, picture.rgb, actor, head_rad, camera), truth


def _as_filmed(
    spec: RenderSet,
    number: int,
    rgb: UInt8[np.ndarray, "size size 3"],
    actor: Actor,
    head_rad: tuple[float, float, float],
    camera: Camera,
) -> UInt8[np.ndarray, "size size 3"]:
    """With something before the face, through a real lens, or neither."""
    rng = np.random.default_rng((spec.seed, number, 1))
    occluded, damaged = rng.random(2) < (spec.occluded_share, spec.camera_damage_share)
    if occluded:
        rgb = cover(rgb, FacePlace.of(actor.avatar.face, head_rad, camera, spec.size), rng)
    return film(rgb, rng) if damaged else rgb


def draw_shard(
    spec: RenderSet, start: int, num: int
) -> tuple[UInt8[np.ndarray, "num size size 3"], dict[str, np.ndarray]]:
    """Pictures start .. start + num and their truth as columns."""
    crops = np.empty((num, spec.size, spec.size, 3), np.uint8)
    truths: list[Truth] = []
    for i in range(num):
        crops[i], truth = draw_picture(spec, start + i)
        truths.append(truth)
    columns: dict[str, np.ndarray] = {
        "arkit": np.array([truth.arkit for truth in truths], np.float16),
        "head_rad": np.array([truth.head_rad for truth in truths], np.float16),
        "actor": np.array([truth.actor for truth in truths], np.int16),
        "source": np.array([truth.source for truth in truths], np.uint8),
    }
    if spec.views > 1:
        columns["expression"] = np.arange(start, start + num, dtype=np.int32) // spec.views
    if spec.session > 1:
        columns["session"] = np.arange(start, start + num, dtype=np.int32) // spec.session
    return crops, columns


def write_renders(
    spec: RenderSet,
    out: Path,
    num_processes: int = 1,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Write all missing parts of a set; `report(done, total)` counts pictures."""
    claim_folder(spec, out)
    parts = list(_parts(spec))
    missing = [part for part in parts if not part.folder(out).is_dir()]
    done = spec.num - sum(part.num for part in missing)
    report(done, spec.num)
    if num_processes > 1 and len(missing) > 1:
        # Forked workers share the actors' memory; the rasterizer is safe to fork.
        context = multiprocessing.get_context("fork")
        with context.Pool(num_processes, _start_worker, (spec, out)) as pool:
            for num in pool.imap_unordered(_write_in_worker, missing):
                done += num
                report(done, spec.num)
    else:
        for part in missing:
            done += _write_part(spec, out, part)
            report(done, spec.num)
    for leftover in out.glob(".unfinished-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@dataclass(frozen=True)
class _Part:
    number: int
    start: int
    num: int

    def folder(self, out: Path) -> Path:
        return out / f"part-{self.number:03d}"


def _parts(spec: RenderSet) -> Iterator[_Part]:
    for number, start in enumerate(range(0, spec.num, spec.part_size)):
        yield _Part(number, start, min(spec.part_size, spec.num - start))


_worker: tuple[RenderSet, Path] | None = None


def _start_worker(spec: RenderSet, out: Path) -> None:
    global _worker
    # The pool ends its workers by this signal; what the parent does about it is not theirs to do.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _worker = (spec, out)


def _write_in_worker(part: _Part) -> int:
    assert _worker is not None
    return _write_part(*_worker, part)


def _write_part(spec: RenderSet, out: Path, part: _Part) -> int:
    """Draw one part beside its place and move it there when it is whole."""
    crops, columns = draw_shard(spec, part.start, part.num)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=out) as unfinished:
        whole = Path(unfinished) / "part"
        whole.mkdir()
        np.save(whole / "crops.npy", crops)
        np.savez(whole / "truth.npz", **columns)  # type: ignore[arg-type]
        if not part.folder(out).exists():
            whole.rename(part.folder(out))
    return part.num


def claim_folder(spec: RenderSet, out: Path) -> None:
    """Write index.json, or check that the folder holds parts of this very set."""
    out.mkdir(parents=True, exist_ok=True)
    index = {
        "kind": "renders",
        "version": FORMAT_VERSION,
        "size": spec.size,
        "seed": spec.seed,
        "part_size": spec.part_size,
        "controls": list(ARKIT_NAMES),
        "sources": list(SOURCES),
        "actors": [actor.name for actor in spec.actors],
        "shows": [[bool(value) for value in actor.shows] for actor in spec.actors],
        "strength": [[round(float(x), 3) for x in actor.strength] for actor in spec.actors],
        "weights": list(spec.weights),
    }
    # Written only where used: sets without them stay what they were.
    used = {
        "occluded_share": spec.occluded_share,
        "camera_damage_share": spec.camera_damage_share,
        "rare_share": spec.motion.rare_share,
        "takes_share": spec.motion.takes_share,
        "turned_rad": spec.turned_rad,
        "views": spec.views if spec.views > 1 else None,
        "session": spec.session if spec.session > 1 else None,
    }
    index |= {name: value for name, value in used.items() if value}
    path = out / "index.json"
    if path.is_file():
        found = read_json(path)
        keys = {*index, *used}
        different = sorted(key for key in keys if found.get(key) != index.get(key))
        if different:
            raise DataError(
                f"{out} holds renders made otherwise ({', '.join(different)} differ). "
                "Choose another folder, or delete it."
            )
        return
    path.write_text(json.dumps(index, indent=1))
