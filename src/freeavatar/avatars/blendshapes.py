"""From the morph targets of a file to the controls of a rig: names, partners, regions, bindings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.arkit import arkit_name, region_of_control
from freeavatar.avatars.avatar import Eye
from freeavatar.rig import Control, RigSpec

FOLLOWER = re.compile(r"^t_(?=.)")
"""VALID's teeth and tongue morph t_X moves with the face morph X."""

# Further followers of VALID: one lower-teeth morph for a mouth that closes with both lips.
FOLLOWERS = {"t_MPB_h": ("MPB_Up_h", "MPB_Down_h")}

GAZE_CONTROLS = tuple(
    f"eyeLook{direction}{side}"
    for side in ("Left", "Right")
    for direction in ("Down", "In", "Out", "Up")
)


def target_names(mesh: dict[str, Any], mesh_index: int, num_targets: int) -> list[str]:
    """Names of a glTF mesh's morph targets: prefixes cut, gaps filled, doubles numbered.

    The same morph in two meshes gets the same name, so that one weight moves both.
    """
    listed = (mesh.get("extras") or {}).get("targetNames")
    if listed is None:  # some VRM exporters name the targets of the primitive
        for primitive in mesh["primitives"]:
            listed = (primitive.get("extras") or {}).get("targetNames")
            if listed is not None:
                break
    given = [str(name) for name in listed] if isinstance(listed, list) else []
    names: list[str] = []
    for number in range(num_targets):
        name = given[number].rpartition(".")[2].strip() if number < len(given) else ""
        name = name or f"{mesh.get('name') or f'mesh_{mesh_index}'}_{number}"
        unique, copy = name, 2
        while unique in names:
            unique, copy = f"{name}_{copy}", copy + 1
        names.append(unique)
    return names


def mirror_partners(names: Sequence[str]) -> dict[str, str]:
    """For every control its mirrored partner by name; names without a side mirror to themselves."""
    known = set(names)
    partners: dict[str, str] = {}
    for name in names:
        candidates = [swap for swap in _side_swaps(name) if swap in known]
        if candidates:
            partners[name] = candidates[0]
    for name in names:
        # A partner must answer: a name that merely resembles the other side's is no mirror.
        if name in partners and partners.get(partners[name]) != name:
            del partners[name]
    return {name: partners.get(name, name) for name in names}


_WORD_SWAPS = (
    ("Left", "Right"),
    ("left", "right"),
    ("LEFT", "RIGHT"),
)


def _side_swaps(name: str) -> list[str]:
    """The spellings that the other side's control could have."""
    swaps = []
    for left, right in _WORD_SWAPS:
        for one, other in ((left, right), (right, left)):
            if one in name:
                swaps.append(name.replace(one, other))
    letters = {"L": "R", "R": "L", "l": "r", "r": "l"}
    for match in re.finditer(r"(?:(?<=[_\- .])|^)([LRlr])(?=$|[_\- .])", name):
        swaps.append(name[: match.start()] + letters[match[1]] + name[match.end() :])
    # VALID writes the side in front: LeyeClose_h, and LLbrowUp_h for the outer brow.
    front = re.match(r"^(LLL|RRR|LL|RR|L|R)(?=[a-z_])", name)
    if front:
        swaps.append("".join(letters[letter] for letter in front[1]) + name[front.end() :])
    back = re.search(r"(?<=[a-z])([LR])$", name)
    if back:
        swaps.append(name[: back.start()] + letters[back[1]])
    return swaps


def build_rig(
    name: str, morph_names: Sequence[str], eyes: Sequence[Eye]
) -> tuple[RigSpec, Float[np.ndarray, "morph control"]]:
    """Controls for these morphs, and the bindings by which controls drive morphs."""
    known = set(morph_names)
    masters = {morph: _masters(morph, known) for morph in morph_names}
    names = [morph for morph in morph_names if masters[morph] == (morph,)]
    spoken = {arkit_name(control) for control in names}
    sides = {eye.side.capitalize() for eye in eyes}
    names += [
        gaze
        for gaze in GAZE_CONTROLS
        if gaze not in spoken and any(gaze.endswith(side) for side in sides)
    ]
    partners = mirror_partners(names)
    rig = RigSpec(
        name,
        tuple(Control(control, region_of_control(control), partners[control]) for control in names),
    )
    bindings = np.zeros((len(morph_names), len(rig)), np.float32)
    for row, morph in enumerate(morph_names):
        for master in masters[morph]:
            bindings[row, rig.index(master)] = 1.0
    return rig, bindings


def _masters(morph: str, known: set[str]) -> tuple[str, ...]:
    """The controls that drive a morph: itself, or the face morphs that it follows."""
    face_morphs = FOLLOWERS.get(morph, (FOLLOWER.sub("", morph),))
    present = tuple(master for master in face_morphs if master in known)
    return present if present and morph not in present else (morph,)
