"""Who and what judges the product: people and takes that no training picture may show.

`datasets.motion_sources.HELD_OUT_TAKES` and the recipes that draw training sets leave out the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.ict import NUM_IDENTITY_SHAPES, load_ict
from freeavatar.avatars.ict_paint import random_look

VALID_PEOPLE = ("Black_F_2", "Asian_M_3", "White_F_3", "Hispanic_M_2")
ICT_SEEDS = (1000, 1001)
"""Identities of training heads have seeds below 1000."""
RECORDED_TAKES = ("performance_s88", "speech_apfel")
RANGE_TAKE = "range"
ICT_SPREAD = 0.8
"""Full standard deviations make some heads that nobody resembles."""


@dataclass(frozen=True)
class ClipPlan:
    """One clip of the benchmark: who plays which part of which take."""

    person: str
    take: str
    part: int
    """Which of the take's non-overlapping stretches, the liveliest first."""

    @property
    def name(self) -> str:
        return f"{self.person}-{self.take}-{self.part}".lower()


def people() -> tuple[str, ...]:
    """Names of everybody held out."""
    return (*VALID_PEOPLE, *(f"ict_{seed}" for seed in ICT_SEEDS))


def clip_plans() -> tuple[ClipPlan, ...]:
    """Everybody plays one stretch of a recorded take and one of the range of motion."""
    plans = []
    for number, person in enumerate(people()):
        take = RECORDED_TAKES[number % len(RECORDED_TAKES)]
        plans.append(ClipPlan(person, take, number // len(RECORDED_TAKES)))
        plans.append(ClipPlan(person, RANGE_TAKE, number % 3))
    return tuple(plans)


def load_person(person: str, data: Path) -> Avatar:
    """A held-out person from the shared data folder."""
    if person in VALID_PEOPLE:
        return load_avatar(data / "avatars" / "valid" / f"{person}.glb")
    seed = int(person.removeprefix("ict_"))
    rng = np.random.default_rng(seed)
    identity = ICT_SPREAD * rng.standard_normal(NUM_IDENTITY_SHAPES).astype(np.float32)
    model = data / "avatars" / "ict" / "ict_facekit_light.npz"
    return load_ict(model, identity, person, random_look(rng))
