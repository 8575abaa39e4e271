"""What the senders get: one moment of the performance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class LiveFrame:
    """One moment, calmed, calibrated and bridged."""

    number: int
    """Counts the frames that were shown, from 0."""
    time_s: float
    """Of the picture, on the source's clock."""
    arrived_s: float
    """When the picture came from the source (time.perf_counter): where latency starts."""
    found: bool
    """Whether the actor's face was seen; elsewhere the values ease to rest."""
    arkit: Float[np.ndarray, " arkit"]
    """ARKit's 52 values, in the order of rig.ARKIT."""
    head_rad: Float[np.ndarray, " 3"]
    """Yaw, pitch, roll (docs/conventions.md)."""
    controls: Float[np.ndarray, " control"]
    """On the avatar's own rig; the ARKit values without an avatar."""
    picture: UInt8[np.ndarray, "height width 3"] | None = None
    """What the camera saw, for the preview; None while no pictures come."""
