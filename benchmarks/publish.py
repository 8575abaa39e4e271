"""Puts the tables and plots of the last `make bench` into docs/benchmarks.md.

    make -C benchmarks publish

Only what stands between <!-- PART --> and <!-- /PART --> changes.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

PARTS = ("quality", "robustness", "steadiness", "stylised", "speed")


@dataclass(frozen=True)
class Options:
    """Publish the last results."""

    results: Path = Path("out/bench")
    page: Path = Path("docs/benchmarks.md")
    images: Path = Path("docs/images")
    machine: str = f"two shared CPU cores, {platform.machine()}"


def main(options: Options) -> None:
    page = options.page.read_text("utf-8")
    facts = json.loads((options.results / "results.json").read_text("utf-8"))
    weights = facts["weights"].get("expression.onnx", "unknown")
    said = f"{facts['date']}, {options.machine}, expression.onnx {weights}:"
    for part in PARTS:
        file = options.results / f"{part}.md"
        if file.is_file():
            # Of quality the page shows the first table and its note, not every clip and channel.
            blocks = file.read_text("utf-8").strip().split("\n\n")
            text = "\n\n".join(blocks[:2] if part == "quality" else blocks)
            page = between(page, part.upper(), f"{said}\n\n{text}")
        plot = options.results / f"{part}.png"
        if plot.is_file():
            shutil.copy(plot, options.images / plot.name)
    options.page.write_text(page, "utf-8")


def between(page: str, name: str, text: str) -> str:
    """The page with other text between two marks; ValueError where a mark is missing."""
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise ValueError(f"the page needs <!-- {name} --> and <!-- /{name} -->, once each")
    return marks.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


if __name__ == "__main__":
    main(tyro.cli(Options))
