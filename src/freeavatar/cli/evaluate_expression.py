"""`freeavatar evaluate expression`: is the expression space one of expressions?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2

from freeavatar.cli.output_folder import check_output_folder
from freeavatar.cli.terminal import Terminal
from freeavatar.export.files import finished_file, refuse_existing


@dataclass(frozen=True)
class Expression:
    """Examine an expression encoder: triplets, retrieval, identity, left and right, damage.

    Writes report.json, report.md and neighbours.png into --out. Encodings are kept in --out/cache,
    so that a second run, or a second encoder beside the same peers, takes less time.
    """

    out: Path
    """Folder for the report."""
    encoder: Path | None = None
    """An exported .onnx file; the network that ships with freeavatar when left out."""
    renders: Path | None = None
    """A set of `freeavatar data renders --people held-out`."""
    turned: Path | None = None
    """The same set drawn with --turned-deg, or the beginning of it: what a turned head changes."""
    faces: Path | None = None
    """A set of `freeavatar data faces` with --teachers, and --labels that keep a test split."""
    triplets: Path | None = None
    """Triplets that people voted on: a folder with triplets.csv and faces-48px.tar."""
    components: Path | None = None
    """A folder that holds face_blendshapes.onnx, for the MediaPipe-52 column."""
    mae: Path | None = None
    """final.safetensors of `freeavatar train faces`: how well its features alone tell people
    apart, beside ours; needs the training extra."""
    num_renders: int = 3000
    """At most so many renders, evenly from the whole set."""
    num_faces: int = 1000
    """At most so many real faces."""
    seed: int = 0
    overwrite: bool = False
    """Replace the report of an earlier run."""

    def run(self) -> int:
        """Examine and write; the table also goes to stdout."""
        from freeavatar.evaluation.expression import Judges, examine
        from freeavatar.evaluation.report import to_json, to_markdown

        files = [self.out / name for name in ("report.json", "report.md", "neighbours.png")]
        check_output_folder(self.out)
        refuse_existing(files, self.overwrite)
        judges = Judges(
            self.renders,
            self.turned,
            self.faces,
            self.triplets,
            self.components,
            self.mae,
            self.num_renders,
            self.num_faces,
            seed=self.seed,
        )
        with Terminal().progress("examination") as on_progress:
            outcome = examine(judges, self.out / "cache", self.encoder, on_progress)
        table = to_markdown(outcome.sections, outcome.facts, outcome.methods)
        with finished_file(files[0], self.overwrite) as path:
            path.write_text(json.dumps(to_json(outcome.sections, outcome.facts), indent=1))
        with finished_file(files[1], self.overwrite) as path:
            path.write_text(table)
        if outcome.neighbours is not None:
            with finished_file(files[2], self.overwrite) as path:
                cv2.imwrite(str(path), outcome.neighbours[..., ::-1])
        print(table)
        print(f"-> {self.out}")
        return 0
