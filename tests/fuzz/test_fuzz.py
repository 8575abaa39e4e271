"""Damaged files: always a message or a result, never a crash, a hang or half of an output.

A sample runs with every test run; all of it, 500 media files and 200 models and curves, with:
pytest tests/fuzz -m slow
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from fuzz_harness import Worker, complaint, damaged

SIDE = (160, 120)
ONCE_CRASHED = (31, 150, 390, 418)
"""An unknown codec, three times, and a picture larger than OpenCV reads."""
SUCCESSES = 0.05
"""At least this share must still be read: files that are all refused at once test little."""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    started = Worker(tmp_path)
    yield started
    started.close()


@pytest.fixture(scope="session")
def media(face_pictures, tmp_path_factory) -> list[Path]:
    """The same few small pictures in every kind of file that people bring."""
    folder = tmp_path_factory.mktemp("media")
    pictures = [cv2.resize(p, SIDE, interpolation=cv2.INTER_AREA) for p in face_pictures]
    files = [folder / name for name in ("a.mp4", "b.mkv", "c.mov", "d.avi", "e.webm")]
    for file, codec in zip(files, ("libx264", "libx264", "mpeg4", "mjpeg", "libvpx"), strict=True):
        _write_video(file, pictures, codec)
    for name in ("f.jpg", "g.png", "h.webp", "i.bmp", "j.tif"):
        files.append(folder / name)
        cv2.imwrite(str(files[-1]), pictures[0][..., ::-1])
    return files


@pytest.fixture(scope="session")
def curves(toy_avatar_file, tmp_path_factory) -> list[Path]:
    """Every kind of file of curves, and an avatar."""
    from freeavatar.animation import AnimationClip
    from freeavatar.avatars.gltf import load_avatar
    from freeavatar.export.controls_csv import write_controls
    from freeavatar.export.glb import write_glb
    from freeavatar.export.json_curves import write_json
    from freeavatar.export.livelink import write_livelink
    from freeavatar.export.npz import write_curves
    from freeavatar.rig import ARKIT

    folder = tmp_path_factory.mktemp("curves")
    times_s = np.arange(8) / 30.0
    values = np.random.default_rng(0).random((8, len(ARKIT)))
    clip = AnimationClip(ARKIT, times_s, values, np.ones(8, bool), np.zeros((8, 3)))
    write_livelink(folder / "livelink.csv", clip)
    write_controls(folder / "arkit.controls.csv", clip)
    write_json(folder / "curves.json", clip)
    write_curves(folder / "curves.npz", clip)
    avatar = load_avatar(toy_avatar_file)
    own = AnimationClip(
        avatar.rig, times_s, values[:, : len(avatar.rig)], np.ones(8, bool), np.zeros((8, 3))
    )
    write_glb(folder / "animated.glb", avatar, own)
    shutil.copy(toy_avatar_file, folder / "avatar.glb")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("num", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_damaged_media_end_with_a_message_or_a_result(num, media, worker, tmp_path):
    faults, num_read = [], 0
    for seed in sorted({*range(num), *ONCE_CRASHED}):
        source = media[seed % len(media)]
        # Most as whole pictures, which costs little; some are searched for faces.
        crop = "face" if seed % 23 == 0 else "whole"
        arguments = ["--crop", crop, "--formats", "livelink", "report"]
        fault, code = _opened(worker, tmp_path, source, seed, "animate", arguments)
        num_read += code == 0
        if fault:
            faults.append(f"{source.suffix} {seed}: {fault}")
    assert not faults, "\n".join(faults)
    # A handful may all be refused by chance.
    assert num < 100 or num_read >= SUCCESSES * num


@pytest.mark.parametrize("num", [18, pytest.param(200, marks=pytest.mark.slow)])
def test_damaged_models_and_curves_end_with_a_message_or_a_result(
    num, curves, worker, tmp_path, toy_avatar_file
):
    faults, num_read = [], 0
    take = next(path for path in curves if path.name == "livelink.csv")
    for seed in range(num):
        source = curves[seed % len(curves)]
        if source.name == "avatar.glb":
            fault, code = _avatar_opened(worker, tmp_path, source, seed, take)
        else:
            arguments = ["--avatar", str(toy_avatar_file), "--formats", "controls", "glb"]
            fault, code = _opened(worker, tmp_path, source, seed, "retarget", arguments)
        num_read += code == 0
        if fault:
            faults.append(f"{source.name} {seed}: {fault}")
    assert not faults, "\n".join(faults)
    # A handful may all be refused by chance.
    assert num < 100 or num_read >= SUCCESSES * num


def _opened(
    worker: Worker, root: Path, source: Path, seed: int, command: str, arguments: list[str]
) -> tuple[str, int]:
    """What went wrong with one damaged input, and the exit code."""
    given = root / f"in{seed}" / source.name
    given.parent.mkdir()
    given.write_bytes(damaged(source.read_bytes(), seed))
    out = root / f"out{seed}"
    before = set(root.rglob("*"))
    answer = worker.run([command, str(given), *arguments, "--out", str(out)])
    fault = complaint(answer, set(root.rglob("*")) - before, out)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(given.parent)
    return fault, answer.code


def _avatar_opened(
    worker: Worker, root: Path, source: Path, seed: int, take: Path
) -> tuple[str, int]:
    """The same for a damaged avatar, driven with sound curves."""
    broken = root / f"avatar{seed}" / source.name
    broken.parent.mkdir()
    broken.write_bytes(damaged(source.read_bytes(), seed))
    out = root / f"out{seed}"
    before = set(root.rglob("*"))
    answer = worker.run(
        [
            *("retarget", str(take), "--avatar", str(broken), "--out", str(out)),
            *("--formats", "controls", "glb"),
        ]
    )
    fault = complaint(answer, set(root.rglob("*")) - before, out)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(broken.parent)
    return fault, answer.code


def _write_video(path: Path, pictures: list[np.ndarray], codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = SIDE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
