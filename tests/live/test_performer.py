from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.at_rest import between
from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture.track import LiveTracker, TrackConfig
from freeavatar.capture.video import Frame
from freeavatar.errors import CurveFileError
from freeavatar.live.frame import LiveFrame
from freeavatar.live.performer import FIRST_TRUST, Performer, PerformerConfig
from freeavatar.motion.profile import ActorProfile
from freeavatar.motion.tune import read_tuning
from freeavatar.performance import Performance
from freeavatar.pipeline import AnimateOptions, Models, act, weights_digest
from freeavatar.rig import ARKIT

pytestmark = pytest.mark.usefixtures("stand_in_networks")


def test_a_face_becomes_controls_of_both_rigs(face_pictures, toy_avatar_file):
    avatar = catalog.resolve(str(toy_avatar_file))
    performer = Performer(Models.load(), avatar)
    frames = [performer.show(Frame(i, i / 5, rgb), 0.0) for i, rgb in enumerate(face_pictures[:3])]
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert all(frame.found for frame in frames)
    assert frames[0].arkit.shape == (52,)
    assert frames[0].controls.shape == (len(avatar.rig),)
    assert performer.rig is avatar.rig


def test_no_face_is_rest(no_face_pictures):
    performer = Performer(Models.load())
    frame = performer.show(Frame(0, 0.0, no_face_pictures[0]), 0.0)
    assert not frame.found
    np.testing.assert_array_equal(frame.arkit, 0)


def test_without_an_avatar_the_controls_are_arkits(face_pictures):
    performer = Performer(
        Models.load(), config=PerformerConfig(TrackConfig(crop="whole"), auto_neutral=False)
    )
    frame = performer.show(Frame(0, 0.0, face_pictures[0]), 0.0)
    assert frame.found
    np.testing.assert_array_equal(frame.controls, frame.arkit)


def test_a_face_that_rests_is_described_once(face_pictures, monkeypatch):
    models = Models.load()
    performer = Performer(models, config=whole())
    described = []
    encode = models.encoder.encode
    monkeypatch.setattr(
        models.encoder, "encode", lambda crops: described.append(len(crops)) or encode(crops)
    )
    shown = [performer.show(Frame(i, i / 30, face_pictures[0]), 0.0).arkit for i in range(4)]
    assert described == [1]
    np.testing.assert_array_equal(shown[1], shown[3])
    performer.show(Frame(4, 4 / 30, 255 - face_pictures[0]), 0.0)
    assert described == [1, 1]


def whole(**settings) -> PerformerConfig:
    return PerformerConfig(TrackConfig(crop="whole"), auto_neutral=False, **settings)


def turning(monkeypatch, head_rad: tuple[float, float, float]) -> None:
    """Every face that is seen is turned this way."""
    look = LiveTracker.look
    turned = np.array(head_rad)
    monkeypatch.setattr(
        LiveTracker, "look", lambda self, frame: replace(look(self, frame), head_rad=turned)
    )


def test_swapped_sides_are_the_mirror_image_on_both_rigs(
    face_pictures, toy_avatar_file, monkeypatch
):
    turning(monkeypatch, (0.3, 0.1, -0.2))
    avatar, frame = catalog.resolve(str(toy_avatar_file)), Frame(0, 0.0, face_pictures[0])
    plain = Performer(Models.load(), avatar, whole()).show(frame, 0.0)
    swapped = Performer(Models.load(), avatar, whole(swap_sides=True)).show(frame, 0.0)
    np.testing.assert_array_equal(swapped.arkit, plain.arkit[ARKIT.mirror_columns])
    np.testing.assert_array_equal(swapped.controls, plain.controls[avatar.rig.mirror_columns])
    np.testing.assert_allclose(swapped.head_rad, [-0.3, 0.1, 0.2], atol=1e-12)
    left, right = (avatar.rig.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    assert swapped.controls[left] == plain.controls[right] != plain.controls[left]


def test_controls_are_tuned_and_mixed_on_both_rigs(face_pictures, toy_avatar_file, tmp_path):
    avatar, frame = catalog.resolve(str(toy_avatar_file)), Frame(0, 0.0, face_pictures[0])
    (tmp_path / "tune.toml").write_text(
        'mute = ["jawOpen"]\n[map]\nmouthPucker = "jawOpen"\n[gain]\nmouthSmileLeft = 0.5\n'
    )
    tuning = read_tuning(tmp_path / "tune.toml", [avatar.rig])
    plain = Performer(Models.load(), avatar, whole()).show(frame, 0.0)
    tuned = Performer(Models.load(), avatar, whole(tuning=tuning)).show(frame, 0.0)
    for rig, before, after in (
        (ARKIT, plain.arkit, tuned.arkit),
        (avatar.rig, plain.controls, tuned.controls),
    ):
        assert after[rig.index("jawOpen")] == 0.0
        smile = rig.index("mouthSmileLeft")
        assert after[smile] == pytest.approx(0.5 * before[smile], abs=1e-6)
        assert after[rig.index("mouthPucker")] == plain.arkit[ARKIT.index("jawOpen")]


def test_a_known_actor_is_calibrated_as_in_a_take(face_pictures, toy_avatar_file):
    """The first frame already: what `animate --profile` makes of the same features."""
    avatar, frame = catalog.resolve(str(toy_avatar_file)), Frame(0, 0.0, face_pictures[0])
    models = Models.load()
    gains = np.ones(52)
    gains[ARKIT.index("mouthPucker")] = 1.4
    neutral = models.encoder.encode(np.full((1, 224, 224, 3), 90, np.uint8)).features[0]
    profile = ActorProfile("take", "", 0.8, neutral, np.array([0.2, 0.0, 0.0]), gains)
    crop = LiveTracker(TrackConfig(crop="whole")).look(frame).crop
    features = models.encoder.encode(crop[None]).features
    seen = Performance(np.zeros(1), np.ones(1, bool), np.zeros((1, 3)), features, features)
    options = AnimateOptions(profile=profile)
    shown = Performer(models, avatar, whole(profile=profile)).show(frame, 0.0)
    for driven, values in ((ARKIT, shown.arkit), (avatar, shown.controls)):
        expected = act(seen, driven, models.animator, options).values[0]
        np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_array_equal(shown.head_rad, 0.0)
    plain = Performer(models, avatar, whole()).show(frame, 0.0)
    assert np.abs(shown.controls - plain.controls).max() > 0.02


def test_the_actor_of_the_first_second_is_told_softly(face_pictures, monkeypatch):
    # Stand-in networks know no face that rests.
    monkeypatch.setattr("freeavatar.live.performer.calmness", lambda _: 1.0)
    models = Models.load()
    performer = Performer(models, config=PerformerConfig(TrackConfig(crop="whole")))
    frames = [Frame(i, i / 30, face_pictures[0]) for i in range(75)]
    shown = np.array([performer.show(frame, 0.0).arkit for frame in frames])
    features = performer._features
    known = between(models.animator, features[0], FIRST_TRUST)
    before, after = (
        models.animator.controls(features, ARKIT, neutral)[0] for neutral in (None, known)
    )
    np.testing.assert_allclose(shown[20], before, atol=1e-3)
    np.testing.assert_allclose(shown[-1], after, atol=1e-3)
    farthest = np.abs(after - before).max()
    assert farthest > 0.02
    assert np.abs(np.diff(shown, axis=0)).max() < 0.3 * farthest


def rests(frame: LiveFrame, avatar: Avatar) -> None:
    """Gaze aside: of eyes that this face keeps half shut it is held as it was at first."""
    for rig, values in ((ARKIT, frame.arkit), (avatar.rig, frame.controls)):
        away = np.abs(values - rig.rest)
        away[rig.columns("gaze")] = 0.0
        assert away.max() < 1e-3


def test_an_asked_for_neutral_is_rest_and_is_kept_with_what_was_seen(
    face_pictures, toy_avatar_file, tmp_path
):
    models, avatar = Models.load(), catalog.resolve(str(toy_avatar_file))
    performer = Performer(models, avatar, whole())
    performer.calibrate()
    for i in range(40):
        frame = performer.show(Frame(i, i / 30, face_pictures[0]), 0.0)
    rests(frame, avatar)
    kept = tmp_path / "neutral.json"
    performer.save_neutral(kept)
    later = Performer(models, avatar, whole())
    later.load_neutral(kept)
    frame = later.show(Frame(0, 0.0, face_pictures[0]), 0.0)
    rests(frame, avatar)


def test_a_neutral_that_other_networks_saw_is_told(tmp_path):
    kept = tmp_path / "neutral.json"
    kept.write_text(json.dumps({"features at rest": [0.1] * 16, "weights": "others"}))
    with pytest.raises(CurveFileError, match="other networks than those installed"):
        Performer(Models.load()).load_neutral(kept)


@pytest.mark.parametrize("features", [[1.0], ["?"], "none", [float("nan")] * 16])
def test_a_neutral_with_damaged_features_is_told(tmp_path, features):
    kept = tmp_path / "neutral.json"
    kept.write_text(json.dumps({"features at rest": features, "weights": weights_digest()}))
    with pytest.raises(CurveFileError, match="does not hold a neutral face"):
        Performer(Models.load()).load_neutral(kept)
