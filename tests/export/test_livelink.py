"""Live Link Face CSV: reads back equal, looks like Apple's, and reads Apple's."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import CurveFileError
from freeavatar.export.livelink import HEADER, read_livelink, timecode, write_livelink
from freeavatar.rig import ARKIT, RigSpec

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "motion"
HEADER_OF_A_RECORDING = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,"
    "EyeLookUpLeft,EyeSquintLeft,EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,"
    "EyeLookOutRight,EyeLookUpRight,EyeSquintRight,EyeWideRight,JawForward,JawRight,JawLeft,"
    "JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,MouthSmileLeft,"
    "MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,"
    "MouthStretchLeft,MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,"
    "MouthShrugUpper,MouthPressLeft,MouthPressRight,MouthLowerDownLeft,MouthLowerDownRight,"
    "MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,BrowOuterUpLeft,"
    "BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,"
    "RightEyePitch,RightEyeRoll"
)


def recordings() -> list[Path]:
    found = sorted(RECORDINGS.glob("*.csv"))
    if not found:
        pytest.skip(f"the real recordings are not there: {RECORDINGS}")
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_written_file_reads_back_equal(tmp_path, arkit_clip):
    path = tmp_path / "livelink.csv"
    write_livelink(path, arkit_clip)
    back = read_livelink(path, start_at_zero=False)
    np.testing.assert_allclose(back.values, arkit_clip.values, atol=1e-6)
    np.testing.assert_allclose(back.head_rad, arkit_clip.head_rad, atol=1e-6)
    np.testing.assert_allclose(back.times_s, arkit_clip.times_s, atol=1e-5)
    np.testing.assert_array_equal(back.found, arkit_clip.found)


def test_the_header_is_that_of_a_recording(tmp_path, arkit_clip):
    assert ",".join(HEADER) == HEADER_OF_A_RECORDING
    path = tmp_path / "livelink.csv"
    write_livelink(path, arkit_clip)
    assert path.read_text().splitlines()[0] == HEADER_OF_A_RECORDING
    for recording in recordings():
        assert recording.read_text().splitlines()[0] == HEADER_OF_A_RECORDING


def test_every_row_has_all_columns_and_says_whether_a_face_was_seen(tmp_path, arkit_clip):
    path = tmp_path / "livelink.csv"
    write_livelink(path, arkit_clip)
    rows = path.read_text().splitlines()[1:]
    assert {row.count(",") for row in rows} == {62}
    counts = [row.split(",")[1] for row in rows]
    assert counts == ["61" if found else "0" for found in arkit_clip.found]


def test_real_recordings_are_read(tmp_path):
    for recording in recordings():
        with recording.open(newline="") as file:
            rows = list(csv.reader(file))
        clip = read_livelink(recording)
        assert len(clip) == len(rows) - 1
        assert clip.found.sum() == sum(len(row) == 63 for row in rows[1:])
        assert clip.times_s[0] == 0
        assert clip.frame_rate_hz == pytest.approx(30, abs=0.05)
        jaw = [float(row[rows[0].index("JawRight")]) for row in rows[1:] if len(row) == 63]
        read = clip.values[clip.found, ARKIT.index("jawRight")]
        np.testing.assert_allclose(read, jaw, atol=1e-6)


def test_a_recording_survives_being_written_again(tmp_path):
    recording = min(recordings(), key=lambda path: path.stat().st_size)
    clip = read_livelink(recording)
    write_livelink(tmp_path / "copy.csv", clip)
    back = read_livelink(tmp_path / "copy.csv")
    np.testing.assert_allclose(back.values, clip.values, atol=1e-4)
    np.testing.assert_allclose(back.times_s, clip.times_s, atol=1e-4)
    np.testing.assert_array_equal(back.found, clip.found)


def test_eyes_turn_with_the_signs_of_a_recording(tmp_path, arkit_clip):
    """In recordings, looking in with the left eye goes with a positive LeftEyeYaw, and so on."""
    recording = rows_of(recordings()[0])
    write_livelink(tmp_path / "ours.csv", arkit_clip)
    ours = rows_of(tmp_path / "ours.csv")
    for angle, plus, minus in [
        ("LeftEyeYaw", "EyeLookInLeft", "EyeLookOutLeft"),
        ("RightEyeYaw", "EyeLookOutRight", "EyeLookInRight"),
        ("LeftEyePitch", "EyeLookDownLeft", "EyeLookUpLeft"),
        ("RightEyePitch", "EyeLookDownRight", "EyeLookUpRight"),
    ]:
        for rows in (recording, ours):
            turned = np.array([float(row[angle]) for row in rows if len(row) == 63 and row[angle]])
            looked = np.array([float(row[plus]) - float(row[minus]) for row in rows if row[plus]])
            assert np.corrcoef(turned, looked)[0, 1] > 0.95, angle


def test_the_head_turned_to_its_left_is_negative_as_the_eyes_are(tmp_path, arkit_clip):
    clip = replace(arkit_clip, head_rad=np.tile([0.3, 0.2, 0.1], (len(arkit_clip), 1)))
    write_livelink(tmp_path / "ours.csv", clip)
    row = rows_of(tmp_path / "ours.csv")[0]
    assert [float(row[f"Head{axis}"]) for axis in ("Yaw", "Pitch", "Roll")] == [-0.3, 0.2, -0.1]


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.0, "00:00:00:00.000"),
        (1 / 30, "00:00:00:02.000"),
        (0.999999, "00:00:01:00.000"),
        (3661.5, "01:01:01:30.000"),
        (86400.25, "00:00:00:15.000"),
    ],
)
def test_time_codes_count_sixtieths(time_s, text):
    assert timecode(time_s) == text


def write_rows(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join([HEADER_OF_A_RECORDING, *rows]) + "\n")
    return path


def row_at(code: str, value: str = "0.5") -> str:
    return ",".join([code, "61", *[value] * 61])


def test_midnight_is_passed(tmp_path):
    codes = ["23:59:59:56.000", "23:59:59:58.000", "00:00:00:00.000", "00:00:00:02.000"]
    clip = read_livelink(write_rows(tmp_path / "a.csv", [row_at(code) for code in codes]))
    np.testing.assert_allclose(clip.times_s, np.arange(4) / 30, atol=1e-9)


def test_rows_of_two_columns_are_frames_without_a_face(tmp_path):
    rows = [row_at("00:00:00:00.000"), "00:00:00:02.000,0", row_at("00:00:00:04.000")]
    clip = read_livelink(write_rows(tmp_path / "a.csv", rows))
    assert clip.found.tolist() == [True, False, True]


def test_columns_are_found_by_name_in_any_case_and_order(tmp_path, arkit_clip):
    write_livelink(tmp_path / "a.csv", arkit_clip)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    order = [0, 1, *reversed(range(2, 63))]
    with (tmp_path / "b.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([rows[0][column].upper() for column in order])
        writer.writerows([[row[column] for column in order] for row in rows[1:]])
    a, b = read_livelink(tmp_path / "a.csv"), read_livelink(tmp_path / "b.csv")
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.head_rad, b.head_rad)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a Live Link Face recording"),
        (b"\xff\xfe\x00\x01binary", "comma-separated"),
        (b"time_s,found,jawOpen\n0,1,0\n", "lacks"),
        (HEADER_OF_A_RECORDING.encode() + b"\n", "no frames"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, content, complaint):
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(CurveFileError, match=complaint):
        read_livelink(path)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([row_at("yesterday")], "line 2 has the time code 'yesterday'"),
        ([row_at("00:00:00:61.000")], "sixty frames"),
        ([row_at("00:00:00:00.000", "x")], "not a number"),
        ([row_at("00:00:00:00.000", "nan")], "not a number"),
        ([row_at("00:00:00:00.000")[:60]], "line 2 has"),
        ([row_at("00:00:01:00.000"), row_at("00:00:00:30.000")], "line 3 is not later"),
    ],
)
def test_broken_rows_are_named(tmp_path, rows, complaint):
    with pytest.raises(CurveFileError, match=complaint):
        read_livelink(write_rows(tmp_path / "a.csv", rows))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CurveFileError, match=r"nothing\.csv cannot be read"):
        read_livelink(tmp_path / "nothing.csv")


def test_a_clip_of_another_rig_is_a_mistake_of_the_program(tmp_path, arkit_clip):
    other = replace(arkit_clip, rig=RigSpec("other", tuple(reversed(ARKIT.controls))))
    with pytest.raises(ValueError, match="other"):
        write_livelink(tmp_path / "a.csv", other)
