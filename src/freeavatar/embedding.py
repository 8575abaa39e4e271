"""Expressions of many pictures and videos as one table of vectors, for search and comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from freeavatar.capture.actors import choose, find_people
from freeavatar.capture.track import TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.errors import InputError
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder
from freeavatar.performance import BATCH, OnProgress, watch
from freeavatar.timing import Clock

OnFailure = Callable[[InputError], None]


@dataclass(frozen=True)
class ExpressionTable:
    """One row per picture or video frame. Rows without a face are zero."""

    embeddings: Float[np.ndarray, "row embedding"]
    source: tuple[str, ...]
    time_s: Float[np.ndarray, " row"]
    found: Bool[np.ndarray, " row"]

    @staticmethod
    def empty() -> ExpressionTable:
        """No rows; joins with any other table."""
        return ExpressionTable(np.zeros((0, 0), np.float32), (), np.zeros(0), np.zeros(0, bool))

    @staticmethod
    def joined(tables: Sequence[ExpressionTable]) -> ExpressionTable:
        """All rows, in order."""
        filled = [table for table in tables if len(table.found)]
        if not filled:
            return ExpressionTable.empty()
        return ExpressionTable(
            np.concatenate([table.embeddings for table in filled]),
            tuple(source for table in filled for source in table.source),
            np.concatenate([table.time_s for table in filled]),
            np.concatenate([table.found for table in filled]),
        )


def embed_media(
    path: Path, encoder: ExpressionEncoder, track: TrackConfig, on_progress: OnProgress
) -> ExpressionTable:
    """Find and follow the face; a row for every frame."""
    video, anchor = open_video(path), None
    if isinstance(track.actor, int):
        anchor = choose(find_people(video, track), track.actor).anchor
    performance = watch(video, encoder, track, Clock(), on_progress, anchor)
    return ExpressionTable(
        performance.embeddings,
        (str(path),) * len(performance.found),
        performance.times_s,
        performance.found,
    )


def embed_crops(
    paths: Sequence[Path],
    encoder: ExpressionEncoder,
    on_failure: OnFailure,
    on_progress: OnProgress,
) -> ExpressionTable:
    """Every picture is a face crop already: a row each, zero for those that cannot be read."""
    tables = []
    for start in range(0, len(paths), BATCH):
        on_progress("embedding", start, len(paths))
        tables.append(_embed_some_crops(paths[start : start + BATCH], encoder, on_failure))
    return ExpressionTable.joined(tables)


def _embed_some_crops(
    paths: Sequence[Path], encoder: ExpressionEncoder, on_failure: OnFailure
) -> ExpressionTable:
    rows = [row for path in paths for row in _crops_of(path, on_failure)]
    found = np.array([crop is not None for _, _, crop in rows])
    crops = [crop for _, _, crop in rows if crop is not None]
    seen = encoder.encode(np.array(crops, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3))
    embeddings = np.zeros((len(rows), seen.embeddings.shape[1]), np.float32)
    embeddings[found] = seen.embeddings
    return ExpressionTable(
        embeddings,
        tuple(str(path) for path, _, _ in rows),
        np.array([time_s for _, time_s, _ in rows]),
        found,
    )


def _crops_of(
    path: Path, on_failure: OnFailure
) -> Iterator[tuple[Path, float, UInt8[np.ndarray, "224 224 3"] | None]]:
    """(path, time, crop): one for a picture, one per frame for a video of crops."""
    try:
        for frame in open_video(path):
            yield path, frame.time_s, square_crop(frame.rgb)
    except InputError as error:
        on_failure(error)
        yield path, 0.0, None


def square_crop(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "224 224 3"]:
    """The middle square of a face crop at the size that the encoder sees."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side > CROP_SIZE else cv2.INTER_CUBIC
    return np.ascontiguousarray(
        cv2.resize(square, (CROP_SIZE, CROP_SIZE), interpolation=method), dtype=np.uint8
    )
