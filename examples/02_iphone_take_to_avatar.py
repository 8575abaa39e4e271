"""A recording of the Live Link Face app (or any curves of ours) -> any avatar, any format.

python examples/02_iphone_take_to_avatar.py take.csv elsa out/example2
"""

import sys
from pathlib import Path

import freeavatar
from freeavatar.export.curve_files import read_clip
from freeavatar.retarget import RetargetOptions, retarget


def main(curves: Path, avatar_name: str, out: Path) -> None:
    avatar = freeavatar.load_avatar(avatar_name)
    recorded = read_clip(curves)
    print(f"{curves.name}: {len(recorded)} frames at {recorded.frame_rate_hz:.0f} Hz")

    take = retarget(curves, [avatar], out, RetargetOptions(("controls", "glb"), overwrite=True))
    clip = take.clips[avatar.name]
    print(f"{avatar.name}: {len(clip.rig)} controls, the largest value is {clip.values.max():.2f}")

    # What was written reads back equal, so a round trip through another program can be compared.
    again = read_clip(out / f"{avatar.name}.controls.csv")
    print(f"read back within {abs(again.values - clip.values).max():.1e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
