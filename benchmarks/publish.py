"""Puts the tables and plots of the last `make bench` into docs/benchmarks.md and README.md.

    make -C benchmarks publish

Only what stands between <!-- PART --> and <!-- /PART --> changes; in README.md: RESULTS.
"""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from provenance import PARTS, Provenance, differences, newest, read_part
from tables import channel_table, dead_table, head_table, number

OURS, PEER = "freeavatar", "mediapipe"
PLOTS_WITH_THE_TABLE: Mapping[str, str] = {
    "steadiness": "Stills, quick movements, gaze in blinks and lag",
    "stylised": "Faces found, correlation and error by style",
    "speed": "Frames a second, memory and start-up",
}
"""What the pictures show; the page itself shows those of the other parts."""


@dataclass(frozen=True)
class Options:
    """Publish the last results."""

    results: Path = Path("out/bench")
    page: Path = Path("docs/benchmarks.md")
    images: Path = Path("docs/images")
    readme: Path = Path("README.md")


def main(options: Options) -> None:
    parts = {part: found for part in PARTS if (found := read_part(options.results, part))}
    warnings = warnings_of({part: made for part, (made, _) in parts.items()})
    page = options.page.read_text("utf-8")
    for part, (made, record) in parts.items():
        plot = options.results / f"{part}.png"
        if plot.is_file():
            shutil.copy(plot, options.images / plot.name)
        markdown = (options.results / f"{part}.md").read_text("utf-8")
        blocks = [f"{made.said()}:", *_warning(warnings, part), *_blocks(part, markdown, record)]
        if part in PLOTS_WITH_THE_TABLE and plot.is_file():
            blocks.append(f"![{PLOTS_WITH_THE_TABLE[part]}](images/{plot.name})")
        page = between(page, part.upper(), "\n\n".join(blocks))
    options.page.write_text(page, "utf-8")
    if "quality" in parts and "speed" in parts:
        text = readme_table(*parts["quality"], *parts["speed"])
        readme = between(options.readme.read_text("utf-8"), "RESULTS", text)
        options.readme.write_text(readme, "utf-8")
    for part, warning in warnings.items():
        print(f"{part}: {warning}")


def warnings_of(parts: Mapping[str, Provenance]) -> dict[str, str]:
    """By part: what is wrong with publishing it beside the newest one."""
    last = newest(parts)
    if last is None:
        last = Provenance("", "", {})
    found = {part: differences(made, last) for part, made in parts.items()}
    return {part: warning for part, warning in found.items() if warning}


def between(page: str, name: str, text: str) -> str:
    """The page with other text between two marks; ValueError where a mark is missing."""
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise ValueError(f"the page needs <!-- {name} --> and <!-- /{name} -->, once each")
    return marks.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


def readme_table(
    judged: Provenance, quality: Mapping[str, Any], timed: Provenance, speed: Mapping[str, Any]
) -> str:
    """The short table for people who have not decided yet; the better of two values is bold."""
    groups = {name: quality[name]["groups"] for name in (OURS, PEER)}

    def row(label: str, measure: str, names: Sequence[str], digits: int, sign: int) -> str:
        values = [[groups[who][name][measure] for name in names] for who in (OURS, PEER)]
        cells = [" / ".join(_told(value, digits) for value in own) for own in values]
        return _row(label, cells, *(sign * sum(v or 0.0 for v in own) for own in values))

    rows = [
        row("correlation with the true ARKit curves, all moving channels", CORR, ["all"], 2, 1),
        row("brow / eye / gaze", CORR, ["brow", "eye", "gaze"], 2, 1),
        row("jaw / mouth", CORR, ["jaw", "mouth"], 2, 1),
        row("cheek and nose / tongue", CORR, ["cheek and nose", "tongue"], 2, 1),
        row("mean absolute error", "error", ["all"], 3, -1),
        row("error of channels that should be still", "still_error", ["all"], 3, -1),
    ]
    rates = [[_rate(speed[f"720p, {cores} core{s}"][who]) for cores, s in CORES] for who in BOTH]
    cells = [f"{one:.0f} ({two:.0f})" for one, two in rates]
    label = "frames a second, 720p, curves only, one core (two cores)"
    rows.append(_row(label, cells, rates[0][0], rates[1][0]))
    warnings = warnings_of({"quality": judged, "speed": timed}).values()
    return "\n".join(
        [
            "Against mediapipe 0.10.33, the strongest free tracker, on twelve drawn clips of "
            "people and takes",
            "that neither was trained on, same frames, same run "
            f"(`make bench`, {judged.date}, {judged.machine}):",
            *(line for warning in list(warnings)[:1] for line in ("", f"**{warning}**")),
            "",
            f"| | {OURS} | {PEER} |",
            "|---|---:|---:|",
            *rows,
        ]
    )


CORR = "correlation"
CORES = (("one", ""), ("two", "s"))
BOTH = (OURS, PEER)


def _row(label: str, cells: Sequence[str], ours: float, peer: float) -> str:
    """`ours` and `peer` are larger the better."""
    own, other = cells
    if ours > peer:
        own = f"**{own}**"
    elif peer > ours:
        other = f"**{other}**"
    return f"| {label} | {own} | {other} |"


def _rate(timings: Sequence[Mapping[str, Any]]) -> float:
    """Frames a second, median of the repetitions."""
    return statistics.median(timing["frames"] / timing["run_s"] for timing in timings)


def _told(value: float | None, digits: int) -> str:
    return number(float("nan") if value is None else value, digits)


def _warning(warnings: Mapping[str, str], part: str) -> list[str]:
    return [f"**{warnings[part]}**"] if part in warnings else []


def _blocks(part: str, markdown: str, record: Mapping[str, Any]) -> list[str]:
    """Of quality the page shows the first table and its note, the head, the dead controls and
    every channel, not every clip."""
    blocks = markdown.strip().split("\n\n")
    if part != "quality":
        return blocks
    both = {name: record[name] for name in BOTH if name in record}
    return [*blocks[:2], head_table(both), dead_table(both), channel_table(both)]


if __name__ == "__main__":
    main(tyro.cli(Options))
