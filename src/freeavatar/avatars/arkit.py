"""What control names mean in ARKit's terms: the map from ARKit values to the controls of a rig.

A name that ARKit knows (in any spelling) maps to itself; other naming systems have tables in
`arkit_tables`, and the table that knows most of a rig's names is used for the rest of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.arkit_tables import FAMILIES
from freeavatar.rig import ARKIT, ARKIT_NAMES, Region, region_of

Recipe = Mapping[str, float]
"""How much each ARKit control adds to one control of a rig."""


SPEAKS_ARKIT = 8
"""Names of ARKit's own, gaze aside, that make a rig an ARKit rig."""


def normalised(name: str) -> str:
    """Lower-case letters and digits only: eyeBlink_L, EyeBlink.L and eye_blink_l are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _spellings() -> dict[str, str]:
    """Every spelling of a single ARKit control that we recognise, normalised."""
    table: dict[str, str] = {}
    for name in ARKIT_NAMES:
        table[normalised(name)] = name
    for name in ARKIT_NAMES:
        for side in ("Left", "Right"):
            if name.endswith(side):
                stem = normalised(name.removesuffix(side))
                letter = side[0].lower()
                for spelling in (stem + letter, side.lower() + stem):
                    table.setdefault(spelling, name)
    return table


def arkit_name(name: str) -> str | None:
    """The ARKit control that a name spells, or None."""
    return _spellings().get(normalised(name))


@cache
def _halves() -> dict[str, dict[str, float]]:
    """Names with one side more or less than ARKit: mouthSmile, browInnerUp_L, cheekPuff_R."""
    table: dict[str, dict[str, float]] = {}
    for name in ARKIT_NAMES:
        stem = normalised(name.removesuffix("Left"))
        if name.endswith("Left") and stem not in ("jaw", "mouth"):
            other = name.removesuffix("Left") + "Right"
            table[stem] = {name: 0.5, other: 0.5}
        elif not name.endswith(("Left", "Right")):
            for side in ("l", "r", "left", "right"):
                table[stem + side] = {name: 1.0}
    # Looking is one movement of both eyes: to the left is out for the left eye, in for the right.
    table["eyelookleft"] = {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}
    table["eyelookright"] = {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5}
    for side in ("left", "right", "l", "r"):
        table.pop("tongueout" + side, None)
    return table


def _arkit_recipe(name: str) -> Recipe | None:
    known = arkit_name(name)
    return {known: 1.0} if known else _halves().get(normalised(name))


def recipes(names: Sequence[str], said: Mapping[str, str] | None = None) -> dict[str, Recipe]:
    """For every control that we understand, what it takes from ARKit.

    `said` gives further names for some controls (the VRM expressions that they are).
    """
    spoken = {known for name in names if (known := arkit_name(name))}
    if len([name for name in spoken if region_of(name) != "gaze"]) >= SPEAKS_ARKIT:
        return _of_arkit_rig(names, spoken)
    best = max(FAMILIES.values(), key=lambda table: sum(normalised(n) in table for n in names))
    found: dict[str, Recipe] = {}
    for name in names:
        # A table written for the rig knows more than the likeness of a name to ARKit's.
        recipe = best.get(normalised(name)) or _arkit_recipe(name)
        if recipe is None and said and name in said:
            recipe = _arkit_recipe(said[name]) or FAMILIES["vrm"].get(normalised(said[name]))
        if recipe is not None:
            found[name] = recipe
    return found


def _of_arkit_rig(names: Sequence[str], spoken: set[str]) -> dict[str, Recipe]:
    """Recipes in a rig with ARKit's names: a mouthSmile beside the two sided ones stays at rest."""
    found: dict[str, Recipe] = {}
    for name in names:
        recipe = _arkit_recipe(name)
        if arkit_name(name) is None and recipe is not None:
            recipe = {control: w for control, w in recipe.items() if control not in spoken}
        if recipe:
            found[name] = recipe
    return found


def arkit_map(
    names: Sequence[str], said: Mapping[str, str] | None = None
) -> Float[np.ndarray, "control arkit"] | None:
    """Controls = clamp(map @ ARKit values) for a rig with these names; None if none is known."""
    matrix = np.zeros((len(names), len(ARKIT)), np.float32)
    for name, recipe in recipes(names, said).items():
        for control, weight in recipe.items():
            matrix[names.index(name), ARKIT.index(control)] += weight
    return matrix if matrix.any() else None


def region_of_control(name: str) -> Region:
    """Region of the face that a control moves, from its ARKit meaning or its own words."""
    recipe = recipes([name]).get(name)
    if recipe:
        return region_of(max(recipe, key=lambda control: abs(recipe[control])))
    region = region_of(name)
    if region != "other":
        return region
    lowered = name.lower()
    for words, guess in _REGION_WORDS:
        if any(word in lowered for word in words):
            return guess
    return "other"


_REGION_WORDS: tuple[tuple[tuple[str, ...], Region], ...] = (
    (("_tg_", "tongue"), "tongue"),
    (("look",), "gaze"),
    (("blink", "squint", "lid"), "eye"),
    (("nostril", "sneer"), "nose"),
    (("lip", "smile", "kiss", "teeth", "chin", "frown"), "mouth"),
    (("sad", "angry"), "brow"),
)
