"""Contact sheets of real clips: the input above, avatars below, at twelve moments.

    make sheets CLIPS=FOLDER        (or: python recipes/sheets.py FOLDER --out out/sheets)

What numbers hide, a wrong wink or a mouth that never closes, is seen here at once.

Data      any videos; the sheets in docs/ come from the clips named there
Hardware  one CPU core, about twice the length of the clips: capture runs again for the face row
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from jaxtyping import Int, UInt8

from freeavatar.animation import AnimationClip
from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.track import TrackConfig, track_actor
from freeavatar.capture.video import open_video
from freeavatar.cli.inputs import media_files
from freeavatar.errors import InputError
from freeavatar.pipeline import AnimateOptions, Models, animate

CAPTION_PX = 18
BACKGROUND, INK = (24, 26, 29), (205, 208, 212)
AVATAR_MARGIN = 0.72
"""Closer than a portrait: expressions are what the sheet is for."""


@dataclass(frozen=True)
class Options:
    """Draw a contact sheet for every clip."""

    clips: Annotated[tuple[Path, ...], tyro.conf.Positional] = (Path("examples/clips"),)
    """Videos or folders of them."""
    avatar: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """By name or file; three bundled ones when left out."""
    out: Path = Path("out/sheets")
    moments: int = 12
    cell_px: int = 176


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    avatars = [catalog.resolve(name) for name in options.avatar or catalog.DEFAULT]
    models = Models.load()
    for source in [path for given in options.clips for path in media_files(given)]:
        try:
            sheet = clip_sheet(source, avatars, models, options)
        except InputError as error:
            print(f"{source}: {error}")
            continue
        path = options.out / f"{source.stem}.png"
        cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        print(path)


def clip_sheet(
    source: Path, avatars: Sequence[Avatar], models: Models, options: Options
) -> UInt8[np.ndarray, "height width 3"]:
    """Rows: the whole frame, the face enlarged, each avatar; columns: moments."""
    folder = options.out / source.stem
    chosen = AnimateOptions(formats=("livelink", "controls", "report"), overwrite=True)
    take = animate(source, avatars, folder, chosen, models)
    frames = moments(len(take.arkit), options.moments)
    pictures = _read(source, frames)
    boxes = _boxes(source, chosen.track, frames)
    captions = [
        f"{take.arkit.times_s[f]:.2f} s{'' if take.arkit.found[f] else ', no face'}" for f in frames
    ]
    rows = [
        _row(pictures, source.name, captions, options.cell_px),
        _row(_faces(pictures, boxes), "face", [""] * len(frames), options.cell_px),
    ]
    for avatar in avatars:
        drawn = _draw(avatar, take.clips[avatar.name], frames, options.cell_px)
        rows.append(_row(drawn, avatar.name, [""] * len(frames), options.cell_px))
    return np.vstack(rows)


def moments(num_frames: int, count: int) -> Int[np.ndarray, "moment"]:
    """Evenly spread frames, first and last included."""
    return np.unique(np.linspace(0, num_frames - 1, min(count, num_frames)).round().astype(int))


def _read(source: Path, frames: Int[np.ndarray, "moment"]) -> list[np.ndarray]:
    wanted = set(frames.tolist())
    return [frame.rgb for frame in open_video(source) if frame.index in wanted]


def _boxes(
    source: Path, track: TrackConfig, frames: Int[np.ndarray, "moment"]
) -> list[np.ndarray | None]:
    """Left, top, right, bottom of the crop that the curves were made from; None where it was lost.

    A detector of the sheet's own might enlarge somebody else, even a skull printed on a shirt.
    """
    places = [frame.box for frame in track_actor(open_video(source), track)]
    if all(place is None for place in places):
        # As `performance.watch` does: a take without a face is watched again with less doubt.
        places = [frame.box for frame in track_actor(open_video(source), track.eager())]
    return [places[frame] for frame in frames]


def _faces(pictures: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """What the encoder saw of each picture, upright; black where there was no face."""
    faces = []
    for picture, box in zip(pictures, boxes, strict=True):
        if box is None:
            faces.append(np.zeros((8, 8, 3), np.uint8))
            continue
        size = max(1, round(float(box[2] - box[0])))
        center = (box[:2] + box[2:]) / 2
        faces.append(cv2.getRectSubPix(picture, (size, size), center.tolist()))
    return faces


def _draw(
    avatar: Avatar, clip: AnimationClip, frames: Int[np.ndarray, "moment"], size: int
) -> list[np.ndarray]:
    prepared, camera = prepare(avatar), portrait_camera(avatar.face, margin=AVATAR_MARGIN)
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
    pictures: Sequence[np.ndarray], name: str, captions: Sequence[str], cell_px: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures fitted into cells of one height, the row's name before the first caption."""
    height = round(min(max(p.shape[0] / p.shape[1] for p in pictures), 1.0) * cell_px)
    row = np.empty((height + CAPTION_PX, cell_px * len(pictures), 3), np.uint8)
    row[:] = BACKGROUND
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        scale = min(cell_px / picture.shape[1], height / picture.shape[0])
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        left, top = i * cell_px + (cell_px - size[0]) // 2, (height - size[1]) // 2
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        row[top : top + size[1], left : left + size[0]] = small
        words = f"{name} {caption}" if i == 0 else caption
        at = (i * cell_px + 4, height + 13)
        cv2.putText(row, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.38, INK, 1, cv2.LINE_AA)
    return row


if __name__ == "__main__":
    main(tyro.cli(Options))
