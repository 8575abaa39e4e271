"""The consented studio faces, neutral and smiling, as a face set that says who is who.

    python recipes/prepare_studio.py --teachers ../shared/components
    python recipes/refine_expression.py --faces data/faces/fairface data/faces/studio ...

Data      webmorph-london-canada-512px.tar (Face Research Lab London Set, CC BY 4.0): 102 people
          neutral and smiling, 40 more neutral; a folder with the teachers
Time      half a minute
Writes    OUT as `freeavatar data faces` does, with the column `person`, and with the expression
          that the file name tells in the place of the emotion teacher's guess
Why       the same person in two expressions, and two people in the same one, are the comparisons
          that teach a space to be blind to who it is; in the wild nobody is seen twice
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float

from freeavatar.cli.main import main as freeavatar
from freeavatar.datasets.teachers import EMOTIONS

TOLD = 0.94
"""Probability of what the file name tells; the rest is shared by the others."""
SMILING, NEUTRAL = "08", "03"
"""How the set's file names end."""


@dataclass(frozen=True)
class Options:
    """Cut the faces, then write down what their names tell."""

    pictures: Path = Path("../shared/data/faces/webmorph-london-canada-512px.tar")
    teachers: Path = Path("../shared/components")
    out: Path = Path("data/faces/studio")
    crops_per_face: int = 4
    """Exact, by the detector alone, and as live tracking may place them."""


def main(options: Options) -> int:
    arguments = ["data", "faces", str(options.pictures), "--out", str(options.out)]
    arguments += ["--teachers", str(options.teachers)]
    arguments += ["--crops-per-face", str(options.crops_per_face)]
    code = freeavatar(arguments)
    if code == 0:
        for truth in sorted(options.out.glob("part-*/truth.npz")):
            write_down(truth)
    return code


def write_down(truth: Path) -> None:
    """Add who is in each picture; replace the guess of what is felt by what was asked for."""
    with np.load(truth, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    people = []
    for row, key in enumerate(columns["key"]):
        person, told = names_of(str(key))
        people.append(person)
        columns["emotion"][row] = probabilities(told)
    columns["person"] = np.array(people)
    unfinished = truth.with_name(f".{truth.stem}.{os.getpid()}.npz")
    np.savez(unfinished, **columns)  # type: ignore[arg-type]
    unfinished.replace(truth)


def names_of(key: str) -> tuple[str, str]:
    """(who, expression) of a picture: `smiling_front/001_08` is London's person 001, smiling."""
    folder, _, name = key.rpartition("/")
    person, _, told = Path(name).stem.partition("_")
    london = told in (SMILING, NEUTRAL)
    who = f"london {person}" if london else f"{folder} {person}"
    return who, "happy" if told == SMILING else "neutral"


def probabilities(told: str) -> Float[np.ndarray, "7"]:
    """As the emotion teacher would say it."""
    values = np.full(len(EMOTIONS), (1 - TOLD) / (len(EMOTIONS) - 1), np.float32)
    values[EMOTIONS.index(told)] = TOLD
    return values


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Options)))
