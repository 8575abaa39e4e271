"""Steps 1 and 2 together: what an actor does in a video, before any avatar."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from freeavatar.capture.stillness import StillFace
from freeavatar.capture.track import Anchor, TrackConfig, track_actor
from freeavatar.capture.video import Video
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder, Expressions
from freeavatar.timing import Clock

BATCH = 32
"""Crops handed to the encoder together."""
_BLOCK_ROWS = 1024
"""Of a growing table."""

_Described = tuple[Expressions, Float[np.ndarray, "crop feature"]]
"""What is seen in crops; features of their mirror images, or none of these."""

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
    mirrored_features: Float[np.ndarray, "frame feature"] | None = None
    """Of the same faces as a mirror shows them, when they were looked at twice."""

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
    look_twice: bool = False,
) -> Performance:
    """Follow the actor through the take and describe every expression. Of a frame only its
    features are kept, so a take may be as long as it likes. `look_twice` describes every face a
    second time as a mirror shows it.

    A take in which nobody was found is watched again with less doubt: it may be drawn.
    """
    seen = _watch(video, encoder, track, clock, on_progress, anchor, look_twice)
    if seen.found.any():
        return seen
    return _watch(video, encoder, track.eager(), clock, on_progress, anchor, look_twice)


def _watch(
    video: Video,
    encoder: ExpressionEncoder,
    track: TrackConfig,
    clock: Clock,
    on_progress: OnProgress,
    anchor: Anchor | None,
    look_twice: bool,
) -> Performance:
    notes = Rows()
    crops: list[np.ndarray] = []
    face = StillFace()
    with _Background(encoder, clock, look_twice) as describing:
        for frame in clock.each("capture", track_actor(video, track, anchor)):
            seen = frame.crop is not None
            told = [frame.time_s, seen, *frame.head_rad, frame.confidence, frame.shot]
            notes.add(np.array([told], np.float64))
            if frame.crop is not None:
                crops.append(face.settle(frame.crop))
            if len(crops) == BATCH:
                describing.add(crops)
                crops = []
            on_progress("watching", len(notes), video.num_frames)
        expressions, mirrored = describing.finish(crops)
    columns = np.ascontiguousarray(notes.joined(7).T)
    present = columns[1] > 0
    return Performance(
        columns[0],
        present,
        columns[2:5].T,
        _spread(expressions.embeddings, present),
        _spread(expressions.features, present),
        columns[5],
        columns[6].astype(np.int64),
        _spread(mirrored, present) if look_twice else None,
    )


class Rows:
    """A table that grows. Many small arrays that stay, among large ones that come and go, would
    leave the memory between them in pieces too small to use again."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._free = 0

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK_ROWS - self._free

    def add(self, rows: Float[np.ndarray, "row column"]) -> None:
        """Copies the rows; all have the columns and the type of the first."""
        while len(rows):
            if not self._free:
                self._blocks.append(np.empty((_BLOCK_ROWS, rows.shape[1]), rows.dtype))
                self._free = _BLOCK_ROWS
            start = _BLOCK_ROWS - self._free
            part = rows[: self._free]
            self._blocks[-1][start : start + len(part)] = part
            self._free -= len(part)
            rows = rows[len(part) :]

    def joined(self, num_columns: int) -> Float[np.ndarray, "row column"]:
        """All rows; none in as many columns when nothing was added."""
        if not self._blocks:
            return np.zeros((0, num_columns), np.float64)
        full = self._blocks[:-1]
        return np.concatenate([*full, self._blocks[-1][: _BLOCK_ROWS - self._free]])


class _Background:
    """Describes batches of crops in a thread of its own, in order, while capture goes on."""

    def __init__(self, encoder: ExpressionEncoder, clock: Clock, look_twice: bool) -> None:
        self._encoder, self._clock, self._look_twice = encoder, clock, look_twice
        self._pool = ThreadPoolExecutor(1, "expression")
        self._waiting: deque[Future[_Described]] = deque()
        self._embeddings, self._features, self._mirrored = Rows(), Rows(), Rows()

    def __enter__(self) -> _Background:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, crops: list[np.ndarray]) -> None:
        """Another batch; waits when capture is two batches ahead, so that memory stays bounded."""
        self._waiting.append(self._pool.submit(self._describe, crops))
        while len(self._waiting) > 2:
            self._keep(self._waiting.popleft().result())

    def finish(self, crops: list[np.ndarray]) -> _Described:
        """All batches so far, and these last crops, as one."""
        self.add(crops)
        last = [one.result() for one in self._waiting]
        for some in last:
            self._keep(some)
        seen, mirrored = last[-1]
        expressions = Expressions(
            self._embeddings.joined(seen.embeddings.shape[1]),
            self._features.joined(seen.features.shape[1]),
        )
        return expressions, self._mirrored.joined(mirrored.shape[1])

    def _keep(self, some: _Described) -> None:
        seen, mirrored = some
        self._embeddings.add(seen.embeddings)
        self._features.add(seen.features)
        self._mirrored.add(mirrored)

    def _describe(self, crops: list[np.ndarray]) -> _Described:
        with self._clock("expression"):
            batch = np.array(crops, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3)
            seen = self._encoder.encode(batch)
            if not self._look_twice:
                return seen, seen.features[:0]
            return seen, self._encoder.encode(batch[:, :, ::-1]).features


def _spread(
    rows: Float[np.ndarray, "seen column"], found: Bool[np.ndarray, " frame"]
) -> Float[np.ndarray, "frame column"]:
    """Rows of the frames with a face at their places, zero elsewhere."""
    spread = np.zeros((len(found), rows.shape[1]), np.float32)
    spread[found] = rows
    return spread
