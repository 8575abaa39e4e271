"""Draws the small FEC set beside this file: python tests/datasets/draw_fec.py"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import cv2
import numpy as np

FOLDER = Path(__file__).parent / "fec"
SITE = "https://example.org/faces/"
MOODS = {"smile": 14, "grin": 18, "sad": -14, "gloomy": -18, "flat": 0, "calm": 2}


def face(curve: int) -> np.ndarray:
    """A round face in a wider picture; `curve` lifts the corners of its mouth."""
    picture = np.full((120, 160, 3), (120, 140, 90), np.uint8)
    cv2.circle(picture, (80, 60), 44, (150, 190, 230), -1, cv2.LINE_AA)
    for x in (64, 96):
        cv2.circle(picture, (x, 50), 5, (40, 40, 40), -1, cv2.LINE_AA)
    x = np.arange(60, 101, 4)
    y = 80 - curve * (((x - 80) / 20.0) ** 2 - 0.5)
    points = np.stack([x, y], axis=1).round().astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(picture, [points], False, (60, 60, 160), 3, cv2.LINE_AA)
    return picture


def row(names: tuple[str, str, str], kind: str, votes: tuple[int, ...]) -> list[str]:
    fields = []
    for name in names:
        fields += [f"{SITE}{name}.png?size=full", "0.2", "0.8", "0.1", "0.9"]
    fields.append(kind)
    for annotator, vote in enumerate(votes):
        fields += [f"annotator{annotator}", str(vote)]
    return fields


def main() -> None:
    pictures = FOLDER / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for i, (name, curve) in enumerate(MOODS.items()):
        url = f"{SITE}{name}.png?size=full"
        # Both ways of naming: by the SHA-1 of the URL, and by its last part.
        stem = hashlib.sha1(url.encode()).hexdigest() if i % 2 else name
        cv2.imwrite(str(pictures / f"{stem}.png"), face(curve))
    rows = [
        row(("smile", "grin", "sad"), "TWO_CLASS_TRIPLET", (3, 3, 3, 3, 1)),
        row(("flat", "sad", "gloomy"), "TWO_CLASS_TRIPLET", (1, 1, 1, 1, 1)),
        row(("smile", "flat", "calm"), "THREE_CLASS_TRIPLET", (1, 1, 1, 2, 1)),
        row(("sad", "grin", "smile"), "ONE_CLASS_TRIPLET", (1, 1, 2, 2)),
        row(("smile", "grin", "never_fetched"), "ONE_CLASS_TRIPLET", (3, 3, 3, 3, 3)),
    ]
    with (FOLDER / "triplets.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
