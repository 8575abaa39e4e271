"""Pictures of real faces (tars or folders) -> a shard set of aligned crops for training.

python recipes/prepare_faces.py --out data/faces/fairface --sources a.tar b.tar \\
    --labels labels.csv --teachers folder/with/teachers --num-processes 2

Stopped runs go on where they were. Look at sheet.png in the output folder before training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from freeavatar.datasets.faces import FaceFilter, FaceSetConfig, build_face_set
from freeavatar.training.shards import ShardSet, open_shards


@dataclass(frozen=True)
class Arguments:
    """Build one set of real faces."""

    sources: tuple[Path, ...]
    """Tars or folders of pictures."""
    out: Path
    """Folder of the set."""
    labels: Path | None = None
    """csv with the columns key and split."""
    teachers: Path | None = None
    """Folder with face_blendshapes.onnx and faceapi_expression.onnx; no labels without it."""
    num_processes: int = 2
    limits: FaceFilter = field(default_factory=FaceFilter)


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    config = FaceSetConfig(
        arguments.sources,
        arguments.labels,
        arguments.teachers,
        arguments.limits,
        arguments.num_processes,
    )
    columns = (TextColumn("parts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("parts", total=None)
        outcome = build_face_set(
            config,
            arguments.out,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(", ".join(f"{name}: {count}" for name, count in outcome.most_common()))
    sheet = arguments.out / "sheet.png"
    cv2.imwrite(str(sheet), contact_sheet(open_shards(arguments.out))[..., ::-1])
    print(f"look at {sheet}")


def contact_sheet(faces: ShardSet, num_rows: int = 8, num_columns: int = 14) -> np.ndarray:
    """Crops from the least to the most sure, with yaw, pitch and roll in degrees; the frame
    is what the networks see without augmentation."""
    count = min(num_rows * num_columns, len(faces))
    order = np.argsort(faces.columns["quality"], kind="stable")
    rows = order[np.linspace(0, len(order) - 1, count).astype(int)]
    tiles = []
    for picture, head in zip(faces.gather(rows), faces.columns["head_rad"][rows], strict=True):
        tile = picture.copy()
        cv2.rectangle(tile, (16, 16), (127, 127), (0, 255, 0), 1)
        text = " ".join(f"{angle:.0f}" for angle in np.degrees(head.astype(np.float32)))
        cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0))
        tiles.append(tile)
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % num_columns)
    lines = [np.hstack(tiles[i : i + num_columns]) for i in range(0, len(tiles), num_columns)]
    return np.vstack(lines)


if __name__ == "__main__":
    main()
