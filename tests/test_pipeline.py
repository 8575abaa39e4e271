"""One recording from video to files: what enters each step, and what leaves it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import freeavatar
from freeavatar.animation import AnimationClip
from freeavatar.avatars.catalog import resolve
from freeavatar.errors import NoFaceFound, OutputError, UsageError
from freeavatar.export.controls_csv import read_controls
from freeavatar.export.livelink import read_livelink
from freeavatar.inference import manifest
from freeavatar.motion.bridge import BridgeConfig
from freeavatar.motion.calibrate import NeutralConfig
from freeavatar.motion.profile import ActorProfile
from freeavatar.motion.smooth import SmoothingConfig
from freeavatar.performance import Performance, watch
from freeavatar.pipeline import AnimateOptions, Models, act, animate
from freeavatar.rig import ARKIT
from freeavatar.timing import Clock

DEMO_CLIP = Path(__file__).resolve().parent.parent / "examples/clips/crying_to_laughing.mp4"
TABLES = ("livelink", "controls", "glb", "report")
RAW = AnimateOptions(
    formats=TABLES, neutral=NeutralConfig(mode="off"), smoothing=SmoothingConfig(strength=0.0)
)
stand_in = pytest.mark.usefixtures("stand_in_networks")


def ignore(stage: str, done: int, total: int | None) -> None:
    pass


@pytest.fixture
def avatar(toy_avatar_file):
    return resolve(toy_avatar_file)


@pytest.fixture
def clip_with_a_loss(make_video, face_pictures):
    """Six frames with a face, six without, six with."""
    black = [np.zeros_like(face_pictures[0])] * 6
    return make_video("take.mp4", [*face_pictures, *black, *face_pictures])


@stand_in
def test_every_frame_has_a_row_and_frames_without_a_face_are_zero(clip_with_a_loss):
    from freeavatar.capture.track import TrackConfig
    from freeavatar.capture.video import open_video

    encoder = Models.load().encoder
    seen = watch(open_video(clip_with_a_loss), encoder, TrackConfig(), Clock(), ignore)
    assert seen.found.tolist() == [True] * 6 + [False] * 6 + [True] * 6
    assert (seen.features[~seen.found] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(seen.embeddings[seen.found], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(seen.times_s, np.arange(18) / 10, atol=1e-6)


@stand_in
def test_batches_give_what_single_frames_give(clip_with_a_loss, monkeypatch):
    from freeavatar import performance
    from freeavatar.capture.track import TrackConfig
    from freeavatar.capture.video import open_video

    encoder = Models.load().encoder
    whole = watch(open_video(clip_with_a_loss), encoder, TrackConfig(), Clock(), ignore)
    monkeypatch.setattr(performance, "BATCH", 1)
    single = watch(open_video(clip_with_a_loss), encoder, TrackConfig(), Clock(), ignore)
    np.testing.assert_array_equal(whole.features, single.features)


@stand_in
def test_looking_twice_takes_the_mean_of_a_face_and_its_mirror_image(clip_with_a_loss):
    from freeavatar.capture.track import TrackConfig
    from freeavatar.capture.video import open_video

    models = Models.load()

    def watched(look_twice: bool) -> Performance:
        video = open_video(clip_with_a_loss)
        return watch(video, models.encoder, TrackConfig(), Clock(), ignore, look_twice=look_twice)

    once, twice = watched(False), watched(True)
    assert once.mirrored_features is None
    np.testing.assert_array_equal(twice.features, once.features)
    mirrored = twice.mirrored_features
    assert mirrored is not None
    assert (mirrored[~twice.found] == 0).all()
    assert (mirrored[twice.found] != twice.features[twice.found]).any()
    one = models.animator.controls(twice.features[twice.found], ARKIT)
    other = models.animator.controls(mirrored[twice.found], ARKIT)[:, ARKIT.mirror_columns]
    curves = act(twice, ARKIT, models.animator, RAW).values[twice.found]
    np.testing.assert_allclose(curves, (one + other) / 2, atol=1e-6)


def test_a_profile_knows_no_mirror_image(tmp_path):
    profile = ActorProfile(
        "take.mp4", "", 1.0, np.zeros(384, np.float32), np.zeros(3), np.ones(len(ARKIT))
    )
    options = AnimateOptions(look_twice=True, profile=profile)
    with pytest.raises(UsageError, match="mirror image"):
        animate(tmp_path / "take.mp4", [], tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


@stand_in
def test_without_motion_the_controls_of_seen_frames_are_the_animators(clip_with_a_loss, avatar):
    from freeavatar.capture.track import TrackConfig
    from freeavatar.capture.video import open_video

    models = Models.load()
    seen = watch(open_video(clip_with_a_loss), models.encoder, TrackConfig(), Clock(), ignore)
    clip = act(seen, avatar, models.animator, RAW)
    expected = models.animator.controls(seen.features[seen.found], avatar)
    np.testing.assert_allclose(clip.values[seen.found], expected, atol=1e-6)
    assert clip.rig == avatar.rig


@stand_in
def test_frames_that_are_hardly_believed_are_bridged_as_if_no_face_had_been_seen(avatar):
    """Confidence 0.1 is below bridge.min_confidence; their features must leave no trace."""
    times_s, found = np.arange(12) / 30, np.ones(12, bool)
    features = np.tile(np.linspace(0.2, 0.3, 12, dtype=np.float32)[:, None], (1, 16))
    confidence = np.full(12, 0.9)
    confidence[5:7] = 0.1

    def acted(guessed: float, min_confidence: float = 0.2) -> AnimationClip:
        given = features.copy()
        given[5:7] = guessed
        seen = Performance(times_s, found, np.zeros((12, 3)), given, given, confidence)
        options = replace(RAW, bridge=BridgeConfig(min_confidence=min_confidence))
        return act(seen, avatar, Models.load().animator, options)

    clip = acted(guessed=3.0)
    assert clip.found.tolist() == [True] * 5 + [False] * 2 + [True] * 5
    np.testing.assert_array_equal(clip.values, acted(guessed=-3.0).values)
    low, high = (
        np.minimum(clip.values[4], clip.values[7]),
        np.maximum(clip.values[4], clip.values[7]),
    )
    assert (clip.values[5:7] >= low - 1e-6).all()
    assert (clip.values[5:7] <= high + 1e-6).all()
    believed = acted(guessed=3.0, min_confidence=0.05)
    assert believed.found.all()
    assert np.abs(believed.values[5:7] - clip.values[5:7]).max() > 0.2


@stand_in
def test_the_files_say_what_the_clips_say(clip_with_a_loss, avatar, tmp_path):
    take = animate(clip_with_a_loss, [avatar], tmp_path / "out", RAW)
    assert [path.name for path in take.files] == [
        "livelink.csv",
        "toy.controls.csv",
        "toy.glb",
        "report.json",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in take.files
    )
    controls = read_controls(tmp_path / "out" / "toy.controls.csv", avatar.rig)
    np.testing.assert_allclose(controls.values, take.clips["toy"].values, atol=1e-6)
    np.testing.assert_array_equal(controls.found, take.arkit.found)
    livelink = read_livelink(tmp_path / "out" / "livelink.csv")
    np.testing.assert_allclose(livelink.values, take.arkit.values, atol=1e-4)
    assert livelink.rig == ARKIT


@stand_in
def test_controls_csv_has_the_columns_of_the_contract(clip_with_a_loss, avatar, tmp_path):
    animate(clip_with_a_loss, [avatar], tmp_path / "out", RAW)
    with (tmp_path / "out" / "toy.controls.csv").open() as file:
        header = next(csv.reader(file))
    assert header == ["time_s", "found", *avatar.rig.names]


@stand_in
def test_the_report_counts_frames_and_tells_where_the_face_was_lost(
    clip_with_a_loss, avatar, tmp_path
):
    animate(clip_with_a_loss, [avatar], tmp_path / "out", RAW)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["frames"], report["found"]) == (18, 12)
    (lost,) = report["lost"]
    assert (lost["first_frame"], lost["last_frame"]) == (6, 11)
    assert list(report["stage_s"]) == ["capture", "expression", "animate", "write"]
    assert report["versions"]["freeavatar"] == freeavatar.__version__


@stand_in
def test_nothing_is_done_when_a_file_would_be_overwritten(avatar, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "toy.glb").write_text("mine")
    with pytest.raises(OutputError, match=r"toy\.glb"):
        animate(tmp_path / "not even there.mp4", [avatar], tmp_path / "out", RAW)
    assert (tmp_path / "out" / "toy.glb").read_text() == "mine"


@stand_in
def test_no_face_is_said_and_leaves_nothing(make_video, no_face_pictures, avatar, tmp_path):
    video = make_video("wall.mp4", no_face_pictures)
    with pytest.raises(NoFaceFound, match="4 frames searched"):
        animate(video, [avatar], tmp_path / "out" / "wall", RAW)
    assert [path.name for path in tmp_path.iterdir()] == ["wall.mp4"]


@stand_in
def test_progress_is_told_for_every_frame(clip_with_a_loss, avatar, tmp_path):
    told = []
    animate(
        clip_with_a_loss,
        [avatar],
        tmp_path / "out",
        RAW,
        on_progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    assert [done for stage, done, _ in told if stage == "watching"] == list(range(1, 19))
    assert {total for stage, _, total in told if stage == "watching"} == {18}


def test_a_run_needs_no_torch(clip_with_a_loss, toy_avatar_file, tmp_path):
    """A base install has no PyTorch; here its import is forbidden, together with training's."""
    code = f"""
import sys
for name in ("torch", "onnx", "scipy", "safetensors"):
    sys.modules[name] = None  # any import of it fails
from pathlib import Path
from freeavatar.avatars.catalog import resolve
from freeavatar.capture.track import TrackConfig
from freeavatar.capture.video import open_video
from freeavatar.export.registry import FORMATS
import freeavatar.cli.animate, freeavatar.cli.avatars, freeavatar.cli.embed, freeavatar.cli.formats
import freeavatar.export.glb, freeavatar.export.video
import freeavatar.pipeline as pipeline
from freeavatar.performance import Performance
import numpy as np
avatar = resolve({str(toy_avatar_file)!r})
class Half(pipeline.Animator):
    usual = np.ones(4, np.float32)
    def __init__(self): pass
    def controls(self, features, avatar, neutral=None):
        rig = getattr(avatar, "rig", avatar)
        return np.full((len(features), len(rig)), 0.5, np.float32)
seen = Performance(np.arange(3) / 30, np.ones(3, bool), np.zeros((3, 3)),
                   np.ones((3, 4), np.float32), np.ones((3, 4), np.float32))
clip = pipeline.act(seen, avatar, Half(), pipeline.AnimateOptions())
assert len(clip) == 3
list(pipeline.open_video({str(clip_with_a_loss)!r}))
print("done")
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(freeavatar.__file__).parent.parent)},
    )
    assert run.stdout.strip() == "done", run.stderr


@pytest.mark.skipif(not manifest(), reason="needs the weights in src/freeavatar/weights")
def test_the_shipped_networks_see_the_actor_of_the_demonstration_go_from_crying_to_laughing(
    tmp_path,
):
    take = animate(DEMO_CLIP, [], tmp_path / "out", AnimateOptions(formats=("livelink",)))
    smile = take.arkit.values[:, [ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")]]
    third = len(smile) // 3
    assert smile[-third:].mean() > smile[:third].mean() + 0.1
    assert (take.arkit.values >= 0).all()
    assert (take.arkit.values <= 1).all()
