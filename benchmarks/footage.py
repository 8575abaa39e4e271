"""Footage for the speed measurements: a real clip at other sizes, and as long as one likes."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from freeavatar.capture.video import open_video
from freeavatar.capture.video_writer import VideoWriter


def enlarged(clip: Path, width: int, height: int, num_frames: int, folder: Path) -> Path:
    """The clip's first frames at another size, whatever its shape: scaled to fit, black beside."""
    path = folder / f"speed-{clip.stem}-{height}p-{num_frames}.mp4"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, quality_crf=18) as writer:
        for count, frame in enumerate(open_video(clip)):
            if count == num_frames:
                break
            writer.write(_fit(frame.rgb, width, height), frame.time_s)
    return path


def repeated(video: Path, duration_s: float, folder: Path) -> Path:
    """The same pictures again and again, their packets copied: long footage at once."""
    path = folder / f"{video.stem}-{duration_s:.0f}s.mp4"
    if path.is_file():
        return path
    unfinished = path.with_name(f".{path.name}")
    with av.open(str(unfinished), "w", format="mp4") as target:
        offset, stream = 0, None
        while True:
            with av.open(str(video)) as source:
                pictures = source.streams.video[0]
                stream = stream or target.add_stream_from_template(pictures)
                for packet in source.demux(pictures):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    target.mux(packet)
                assert pictures.time_base is not None
                assert pictures.duration is not None
                offset += pictures.duration
                if offset * pictures.time_base >= duration_s:
                    break
    unfinished.replace(path)
    return path


def _fit(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = min(width / rgb.shape[1], height / rgb.shape[0])
    size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    right, bottom = width - size[0] - left, height - size[1] - top
    return cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT)
