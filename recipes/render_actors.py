"""Draw the training pictures: many people, random and real expressions, exact truth.

    python recipes/render_actors.py --out data/renders/actors --num 60000
    python recipes/render_actors.py --out data/renders/judges --num 3000 --people held-out

Data      VALID people (.glb), ICT-FaceKit (.npz), takes (.csv), and the bundled avatars
Time      about 20 ms a picture and core; 60,000 pictures on two cores in 10-15 minutes
Memory    about 2 GB, shared by all processes
Writes    OUT/part-*/ and OUT/sheet.png: look at it. A stopped run goes on where it was.

People are split here, once: the held-out ones never appear in training pictures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.ict import NUM_IDENTITY_SHAPES, load_ict
from freeavatar.avatars.ict_paint import random_look
from freeavatar.datasets.actors import Actor, make_actor
from freeavatar.datasets.motion_sources import HELD_OUT_TAKES, load_motion
from freeavatar.datasets.render_variation import Backgrounds
from freeavatar.datasets.renders import RenderSet, draw_shard, sheet, write_renders

HELD_OUT_PEOPLE = ("Black_F_2", "Asian_M_3", "White_F_3", "Hispanic_M_2")
FIRST_HELD_OUT_IDENTITY = 1000
"""ICT identities from this seed on are for judging."""
BUNDLED = Path(__file__).parent.parent / "src/freeavatar/avatars/bundled"


@dataclass(frozen=True)
class Arguments:
    """Draw one set of training pictures."""

    out: Path
    """Folder of the set."""
    num: int = 60000
    people: Literal["training", "held-out"] = "training"
    data: Path = Path("../shared/data")
    """Folder with avatars/valid, avatars/ict and motion."""
    extra_avatars: list[Path] = field(default_factory=list)
    """More avatars that play, with the bundled ones."""
    backgrounds: Path | None = None
    """A shard set of real faces, to cut blurred backgrounds from."""
    num_identities: int = 40
    """ICT people."""
    seed: int = 0
    num_processes: int = 2
    part_size: int = 1000


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    started = time.monotonic()
    groups = [list(valid_people(arguments)), list(ict_people(arguments)), list(others(arguments))]
    actors: list[Actor] = []
    weights: list[float] = []
    for share, group in zip((0.6, 0.2, 0.2), groups, strict=True):
        actors += group
        weights += [share / max(len(group), 1)] * len(group)
    print(f"{len(actors)} actors ready after {time.monotonic() - started:.0f} s", flush=True)
    takes = [
        path
        for path in sorted((arguments.data / "motion").glob("*.csv"))
        if path.stem not in HELD_OUT_TAKES
    ]
    spec = RenderSet(
        actors=tuple(actors),
        weights=tuple(weights),
        motion=load_motion(takes),
        backgrounds=Backgrounds(tuple(background_pictures(arguments.backgrounds))),
        seed=arguments.seed + (0 if arguments.people == "training" else 1_000_000),
        num=arguments.num,
        part_size=arguments.part_size,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    crops, _ = draw_shard(spec, 0, min(144, arguments.num))
    cv2.imwrite(str(arguments.out / "sheet.png"), sheet(list(crops))[..., ::-1])
    print(f"look at {arguments.out / 'sheet.png'}", flush=True)
    started = time.monotonic()
    before: list[int] = []

    def report(done: int, total: int) -> None:
        before.append(done)
        rate = (done - before[0]) / max(time.monotonic() - started, 1e-3)
        print(f"{done} of {total} pictures, {rate:.0f} a second", flush=True)

    write_renders(spec, arguments.out, arguments.num_processes, report)


def valid_people(arguments: Arguments) -> Iterator[Actor]:
    for path in sorted((arguments.data / "avatars/valid").glob("*.glb")):
        if (path.stem in HELD_OUT_PEOPLE) == (arguments.people == "held-out"):
            yield ready(load_avatar(path))


def ict_people(arguments: Arguments) -> Iterator[Actor]:
    model = arguments.data / "avatars/ict/ict_facekit_light.npz"
    if not model.is_file():
        return
    first = 0 if arguments.people == "training" else FIRST_HELD_OUT_IDENTITY
    num = arguments.num_identities if arguments.people == "training" else 8
    for seed in range(first, first + num):
        rng = np.random.default_rng(seed)
        # A little less than the model's own spread: its corners are no longer people.
        identity = (0.8 * rng.standard_normal(NUM_IDENTITY_SHAPES)).astype(np.float32)
        yield ready(load_ict(model, identity, f"ict_{seed:04d}", random_look(rng)))


def others(arguments: Arguments) -> Iterator[Actor]:
    """Bundled heads and avatars named on the command line; in training only."""
    if arguments.people == "held-out":
        return
    for path in [*sorted(BUNDLED.glob("*.glb")), *arguments.extra_avatars]:
        avatar = load_avatar(path)
        if avatar.arkit_to_rig is None:
            print(f"{path.name} does not play: its controls are not known by name", flush=True)
            continue
        yield ready(avatar)


def ready(avatar: Avatar) -> Actor:
    actor = make_actor(avatar)
    print(f"{actor.name}: shows {actor.shows.sum()} of 52 controls", flush=True)
    return actor


def background_pictures(folder: Path | None, num: int = 400) -> Iterator[np.ndarray]:
    if folder is None:
        return
    for part in sorted(folder.glob("part-*/crops.npy")):
        crops = np.load(part, mmap_mode="r")
        for row in range(0, len(crops), 25):
            if num == 0:
                return
            num -= 1
            yield np.array(crops[row])


if __name__ == "__main__":
    main()
