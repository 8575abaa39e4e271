"""`freeavatar evaluate take`: a result beside a reference recording of the same performance."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import tyro

from freeavatar.errors import CurveFileError
from freeavatar.evaluation.take_plots import bar_plot, curve_plot
from freeavatar.evaluation.takes import TakeConfig, compare, sections
from freeavatar.export.curve_files import read_clip
from freeavatar.export.files import finished_file, refuse_existing

FILES = ("report.md", "report.json", "curves.png", "controls.png")


@dataclass(frozen=True)
class Take:
    """Compare a take with a reference recording: correlation, error, lag, jitter, with plots.

    The reference is a Live Link Face CSV that was recorded at the same time, for instance, or any
    other file of curves with the same controls. Writes report.md, report.json, curves.png and
    controls.png.
    """

    take: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TAKE")]
    """A folder that `freeavatar animate` wrote, or a file of curves."""
    truth: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="REFERENCE")]
    """The reference: Live Link Face CSV, controls CSV, NPZ, JSON or animated GLB."""
    out: Path | None = None
    """Folder for the report; evaluation/ beside the take's curves when left out."""
    overwrite: bool = False
    """Replace the report of an earlier run."""
    config: Annotated[TakeConfig, tyro.conf.arg(name="")] = field(default_factory=TakeConfig)

    def run(self) -> int:
        """Compare and write; the tables for the whole and for regions also go to stdout."""
        from freeavatar.evaluation.report import to_json, to_markdown

        curves = _curves_of(self.take)
        folder = curves.parent / "evaluation" if self.out is None else self.out
        files = [folder / name for name in FILES]
        refuse_existing(files, self.overwrite)
        found = compare(read_clip(curves), read_clip(self.truth), self.config)
        tables = sections(found)
        facts = {"take": str(curves), "reference": str(self.truth)}
        columns = list(dict.fromkeys(m for s in tables for row in s.rows for m in row.values))
        markdown = to_markdown(tables, facts, columns, "Take beside its reference")
        record = json.dumps(to_json(tables, facts), indent=1) + "\n"
        for file, text in zip(files[:2], (markdown, record), strict=True):
            with finished_file(file, self.overwrite) as path:
                path.write_text(text, "utf-8")
        for file, picture in zip(files[2:], (curve_plot(found), bar_plot(found)), strict=True):
            with finished_file(file, self.overwrite) as path:
                cv2.imwrite(str(path), picture[..., ::-1])
        print(to_markdown(tables[:2], facts, columns, "Take beside its reference"))
        print(f"-> {folder}")
        return 0


def _curves_of(take: Path) -> Path:
    """The file of curves that a result folder stands for."""
    if not take.is_dir():
        return take
    curves = take / "livelink.csv"
    if not curves.is_file():
        raise CurveFileError(
            f"{take} holds no livelink.csv. Name the file of curves itself, or write it with: "
            "freeavatar animate INPUT --formats livelink"
        )
    return curves
