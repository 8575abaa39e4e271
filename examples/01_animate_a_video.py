"""A video in, an animated avatar out; then the curves as NumPy arrays, and what moved most.

python examples/01_animate_a_video.py --video take.mp4 --avatar ada --out out/one
"""

from pathlib import Path

import tyro

import freeavatar

CLIP = Path(__file__).parent / "clips" / "crying_to_laughing.mp4"


def main(video: Path = CLIP, avatar: str = "ada", out: Path = Path("out/example-1")) -> None:
    """Animate one avatar, named or a GLB or VRM file of yours, with one video."""
    character = freeavatar.load_avatar(avatar)
    options = freeavatar.AnimateOptions(formats=("livelink", "glb"), overwrite=True)
    take = freeavatar.animate(video, [character], out, options)

    clip = take.clips[character.name]
    print(f"{len(clip)} frames, a face in {clip.found.sum()}, {len(clip.rig)} controls")
    spread = clip.values.max(axis=0) - clip.values.min(axis=0)
    for column in spread.argsort()[::-1][:5]:
        print(f"  {clip.rig.names[column]:<24} moves by {spread[column]:.2f}")
    for file in take.files:
        print(f"  wrote {file}")


if __name__ == "__main__":
    tyro.cli(main)
