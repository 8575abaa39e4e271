"""Drawn, painted and 3D cartoon faces as actors: curves against exact truth, beside mediapipe.

    python benchmarks/stylised.py --mediapipe-python PYTHON

Our own creature and cartoon and, where the data folder has them, a reptile and a low-poly
character, as rendered, in flat colours with ink, and as a pencil drawing. Writes stylised.md,
stylised.json and stylised.png.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from chart import Panel, write_panels
from freeavatar.animation import AnimationClip
from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.video_writer import VideoWriter
from freeavatar.datasets.actors import make_actor
from freeavatar.rig import ARKIT
from provenance import provenance, write_part
from scores import Judged, group_mean, judge
from tables import number, table
from takes import FRAME_RATE_HZ, head_motion, range_take
from trackers import Mediapipe, one_line_errors, peer_model, track_ours

BUNDLED = ("basil", "bibi")
FROM_DATA = {
    "reptile": "vitruvian/vit_reptile.glb",
    "low-poly": "godette/*.vrm",
}
SIZE = 320
NUM_FRAMES = 60

Style = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Options:
    """Compare trackers on faces that are no photographs."""

    data: Path = Path("../shared/data")
    clips: Path = Path("data/bench")
    out: Path = Path("out/bench")
    mediapipe_python: Path = Path(".venv-peers/bin/python")
    mediapipe_model: Path | None = None
    """face_landmarker.task; the one that `make bench` installed when left out."""


@dataclass(frozen=True)
class Likeness:
    """One tracker on all characters in one style."""

    found: float
    correlation: float
    error: float


def compare_stylised(options: Options) -> dict[str, dict[str, Likeness]]:
    """Draw what is missing, run the trackers, write the files; by style, then by tracker."""
    made = provenance()
    cast = _cast(options.data)
    truth = _truth()
    videos = {
        (name, style): _draw(avatar, name, style, truth, options.clips / "stylised")
        for name, avatar in cast.items()
        for style in STYLES
    }
    model = options.mediapipe_model or peer_model(options.mediapipe_python)
    files = list(videos.values())
    curves = {
        "freeavatar": track_ours(files, options.out / "stylised"),
        "mediapipe": Mediapipe(options.mediapipe_python, model).track(
            files, options.clips / "mediapipe"
        ),
    }
    shown = {name: make_actor(avatar).shows for name, avatar in cast.items()}
    result: dict[str, dict[str, Likeness]] = {}
    for style in STYLES:
        result[style] = {}
        for tracker, own in curves.items():
            judged = [
                Judged(name, truth, shown[name], clip)
                for (name, drawn), clip in zip(videos, own, strict=True)
                if drawn == style
            ]
            scores = judge(judged)
            result[style][tracker] = Likeness(
                float(scores.found.mean()),
                group_mean(scores.correlation, "all"),
                group_mean(scores.error, "all"),
            )
    record = {s: {t: asdict(one) for t, one in own.items()} for s, own in result.items()}
    write_part(options.out, "stylised", made, record, stylised_markdown(result))
    _draw_bars(options.out / "stylised.png", result)
    return result


def stylised_markdown(result: dict[str, dict[str, Likeness]]) -> str:
    """One row a style."""
    trackers = list(next(iter(result.values())))
    header = ["style"]
    for measure in ("found, %", "correlation", "error"):
        header += [f"{measure}: {tracker}" for tracker in trackers]
    rows = [
        [
            style,
            *(number(100 * own[t].found, 0) for t in trackers),
            *(number(own[t].correlation) for t in trackers),
            *(number(own[t].error, 3) for t in trackers),
        ]
        for style, own in result.items()
    ]
    return table(header, rows) + "\n"


def _draw_bars(path: Path, result: dict[str, dict[str, Likeness]]) -> None:
    trackers = list(next(iter(result.values())))
    styles = list(result)

    def bars(measure: Callable[[Likeness], float]) -> dict[str, list[float]]:
        return {t: [measure(result[style][t]) for style in styles] for t in trackers}

    write_panels(
        path,
        [
            Panel("frames with a face, %", styles, bars(lambda one: 100 * one.found), digits=0),
            Panel("correlation (1 is perfect)", styles, bars(lambda one: one.correlation)),
            Panel("mean absolute error (0 is perfect)", styles, bars(lambda one: one.error)),
        ],
    )


def as_rendered(picture: np.ndarray) -> np.ndarray:
    """A frame of a computer-animated film."""
    return picture


def ink(picture: np.ndarray) -> np.ndarray:
    """Flat colours with black outlines."""
    calm = picture
    for _ in range(3):
        calm = cv2.bilateralFilter(calm, 9, 60, 9)
    grey = cv2.medianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 5)
    light = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 3)
    return np.where(light[..., None] > 0, calm // 32 * 32 + 16, 20).astype(np.uint8)


def pencil(picture: np.ndarray) -> np.ndarray:
    """Grey strokes on white paper."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    drawn = 255.0 * grey / np.maximum(cv2.GaussianBlur(grey, (0, 0), 6), 1)
    return np.repeat(np.clip(drawn, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


STYLES: dict[str, Style] = {"as rendered": as_rendered, "flat and ink": ink, "pencil": pencil}


def _cast(data: Path) -> dict[str, Avatar]:
    cast = {name: catalog.resolve(name) for name in BUNDLED}
    for name, pattern in FROM_DATA.items():
        for path in sorted((data / "avatars").glob(pattern))[:1]:
            cast[name] = load_avatar(path)
    return {name: avatar for name, avatar in cast.items() if avatar.arkit_to_rig is not None}


def _truth() -> AnimationClip:
    values = range_take(0)[:NUM_FRAMES]
    times_s = np.arange(NUM_FRAMES) / FRAME_RATE_HZ
    head = 0.7 * head_motion(7, NUM_FRAMES)
    return AnimationClip(ARKIT, times_s, values, np.ones(NUM_FRAMES, bool), head)


def _draw(avatar: Avatar, name: str, style: str, truth: AnimationClip, folder: Path) -> Path:
    path = folder / f"{name}-{style.replace(' ', '_')}.mp4"
    if path.is_file():
        return path
    assert avatar.arkit_to_rig is not None
    folder.mkdir(parents=True, exist_ok=True)
    prepared, camera = prepare(avatar), portrait_camera(avatar.face, margin=1.2)
    with VideoWriter(path, frame_rate_hz=FRAME_RATE_HZ, quality_crf=14) as writer:
        for time_s, values, head_rad in zip(
            truth.times_s, truth.values, truth.head_rad, strict=True
        ):
            controls = avatar.rig.clamp(avatar.rig.rest + avatar.arkit_to_rig @ values)
            posed = pose(avatar, controls, tuple(head_rad))
            picture = render(prepared, posed, camera, width=SIZE, height=SIZE, samples=1).rgb
            writer.write(STYLES[style](picture), float(time_s))
    return path


if __name__ == "__main__":
    cv2.setNumThreads(1)
    chosen = tyro.cli(Options)
    with one_line_errors():
        compare_stylised(chosen)
    print((chosen.out / "stylised.md").read_text())
