"""RigSpec: the facts about one avatar's controls; ARKIT, the rig all others are compared with.

Lowest layer after errors: everything that moves a face agrees on names, ranges and order here.
Left and right are the character's own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

Region = Literal["brow", "eye", "gaze", "jaw", "mouth", "cheek", "nose", "tongue", "other"]
REGIONS: tuple[Region, ...] = get_args(Region)


@dataclass(frozen=True)
class Control:
    """One slider of a rig."""

    name: str
    region: Region = "other"
    mirror: str | None = None
    """The control of the mirrored movement; its own name on the midline; None if unknown."""
    minimum: float = 0.0
    maximum: float = 1.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a control needs a name")
        if not self.minimum <= self.rest <= self.maximum:
            raise ValueError(
                f"control {self.name!r}: rest {self.rest} is outside "
                f"[{self.minimum}, {self.maximum}]"
            )


@dataclass(frozen=True)
class RigSpec:
    """The ordered controls of one rig; every array of control values has this order."""

    name: str
    controls: tuple[Control, ...]

    def __post_init__(self) -> None:
        names = [control.name for control in self.controls]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"rig {self.name!r} names controls twice: {', '.join(twice)}")

    def __len__(self) -> int:
        return len(self.controls)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(control.name for control in self.controls)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """Column of a control; KeyError names the control and the rig."""
        try:
            return self._index[name]
        except KeyError:
            raise KeyError(f"rig {self.name!r} has no control {name!r}") from None

    @cached_property
    def minimum(self) -> Float[np.ndarray, "control"]:
        return np.array([control.minimum for control in self.controls], np.float32)

    @cached_property
    def maximum(self) -> Float[np.ndarray, "control"]:
        return np.array([control.maximum for control in self.controls], np.float32)

    @cached_property
    def rest(self) -> Float[np.ndarray, "control"]:
        return np.array([control.rest for control in self.controls], np.float32)

    def clamp(self, values: Float[np.ndarray, "... control"]) -> Float[np.ndarray, "... control"]:
        """Values inside the range of every control; float32."""
        return np.clip(values, self.minimum, self.maximum).astype(np.float32)

    def columns(self, region: Region) -> Int[np.ndarray, "column"]:
        """Columns of the controls in one region of the face."""
        return np.array([i for i, c in enumerate(self.controls) if c.region == region], np.int64)

    @cached_property
    def mirror_columns(self) -> Int[np.ndarray, "control"]:
        """values[..., mirror_columns] is the mirrored face; unknown partners stay in place."""
        return np.array(
            [self._index.get(c.mirror or c.name, i) for i, c in enumerate(self.controls)], np.int64
        )

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for files; `from_json` reads it back equal."""
        return {
            "name": self.name,
            "controls": [
                {
                    "name": c.name,
                    "region": c.region,
                    "mirror": c.mirror,
                    "minimum": c.minimum,
                    "maximum": c.maximum,
                    "rest": c.rest,
                }
                for c in self.controls
            ],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> RigSpec:
        return RigSpec(data["name"], tuple(Control(**control) for control in data["controls"]))

    @cached_property
    def digest(self) -> str:
        """Short hash of names, ranges and order: two rigs with the same digest share weights."""
        text = json.dumps(self.to_json()["controls"], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# Apple's ARFaceAnchor.BlendShapeLocation, in the order Live Link Face writes its columns, except
# that Left comes before Right everywhere (Live Link's file swaps jaw and mouth: see export).
ARKIT_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)


def region_of(name: str) -> Region:
    """Region of the face that a control moves, read from an ARKit-like name."""
    lowered = name.lower()
    if "eyelook" in lowered or "gaze" in lowered:
        return "gaze"
    for region in ("tongue", "brow", "cheek", "nose", "jaw", "eye", "mouth"):
        if region in lowered:
            return region
    return "other"


def mirror_name(name: str) -> str:
    """Name of the mirrored control for names that say Left or Right; else the name itself."""
    for left, right in (("Left", "Right"), ("left", "right"), ("LEFT", "RIGHT")):
        if left in name:
            return name.replace(left, right)
        if right in name:
            return name.replace(right, left)
    return name


ARKIT = RigSpec(
    "arkit", tuple(Control(name, region_of(name), mirror_name(name)) for name in ARKIT_NAMES)
)
"""The 52 ARKit blendshapes, each in [0, 1]: the common tongue of face tracking."""
