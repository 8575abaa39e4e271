"""What renders feel like: an emotion net's answer beside the exact truth, part by part.

People compare faces by feeling as much as by movement; comparisons between renders and real faces
need one judge for both. Offline only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from freeavatar.datasets.teachers import EMOTION_NET, FACE_SIZE, EmotionNet, find_network
from freeavatar.expression.augment import plain
from freeavatar.inference import open_session


def label_emotions(
    folder: Path, teachers: Path, report: Callable[[int, int], None] = lambda _done, _total: None
) -> None:
    """Add the column `emotion` [n, 7] to every part of a set that has none yet.

    Each part is replaced in one move, so a stopped run goes on where it was. DataError without the
    net.
    """
    net = EmotionNet(open_session(find_network(teachers, EMOTION_NET)))
    parts = sorted(folder.glob("part-*/truth.npz"))
    for done, path in enumerate(parts):
        report(done, len(parts))
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        if "emotion" in columns:
            continue
        crops = np.load(path.with_name("crops.npy"), mmap_mode="r", allow_pickle=False)
        columns["emotion"] = np.stack(
            [net.emotion(plain(crop, FACE_SIZE))[0] for crop in crops]
        ).astype(np.float16)
        unfinished = path.with_name(f".truth.{os.getpid()}.npz")
        np.savez(unfinished, **columns)
        unfinished.replace(path)
    report(len(parts), len(parts))
