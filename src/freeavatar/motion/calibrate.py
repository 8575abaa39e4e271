"""Neutral calibration: what this actor's face does when it does nothing becomes the rig's rest.

With n the actor's neutral value of a control whose rest is r:

    v >= n:  v' = r + (v - n) (max - r) / (max - n)
    v <  n:  v' = r - (n - v) (r - min) / (n - min)

so n goes to rest, and the limits stay where they are; for ARKit (rest = min = 0, max = 1) this is
v' = max(0, v - n) / (1 - n). Two controls that pull against each other (jawLeft, jawRight) share
an axis: what lies below the neutral d = max(0, n - v) of the one is movement of the other,
v'_other = (v_other + d) / (1 + d).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from freeavatar.animation import AnimationClip
from freeavatar.errors import InputError, UsageError
from freeavatar.rig import RigSpec

NeutralMode = Literal["auto", "off"] | int
"""`auto` finds the neutral in the take, `off` changes nothing, a number is the neutral frame."""

OPPOSED: tuple[tuple[str, str], ...] = (
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
    ("eyeLookInLeft", "eyeLookOutLeft"),
    ("eyeLookUpLeft", "eyeLookDownLeft"),
    ("eyeLookInRight", "eyeLookOutRight"),
    ("eyeLookUpRight", "eyeLookDownRight"),
)
"""ARKit controls that move one thing in opposite directions."""

MOST = 0.95
"""No neutral, not even one named by its frame, takes more than this share of a control's range."""


@dataclass(frozen=True)
class NeutralConfig:
    """Which face counts as neutral, and how far the automatic estimate is trusted."""

    mode: NeutralMode = "auto"
    """auto, off, or the number of the frame (from 0) that shows the neutral face."""
    head: bool = False
    """Also take the neutral head pose as looking straight ahead; off, because a head that is
    turned away throughout is usually acting, not a camera beside the face."""
    calm_share: float = 0.1
    """Share of the frames, the calmest, whose median is the automatic neutral."""
    most: float = 0.2
    """Largest automatic neutral, as a share of the range: an actor who smiles through the whole
    take keeps most of the smile."""
    trust_from_s: float = 1.0
    """Shorter takes are left alone: one expression says nothing about the neutral face."""
    trust_fully_s: float = 6.0
    """From here the estimate counts in full, between the two in proportion (`at_rest.FULLY_S` where
    the animator is told and nothing is subtracted)."""


@dataclass(frozen=True)
class Neutral:
    """One actor's neutral face."""

    values: Float[np.ndarray, " control"]
    head_rad: Float[np.ndarray, " 3"]


def parse_neutral(text: str) -> NeutralMode:
    """`auto`, `off` or a frame number, as typed on the command line."""
    lowered = text.strip().lower()
    if lowered == "auto":
        return "auto"
    if lowered == "off":
        return "off"
    if lowered.isdecimal():
        return int(lowered)
    raise UsageError(
        f"--neutral {text} is not understood. Use auto, off, or the number of a frame (from 0)."
    )


def calibrate(clip: AnimationClip, config: NeutralConfig | None = None) -> AnimationClip:
    """The same performance as deviations from the actor's neutral face. Gaze keeps its direction,
    unless a neutral frame was named."""
    config = config or NeutralConfig()
    neutral = find_neutral(clip, config)
    if neutral is None:
        return clip
    values = subtract_neutral(clip.values, neutral.values, clip.rig)
    head = clip.head_rad
    if config.head:
        head = turned_back(head, neutral.head_rad)
    return replace(clip, values=values, head_rad=head)


def find_neutral(clip: AnimationClip, config: NeutralConfig | None = None) -> Neutral | None:
    """The actor's neutral face in a take; None when there is nothing to subtract."""
    config = config or NeutralConfig()
    if config.mode == "off":
        return None
    if config.mode != "auto":
        frame = int(config.mode)
        _check_frame(clip, frame)
        return Neutral(clip.values[frame].astype(np.float64), clip.head_rad[frame])
    calm, trust = calm_frames(clip, config)
    if trust == 0.0:
        return None
    rig = clip.rig
    offset = np.median(clip.values[calm].astype(np.float64), axis=0) - rig.rest
    offset = held_back(offset, rig, config.most)
    head = np.median(clip.head_rad[calm], axis=0)
    return Neutral(rig.rest + trust * offset, head)


def calm_frames(
    clip: AnimationClip, config: NeutralConfig | None = None
) -> tuple[Int[np.ndarray, " calm"], float]:
    """Frames that show the neutral face, and how far they are trusted, 0 (none) to 1."""
    config = config or NeutralConfig()
    seen = np.flatnonzero(clip.found)
    # Time in which the face was seen, not the length of the take.
    seen_s = len(seen) / clip.frame_rate_hz
    trust = (seen_s - config.trust_from_s) / (config.trust_fully_s - config.trust_from_s)
    trust = float(np.clip(trust, 0.0, 1.0))
    if trust == 0.0:
        return np.zeros(0, np.int64), 0.0
    return seen[_calmest(clip.values[seen], clip.rig, config.calm_share)], trust


def held_back(
    offset: Float[np.ndarray, " control"], rig: RigSpec, most: float
) -> Float[np.ndarray, " control"]:
    """A neutral's distance from rest, at most a share of the range, without gaze.

    Actors look beside the camera on purpose; only a named frame says where straight ahead is.
    """
    room = np.where(offset > 0, rig.maximum - rig.rest, rig.rest - rig.minimum)
    limited = np.clip(offset, -most * room, most * room)
    limited[rig.columns("gaze")] = 0.0
    return limited


def subtract_neutral(
    values: Float[np.ndarray, "frame control"], neutral: Float[np.ndarray, " control"], rig: RigSpec
) -> Float[np.ndarray, "frame control"]:
    """The formula of this module's docstring; float32 inside the range of every control."""
    v = values.astype(np.float64)
    low, rest, high = (a.astype(np.float64) for a in (rig.minimum, rig.rest, rig.maximum))
    # A neutral at the very limit would leave no room for the limit itself to be reached.
    n = np.clip(neutral, rest + MOST * (low - rest), rest + MOST * (high - rest))
    above = np.divide(high - rest, high - n, out=np.zeros_like(n), where=high > n)
    below = np.divide(rest - low, n - low, out=np.zeros_like(n), where=n > low)
    result = rest + np.where(v >= n, (v - n) * above, (v - n) * below)
    for one, other in _opposed_columns(rig):
        short_of = np.maximum(n[[one, other]] - v[:, [one, other]], 0.0)
        result[:, one] = (result[:, one] + short_of[:, 1]) / (1.0 + short_of[:, 1])
        result[:, other] = (result[:, other] + short_of[:, 0]) / (1.0 + short_of[:, 0])
    return rig.clamp(result)


def _opposed_columns(rig: RigSpec) -> list[tuple[int, int]]:
    """Opposed controls that this rig has, where both run from 0 at rest to 1."""

    def plain(column: int) -> bool:
        control = rig.controls[column]
        return (control.minimum, control.rest, control.maximum) == (0.0, 0.0, 1.0)

    pairs = [(rig.index(a), rig.index(b)) for a, b in OPPOSED if a in rig and b in rig]
    return [(a, b) for a, b in pairs if plain(a) and plain(b)]


def _calmest(
    values: Float[np.ndarray, "frame control"], rig: RigSpec, share: float
) -> Int[np.ndarray, " calm"]:
    """Frames in which the face does least: nearest to every channel's own low, gaze left out."""
    span = np.maximum(rig.maximum - rig.minimum, 1e-6)
    away = np.abs(values.astype(np.float64) - rig.rest) / span
    low = np.percentile(away, 10, axis=0)
    counted: Bool[np.ndarray, " control"] = np.ones(len(rig), bool)
    counted[rig.columns("gaze")] = False
    effort = np.maximum(away - low, 0.0)[:, counted].sum(axis=1)
    num_calm = max(3, round(share * len(values)))
    return np.argsort(effort, kind="stable")[:num_calm]


def _check_frame(clip: AnimationClip, frame: int) -> None:
    if not 0 <= frame < len(clip):
        raise InputError(
            f"--neutral {frame} is outside the take, which has frames 0 to {len(clip) - 1}. "
            "Name one of them, or use --neutral auto."
        )
    if not clip.found[frame]:
        nearest = np.flatnonzero(clip.found)
        hint = ""
        if len(nearest):
            hint = f"The nearest with a face is {nearest[np.abs(nearest - frame).argmin()]}. "
        raise InputError(
            f"--neutral {frame} names a frame in which no face was seen. {hint}"
            "Name another one, or use --neutral auto."
        )


def turned_back(
    head_rad: Float[np.ndarray, "frame 3"], neutral_rad: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "frame 3"]:
    """Head rotation as seen from the neutral pose: R' = R_neutral^T R."""
    turned = rotation_from_head(neutral_rad[None])[0].T @ rotation_from_head(head_rad)
    return head_from_rotation(turned)


def rotation_from_head(
    head_rad: Float[np.ndarray, "frame 3"],
) -> Float[np.ndarray, "frame 3 3"]:
    """R = Ry(yaw) @ Rx(pitch) @ Rz(roll), as in AnimationClip; many frames at once."""
    cy, cx, cz = np.cos(np.asarray(head_rad, np.float64)).T
    sy, sx, sz = np.sin(np.asarray(head_rad, np.float64)).T
    rows = [
        [cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [cy * sx * sz - sy * cz, sy * sz + cy * sx * cz, cy * cx],
    ]
    return np.array(rows).transpose(2, 0, 1)


def head_from_rotation(
    rotation: Float[np.ndarray, "frame 3 3"],
) -> Float[np.ndarray, "frame 3"]:
    """(yaw, pitch, roll) of a rotation; the inverse of `rotation_from_head` for |pitch| < 90°."""
    yaw = np.arctan2(rotation[:, 0, 2], rotation[:, 2, 2])
    pitch = np.arcsin(np.clip(-rotation[:, 1, 2], -1.0, 1.0))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.stack([yaw, pitch, roll], axis=1)
