"""Videos in and out: times, rotation, sound, and every way a file can be bad."""

from __future__ import annotations

import errno
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from freeavatar.capture.video import VideoWriter, open_video, write_video
from freeavatar.capture.video_writer import output_error
from freeavatar.errors import MediaError, OutputError

RED_LEFT = np.zeros((48, 64, 3), np.uint8)
RED_LEFT[:, :32] = (220, 30, 30)
RED_LEFT[:, 32:] = (30, 30, 220)


def shades(num: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames that tell which one they are by their grey."""
    return [np.full((height, width, 3), 20 + 10 * i % 220, np.uint8) for i in range(num)]


def beep_file(path: Path, sound_delay_s: float, codec: str = "aac") -> Path:
    """Two seconds of pictures; a tone that begins sound_delay_s after the first picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        voice = container.add_stream(codec, rate=16_000, layout="mono")
        for picture in shades(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
        tone = np.zeros(32_000, np.float32)
        tone[int(16_000 * sound_delay_s) :] = np.sin(
            np.arange(32_000 - int(16_000 * sound_delay_s))
        )
        resampler = av.AudioResampler(voice.codec_context.format, "mono", 16_000)
        piece = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
        piece.sample_rate, piece.time_base, piece.pts = 16_000, Fraction(1, 16_000), 0
        for part in resampler.resample(piece):
            container.mux(voice.encode(part))
        container.mux(voice.encode())
    return path


def tone_begins_s(path: Path) -> float:
    """When the sound first is loud, on the clock of the pictures."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    with av.open(str(path)) as container:
        for piece in container.decode(audio=0):
            samples = piece.to_ndarray().astype(np.float64)
            if np.issubdtype(piece.to_ndarray().dtype, np.integer):
                samples /= 32768.0
            loud = np.flatnonzero(np.abs(samples[0]) > 0.3)
            if len(loud):
                return float(piece.time + loud[0] / piece.sample_rate - first.time)
    raise AssertionError("no tone")


def test_frames_come_back_with_their_own_irregular_times(tmp_path):
    times_s = [0.0, 0.04, 0.1, 0.35, 0.36, 1.2]
    write_video(tmp_path / "v.mp4", shades(6), times_s)
    frames = list(open_video(tmp_path / "v.mp4"))
    np.testing.assert_allclose([frame.time_s for frame in frames], times_s, atol=1e-4)
    for frame, picture in zip(frames, shades(6), strict=True):
        assert abs(frame.rgb.mean() - picture.mean()) < 4
    assert [frame.index for frame in frames] == list(range(6))


def test_time_starts_at_zero_and_never_goes_back(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i, picture in enumerate(shades(8)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = i
            for packet in stream.encode(frame):
                packet.pts = packet.dts = 50 + [0, 1, 2, 2, 2, 5, 6, 7][i]
                container.mux_one(packet)
    times_s = [frame.time_s for frame in open_video(path)]
    assert times_s[0] == 0.0
    assert (np.diff(times_s) > 0).all()
    assert times_s[-1] == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_phone_video_is_turned_upright(tmp_path, degrees):
    path = tmp_path / "phone.mp4"
    stored = np.rot90(RED_LEFT, -degrees // 90).copy()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, "rgb24")))
        container.mux(stream.encode())
    turn_in_header(path, degrees)
    video = open_video(path)
    assert (video.width, video.height) == (64, 48)
    shown = next(iter(video)).rgb
    assert shown[24, 16, 0] > 150 > shown[24, 48, 0]


def turn_in_header(path: Path, degrees: int) -> None:
    """Write the display matrix where QuickTime keeps it, as a phone does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    matrix = [cos << 16, -sin << 16, 0, sin << 16, cos << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(bytes(data))


def test_ten_bit_full_hd_colours_survive(tmp_path):
    path = tmp_path / "ten.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        frame = av.VideoFrame.from_ndarray(RED_LEFT, "rgb24").reformat(format="yuv420p10le")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    shown = next(iter(open_video(path))).rgb
    np.testing.assert_allclose(shown[24, [10, 50]], RED_LEFT[24, [10, 50]], atol=8)


def test_wide_pixels_are_made_square(tmp_path):
    path = tmp_path / "dv.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(RED_LEFT, "rgb24")))
        container.mux(stream.encode())
    assert open_video(path).width == 128


def test_frames_of_a_giant_video_are_shrunk_while_decoding(tmp_path):
    write_video(tmp_path / "8k.mp4", [cv2.resize(RED_LEFT, (1920, 1440))], [0.0])
    video = open_video(tmp_path / "8k.mp4", max_side_px=640)
    assert next(iter(video)).rgb.shape == (480, 640, 3) == (video.height, video.width, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_is_a_take_of_one_frame(tmp_path, suffix):
    path = tmp_path / f"portrait{suffix}"
    cv2.imwrite(str(path), RED_LEFT[..., ::-1])
    frames = list(open_video(path))
    assert [frame.time_s for frame in frames] == [0.0]
    np.testing.assert_allclose(frames[0].rgb[24, 10], RED_LEFT[24, 10], atol=6)


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    _, jpeg = cv2.imencode(".jpg", RED_LEFT[..., ::-1])
    orientation_6 = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(orientation_6) + 2) + orientation_6
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg.tobytes()[:2] + segment + jpeg.tobytes()[2:])
    shown = next(iter(open_video(path))).rgb
    assert shown.shape == (64, 48, 3)
    assert shown[16, 24, 0] > 150 > shown[48, 24, 0], "left came to the top: a quarter to the right"


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("pcm_s16le", ".mov")])
def test_the_sound_stays_with_the_pictures(tmp_path, codec, suffix):
    source = beep_file(tmp_path / f"beep{suffix}", 0.8, codec)
    out = tmp_path / "out.mp4"
    write_video(out, shades(20), [i / 10 for i in range(20)], audio_from=source, frame_rate_hz=10.0)
    assert tone_begins_s(source) == pytest.approx(0.8, abs=0.07)
    assert tone_begins_s(out) == pytest.approx(tone_begins_s(source), abs=0.03)
    assert open_video(out).has_sound


def test_sound_longer_than_the_pictures_ends_with_them(tmp_path):
    source = beep_file(tmp_path / "beep.mp4", 0.1)
    write_video(tmp_path / "o.mp4", shades(5), [i / 10 for i in range(5)], source, 10.0)
    with av.open(str(tmp_path / "o.mp4")) as container:
        last = max(
            packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.pts
        )
    assert last < 0.55


def test_odd_sizes_are_written_even(tmp_path):
    write_video(tmp_path / "odd.mp4", [np.full((47, 63, 3), 99, np.uint8)], [0.0])
    assert open_video(tmp_path / "odd.mp4").width == 64


def test_a_failed_video_leaves_nothing_behind(tmp_path):
    def frames():
        yield from shades(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "v.mp4", frames(), [0.0, 0.1, 0.2, 0.3])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(RuntimeError), VideoWriter(path) as writer:
        writer.write(RED_LEFT, 0.0)
        raise RuntimeError
    assert path.read_bytes() == b"precious"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_video(tmp_path / "missing" / "v.mp4", shades(1), [0.0])


def test_a_full_disk_is_said_in_one_sentence():
    error = OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in str(output_error(Path("v.mp4"), error))


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Path and a word of the expected sentence."""
    write_video(folder / "good.mp4", shades(30), [i / 10 for i in range(30)])
    good = (folder / "good.mp4").read_bytes()
    moov = good.index(b"moov")
    paths = {
        "missing": (folder / "nobody.mp4", "no file"),
        "folder": (folder, "is a folder"),
        "text": (folder / "text.mp4", "holds text"),
        "playlist": (folder / "list.m3u8", "holds text"),
        "empty": (folder / "empty.mp4", "0 bytes"),
        "noise": (folder / "noise.mp4", "not a video"),
        "headless": (folder / "headless.mp4", "cut"),
        "sound": (folder / "sound.m4a", "sound but no pictures"),
        "broken picture": (folder / "broken.png", "damaged"),
    }
    (folder / "text.mp4").write_text("Dear diary, this is not a video.\n" * 20)
    (folder / "list.m3u8").write_text("#EXTM3U\n/etc/passwd\n")
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    (folder / "headless.mp4").write_bytes(good[: moov + 40])
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with av.open(str(folder / "sound.m4a"), "w", format="mp4") as container:
        voice = container.add_stream("aac", rate=16_000, layout="mono")
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        piece.sample_rate = 16_000
        container.mux(voice.encode(piece))
        container.mux(voice.encode())
    return paths


def test_every_bad_file_gets_one_clear_sentence(tmp_path):
    for name, (path, words) in bad_files(tmp_path).items():
        with pytest.raises(MediaError) as caught:
            open_video(path)
        assert words in str(caught.value), name
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name


def test_a_file_that_was_cut_gives_what_it_has_and_a_warning(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    write_video(tmp_path / "whole.mp4", noise, [i / 10 for i in range(40)])
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    video = open_video(tmp_path / "cut.mp4")
    frames = list(video)
    assert 5 < len(frames) < 35
    assert video.warning is not None
    assert "cut" in video.warning or "damaged" in video.warning
    whole_video = open_video(tmp_path / "whole.mp4")
    assert len(list(whole_video)) == 40
    assert whole_video.warning is None


def test_a_video_can_be_read_twice(demo_clip):
    video = open_video(demo_clip)
    first = [frame.time_s for frame, _ in zip(video, range(3), strict=False)]
    again = [frame.time_s for frame, _ in zip(video, range(3), strict=False)]
    assert first == again
