"""Bad input, each kind a person meets: one clear sentence, the right exit code, nothing half done.

Through the command line in-process, with stand-in networks and the real capture.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import freeavatar
from freeavatar.capture.video import open_video
from freeavatar.cli.main import main

pytestmark = pytest.mark.usefixtures("stand_in_networks")
TABLES = ("--formats", "livelink", "controls", "report")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(freeavatar.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
}


class Run:
    """What a person sees of `freeavatar animate`, and what is on the disk afterwards."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err = code, out, err
        self.files = sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
        )
        self.left_open = [name for name in self.files if "/." in f"/{name}"]

    def refused(self, *words: str) -> bool:
        """Exit code 1, one line on stderr with these words, and no file."""
        assert self.code == 1, (self.code, self.err)
        assert self.err.startswith("freeavatar: ")
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err, self.err
        assert self.files == []
        return True


Animate = Callable[..., Run]


@pytest.fixture
def animate(capsys, tmp_path, toy_avatar_file) -> Animate:
    def run(*arguments: object, formats: tuple[str, ...] = TABLES) -> Run:
        out = tmp_path / "out"
        if "--avatar" not in arguments:
            arguments = (*arguments, "--avatar", toy_avatar_file)
        code = main(["animate", *map(str, arguments), "--out", str(out), *formats])
        said = capsys.readouterr()
        return Run(code, said.out, said.err, out)

    return run


@pytest.fixture
def take(make_video, face_pictures) -> Path:
    return make_video("take.mp4", face_pictures)


TAKE_FILES = ["take/livelink.csv", "take/report.json", "take/toy.controls.csv"]


def test_a_good_take_is_done(animate, take):
    run = animate(take)
    assert (run.code, run.err) == (0, "")
    assert run.files == TAKE_FILES
    assert "6 frames" in run.out


def test_a_missing_file(animate, take):
    assert animate(take.with_name("tale.mp4")).refused("tale.mp4", "Did you mean", "take.mp4")


def test_an_empty_folder(animate, tmp_path):
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "notes.txt").write_text("call Anna")
    assert animate(tmp_path / "takes").refused("No video or picture", "takes")


def test_a_text_file_named_mp4(animate, tmp_path):
    (tmp_path / "take.mp4").write_text("shopping: milk, bread\n" * 50)
    assert animate(tmp_path / "take.mp4").refused("take.mp4", "text")


def test_zero_bytes(animate, tmp_path):
    (tmp_path / "take.mp4").touch()
    assert animate(tmp_path / "take.mp4").refused("take.mp4", "empty")


def test_random_bytes(animate, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8)
    (tmp_path / "take.mp4").write_bytes(noise.tobytes())
    assert animate(tmp_path / "take.mp4").refused("take.mp4")


def test_a_picture_that_is_cut(animate, tmp_path, face_pictures):
    _, data = cv2.imencode(".png", face_pictures[0])
    (tmp_path / "face.png").write_bytes(data.tobytes()[:200])
    assert animate(tmp_path / "face.png").refused("face.png")


def test_an_mp4_whose_end_with_the_index_is_missing(animate, take):
    take.write_bytes(take.read_bytes()[: take.stat().st_size // 2])
    assert animate(take).refused("take.mp4")


def test_a_recording_that_breaks_off_is_used_as_far_as_it_goes(
    animate, tmp_path, make_video, face_pictures
):
    whole = make_video("whole.mkv", face_pictures * 3)
    cut = tmp_path / "take.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    run = animate(cut)
    assert run.code == 0
    assert run.files == TAKE_FILES
    assert "take.mkv" in run.err  # a warning says that the end is missing
    assert run.err.count("\n") == 1


def test_sound_only(animate, make_video):
    assert animate(make_video("song.mp4", [], sound=True)).refused("song.mp4", "sound")


def test_one_frame(animate, make_video, face_pictures):
    run = animate(make_video("take.mp4", face_pictures[:1]))
    assert (run.code, run.files) == (0, TAKE_FILES)
    assert "1 frame" in run.out


def test_a_picture(animate, tmp_path, face_pictures):
    cv2.imwrite(str(tmp_path / "take.jpg"), face_pictures[0][..., ::-1])
    run = animate(tmp_path / "take.jpg")
    assert (run.code, run.files) == (0, TAKE_FILES)


def test_eight_k(animate, make_video, face_pictures):
    huge = cv2.resize(face_pictures[0], (7680, 4320), interpolation=cv2.INTER_LINEAR)
    run = animate(make_video("take.mp4", [huge, huge]))
    assert (run.code, run.files) == (0, TAKE_FILES)
    assert "2 frames" in run.out


@pytest.mark.parametrize("quarter_turns", [1, 3])
def test_a_phone_held_upright(animate, tmp_path, make_video, face_pictures, quarter_turns):
    """It stores the picture on its side and says so in the file."""
    sideways = make_video("sideways.mp4", [np.rot90(p, quarter_turns) for p in face_pictures])
    turned = tmp_path / "take.mp4"
    with av.open(str(sideways)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(-90 * quarter_turns)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    upright = next(iter(open_video(turned))).rgb
    assert np.abs(upright.astype(int) - face_pictures[0]).mean() < 4
    run = animate(turned)
    assert (run.code, run.files) == (0, TAKE_FILES)


def test_no_face_at_all(animate, make_video, no_face_pictures):
    assert animate(make_video("wall.mp4", no_face_pictures)).refused("No face in", "4 frames")


def test_two_faces_give_the_larger_and_the_other_on_demand(
    animate, make_video, face_pictures, tmp_path
):
    def small_and_dark(picture: np.ndarray) -> np.ndarray:
        canvas = np.zeros_like(picture)
        canvas[40:310, 50:350] = cv2.resize(picture, (300, 270), interpolation=cv2.INTER_AREA) // 2
        return canvas

    def found_in(*arguments: object) -> str:
        assert animate(video, *arguments).code == 0
        return (tmp_path / "out" / "take" / "toy.controls.csv").read_text()

    faces = [picture[:, 240:] for picture in face_pictures]
    pairs = [np.hstack([small_and_dark(p), p]) for p in faces]
    video = make_video("take.mp4", pairs)
    larger = found_in()
    assert found_in("--actor", 1, "--overwrite") == larger
    assert found_in("--actor", 0, "--overwrite") != larger
    run = animate(video, "--actor", 5, "--overwrite")
    assert run.code == 1
    assert "There is no actor 5" in run.err


def test_a_face_in_the_last_second_only(animate, make_video, face_pictures, tmp_path):
    dark = [np.full_like(face_pictures[0], 16)] * 12
    assert animate(make_video("take.mp4", dark + face_pictures)).code == 0
    rows = (tmp_path / "out" / "take" / "toy.controls.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == ["0"] * 12 + ["1"] * 6


def test_an_unknown_avatar_suggests_the_nearest_name(animate, take, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEAVATAR_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "avatars").mkdir(parents=True)
    (tmp_path / "home" / "avatars" / "margarethe.glb").touch()
    assert animate(take, "--avatar", "margarete").refused("margarete", "Did you mean 'margarethe'")


def test_an_avatar_file_that_is_not_there(animate, take, tmp_path):
    assert animate(take, "--avatar", tmp_path / "head.glb").refused("head.glb")


def test_a_glb_without_morph_targets(animate, take, tmp_path):
    from freeavatar.avatars.gltf_writer import (
        GltfMaterial,
        GltfMesh,
        GltfNode,
        GltfSurface,
        write_glb,
    )

    triangle = np.eye(3, dtype=np.float32)
    surface = GltfSurface(
        triangle, np.array([[0, 1, 2]]), triangle[:, :2].copy(), GltfMaterial("m")
    )
    write_glb(tmp_path / "stone.glb", (GltfNode("n", mesh=GltfMesh("m", (surface,))),))
    assert animate(take, "--avatar", tmp_path / "stone.glb").refused("stone.glb", "morph")


def test_an_avatar_whose_controls_mean_nothing_to_us_is_refused_before_any_work(
    animate, take, tmp_path, toy_avatar_file, monkeypatch
):
    from freeavatar import pipeline

    data = toy_avatar_file.read_bytes()
    for name in (b"eyeBlinkLeft", b"eyeBlinkRight", b"mouthSmileLeft", b"mouthSmileRight"):
        data = data.replace(name, b"Q" * len(name))
    for number, name in enumerate((b"mouthPucker", b"jawOpen")):
        data = data.replace(name, b"%d" % number * len(name))
    strange = tmp_path / "strange.glb"
    strange.write_bytes(data)
    monkeypatch.setattr(pipeline, "open_video", None)
    assert animate(take, "--avatar", strange).refused("strange", "unknown names")


@pytest.mark.parametrize("kept", [0, 10, 200, -300])
def test_a_corrupt_glb(animate, take, tmp_path, toy_avatar_file, kept):
    (tmp_path / "head.glb").write_bytes(toy_avatar_file.read_bytes()[:kept])
    assert animate(take, "--avatar", tmp_path / "head.glb").refused("head.glb")


def test_an_output_folder_that_is_a_file(animate, take, tmp_path, capsys, toy_avatar_file):
    (tmp_path / "out.txt").write_text("mine")
    code = main(
        ["animate", str(take), "--avatar", str(toy_avatar_file), "--out", str(tmp_path / "out.txt")]
    )
    err = capsys.readouterr().err
    assert code == 1
    assert "out.txt" in err
    assert err.count("\n") == 1
    assert (tmp_path / "out.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_may_not_be_written(animate, take, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    assert animate(take).refused("No permission")


def test_permission_is_told_like_any_other_refusal(animate, take, monkeypatch):
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert animate(take).refused("No permission")


@pytest.mark.parametrize("formats", [TABLES, ("--formats", "livelink", "preview")])
def test_a_full_disk(animate, take, formats):
    """The system refuses every byte past the limit, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        run = animate(take, formats=formats)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert run.refused("not written")


def test_a_disk_that_fills_up_keeps_what_was_finished(
    animate, take, make_video, face_pictures, monkeypatch
):
    from freeavatar.export import registry

    later = make_video("later.mp4", face_pictures)
    write = registry.write_livelink

    def fill_up(path: Path, clip: object) -> None:
        write(path, clip)
        if "later" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(registry, "write_livelink", fill_up)
    run = animate(take, later)
    assert run.code == 1
    assert "disk is full" in run.err
    assert run.files == TAKE_FILES


def test_one_bad_input_among_many_does_not_stop_the_rest(
    animate, take, make_video, face_pictures, tmp_path
):
    (tmp_path / "bad.mp4").write_text("not a video")
    other = make_video("other.mp4", face_pictures[:2])
    run = animate(take, tmp_path / "bad.mp4", tmp_path / "missing.mp4", other)
    assert run.code == 1
    assert run.files == [*(name.replace("take", "other") for name in TAKE_FILES), *TAKE_FILES]
    assert run.err.count("\n") == 2
    assert "bad.mp4" in run.err
    assert "missing.mp4" in run.err
    assert run.out.splitlines()[-1] == "2 of 4 inputs done, 2 failed."


def test_a_folder_stands_for_its_media(animate, make_video, face_pictures, tmp_path):
    make_video("takes/b.mp4", face_pictures[:2])
    make_video("takes/a.mp4", face_pictures[:2])
    (tmp_path / "takes" / "notes.txt").touch()
    run = animate(tmp_path / "takes")
    assert run.code == 0
    assert run.out.index("a.mp4") < run.out.index("b.mp4")


def test_two_inputs_of_one_name_do_not_overwrite_each_other(
    animate, take, make_video, face_pictures
):
    twin = make_video("elsewhere/take.mov", face_pictures)
    run = animate(take, twin)
    assert run.code == 1
    assert "would both be written to" in run.err
    assert run.files == TAKE_FILES


def test_the_same_input_twice_is_done_once(animate, take):
    run = animate(take, take.parent)
    assert (run.code, run.files) == (0, TAKE_FILES)


def test_a_second_run_refuses_before_it_works_unless_told(animate, take, tmp_path, monkeypatch):
    assert animate(take).code == 0
    before = (tmp_path / "out" / "take" / "livelink.csv").stat().st_mtime_ns

    def work(*_: object) -> None:
        raise AssertionError("worked before refusing")

    from freeavatar import pipeline

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "open_video", work)
        run = animate(take)
    assert run.code == 1
    assert "--overwrite" in run.err
    assert (tmp_path / "out" / "take" / "livelink.csv").stat().st_mtime_ns == before
    assert animate(take, "--overwrite").code == 0
    assert (tmp_path / "out" / "take" / "livelink.csv").stat().st_mtime_ns > before


def test_two_avatars_of_one_name(animate, take, tmp_path, toy_avatar_file):
    twin = tmp_path / "toy.glb"
    twin.write_bytes(toy_avatar_file.read_bytes())
    assert animate(take, "--avatar", toy_avatar_file, "--avatar", twin).refused("Two avatars")


SCRIPT = """
import sys, time
import numpy as np
from pathlib import Path
from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture import track
from freeavatar.cli.main import main
from freeavatar.expression.runtime import ExpressionEncoder, Expressions
class Encoder(ExpressionEncoder):
    def __init__(self): pass
    def encode(self, crops):
        ones = np.ones((len(crops), 4), np.float32)
        return Expressions(ones / 2, ones)
class Halves(Animator):
    usual = np.full(4, 0.5, np.float32)
    def __init__(self): pass
    def controls(self, features, avatar, neutral=None):
        rig = avatar.rig if isinstance(avatar, Avatar) else avatar
        return np.full((len(features), len(rig)), 0.5, np.float32)
ExpressionEncoder.load = staticmethod(lambda *a, **k: Encoder())
Animator.load = staticmethod(lambda *a, **k: Halves())
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("moment", ["first frames", "drawing"])
def test_ctrl_c_leaves_finished_inputs_and_nothing_half_written(
    moment, make_video, face_pictures, tmp_path, toy_avatar_file
):
    quick = make_video("a_quick.mp4", face_pictures[:2])
    long = make_video("b_long.mp4", face_pictures * 6)
    out = tmp_path / "out"
    formats = ["livelink", "mp4"] if moment == "drawing" else ["livelink"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", SCRIPT, "animate", str(quick), str(long)),
            *("--avatar", str(toy_avatar_file), "--out", str(out), "--formats", *formats),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "a_quick" in process.stdout.readline()
    deadline_s = time.monotonic() + 60
    while moment == "drawing" and time.monotonic() < deadline_s:
        if list(out.glob(".b_long*/livelink.csv")):
            break
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    expected = ["a_quick", "a_quick/livelink.csv"]
    if moment == "drawing":
        expected.append("a_quick/toy.mp4")
    assert left == expected
