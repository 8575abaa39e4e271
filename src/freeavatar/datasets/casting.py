"""Who plays in training pictures, and who is kept for judging: people are split here, once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import BUNDLED
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.ict import NUM_IDENTITY_SHAPES, load_ict
from freeavatar.avatars.ict_paint import random_look
from freeavatar.datasets.actors import Actor, make_actor
from freeavatar.datasets.motion_sources import HELD_OUT_TAKES, load_motion
from freeavatar.datasets.render_variation import Backgrounds
from freeavatar.datasets.renders import RenderSet
from freeavatar.errors import DataError
from freeavatar.training.shards import open_shards

HELD_OUT_PEOPLE = ("Black_F_2", "Asian_M_3", "White_F_3", "Hispanic_M_2")
"""VALID people who judge the product; no training picture may show them."""
FIRST_HELD_OUT_IDENTITY = 1000
"""ICT identities from this seed on are for judging."""
NUM_HELD_OUT_IDENTITIES = 8
HELD_OUT_SEED = 1_000_000
"""Added to the seed, so that judges see other expressions too."""

DATA_FOLDERS = ("avatars/valid", "avatars/ict", "motion")
"""What a folder of data may hold: VALID people, the ICT face model, takes."""

_SHARES = {"valid": 0.5, "ict": 0.25, "others": 0.25}
"""How often a picture shows a VALID person, an ICT identity, or anybody else."""

People = Literal["training", "held-out"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CastConfig:
    """What to draw from. `data` may lack some of its folders, but not all."""

    people: People = "training"
    data: Path | None = None
    """Folder with avatars/valid (GLB), avatars/ict (ict_facekit_light.npz) and motion (takes as
    Live Link CSV); the bundled heads alone play without it."""
    extra_avatars: tuple[Path, ...] = ()
    """GLB or VRM files, or folders of them, that play with the bundled heads."""
    backgrounds: Path | None = None
    """A set of real faces, to cut blurred backgrounds from."""
    num_identities: int = 60
    """ICT people."""
    rare_share: float = 0.0
    """How often a few controls move that are seldom seen (`motion_sources.RARE`)."""
    takes_share: float = 0.0
    """How often a frame of a recorded take is played, beyond the usual quarter."""


def make_render_set(
    config: CastConfig,
    num: int,
    seed: int,
    occluded_share: float = 0.0,
    camera_damage_share: float = 0.0,
    part_size: int = 1000,
    on_actor: Callable[[Actor], None] = lambda _actor: None,
    turned_rad: float | None = None,
    views: int = 1,
    session: int = 1,
) -> RenderSet:
    """Load everybody; DataError when nobody plays or something that was named is not there."""
    _refuse_missing(config)
    takes = sorted((config.data / "motion").glob("*.csv")) if config.data else []
    takes = [path for path in takes if path.stem not in HELD_OUT_TAKES]
    if config.takes_share and not takes:
        raise DataError(
            "There are no recorded takes to play. Name a folder with motion/*.csv (--data), or "
            "leave out --takes."
        )
    backgrounds = Backgrounds(tuple(_background_pictures(config.backgrounds)))
    groups = {"valid": _valid(config), "ict": _ict(config), "others": _others(config)}
    actors: list[Actor] = []
    weights: list[float] = []
    for name, avatars in groups.items():
        group = []
        for avatar in avatars:
            group.append(make_actor(avatar))
            on_actor(group[-1])
        actors += group
        weights += [_SHARES[name] / max(len(group), 1)] * len(group)
    if not actors:
        raise DataError(
            f"Nobody plays: there are no {config.people} people in {config.data}. "
            "Held-out people need --data with avatars/valid or avatars/ict."
        )
    return RenderSet(
        actors=tuple(actors),
        weights=tuple(weights),
        motion=load_motion(takes, config.rare_share, config.takes_share),
        backgrounds=backgrounds,
        seed=seed + (0 if config.people == "training" else HELD_OUT_SEED),
        num=num,
        part_size=part_size,
        occluded_share=occluded_share,
        camera_damage_share=camera_damage_share,
        turned_rad=turned_rad,
        views=views,
        session=session,
    )


def _refuse_missing(config: CastConfig) -> None:
    """Drawing without what was asked for would only show in the pictures."""
    if config.data is not None and not any((config.data / name).is_dir() for name in DATA_FOLDERS):
        raise DataError(
            f"{config.data} holds nothing to draw from: none of {', '.join(DATA_FOLDERS)}. "
            "Check the name of the folder, or leave out --data."
        )
    for path in config.extra_avatars:
        if path.is_dir() and not any(_avatar_files((path,))):
            raise DataError(
                f"{path} holds no avatar (.glb or .vrm). Name avatars, or a folder of them."
            )


def _valid(config: CastConfig) -> Iterator[Avatar]:
    if config.data is None:
        return
    for path in sorted((config.data / "avatars/valid").glob("*.glb")):
        if (path.stem in HELD_OUT_PEOPLE) == (config.people == "held-out"):
            yield load_avatar(path)


def _ict(config: CastConfig) -> Iterator[Avatar]:
    if config.data is None:
        return
    model = config.data / "avatars/ict/ict_facekit_light.npz"
    if not model.is_file():
        return
    first, num = 0, config.num_identities
    if config.people == "held-out":
        first, num = FIRST_HELD_OUT_IDENTITY, NUM_HELD_OUT_IDENTITIES
    for seed in range(first, first + num):
        rng = np.random.default_rng(seed)
        # A little less than the model's own spread: its corners are no longer people.
        identity = (0.8 * rng.standard_normal(NUM_IDENTITY_SHAPES)).astype(np.float32)
        yield load_ict(model, identity, f"ict_{seed:04d}", random_look(rng))


def _others(config: CastConfig) -> Iterator[Avatar]:
    """Bundled heads and those that were named; in training only."""
    if config.people == "held-out":
        return
    for path in [*sorted(BUNDLED.glob("*.glb")), *_avatar_files(config.extra_avatars)]:
        avatar = load_avatar(path)
        if avatar.arkit_to_rig is None:
            logger.warning("%s does not play: its controls are not known by name.", path)
            continue
        yield avatar


def _avatar_files(given: tuple[Path, ...]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix in (".glb", ".vrm"))
        else:
            yield path


def _background_pictures(
    folder: Path | None, num: int = 400
) -> Iterator[UInt8[np.ndarray, "size size 3"]]:
    if folder is None:
        return
    for crops in open_shards(folder).parts:
        for row in range(0, len(crops), 25):
            if num == 0:
                return
            num -= 1
            yield np.array(crops[row])
