"""Videos of the performance: every frame once, in order, at its time, with the input's sound."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, FaceFrame, Material, Surface
from freeavatar.capture.video import open_video
from freeavatar.errors import UsageError
from freeavatar.export import video
from freeavatar.export.preview import CAPTION_PX, PreviewLayout
from freeavatar.export.registry import (
    FORMATS,
    choose_formats,
    formats_help,
    planned_files,
    write_take,
)
from freeavatar.export.takes import AnimatedTake, Character
from freeavatar.rig import ARKIT, Control, RigSpec

FRAMES = 10
TIMES_S = np.cumsum([0.0, *[1 / 30, 1 / 60, 1 / 20] * 3])


def tetrahedron(name: str) -> Avatar:
    """A face of four corners whose one control, turn by turn, makes it larger."""
    vertices = 0.1 * np.array([[0, 1, 0], [-1, -1, 0.5], [1, -1, 0.5], [0, -0.5, 1.5]])
    surface = Surface(
        "face",
        vertices.astype(np.float32),
        np.array([[0, 1, 3], [0, 3, 2], [3, 1, 2]], np.int32),
        np.zeros((4, 2), np.float32),
        Material("clay", "skin", np.array([0.8, 0.3, 0.2, 1.0], np.float32), double_sided=True),
        np.array([0]),
        vertices[None].astype(np.float32),
    )
    face = FaceFrame(
        *(np.array(p, np.float32) for p in ([0.03, 0, 0], [-0.03, 0, 0], [0, -0.06, 0], [0, 0, 0]))
    )
    rig = RigSpec(name, (Control("large"),))
    return Avatar(name, rig, (surface,), ("large",), np.eye(1, dtype=np.float32), (), face, None)


def character(name: str) -> Character:
    avatar = tetrahedron(name)
    values = np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None]
    found = np.ones(FRAMES, bool)
    return Character(
        avatar, AnimationClip(avatar.rig, TIMES_S, values, found, np.zeros((FRAMES, 3)))
    )


def filmed(path: Path) -> Path:
    """A video whose red says which frame it is, with a tone."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=30)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.codec_context.time_base = Fraction(1, 90_000)
        sound = container.add_stream("aac", rate=16_000)
        sound.codec_context.layout = "mono"
        for index, time_s in enumerate(TIMES_S):
            rgb = np.zeros((48, 64, 3), np.uint8)
            rgb[..., 0] = 20 * index
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 90_000), Fraction(1, 90_000)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        tone = np.sin(np.arange(5120) * 0.2).astype(np.float32)[None]
        for start in range(0, 5120, 1024):
            piece = av.AudioFrame.from_ndarray(
                tone[:, start : start + 1024], format="fltp", layout="mono"
            )
            piece.rate, piece.pts, piece.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path


@pytest.fixture
def take(tmp_path) -> AnimatedTake:
    found = np.ones(FRAMES, bool)
    found[4] = False
    arkit = AnimationClip(ARKIT, TIMES_S, np.zeros((FRAMES, 52)), found, np.zeros((FRAMES, 3)))
    characters = (character("anna"), character("bernd"))
    return AnimatedTake(filmed(tmp_path / "take.mp4"), arkit, characters)


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[str, int]]:
    """Replaces the rasterizer: flat pictures whose red is the frame; notes what was drawn."""
    calls: list[tuple[str, int]] = []

    def drawer(one: Character, size: int):
        def draw(frame: int) -> np.ndarray:
            # Later frames are ready earlier, which must not change their order.
            time.sleep(0.002 * (FRAMES - frame) / FRAMES)
            calls.append((one.avatar.name, frame))
            picture = np.zeros((size, size, 3), np.uint8)
            picture[..., 0] = 20 * frame
            picture[..., 2] = 200 if one.avatar.name == "bernd" else 0
            return picture

        return draw

    monkeypatch.setattr(video, "_drawer", drawer)
    return calls


def decoded(path: Path) -> tuple[list[np.ndarray], list[float]]:
    frames = list(open_video(path))
    return [frame.rgb for frame in frames], [frame.time_s for frame in frames]


def test_the_rasterizer_shows_the_movement():
    pictures = list(video.render_clip(character("anna").avatar, character("anna").clip, 48))
    assert len(pictures) == FRAMES
    assert pictures[0].shape == (48, 48, 3)
    background = pictures[0][0, 0].astype(int)
    covered = [(np.abs(p.astype(int) - background).max(axis=2) > 40).sum() for p in pictures]
    assert covered[-1] > 1.2 * covered[0] > 0


def test_pictures_come_in_order_whatever_is_ready_first(drawn):
    sets = list(video.render_characters([character("anna"), character("bernd")], 8))
    assert [int(pair[0][0, 0, 0]) for pair in sets] == [20 * i for i in range(FRAMES)]
    assert {int(pair[1][0, 0, 2]) for pair in sets} == {200}


def test_nothing_is_drawn_for_a_reader_who_left(drawn):
    pictures = video.render_characters([character("anna")], 8)
    next(pictures)
    pictures.close()
    assert len(drawn) < FRAMES


def test_one_pass_writes_all_videos_with_time_and_sound(tmp_path, take, drawn):
    paths = {name: tmp_path / f"{name}.mp4" for name in ("anna", "bernd")}
    progress: list[tuple[int, int]] = []
    video.write_videos(
        take, paths, tmp_path / "preview.mp4", 64, lambda *done: progress.append(done)
    )
    assert sorted(drawn) == [(n, i) for n in ("anna", "bernd") for i in range(FRAMES)]
    assert progress[-1] == (FRAMES, FRAMES)
    for path in (*paths.values(), tmp_path / "preview.mp4"):
        frames, times_s = decoded(path)
        np.testing.assert_allclose(times_s, TIMES_S, atol=2e-4)
        assert len(frames) == FRAMES
        with av.open(str(path)) as container:
            assert len(container.streams.audio) == 1
            heard = sum(frame.samples for frame in container.decode(audio=0))
        assert heard > 4000
    reds = [int(frame[32, 32, 0]) for frame in decoded(paths["anna"])[0]]
    np.testing.assert_allclose(reds, 20 * np.arange(FRAMES), atol=12)


def test_the_preview_shows_each_input_frame_beside_its_avatars(tmp_path, take, drawn):
    video.write_videos(take, {}, tmp_path / "preview.mp4", 64)
    layout = PreviewLayout.of(take.source, ["anna", "bernd"])
    frames, _ = decoded(tmp_path / "preview.mp4")
    row = layout.input_height // 2
    for index, frame in enumerate(frames):
        beside = layout.input_width + layout.avatar_side // 2
        shown = [int(frame[row, column, 0]) for column in (layout.input_width // 2, beside)]
        np.testing.assert_allclose(shown, 20 * index, atol=15)
        assert frame[row, beside + layout.avatar_side, 2] > 150, "the second avatar is the blue one"


def test_a_picture_gives_videos_of_one_frame(tmp_path, take, drawn):
    cv2.imwrite(str(tmp_path / "portrait.png"), np.full((80, 60, 3), 90, np.uint8))
    one = replace(
        take.characters[0],
        clip=AnimationClip(
            take.characters[0].avatar.rig,
            np.zeros(1),
            np.zeros((1, 1)),
            np.ones(1, bool),
            np.zeros((1, 3)),
        ),
    )
    arkit = AnimationClip(ARKIT, np.zeros(1), np.zeros((1, 52)), np.ones(1, bool), np.zeros((1, 3)))
    picture = AnimatedTake(tmp_path / "portrait.png", arkit, (one,))
    video.write_videos(picture, {"anna": tmp_path / "a.mp4"}, tmp_path / "preview.mp4", 64)
    assert len(decoded(tmp_path / "a.mp4")[0]) == 1
    (frame,), _ = decoded(tmp_path / "preview.mp4")
    assert abs(int(frame[100, 100, 0]) - 90) < 8


def test_a_failure_leaves_no_video(tmp_path, take, monkeypatch):
    def drawer(one: Character, size: int):
        def draw(frame: int) -> np.ndarray:
            if frame == 6:
                raise KeyboardInterrupt
            return np.zeros((size, size, 3), np.uint8)

        return draw

    monkeypatch.setattr(video, "_drawer", drawer)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write_take(take, choose_formats(["mp4", "preview"]), out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("aspect", [0.2, 9 / 16, 1.0, 16 / 9, 4.0])
@pytest.mark.parametrize("avatars", [1, 3, 4, 10])
def test_a_preview_fits_a_screen_and_distorts_nothing(aspect, avatars):
    layout = PreviewLayout.fitting("take.mp4", aspect, [f"avatar {i}" for i in range(avatars)])
    height = 240
    frame = np.full((height, max(1, round(height * aspect)), 3), 255, np.uint8)
    pictures = [np.full((64, 64, 3), 255, np.uint8)] * avatars
    canvas = layout.compose(frame, pictures)
    assert canvas.shape == (layout.size[1], layout.size[0], 3)
    assert canvas.shape[0] <= 720 + CAPTION_PX
    shown = (canvas[: layout.input_height, : layout.input_width] == 255).all(axis=2)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    assert np.ptp(columns) + 1 == pytest.approx(aspect * (np.ptp(rows) + 1), rel=0.03, abs=2)
    white = (canvas[:, layout.input_width :] == 255).all(axis=2).sum()
    assert white == avatars * layout.avatar_side**2


def test_a_preview_bears_names_that_its_font_lacks_and_missing_frames():
    layout = PreviewLayout.fitting("Größe " * 60, 1.5, ["アバター"])
    canvas = layout.compose(None, [np.zeros((64, 64, 3), np.uint8)], found=False)
    captions = canvas[layout.input_height :]
    assert captions[:, : layout.input_width].max() > 150
    assert captions[:, layout.input_width :].max() > 150


def test_formats_are_the_promised_ones():
    files = {name: format_.file for name, format_ in FORMATS.items()}
    assert files == {
        "livelink": "livelink.csv",
        "controls": "{avatar}.controls.csv",
        "track": "track.csv",
        "glb": "{avatar}.glb",
        "mp4": "{avatar}.mp4",
        "preview": "preview.mp4",
        "report": "report.json",
        "json": "{avatar}.curves.json",
        "npz": "{avatar}.curves.npz",
        "unreal": "{avatar}.unreal.csv",
        "maya": "{avatar}.maya.py",
        "blender": "freeavatar_blender.py",
        "vrm": "{avatar}.vrm",
        "vrma": "{avatar}.vrma",
        "vrma-presets": "presets.vrma",
        "usdc": "{avatar}.usdc",
        "usdz": "{avatar}.usdz",
        "fbx": "{avatar}.fbx",
        "alembic": "{avatar}.abc",
    }
    lines = formats_help().splitlines()
    assert [line.split()[0] for line in lines] == list(FORMATS)
    assert max(len(line) for line in lines) < 120


def test_formats_are_chosen_by_name():
    assert [f.name for f in choose_formats(["glb", "livelink"])] == ["livelink", "glb"]
    defaults = ["livelink", "controls", "track", "glb", "mp4", "preview", "report"]
    assert [f.name for f in choose_formats()] == defaults
    with pytest.raises(UsageError, match="Did you mean preview"):
        choose_formats(["previw"])
    with pytest.raises(UsageError, match="livelink, controls"):
        choose_formats(["zzz"])


def test_what_is_planned_is_what_is_written(tmp_path, take, drawn):
    formats = choose_formats(["livelink", "controls", "mp4"])
    planned = planned_files(tmp_path / "out", formats, ["anna", "bernd"])
    written = write_take(take, formats, tmp_path / "out")
    assert written == planned
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
