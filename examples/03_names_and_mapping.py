"""ARKit's 52 values under the names of VRM and VRChat, or under your own with gains.

python examples/03_names_and_mapping.py take.csv ada
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import freeavatar
from freeavatar.avatars.coverage import profile_coverage
from freeavatar.export.curve_files import read_clip
from freeavatar.mapping.profiles import weights
from freeavatar.mapping.user_mapping import read_mapping

MY_MAPPING = """
profile = "vrm1"
mute = ["lookUp", "lookDown"]

[map]
Grin = { mouthSmileLeft = 0.5, mouthSmileRight = 0.5, jawOpen = -0.3 }

[gain]
aa = 1.4
"""


def main(curves: Path, avatar_name: str) -> None:
    arkit = read_clip(curves).values

    for profile in ("vrm0", "vrm1", "vrchat"):
        names, values = weights(profile, arkit)
        loudest = np.argmax(values.std(axis=0))
        print(f"{profile}: {len(names)} names; {names[loudest]} moves most")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_text(MY_MAPPING)
        mapping = read_mapping(path).profile()
    names, values = weights(mapping, arkit)
    print(f"mine: {len(names)} names; Grin reaches {values[:, names.index('Grin')].max():.2f}")

    print(f"{avatar_name} can show:")
    for known in profile_coverage(freeavatar.load_avatar(avatar_name)):
        missing = f", not {', '.join(known.missing[:4])} ..." if known.missing else ""
        print(f"  {known.profile}: {len(known.shown)} names{missing}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
