"""Steps 1 and 2 together: what an actor does in a video, before any avatar."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from freeavatar.capture.track import Anchor, TrackConfig, track_actor
from freeavatar.capture.video import Video
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder, Expressions
from freeavatar.timing import Clock

BATCH = 32
"""Crops handed to the encoder together."""

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
    confidence: Float[np.ndarray, " frame"] = field(default_factory=lambda: np.zeros(0))
    """How sure capture was of the face; left out: 1 where it was found."""
    shot: Int[np.ndarray, " frame"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Counts up at every cut; left out: one shot."""

    def __post_init__(self) -> None:
        if len(self.confidence) == 0:
            object.__setattr__(self, "confidence", np.asarray(self.found, np.float64))
        if len(self.shot) == 0:
            object.__setattr__(self, "shot", np.zeros(len(self.found), np.int64))


def watch(
    video: Video,
    encoder: ExpressionEncoder,
    track: TrackConfig,
    clock: Clock,
    on_progress: OnProgress,
    anchor: Anchor | None = None,
) -> Performance:
    """Follow the actor through the take and describe every expression. Of a frame only its
    features are kept, so a take may be as long as it likes.

    A take in which nobody was found is watched again with less doubt: it may be drawn.
    """
    seen = _watch(video, encoder, track, clock, on_progress, anchor)
    if seen.found.any():
        return seen
    return _watch(video, encoder, track.eager(), clock, on_progress, anchor)


def _watch(
    video: Video,
    encoder: ExpressionEncoder,
    track: TrackConfig,
    clock: Clock,
    on_progress: OnProgress,
    anchor: Anchor | None,
) -> Performance:
    times_s, found, head_rad, confidence, shot = [], [], [], [], []
    crops: list[np.ndarray] = []
    with _Background(encoder, clock) as describing:
        for frame in clock.each("capture", track_actor(video, track, anchor)):
            times_s.append(frame.time_s)
            found.append(frame.crop is not None)
            head_rad.append(frame.head_rad)
            confidence.append(frame.confidence)
            shot.append(frame.shot)
            if frame.crop is not None:
                crops.append(frame.crop)
            if len(crops) == BATCH:
                describing.add(crops)
                crops = []
            on_progress("watching", len(times_s), video.num_frames)
        seen = describing.finish(crops)
    present = np.array(found, bool)
    return Performance(
        np.array(times_s, np.float64),
        present,
        np.array(head_rad, np.float64).reshape(-1, 3),
        _spread(seen.embeddings, present),
        _spread(seen.features, present),
        np.array(confidence, np.float64),
        np.array(shot, np.int64),
    )


class _Background:
    """Describes batches of crops in a thread of its own, in order, while capture goes on."""

    def __init__(self, encoder: ExpressionEncoder, clock: Clock) -> None:
        self._encoder, self._clock = encoder, clock
        self._pool = ThreadPoolExecutor(1, "expression")
        self._waiting: deque[Future[Expressions]] = deque()
        self._done: list[Expressions] = []

    def __enter__(self) -> _Background:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, crops: list[np.ndarray]) -> None:
        """Another batch; waits when capture is two batches ahead, so that memory stays bounded."""
        self._waiting.append(self._pool.submit(self._describe, crops))
        while len(self._waiting) > 2:
            self._done.append(self._waiting.popleft().result())

    def finish(self, crops: list[np.ndarray]) -> Expressions:
        """All batches so far, and these last crops, as one."""
        self.add(crops)
        self._done += [one.result() for one in self._waiting]
        return Expressions(
            np.concatenate([some.embeddings for some in self._done]),
            np.concatenate([some.features for some in self._done]),
        )

    def _describe(self, crops: list[np.ndarray]) -> Expressions:
        with self._clock("expression"):
            batch = np.array(crops, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3)
            return self._encoder.encode(batch)


def _spread(
    rows: Float[np.ndarray, "seen column"], found: Bool[np.ndarray, " frame"]
) -> Float[np.ndarray, "frame column"]:
    """Rows of the frames with a face at their places, zero elsewhere."""
    spread = np.zeros((len(found), rows.shape[1]), np.float32)
    spread[found] = rows
    return spread
