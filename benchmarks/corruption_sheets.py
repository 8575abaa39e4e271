"""A sheet for every corruption: the damaged input, an avatar driven by the clean clip, and the same
avatar driven by the damaged one.

    make -C benchmarks sheets        (or: python benchmarks/corruption_sheets.py --strength heavy)

What a mean error hides is seen here at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from corruptions import CORRUPTIONS, Shown, corrupted
from freeavatar.animation import AnimationClip
from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import PreparedAvatar, portrait_camera, prepare, render
from freeavatar.capture.follow import Follower, TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.errors import NoFaceFound
from freeavatar.pipeline import AnimateOptions, Models, animate

CAPTION_PX, LABEL_PX = 16, 0.36
BACKGROUND, INK = (24, 26, 29), (205, 208, 212)
AVATAR_MARGIN = 0.78
JPEG_QUALITY = 84


@dataclass(frozen=True)
class Options:
    """Draw a sheet for every corruption."""

    clip: Path = Path("examples/clips/crying_to_laughing.mp4")
    avatar: str = "ada"
    strength: str = "middle"
    """light, middle or heavy."""
    only: tuple[str, ...] = ()
    """Some corruptions by name; all when left out."""
    moments: int = 8
    cell_px: int = 128
    work: Path = Path("out/corruptions")
    """For the damaged clips and their curves."""
    out: Path = Path("docs/images/corruptions")


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    avatar, models = catalog.resolve(options.avatar), Models.load()
    prepared = prepare(avatar)
    shown = _shown(options.clip)
    frames = np.linspace(4, len(shown) - 5, options.moments).round().astype(int)
    clean = _curves(options.clip, avatar, options.work / "clean", models)
    calm_row = _draw(avatar, prepared, clean, frames, options.cell_px)
    for name in options.only or CORRUPTIONS:
        stem = name.replace(" ", "_")
        damaged = options.work / f"{stem}-{options.strength}.mp4"
        pictures = list(corrupted(name, options.strength, shown))
        times_s = [frame.time_s for frame in open_video(options.clip)]
        with VideoWriter(damaged, quality_crf=14) as writer:
            for picture, time_s in zip(pictures, times_s, strict=True):
                writer.write(picture, time_s)
        curves = _curves(damaged, avatar, options.work / damaged.stem, models)
        drawn = _draw(avatar, prepared, curves, frames, options.cell_px)
        seen = [pictures[frame] for frame in frames]
        moved = name in ("small", "outside", "roll")
        middles = () if moved else [float(shown[frame].face.center_px[0]) for frame in frames]
        sheet = np.vstack(
            [
                _row(seen, f"{name}, {options.strength}", options.cell_px, middles),
                _row(calm_row, "clean footage", options.cell_px),
                _row(drawn, "this footage", options.cell_px),
            ]
        )
        path = options.out / f"{stem}-{options.strength}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), quality)
        print(f"{path}: {_told(clean, curves)}", flush=True)


def _told(clean: AnimationClip, curves: AnimationClip) -> str:
    drift = float(np.abs(clean.values - curves.values).mean())
    return f"drift {drift:.3f}, face seen in {100 * curves.found.mean():.0f} %"


def _shown(clip: Path) -> list[Shown]:
    """Every frame of the clean clip and where the face is."""
    follower = Follower(TrackConfig(gap_s=0.0))
    shown = []
    for frame in open_video(clip):
        sighting = follower.look(frame)
        place = shown[-1].face if sighting is None else sighting.frame
        shown.append(Shown(frame.index, frame.rgb, place))
    return shown


def _curves(video: Path, avatar: Avatar, folder: Path, models: Models) -> AnimationClip:
    """The avatar's curves; at rest and never seen where nobody was found."""
    options = AnimateOptions(("controls",), overwrite=True)
    try:
        return animate(video, [avatar], folder, options, models).clips[avatar.name]
    except NoFaceFound:
        times_s = np.array([frame.time_s for frame in open_video(video)])
        num = len(times_s)
        rest = np.tile(avatar.rig.rest, (num, 1))
        return AnimationClip(avatar.rig, times_s, rest, np.zeros(num, bool), np.zeros((num, 3)))


def _draw(
    avatar: Avatar,
    prepared: PreparedAvatar,
    clip: AnimationClip,
    frames: Sequence[int] | np.ndarray,
    size: int,
) -> list[np.ndarray]:
    camera = portrait_camera(avatar.face, margin=AVATAR_MARGIN)
    return [
        render(
            prepared,
            pose(avatar, clip.values[frame], clip.head_rad[frame].tolist()),
            camera,
            width=size,
            height=size,
        ).rgb
        for frame in frames
    ]


def _row(
    pictures: Sequence[np.ndarray], label: str, cell_px: int, middles: Sequence[float] = ()
) -> np.ndarray:
    """Pictures cut to squares about these columns, or their middle; the row's label above them."""
    row = np.empty((cell_px + CAPTION_PX, cell_px * len(pictures), 3), np.uint8)
    row[:] = BACKGROUND
    for i, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        side = min(height, width)
        middle = middles[i] if middles else width / 2
        top, left = (height - side) // 2, int(np.clip(middle - side / 2, 0, width - side))
        square = picture[top : top + side, left : left + side]
        small = cv2.resize(square, (cell_px, cell_px), interpolation=cv2.INTER_AREA)
        row[CAPTION_PX:, i * cell_px : (i + 1) * cell_px] = small
    at = (4, CAPTION_PX - 4)
    cv2.putText(row, label, at, cv2.FONT_HERSHEY_SIMPLEX, LABEL_PX, INK, 1, cv2.LINE_AA)
    return row


if __name__ == "__main__":
    main(tyro.cli(Options))
