"""A video of a face -> files that Blender, Unreal, Maya and VRM players open.

python examples/01_video_to_files.py examples/clips/crying_to_laughing.mp4 out/example1
"""

import sys
from pathlib import Path

import freeavatar

FORMATS = ("livelink", "controls", "json", "vrm", "vrma")
"""`freeavatar formats` lists all of them."""


def main(video: Path, out: Path, avatar_name: str = "ada") -> None:
    avatar = freeavatar.load_avatar(avatar_name)
    options = freeavatar.AnimateOptions(formats=FORMATS, overwrite=True)
    take = freeavatar.animate(video, [avatar], out, options)

    clip = take.clips[avatar.name]
    print(f"{len(clip)} frames, a face in {clip.found.sum()} of them")
    reach = clip.values.max(axis=0) - clip.values.min(axis=0)
    for control in reach.argsort()[::-1][:5]:
        print(f"  {clip.rig.names[control]:<20} moves by {reach[control]:.2f}")
    for file in take.files:
        print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
