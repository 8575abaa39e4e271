"""Which avatars one animator drives, and which of their controls share a meaning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from freeavatar.rig import ARKIT, RigSpec

ARKIT_MEMBER = "arkit"
"""The member of a cast that is no avatar: the curves themselves."""


@dataclass(frozen=True)
class DrivenRig:
    """One avatar as the animator knows it."""

    avatar: str
    rig: RigSpec
    arkit_to_rig: Float[np.ndarray, "control 52"]
    """The weak teacher: how this rig shows what ARKit's controls name."""


@dataclass(frozen=True)
class Cast:
    """All avatars of one animator. Controls of the same name share a vector across avatars."""

    members: tuple[DrivenRig, ...]

    @cached_property
    def control_names(self) -> tuple[str, ...]:
        """Every different control name, in order of first appearance."""
        return tuple(dict.fromkeys(name for m in self.members for name in m.rig.names))

    def slots(self, member: DrivenRig) -> Int[np.ndarray, " control"]:
        """Rows of a member's controls in the table of control vectors."""
        rows = {name: i for i, name in enumerate(self.control_names)}
        return np.array([rows[name] for name in member.rig.names], np.int64)

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "avatar": m.avatar,
                "rig": m.rig.to_json(),
                "arkit_to_rig": np.round(m.arkit_to_rig, 5).tolist(),
            }
            for m in self.members
        ]

    @staticmethod
    def from_json(data: list[dict[str, Any]]) -> Cast:
        return Cast(
            tuple(
                DrivenRig(
                    m["avatar"],
                    RigSpec.from_json(m["rig"]),
                    np.asarray(m["arkit_to_rig"], np.float32),
                )
                for m in data
            )
        )


def arkit_member() -> DrivenRig:
    """The rig of the Live Link curves, driven like any avatar."""
    return DrivenRig(ARKIT_MEMBER, ARKIT, np.eye(len(ARKIT), dtype=np.float32))
