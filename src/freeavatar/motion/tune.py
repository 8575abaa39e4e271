"""The user's hand on single channels: gain, mute and mix, from a TOML file (docs/mapping.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.errors import MappingError
from freeavatar.mapping.user_mapping import UserMapping, read_mapping
from freeavatar.rig import ARKIT, RigSpec


def read_tuning(path: Path, rigs: Sequence[RigSpec]) -> UserMapping:
    """A file with [gain], mute and [map]; MappingError for a name that no rig has."""
    tuning = read_mapping(path)
    if tuning.base is not None:
        raise MappingError(
            f"{path}: profile has no meaning with --controls, which tunes an avatar's own "
            "controls. Leave the line out."
        )
    known = {name for rig in (ARKIT, *rigs) for name in rig.names}
    named = [*tuning.gains, *sorted(tuning.mute), *tuning.recipes]
    missing = [name for name in named if name not in known]
    if missing:
        rig_names = ", ".join(rig.name for rig in (ARKIT, *rigs))
        raise MappingError(
            f"{path} names {missing[0]!r}, which is not a control of {rig_names}. "
            "See their names with: freeavatar avatars show NAME"
        )
    return tuning


def tune(
    clip: AnimationClip, arkit: Float[np.ndarray, "frame 52"], tuning: UserMapping
) -> AnimationClip:
    """Mixed, then turned up or down about rest, then muted; names of other rigs are passed over.

    `arkit` are the same frames as ARKit's values before tuning: what [map] mixes from.
    """
    return replace(clip, values=tuned(clip.values, clip.rig, arkit, tuning))


def tuned(
    given: Float[np.ndarray, "frame control"],
    rig: RigSpec,
    arkit: Float[np.ndarray, "frame 52"],
    tuning: UserMapping,
) -> Float[np.ndarray, "frame control"]:
    """The same for bare values of a rig."""
    values = given.astype(np.float64)
    for name, recipe in tuning.recipes.items():
        if name in rig:
            mixed = sum(gain * arkit[:, ARKIT.index(source)] for source, gain in recipe.items())
            values[:, rig.index(name)] = rig.rest[rig.index(name)] + mixed
    for name, gain in tuning.gains.items():
        if name in rig:
            column = rig.index(name)
            values[:, column] = rig.rest[column] + gain * (values[:, column] - rig.rest[column])
    for name in tuning.mute:
        if name in rig:
            values[:, rig.index(name)] = rig.rest[rig.index(name)]
    return rig.clamp(values)
