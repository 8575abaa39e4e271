"""A recording of an iPhone (Live Link Face) drives several avatars and becomes files for VRM players.

python examples/02_retarget_a_recording.py take.csv --avatar ada elsa --out out/two
"""

from pathlib import Path

import tyro

import freeavatar
from freeavatar.retarget import RetargetOptions, retarget


def main(
    recording: tyro.conf.Positional[Path],
    avatar: tuple[str, ...] = ("ada", "elsa"),
    out: Path = Path("out/example-2"),
) -> None:
    """Any file of curves will do: Live Link Face CSV, animated GLB, our own CSV, JSON and NPZ."""
    characters = [freeavatar.load_avatar(name) for name in avatar]
    options = RetargetOptions(formats=("controls", "vrm", "vrma"), overwrite=True)
    take = retarget(recording, characters, out, options)

    print(f"{recording.name}: {len(take.given)} frames of {take.given.rig.name}")
    for name, clip in take.clips.items():
        moved = (clip.values != clip.rig.rest).any(axis=0).sum()
        print(f"  {name}: {moved} of {len(clip.rig)} controls move")
    for file in take.files:
        print(f"  wrote {file}")


if __name__ == "__main__":
    tyro.cli(main)
