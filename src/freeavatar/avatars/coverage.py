"""What an avatar can show of ARKit's 52 movements, and of the names that other programs send."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.mapping.profiles import PROFILES, Profile
from freeavatar.rig import ARKIT, ARKIT_NAMES


@dataclass(frozen=True)
class Coverage:
    """Names of one profile, split by what happens on the avatar."""

    profile: str
    shown: tuple[str, ...]
    missing: tuple[str, ...]


def arkit_coverage(avatar: Avatar) -> Coverage:
    """A movement is shown when a control that it drives moves a vertex or turns an eye."""
    shown = set()
    if avatar.arkit_to_rig is not None:
        works = np.array([_works(avatar, column) for column in range(len(avatar.rig))])
        driven = (avatar.arkit_to_rig[works] != 0).any(axis=0)
        shown = {name for name, yes in zip(ARKIT_NAMES, driven, strict=True) if yes}
    return _split("arkit", ARKIT.names, shown)


def profile_coverage(avatar: Avatar) -> tuple[Coverage, ...]:
    """For every profile, the names that would move the avatar if it listened to them."""
    arkit = arkit_coverage(avatar)
    return tuple(_of_profile(profile, set(arkit.shown)) for profile in PROFILES.values())


def _of_profile(profile: Profile, shown: set[str]) -> Coverage:
    names = {target.name for target in profile.targets if shown & set(target.recipe)}
    if profile.shared_blinks is not None:
        both, *sides = profile.shared_blinks
        if names >= set(sides):
            names.add(both)
    return _split(profile.name, (*profile.names, *profile.unreadable), names)


def _works(avatar: Avatar, column: int) -> bool:
    for (side, _), gaze in avatar.gaze_columns.items():
        if gaze == column and any(eye.side == side for eye in avatar.eyes):
            return True
    morphs = np.flatnonzero(avatar.bindings[:, column])
    return any(
        surface.deltas[row].any()
        for surface in avatar.surfaces
        for row in np.flatnonzero(np.isin(surface.morphs, morphs))
    )


def _split(profile: str, names: tuple[str, ...], shown: set[str]) -> Coverage:
    return Coverage(
        profile,
        tuple(name for name in names if name in shown),
        tuple(name for name in names if name not in shown),
    )
