"""`freeavatar evaluate animator`: do avatars do what the person does?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import tyro

from freeavatar.cli.output_folder import check_output_folder
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import UsageError
from freeavatar.export.files import finished_file, refuse_existing


@dataclass(frozen=True)
class Animator:
    """Examine the animator: unseen people and takes, own controls, many avatars, speed, sheets.

    Writes report.json, report.md and the sheets gestures.png (with --data) and faces.png (with
    --faces) into --out.
    """

    out: Path
    """Folder for the report."""
    networks: Path | None = None
    """Folder with expression.onnx, animator.onnx and animator.npz; the shipped ones when left
    out."""
    renders: Path | None = None
    """A set of `freeavatar data renders --people held-out`: single pictures with truth."""
    data: Path | None = None
    """A folder with avatars/valid, avatars/ict and motion: people who play held-out takes."""
    sets: Path | None = None
    """A folder with one picture set per avatar (recipes/train_renderer.py --only-draw): how well
    each that the animator knows gets its own controls back."""
    faces: Path | None = None
    """A set of `freeavatar data faces`: the sheet of real faces and, with --teachers and a test
    split, whether their curves are possible."""
    components: Path | None = None
    """A folder that holds face_blendshapes.onnx, for the MediaPipe-52 column."""
    avatar: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """By name or file; all bundled ones when left out."""
    num_renders: int = 1500
    num_frames: int = 80
    """Of each take and person, ten a second."""
    seed: int = 0
    overwrite: bool = False
    """Replace the report of an earlier run."""

    def run(self) -> int:
        """Examine and write; the table also goes to stdout."""
        from freeavatar.animator.runtime import Animator as Network
        from freeavatar.avatars.catalog import bundled_names, resolve
        from freeavatar.evaluation import animator as examination
        from freeavatar.evaluation import animator_sheets as drawing
        from freeavatar.evaluation.report import to_json, to_markdown
        from freeavatar.expression.runtime import ExpressionEncoder

        if not any((self.renders, self.data, self.sets, self.faces)):
            raise UsageError("Nothing to look at: give --renders, --data, --sets or --faces.")
        files = [self.out / name for name in ("report.json", "report.md")]
        sheets = [self.out / name for name in ("gestures.png", "faces.png")]
        check_output_folder(self.out)
        refuse_existing([*files, *sheets], self.overwrite)
        if self.networks is None:
            encoder, network = ExpressionEncoder.load(), Network.load()
        else:
            encoder = ExpressionEncoder.load(self.networks / "expression.onnx")
            network = Network.load(self.networks)
        avatars = [resolve(name) for name in self.avatar or bundled_names()]
        judges = examination.Judges(
            renders=self.renders,
            data=self.data,
            sets=self.sets,
            faces=self.faces,
            components=self.components,
            num_renders=self.num_renders,
            num_frames=self.num_frames,
            seed=self.seed,
        )
        with Terminal().progress("examination") as on_progress:
            sections = examination.examine(judges, avatars, encoder, network, on_progress)
            on_progress("sheets", 0, None)
            pictures = {}
            if self.data is not None:
                actor = drawing.held_out_actor(self.data)
                pictures[sheets[0]] = drawing.gesture_sheet(actor, avatars, encoder, network)
            if self.faces is not None:
                crops = drawing.real_faces(self.faces)
                captions = [""] * len(crops)
                sheet = drawing.driven_sheet(crops, captions, avatars, encoder, network)
                pictures[sheets[1]] = sheet
        facts = {"avatars": ", ".join(f"{a.name} ({len(a.rig)} controls)" for a in avatars)}
        methods = list(dict.fromkeys(m for s in sections for row in s.rows for m in row.values))
        table = to_markdown(sections, facts, methods, "Animator")
        for file, text in zip(
            files, (json.dumps(to_json(sections, facts), indent=1), table), strict=True
        ):
            with finished_file(file, self.overwrite) as path:
                path.write_text(text)
        for file, picture in pictures.items():
            with finished_file(file, self.overwrite) as path:
                cv2.imwrite(str(path), picture[..., ::-1])
        print(table)
        print(f"-> {self.out}")
        return 0
