"""Of which day, machine and weights a part's numbers are: written with them, read when published.

Every part keeps `{"made": Provenance, ...its results...}` in its PART.json; parts may be run on
different days, so none of this can be asked for later.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freeavatar.inference import manifest

PARTS = ("quality", "robustness", "steadiness", "stylised", "speed")
DIGITS = 12
"""Of a sha256: enough to tell any two weights apart."""
RUN_BY_THE_PRODUCT = ("expression.onnx", "expression.int8.onnx", "animator.onnx", "animator.npz")
"""Other shipped weights (for training on, for the neural renderer) change no number here."""
UNKNOWN = "unknown"
_NUMBERS = {1: "one", 2: "two", 4: "four", 8: "eight", 16: "sixteen"}


@dataclass(frozen=True)
class Provenance:
    """Where numbers come from."""

    when: str
    """UTC, to the minute; empty: written before this was kept."""
    machine: str
    weights: dict[str, str]
    """First digits of the sha256 of every shipped file, by name."""

    @property
    def date(self) -> str:
        """The day."""
        return self.when[:10] or "an unknown day"

    def said(self) -> str:
        """For the line above a table."""
        main = self.weights.get("expression.onnx", UNKNOWN)
        return f"{self.date}, {self.machine}, expression.onnx {main}"


def provenance() -> Provenance:
    """As of now: ask before measuring, for weights may be exchanged meanwhile."""
    manifest.cache_clear()
    weights = {name: line.sha256[:DIGITS] for name, line in sorted(manifest().items())}
    now = datetime.now(UTC).isoformat(" ", "minutes")
    return Provenance(now.removesuffix("+00:00"), machine(), weights)


def machine() -> str:
    """How many cores of which processor; never the name of the computer."""
    cores = _num_cores()
    named = _NUMBERS.get(cores, str(cores))
    words = [f"{named} shared CPU core{'s' if cores > 1 else ''}"]
    return ", ".join([*words, *filter(None, [cpu_model()]), platform.machine()])


def cpu_model(facts: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor calls itself; empty where the system does not tell it this way."""
    try:
        lines = facts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def write_part(
    out: Path, part: str, made: Provenance, record: Mapping[str, Any], markdown: str
) -> None:
    """PART.json and PART.md."""
    if "made" in record:
        raise ValueError(f"the results of {part} have an entry called 'made'")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{part}.md").write_text(markdown, "utf-8")
    text = json.dumps({"made": asdict(made), **record}, indent=1)
    (out / f"{part}.json").write_text(text, "utf-8")


def read_part(out: Path, part: str) -> tuple[Provenance, dict[str, Any]] | None:
    """A part's origin and results; None where it was never run."""
    file = out / f"{part}.json"
    if not file.is_file():
        return None
    record = json.loads(file.read_text("utf-8"))
    made = record.pop("made", None)
    origin = Provenance(**made) if made else Provenance("", machine(), {})
    return origin, record


def differences(made: Provenance, newest: Provenance) -> str:
    """One sentence when a part ran with other weights than the newest one; else empty."""
    if not made.weights:
        return "Of which weights these numbers are was not kept: run this part again."
    other = [
        f"{name} {made.weights.get(name, 'none')} (now {newest.weights.get(name, 'none')})"
        for name in RUN_BY_THE_PRODUCT
        if made.weights.get(name) != newest.weights.get(name)
    ]
    if not other:
        return ""
    return f"Of other weights than the newest part: {', '.join(other)}. Run this part again."


def newest(parts: Mapping[str, Provenance]) -> Provenance | None:
    """The origin of the part that was made last."""
    known = [made for made in parts.values() if made.weights]
    return max(known, key=lambda made: made.when, default=None)


def _num_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
