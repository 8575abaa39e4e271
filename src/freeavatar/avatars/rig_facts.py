"""Rig facts that travel in a GLB: asset.extras.freeavatar = {rig, controls, arkit_to_rig, licence}.

`controls` are those of `RigSpec.to_json`; `arkit_to_rig` has a row for each of them and a column
for each ARKit control. Controls drive the morph targets of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.gltf_buffers import BrokenGltf
from freeavatar.rig import ARKIT, REGIONS, RigSpec

EXTRAS_KEY = "freeavatar"


@dataclass(frozen=True)
class RigFacts:
    """What the maker of a file says about its rig."""

    rig: RigSpec
    arkit_to_rig: Float[np.ndarray, "control arkit"] | None
    licence: str


def read_facts(asset: dict[str, Any]) -> RigFacts | None:
    """The facts in a glTF asset entry; None when there are none."""
    extras = asset.get("extras")
    facts = extras.get(EXTRAS_KEY) if isinstance(extras, dict) else None
    if facts is None:
        return None
    rig = RigSpec.from_json({"name": str(facts["rig"]), "controls": facts["controls"]})
    for control in rig.controls:
        if control.region not in REGIONS:
            raise BrokenGltf(f"control {control.name!r} has the unknown region {control.region!r}")
    mapping = None
    if facts.get("arkit_to_rig") is not None:
        mapping = np.array(facts["arkit_to_rig"], np.float32)
        if mapping.shape != (len(rig), len(ARKIT)) or not np.isfinite(mapping).all():
            raise BrokenGltf(
                f"its ARKit map has shape {mapping.shape}, expected {(len(rig), len(ARKIT))}"
            )
    return RigFacts(rig, mapping, str(facts.get("licence", "")))


def bind_by_name(rig: RigSpec, morph_names: Sequence[str]) -> Float[np.ndarray, "morph control"]:
    """Bindings in which every control drives the morph of its own name."""
    bindings = np.zeros((len(morph_names), len(rig)), np.float32)
    for row, name in enumerate(morph_names):
        if name in rig:
            bindings[row, rig.index(name)] = 1.0
    return bindings
