"""What `animate`, `retarget` and `live` share: the user's hand on finished curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.mapping.user_mapping import UserMapping
from freeavatar.motion.tune import read_tuning
from freeavatar.rig import RigSpec


@dataclass(frozen=True)
class CurveOptions:
    """What is done to curves at the end."""

    controls: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="(default: none)")
    ] = None
    """Gain, mute and mix of single controls (docs/mapping.md)."""
    swap_sides: bool = False
    """Left for right: for footage that shows the actor as in a mirror."""

    def tuning(self, rigs: Sequence[RigSpec]) -> UserMapping | None:
        """The file of controls, checked against ARKit's names and those of these rigs."""
        return None if self.controls is None else read_tuning(self.controls, rigs)
