"""What the expression model sees when an actor's face does nothing, found in the take itself.

The animator reads a face as its difference from that. Two passes: curves as of an actor whom nobody
knows say which frames are calm; their features are what the second pass is told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from freeavatar.animation import AnimationClip
from freeavatar.animator.runtime import Animator
from freeavatar.motion.calibrate import NeutralConfig, calm_frames
from freeavatar.performance import Performance
from freeavatar.rig import ARKIT

FULLY_S = 2.5
"""Time with a face from which the calmest frames are trusted in full: what is told is a difference,
not subtracted, and a wrong guess costs little (docs/experiments.md)."""
FRONTAL_RAD = 0.6
"""Yaw and pitch together, up to which a face is seen from the front."""
CALM, BUSY = 3.0, 6.0
"""Sum of a face's controls: up to the first it may be at rest, from the second on it is not. Read
as anybody's, real faces that do nothing have 2 to 5, smiling ones 3.5 to 8."""


def at_rest(
    performance: Performance,
    animator: Animator,
    config: NeutralConfig | None = None,
    believed: Bool[np.ndarray, " frame"] | None = None,
) -> Float[np.ndarray, " feature"] | None:
    """Features of this actor's neutral face as `config` says to find it; None for nobody's.

    Of a short take only a part is believed. `believed` are the frames that may be looked at, those
    with a face when left out. A frame that is named and shows nobody gives None.
    """
    config = config or NeutralConfig()
    seen = performance.found if believed is None else believed
    if config.mode == "off" or not seen.any():
        return None
    if config.mode != "auto":
        frame = int(config.mode)
        there = 0 <= frame < len(seen) and bool(performance.found[frame])
        return performance.features[frame] if there else None
    calm, trust = calm_moments(performance, animator, config, seen)
    if trust == 0.0:
        return None
    features = performance.features[calm]
    trust *= calmness(np.median(animator.controls(features, ARKIT), axis=0))
    return between(animator, np.median(features, axis=0), trust)


def calm_moments(
    performance: Performance,
    animator: Animator,
    config: NeutralConfig,
    seen: Bool[np.ndarray, " frame"],
) -> tuple[Int[np.ndarray, " calm"], float]:
    """Frames that show the neutral face to the camera, and how far they are trusted, 0 to 1."""
    config = replace(config, trust_fully_s=FULLY_S)
    values = np.tile(ARKIT.rest, (len(seen), 1))
    values[seen] = animator.controls(performance.features[seen], ARKIT)
    clip = AnimationClip(ARKIT, performance.times_s, values, seen, performance.head_rad)
    away_rad = np.linalg.norm(performance.head_rad[:, :2], axis=1)
    frontal = replace(clip, found=seen & (away_rad < FRONTAL_RAD))
    calm, trust = calm_frames(frontal, config)
    # From the side a face looks like another: those frames count in takes that have no others.
    return (calm, trust) if trust else calm_frames(clip, config)


def calmness(arkit: Float[np.ndarray, " 52"]) -> float:
    """How far a face may be one at rest, 0 to 1, from its curves as of anybody."""
    counted = np.ones(len(ARKIT), bool)
    counted[ARKIT.columns("gaze")] = False
    return float(np.clip((BUSY - arkit[counted].sum()) / (BUSY - CALM), 0.0, 1.0))


def between(
    animator: Animator, features: Float[np.ndarray, " feature"], trust: float
) -> Float[np.ndarray, " feature"]:
    """A neutral face that is believed in part: 0 is anybody's, 1 the actor's own."""
    return animator.usual + trust * (features - animator.usual)
