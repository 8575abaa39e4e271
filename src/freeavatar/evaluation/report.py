"""A table of measures, one column per method: for people as markdown, for programs as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measure."""

    measure: str
    values: dict[str, float]
    """By method; NaN or absent where it does not apply."""
    chance: float | None = None


@dataclass(frozen=True)
class Section:
    """Rows that share a question."""

    title: str
    note: str
    """What was measured on what, in one or two sentences."""
    rows: list[Row] = field(default_factory=list)

    def add(self, measure: str, values: dict[str, float], chance: float | None = None) -> None:
        """One more row."""
        self.rows.append(Row(measure, values, chance))


def to_json(sections: Sequence[Section], facts: dict[str, Any]) -> dict[str, Any]:
    """`facts` say which network and data; NaN becomes null."""
    return {
        "facts": facts,
        "sections": [
            {
                "title": section.title,
                "note": section.note,
                "rows": [
                    {
                        "measure": row.measure,
                        "values": {name: _number(value) for name, value in row.values.items()},
                        "chance": row.chance,
                    }
                    for row in section.rows
                ],
            }
            for section in sections
        ],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def to_markdown(
    sections: Sequence[Section],
    facts: dict[str, Any],
    methods: Sequence[str],
    title: str = "Expression space",
) -> str:
    """One table per section."""
    lines = [f"# {title}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for section in sections:
        shown = [m for m in methods if any(m in row.values for row in section.rows)]
        has_chance = any(row.chance is not None for row in section.rows)
        head = ["", *shown, *(["chance"] if has_chance else [])]
        lines += ["", f"## {section.title}", "", section.note, ""]
        lines += ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
        for row in section.rows:
            cells = [row.measure, *(_cell(row.values.get(m, math.nan)) for m in shown)]
            if has_chance:
                cells.append("" if row.chance is None else _cell(row.chance))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
