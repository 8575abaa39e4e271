"""Curves under the names of another program, with gains of yours; and what an avatar cannot show.

python examples/04_names_of_your_own.py out/example-1/livelink.csv --mapping mine.toml
"""

from pathlib import Path

import numpy as np
import tyro

import freeavatar
from freeavatar.export.curve_files import read_clip
from freeavatar.mapping.profiles import find_profile
from freeavatar.mapping.user_mapping import read_mapping
from freeavatar.retarget import as_arkit, onto

MINE = """
profile = "vrm1"
mute = ["lookUp", "lookDown"]
[map]
grin = { mouthSmileLeft = 0.5, mouthSmileRight = 0.5, jawOpen = -0.3 }
[gain]
aa = 1.4
"""


def main(
    curves: tyro.conf.Positional[Path],
    mapping: Path | None = None,
    avatar: str = "elsa",
    out: Path = Path("out/example-4"),
) -> None:
    """Writes a CSV of VRM's names; without --mapping a small one is written for you to change."""
    out.mkdir(parents=True, exist_ok=True)
    if mapping is None:
        mapping = out / "mine.toml"
        mapping.write_text(MINE, "utf-8")
    clip = as_arkit(read_clip(curves))
    if clip is None:
        raise freeavatar.CurveFileError(f"{curves} does not hold ARKit's curves.")

    profile = read_mapping(mapping).profile()
    weights = profile.weights(clip.values)
    table = np.column_stack([clip.times_s, weights])
    header = ",".join(["time_s", *profile.names])
    np.savetxt(out / "weights.csv", table, "%.5f", ",", header=header, comments="")
    print(f"wrote {out / 'weights.csv'}: {len(clip)} rows, {len(profile.names)} names")

    # What would do nothing on this avatar, however strongly the actor does it?
    character = freeavatar.load_avatar(avatar)
    still = []
    for name, recipe in zip(profile.names, profile.matrix.T, strict=True):
        alone = np.clip(recipe, 0.0, 1.0).astype(np.float32)[None]
        face = freeavatar.AnimationClip(freeavatar.ARKIT, np.zeros(1), alone)
        moved = onto(face, character).values[0] - character.rig.rest
        if np.abs(moved).max() < 1e-3:
            still.append(name)
    print(f"{avatar} cannot show: {', '.join(still) or 'nothing of it is missing'}")


if __name__ == "__main__":
    tyro.cli(main)
