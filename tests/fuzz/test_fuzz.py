"""Damaged files: always a message or a result, never a crash, a hang or half of an output.

A sample runs with every test run; all of it, 500 media files, 200 GLB and CSV files and 100 of our
other curve files, with: make fuzz
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from fuzz_harness import Worker, complaint, damaged

SIDE = (160, 120)
ONCE_CRASHED = (31, 150, 390, 418)
"""An unknown codec, three times, and a picture larger than OpenCV reads."""
WITH_SOUND = (".mov", ".webm")
MODELS = (".glb", ".csv")
SUCCESSES = 0.05
"""At least this share must still be read: files that are all refused at once test little."""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    started = Worker(tmp_path)
    yield started
    started.close()


@pytest.fixture
def real_worker(tmp_path: Path) -> Iterator[Worker]:
    """With the networks that ship."""
    started = Worker(tmp_path, real_networks=True)
    yield started
    started.close()


@pytest.fixture(scope="session")
def media(face_pictures, tmp_path_factory) -> list[Path]:
    """The same few small pictures in every kind of file that people bring."""
    folder = tmp_path_factory.mktemp("media")
    pictures = [cv2.resize(p, SIDE, interpolation=cv2.INTER_AREA) for p in face_pictures]
    files = [folder / name for name in ("a.mp4", "b.mkv", "c.mov", "d.avi", "e.webm")]
    for file, codec in zip(files, ("libx264", "libx264", "mpeg4", "mjpeg", "libvpx"), strict=True):
        _write_video(file, pictures, codec, sound=file.suffix in WITH_SOUND)
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
def test_damaged_media_end_with_a_message_or_a_result(
    num, media, worker, real_worker, tmp_path, toy_avatar_file
):
    faults, num_read = [], 0
    for seed in sorted({*range(num), *ONCE_CRASHED}):
        source = media[seed % len(media)]
        real = seed % 41 == 30
        # Most as whole pictures, which costs little; some are searched for faces.
        crop = "face" if real or seed % 23 == 0 else "whole"
        arguments = ["--crop", crop, "--formats", "livelink", "report"]
        # Sound is read only where a video is written.
        if real or (source.suffix in WITH_SOUND and seed // len(media) % 4 == 1):
            arguments += ["preview", "--avatar", str(toy_avatar_file)]
        who = real_worker if real else worker
        fault, code = _opened(who, tmp_path, source, seed, "animate", arguments)
        num_read += code == 0
        if fault:
            faults.append(f"{source.suffix} {seed}: {fault}")
    assert not faults, "\n".join(faults)
    # A handful may all be refused by chance.
    assert num < 100 or num_read >= SUCCESSES * num


@pytest.mark.parametrize("num", [18, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged_models_and_curves_end_with_a_message_or_a_result(
    num, curves, worker, tmp_path, toy_avatar_file
):
    faults, num_read = [], 0
    assert [path.suffix in MODELS for path in curves].count(True) * 3 == 2 * len(curves)
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


def _without_rows(data: bytes) -> bytes:
    return data.splitlines(keepends=True)[0]


def _unknown_packing(data: bytes) -> bytes:
    """Every member of the ZIP says that it is compressed in a way that nobody knows."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        for found in re.finditer(re.escape(mark), data):
            changed[found.start() + offset : found.start() + offset + 2] = b"\x63\x00"
    return bytes(changed)


def _spoilt_packing(data: bytes) -> bytes:
    """The compressed bytes of the first members are overwritten, their headers are whole."""
    changed = bytearray(data)
    for found in list(re.finditer(rb"PK\x03\x04", data))[:2]:
        lengths = struct.unpack_from("<HH", data, found.start() + 26)
        start = found.start() + 30 + sum(lengths)
        changed[start : start + 12] = b"\xff" * 12
    return bytes(changed)


def _endless_number(data: bytes) -> bytes:
    """A number in the JSON of a GLB that no float can hold."""
    (length,) = struct.unpack_from("<I", data, 12)
    text = data[20 : 20 + length].decode().rstrip()
    broken, times = re.subn(r'("byteLength"\s*:\s*)\d+', r"\g<1>1e999", text, count=1)
    assert times == 1
    json_bytes = broken.encode() + b" " * (-len(broken.encode()) % 4)
    rest = data[20 + length :]
    header = struct.pack("<4sII", b"glTF", 2, 20 + len(json_bytes) + len(rest))
    return header + struct.pack("<II", len(json_bytes), 0x4E4F534A) + json_bytes + rest


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("curves.npz", _unknown_packing, id="a ZIP packed in an unknown way"),
        pytest.param("curves.npz", _spoilt_packing, id="a ZIP whose packed bytes are spoilt"),
        pytest.param("arkit.controls.csv", _without_rows, id="a table without rows"),
        pytest.param("livelink.csv", _without_rows, id="a recording without rows"),
        pytest.param("animated.glb", _endless_number, id="curves in a GLB with 1e999"),
        pytest.param("avatar.glb", _endless_number, id="an avatar with 1e999"),
    ],
)
def test_curve_files_that_once_crashed_are_refused_in_one_sentence(
    name: str,
    change: Callable[[bytes], bytes],
    curves,
    worker,
    tmp_path,
    toy_avatar_file,
):
    broken = tmp_path / "given" / name
    broken.parent.mkdir()
    broken.write_bytes(change((curves[0].parent / name).read_bytes()))
    take = curves[0].parent / "livelink.csv"
    inputs = (take, broken) if name == "avatar.glb" else (broken, toy_avatar_file)
    out = tmp_path / "out"
    before = set(tmp_path.rglob("*"))
    answer = worker.run(["retarget", str(inputs[0]), "--avatar", str(inputs[1]), "--out", str(out)])
    assert not complaint(answer, set(tmp_path.rglob("*")) - before, out)
    assert answer.code == 1
    assert name in answer.err
    assert answer.err.count("\n") == 1


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


def _write_video(path: Path, pictures: list[np.ndarray], codec: str, *, sound: bool) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = SIDE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        voice = None
        if sound:
            name, rate_hz = ("libopus", 48_000) if path.suffix == ".webm" else ("aac", 16_000)
            voice = container.add_stream(name, rate=rate_hz, layout="mono")
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            for packet in (*voice.encode(_tone(voice.rate, len(pictures) / 10)), *voice.encode()):
                container.mux(packet)


def _tone(rate_hz: int, duration_s: float) -> av.AudioFrame:
    """An audible one: silence packs into nothing that could be damaged."""
    times_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    wave = (0.3 * np.sin(2 * np.pi * 300 * times_s * (1 + times_s))).astype(np.float32)
    samples = (wave * 32_767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 0
    return frame
