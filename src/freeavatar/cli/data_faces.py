"""`freeavatar data faces`: pictures and videos of real people -> aligned crops."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import tyro

from freeavatar.cli.output_folder import check_output_folder
from freeavatar.cli.terminal import Terminal
from freeavatar.datasets.contact_sheets import face_sheet
from freeavatar.datasets.faces import FaceFilter, FaceSetConfig, build_face_set
from freeavatar.errors import DataError, UsageError
from freeavatar.training.shards import open_shards

Sources = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="SOURCE...", help_behavior_hint="(one or more)"),
]


@dataclass(frozen=True)
class Faces:
    """Cut the faces of real people out of pictures and videos, for training.

    Copies, blurred, small and doubtful faces are left out. Look at OUT/sheet.png before training.
    """

    sources: Sources
    """Tars, folders, pictures or videos."""
    out: Path
    """Folder of the set."""
    labels: Path | None = None
    """A csv with the columns key and split; without it all faces are for training."""
    teachers: Path | None = None
    """A folder with face_blendshapes.onnx and faceapi_expression.onnx, which label the crops."""
    crops_per_face: int = 1
    """More than one adds crops with the errors and margins of live tracking."""
    video_step_s: float = 0.5
    """Time between the frames taken from a video."""
    keep_near_copies: bool = False
    """Keep pictures that came before in another size or compression."""
    processes: int = 2
    limits: Annotated[FaceFilter, tyro.conf.arg(name="")] = field(default_factory=FaceFilter)

    def run(self) -> int:
        """Make the set, or go on making it."""
        if not self.sources:
            raise UsageError("Name at least one tar, folder, picture or video.")
        if min(self.crops_per_face, self.processes) < 1 or self.video_step_s <= 0:
            raise UsageError("--crops-per-face, --processes and --video-step-s must be positive.")
        for source in self.sources:
            if not source.exists():
                raise DataError(f"There is no {source}. Check its name and folder.")
        check_output_folder(self.out)
        config = FaceSetConfig(
            self.sources,
            self.labels,
            self.teachers,
            self.limits,
            self.processes,
            self.crops_per_face,
            self.video_step_s,
            not self.keep_near_copies,
        )
        with Terminal().progress("faces") as on_progress:
            outcome = build_face_set(
                config, self.out, lambda done, total: on_progress("cutting", done, total)
            )
        print(", ".join(f"{name}: {count}" for name, count in outcome.most_common()))
        if not outcome["kept"]:
            raise DataError(f"No face in {len(self.sources)} sources is fit for training.")
        sheet = self.out / "sheet.png"
        cv2.imwrite(str(sheet), face_sheet(open_shards(self.out))[..., ::-1])
        print(f"look at {sheet}")
        return 0
