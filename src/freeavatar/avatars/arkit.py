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

from freeavatar.avatars.arkit_tables import FAMILIES, SYNONYMS
from freeavatar.rig import ARKIT, ARKIT_NAMES, Region, region_of

Recipe = Mapping[str, float]
"""How much each ARKit control adds to one control of a rig."""


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
    for name, spellings in SYNONYMS.items():
        for spelling in spellings:
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


def recipes(names: Sequence[str]) -> dict[str, Recipe]:
    """For every control that we understand, what it takes from ARKit."""
    understood = {name: recipe for name in names if (recipe := _arkit_recipe(name)) is not None}
    unknown = [name for name in names if name not in understood]
    best = max(FAMILIES.values(), key=lambda table: sum(normalised(n) in table for n in names))
    if not any(_is_own(name) for name in understood) or len(understood) < len(unknown):
        # ARKit's own spelling wins only where the family says nothing: a Vitruvian "Jaw_Left"
        # would be the same, but families may split one ARKit control over several of theirs.
        understood |= {name: best[normalised(name)] for name in names if normalised(name) in best}
    understood |= {name: best[normalised(name)] for name in unknown if normalised(name) in best}
    return understood


def _is_own(name: str) -> bool:
    return arkit_name(name) is not None and not normalised(name).startswith("eyelook")


def arkit_map(names: Sequence[str]) -> Float[np.ndarray, "control arkit"] | None:
    """Controls = clamp(map @ ARKit values) for a rig with these names; None if none is known."""
    matrix = np.zeros((len(names), len(ARKIT)), np.float32)
    for name, recipe in recipes(names).items():
        for control, weight in recipe.items():
            matrix[names.index(name), ARKIT.index(control)] += weight
    return matrix if matrix.any() else None


def region_of_control(name: str) -> Region:
    """Region of the face that a control moves, from its ARKit meaning or its own words."""
    region = region_of(arkit_name(name) or name)
    if region != "other":
        return region
    recipe = recipes([name]).get(name)
    if recipe:
        return region_of(max(recipe, key=lambda control: abs(recipe[control])))
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
)
