"""AnimationClip: the curves of one rig over time, head rotation, and where a face was seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from freeavatar.rig import RigSpec


@dataclass(frozen=True)
class AnimationClip:
    """One performance on one rig.

    Head rotation is (yaw, pitch, roll) in radians, R = Ry(yaw) @ Rx(pitch) @ Rz(roll) in the
    character's space (+Y up, +Z out of the face, +X its left): yaw > 0 turns to its left,
    pitch > 0 looks down, roll > 0 tilts its head towards its right shoulder.
    """

    rig: RigSpec
    times_s: Float[np.ndarray, "frame"]
    values: Float[np.ndarray, "frame control"]
    found: Bool[np.ndarray, "frame"]
    """True where the actor's face was seen; elsewhere the values are bridged."""
    head_rad: Float[np.ndarray, "frame 3"]
    confidence: Float[np.ndarray, "frame"] = field(default_factory=lambda: np.zeros(0))
    """How sure capture was of the face, 0 to 1; left out: 1 where it was found."""
    shot: Int[np.ndarray, "frame"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Counts up at every cut of the recording; left out: one shot."""

    def __post_init__(self) -> None:
        num_frames = len(self.times_s)
        if len(self.confidence) == 0:
            object.__setattr__(self, "confidence", np.asarray(self.found, np.float64))
        if len(self.shot) == 0:
            object.__setattr__(self, "shot", np.zeros(num_frames, np.int64))
        expected = {
            "times_s": (num_frames,),
            "values": (num_frames, len(self.rig)),
            "found": (num_frames,),
            "head_rad": (num_frames, 3),
            "confidence": (num_frames,),
            "shot": (num_frames,),
        }
        for name, shape in expected.items():
            actual = np.shape(getattr(self, name))
            if actual != shape:
                raise ValueError(f"{name} has shape {actual}, expected {shape}")
        if num_frames > 1 and not (np.diff(self.times_s) > 0).all():
            raise ValueError("times_s must increase from frame to frame")

    def __len__(self) -> int:
        return len(self.times_s)

    def with_values(self, values: Float[np.ndarray, "frame control"]) -> AnimationClip:
        """The same clip with other control values."""
        return replace(self, values=values)

    @property
    def frame_rate_hz(self) -> float:
        """Median frame rate; 30 for a single frame."""
        if len(self) < 2:
            return 30.0
        return float(1.0 / np.median(np.diff(self.times_s)))
