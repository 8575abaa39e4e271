"""The user's own maps: a TOML file that adds names, turns movements up or down, or mutes them.

profile = "vrm1"                      # names to start from; left out: only those of [map]
mute = ["lookUp", "lookDown"]         # stay at rest
[map]                                 # target = {ARKit control = gain, ...} or one control
Grin = { mouthSmileLeft = 0.5, mouthSmileRight = 0.5, jawOpen = -0.3 }
Puff = "cheekPuff"
[gain]                                # multiplies a target
aa = 1.4
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.errors import MappingError, UsageError
from freeavatar.mapping.profiles import Profile, Recipe, Target, find_profile
from freeavatar.rig import ARKIT, ARKIT_NAMES, RigSpec

KEYS = ("profile", "mute", "map", "gain")


@dataclass(frozen=True)
class UserMapping:
    """What one mapping file asks for."""

    name: str
    """Stem of the file."""
    base: Profile | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)
    mute: frozenset[str] = frozenset()

    def profile(self) -> Profile:
        """Targets of the base profile and of [map], for `profiles.weights`.

        MappingError when gain or mute name a target that is in neither, or nothing is left.
        """
        targets = {target.name: target for target in (self.base.targets if self.base else ())}
        for name, recipe in self.recipes.items():
            # A target that the profile has keeps its rest and range.
            known = targets.get(name)
            targets[name] = replace(known, recipe=recipe) if known else Target(name, recipe)
        self._check_names(targets, "a target of this mapping")
        if not targets:
            raise MappingError(
                f"{self.name}: it names neither a profile nor targets. "
                'Add profile = "vrm1" or a table [map] with target = {arkitControl = gain}.'
            )
        base = self.base
        return Profile(
            self.name,
            f"mapping {self.name}",
            tuple(self._changed(target) for target in targets.values()),
            # A recipe of the user's for a lid means what it says.
            base.shared_blinks
            if base and base.shared_blinks and not self.recipes.keys() & set(base.shared_blinks)
            else None,
            base.unreadable if base else (),
        )

    def rig_map(
        self, rig: RigSpec, arkit_to_rig: Float[np.ndarray, "control arkit"] | None
    ) -> Float[np.ndarray, "control arkit"]:
        """The map of an avatar with the rows that this file names changed.

        MappingError when it names a control that the rig does not have.
        """
        for name in self.recipes:
            _check(name, rig.names, f"{self.name}: [map] names {name!r}, which is not a control")
        self._check_names(rig.names, f"a control of {rig.name!r}")
        matrix = np.zeros((len(rig), len(ARKIT)), np.float32)
        if arkit_to_rig is not None:
            matrix[:] = arkit_to_rig
        for name, recipe in self.recipes.items():
            matrix[rig.index(name)] = _row(recipe)
        for name, gain in self.gains.items():
            matrix[rig.index(name)] *= gain
        for name in self.mute:
            matrix[rig.index(name)] = 0.0
        return matrix

    def _changed(self, target: Target) -> Target:
        gain = 0.0 if target.name in self.mute else self.gains.get(target.name, 1.0)
        return replace(target, recipe={control: w * gain for control, w in target.recipe.items()})

    def _check_names(self, known: Collection[str], what: str) -> None:
        for table, names in (("gain", self.gains), ("mute", sorted(self.mute))):
            for name in names:
                _check(name, known, f"{self.name}: {table} names {name!r}, which is not {what}")


def read_mapping(path: Path) -> UserMapping:
    """Read and check a mapping file; MappingError says in one sentence what is wrong in it."""
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        reason = error.strerror or error
        raise MappingError(f"{path} cannot be read: {reason}. Check the path.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{path} is not a TOML file: {error}. See docs/mapping.md.") from error
    name = path.name
    for key in data:
        _check(key, KEYS, f"{name}: there is no setting {key!r}")
    return UserMapping(
        name,
        _base(name, data.get("profile")),
        {target: _recipe(name, target, given) for target, given in _table(name, data, "map")},
        {
            target: _number(name, f"[gain] {target}", given)
            for target, given in _table(name, data, "gain")
        },
        _mute(name, data.get("mute", [])),
    )


def _base(file: str, given: Any) -> Profile | None:
    if given is None:
        return None
    if not isinstance(given, str):
        raise MappingError(f"{file}: profile is {given!r}. Write its name in quotes.")
    try:
        return find_profile(given)
    except UsageError as error:
        raise MappingError(f"{file}: {error}") from error


def _table(file: str, data: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise MappingError(f"{file}: {key} is {table!r}. Write it as a table: [{key}]")
    if "" in table:
        raise MappingError(f"{file}: [{key}] has a target without a name.")
    return list(table.items())


def _recipe(file: str, target: str, given: Any) -> dict[str, float]:
    if isinstance(given, str):
        given = {given: 1.0}
    if not isinstance(given, dict) or not given:
        raise MappingError(
            f"{file}: [map] {target} is {given!r}. "
            "Write the ARKit controls it takes: {jawOpen = 1.0}"
        )
    recipe = {}
    for control, gain in given.items():
        _check(
            control,
            ARKIT_NAMES,
            f"{file}: [map] {target} takes {control!r} from ARKit, which has no such control",
        )
        recipe[control] = _number(file, f"[map] {target}: {control}", gain)
    return recipe


def _number(file: str, where: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise MappingError(f"{file}: {where} is {given!r}. Write a number, for example 1.0")
    return float(given)


def _mute(file: str, given: Any) -> frozenset[str]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise MappingError(f'{file}: mute is {given!r}. Write a list of names: ["lookUp"]')
    return frozenset(given)


def _check(name: str, known: Collection[str], complaint: str) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    listed = ", ".join(list(known)[:8]) + (", ..." if len(known) > 8 else "")
    raise MappingError(
        f"{complaint}. " + (f"Did you mean {near[0]}?" if near else f"There are: {listed}.")
    )


def _row(recipe: Recipe) -> Float[np.ndarray, "arkit"]:
    row = np.zeros(len(ARKIT), np.float32)
    for control, gain in recipe.items():
        row[ARKIT.index(control)] += gain
    return row
