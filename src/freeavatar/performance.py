"""Steps 1 and 2 together: what an actor does in a video, before any avatar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.capture.track import TrackConfig, track_actor
from freeavatar.capture.video import Video
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder, Expressions
from freeavatar.timing import Clock

BATCH = 32
"""Crops encoded together: more gains nothing on a CPU and costs memory."""

OnProgress = Callable[[str, int, int | None], None]
"""Called with (what is done, frames done, frames in all or None when unknown)."""


@dataclass(frozen=True)
class Performance:
    """What the actor did, before any avatar. Rows of frames without a face are zero."""

    times_s: Float[np.ndarray, " frame"]
    found: Bool[np.ndarray, " frame"]
    head_rad: Float[np.ndarray, "frame 3"]
    embeddings: Float[np.ndarray, "frame embedding"]
    features: Float[np.ndarray, "frame feature"]


def watch(
    video: Video,
    encoder: ExpressionEncoder,
    track: TrackConfig,
    clock: Clock,
    on_progress: OnProgress,
) -> Performance:
    """Follow the actor through the take and describe every expression. Of a frame only its
    features are kept, so a take may be as long as it likes."""
    times_s, found, head_rad = [], [], []
    crops: list[np.ndarray] = []
    seen: list[Expressions] = []

    def encode() -> None:
        batch = np.array(crops, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3)
        with clock("expression"):
            seen.append(encoder.encode(batch))
        crops.clear()

    for frame in clock.each("capture", track_actor(video, track)):
        times_s.append(frame.time_s)
        found.append(frame.crop is not None)
        head_rad.append(frame.head_rad)
        if frame.crop is not None:
            crops.append(frame.crop)
        if len(crops) == BATCH:
            encode()
        on_progress("watching", len(times_s), video.num_frames)
    encode()
    present = np.array(found, bool)
    return Performance(
        np.array(times_s, np.float64),
        present,
        np.array(head_rad, np.float64).reshape(-1, 3),
        _spread(np.concatenate([some.embeddings for some in seen]), present),
        _spread(np.concatenate([some.features for some in seen]), present),
    )


def _spread(
    rows: Float[np.ndarray, "seen column"], found: Bool[np.ndarray, " frame"]
) -> Float[np.ndarray, "frame column"]:
    """Rows of the frames with a face at their places, zero elsewhere."""
    spread = np.zeros((len(found), rows.shape[1]), np.float32)
    spread[found] = rows
    return spread
