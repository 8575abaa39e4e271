"""Curves that exist already on other rigs: by name, through ARKit, or by the user's own map."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.avatars.catalog import resolve
from freeavatar.cli.main import main
from freeavatar.errors import AvatarError, MappingError, OutputError, UsageError
from freeavatar.export import registry
from freeavatar.export.curve_files import read_clip
from freeavatar.export.livelink import write_livelink
from freeavatar.export.npz import write_curves
from freeavatar.export.registry import Format, all_formats, choose_formats
from freeavatar.mapping.user_mapping import read_mapping
from freeavatar.motion.tune import read_tuning
from freeavatar.retarget import RetargetOptions, as_arkit, onto, retarget
from freeavatar.rig import ARKIT, Control, RigSpec

MOTION = Path(__file__).resolve().parents[2] / "shared" / "data" / "motion"
FILES = ("livelink", "controls", "glb", "json", "npz", "report")


@pytest.fixture
def arkit() -> AnimationClip:
    rng = np.random.default_rng(5)
    values = rng.random((12, 52)).astype(np.float32)
    head_rad = rng.uniform(-0.3, 0.3, (12, 3))
    return AnimationClip(ARKIT, np.arange(12) / 60, values, np.ones(12, bool), head_rad)


@pytest.fixture
def take(tmp_path, arkit) -> Path:
    write_livelink(tmp_path / "take.csv", arkit)
    return tmp_path / "take.csv"


def test_an_arkit_clip_drives_an_arkit_rig_directly(arkit):
    ada = resolve("ada")
    driven = onto(arkit, ada)
    assert driven.rig is ada.rig
    for column, name in enumerate(ada.rig.names):
        np.testing.assert_array_equal(driven.values[:, column], arkit.values[:, ARKIT.index(name)])
    # The avatar's own map says the same.
    np.testing.assert_allclose(driven.values, arkit.values @ ada.arkit_to_rig.T, atol=1e-6)


def test_an_arkit_clip_drives_another_rig_through_its_map(arkit):
    elsa = resolve("elsa")
    driven = onto(arkit, elsa)
    expected = elsa.rig.clamp(arkit.values @ elsa.arkit_to_rig.T)
    np.testing.assert_allclose(driven.values, expected, atol=1e-6)
    assert driven.values.std() > 0.05
    np.testing.assert_array_equal(driven.head_rad, arkit.head_rad)


def test_curves_of_an_avatar_drive_it_by_name_in_any_order(arkit):
    elsa = resolve("elsa")
    own = onto(arkit, elsa)
    turned = RigSpec("other", tuple(reversed((*elsa.rig.controls, Control("more")))))
    values = np.hstack([np.zeros((12, 1), np.float32), own.values[:, ::-1]])
    back = onto(replace(own, rig=turned, values=values), elsa)
    np.testing.assert_array_equal(back.values, own.values)
    assert back.rig is elsa.rig


def test_other_spellings_of_arkit_are_arkit(arkit):
    spelt = tuple(
        Control(n.replace("Left", "_L").replace("Right", "_R")) for n in reversed(ARKIT.names)
    )
    clip = replace(arkit, rig=RigSpec("spelt", spelt), values=arkit.values[:, ::-1])
    back = as_arkit(clip)
    sideways = [ARKIT.index(name) for name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")]
    rest = [column for column in range(52) if column not in sideways]
    np.testing.assert_array_equal(back.values[:, rest], arkit.values[:, rest])


def test_curves_that_say_nothing_to_an_avatar_are_refused(arkit):
    elsa, ada = resolve("elsa"), resolve("ada")
    own = onto(arkit, elsa)
    with pytest.raises(AvatarError, match="'makehuman'"):
        onto(own, ada)
    with pytest.raises(AvatarError, match="mapping file"):
        onto(arkit, replace(elsa, arkit_to_rig=None))


def test_a_mapping_of_the_user_wins(arkit, tmp_path):
    elsa = resolve("elsa")
    (tmp_path / "m.toml").write_text('[map]\nmouth-open = "cheekPuff"\n')
    mapping = read_mapping(tmp_path / "m.toml")
    driven = onto(arkit, elsa, mapping)
    column = elsa.rig.index("mouth-open")
    np.testing.assert_allclose(
        driven.values[:, column], arkit.values[:, ARKIT.index("cheekPuff")], atol=1e-6
    )
    others = [c for c in range(len(elsa.rig)) if c != column]
    np.testing.assert_allclose(
        driven.values[:, others], onto(arkit, elsa).values[:, others], atol=1e-6
    )
    with pytest.raises(MappingError, match="maps from ARKit"):
        onto(driven, elsa, mapping)


def test_all_files_are_written_and_the_takes_come_back(take, tmp_path, arkit):
    avatars = [resolve("ada"), resolve("elsa")]
    done = retarget(take, avatars, tmp_path / "out", RetargetOptions(formats=FILES))
    names = {path.name for path in done.files}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    assert {"livelink.csv", "ada.glb", "elsa.curves.npz", "report.json"} <= names
    back = read_clip(tmp_path / "out/livelink.csv")
    np.testing.assert_allclose(back.values, arkit.values, atol=1e-6)
    for file in ("ada.glb", "ada.curves.npz", "ada.curves.json"):
        back = as_arkit(read_clip(tmp_path / "out" / file))
        np.testing.assert_allclose(back.values, done.clips["ada"].values, atol=1e-4)
        np.testing.assert_allclose(back.head_rad, arkit.head_rad, atol=1e-4)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["input"] == "take.csv"
    assert report["frames"] == 12
    # A second journey, from our own file, changes nothing.
    again = retarget(
        tmp_path / "out/elsa.curves.npz",
        [resolve("elsa")],
        tmp_path / "again",
        RetargetOptions(formats=("npz",)),
    )
    np.testing.assert_array_equal(again.clips["elsa"].values, done.clips["elsa"].values)


def test_videos_need_no_input_video(take, tmp_path, toy_avatar_file):
    from freeavatar.capture.video import open_video

    options = RetargetOptions(formats=("mp4", "preview"))
    retarget(take, [resolve(toy_avatar_file)], tmp_path / "out", options)
    for name in ("toy.mp4", "preview.mp4"):
        assert len(list(open_video(tmp_path / "out" / name))) == 12
    assert open_video(tmp_path / "out" / "preview.mp4").width == 512


def test_existing_files_are_kept_unless_told_otherwise(take, tmp_path, toy_avatar_file):
    toy, out = resolve(toy_avatar_file), tmp_path / "out"
    retarget(take, [toy], out, RetargetOptions(formats=("npz",)))
    before = (out / "toy.curves.npz").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        retarget(take, [toy], out, RetargetOptions(formats=("npz", "json")))
    assert [path.name for path in out.iterdir()] == ["toy.curves.npz"]
    retarget(take, [toy], out, RetargetOptions(formats=("npz",), overwrite=True))
    assert (out / "toy.curves.npz").stat().st_size == len(before)


def test_what_needs_arkit_is_left_out_or_refused_for_other_curves(tmp_path, arkit):
    elsa = resolve("elsa")
    write_curves(tmp_path / "elsa.npz", onto(arkit, elsa))
    with pytest.raises(UsageError, match="livelink is made from ARKit"):
        retarget(tmp_path / "elsa.npz", [elsa], tmp_path / "a", RetargetOptions(("livelink",)))
    done = retarget(
        tmp_path / "elsa.npz", [elsa], tmp_path / "b", RetargetOptions(("controls", "report"))
    )
    assert {path.name for path in done.files} == {"elsa.controls.csv", "report.json"}


def test_the_command_goes_on_after_a_bad_file(take, tmp_path, toy_avatar_file, capsys):
    (tmp_path / "bad.csv").write_text("a,b\n")
    code = main(
        [
            "retarget",
            *(str(path) for path in (tmp_path / "bad.csv", take, tmp_path / "none.npz")),
            *("--avatar", str(toy_avatar_file), "--out", str(tmp_path / "out")),
            *("--formats", "npz,report"),
        ]
    )
    said = capsys.readouterr()
    assert code == 1
    assert "1 of 3 inputs done, 2 failed" in said.out
    assert said.err.count("freeavatar: ") == 2
    assert (tmp_path / "out/take/toy.curves.npz").exists()
    assert not (tmp_path / "out/bad").exists()


@pytest.mark.parametrize("avatar", ["ada", "elsa"])
def test_a_real_recording_drives_both_kinds_of_rig(avatar):
    source = MOTION / "speech_apfel.csv"
    if not source.exists():
        pytest.skip(f"the recording is not there: {source}")
    clip = read_clip(source)
    driven = onto(clip, resolve(avatar))
    jaw = driven.values[:, driven.rig.index("jawOpen" if avatar == "ada" else "mouth-open")]
    truth = clip.values[:, ARKIT.index("jawOpen")] - 0.8 * clip.values[:, ARKIT.index("mouthClose")]
    assert np.corrcoef(jaw, truth)[0, 1] > 0.9


@pytest.fixture
def plugins(monkeypatch):
    """Pretends that packages with these entry points are installed."""

    def pretend(**loads):
        class Entry:
            def __init__(self, name, given):
                self.name, self._given = name, given

            def load(self):
                if isinstance(self._given, Exception):
                    raise self._given
                return self._given

        entries = [Entry(name, given) for name, given in loads.items()]
        monkeypatch.setattr(registry.metadata, "entry_points", lambda group: entries)
        all_formats.cache_clear()

    yield pretend
    all_formats.cache_clear()


def test_plugins_add_formats_and_cannot_break_or_replace_ours(plugins, take, tmp_path, caplog):
    def shout(path, take, character):
        path.write_text(f"{character.avatar.name}: {len(take.arkit)} frames")

    mine = Format("shout", "{avatar}.txt", "how long it is", shout, default=False)
    thief = Format("glb", "{avatar}.x", "not ours", shout)
    plugins(mine=mine, more=lambda: [thief, 3], broken=RuntimeError("no such engine"))
    with caplog.at_level(logging.WARNING):
        assert "shout" in all_formats()
    assert all_formats()["glb"].file == "{avatar}.glb"
    assert "no such engine" in caplog.text
    assert "not a Format" in caplog.text
    assert "exists already" in caplog.text
    assert mine not in choose_formats()
    retarget(take, [resolve("ada")], tmp_path / "out", RetargetOptions(("shout",)))
    assert (tmp_path / "out/ada.txt").read_text() == "ada: 12 frames"


def test_side_rate_and_tuning_of_the_command_are_seen_in_the_files(take, tmp_path, arkit, capsys):
    (tmp_path / "tune.toml").write_text('mute = ["jawOpen"]\n[gain]\nmouthSmileLeft = 0.5\n')
    words = ["retarget", str(take), "--avatar", "elsa", "--formats", "livelink", "npz"]
    words += ["--out", str(tmp_path / "out")]
    code = main([*words, "--fps", "24", "--swap-sides", "--controls", str(tmp_path / "tune.toml")])
    assert code == 0, capsys.readouterr().err
    back = read_clip(tmp_path / "out/take/livelink.csv")
    assert back.frame_rate_hz == pytest.approx(24.0, rel=0.01)
    assert back.values[:, ARKIT.index("jawOpen")].max() == 0.0
    left, right = ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")
    assert back.values[0, left] == pytest.approx(0.5 * arkit.values[0, right], abs=1e-5)
    assert back.values[0, right] == pytest.approx(arkit.values[0, left], abs=1e-5)
    np.testing.assert_allclose(back.head_rad[0], arkit.head_rad[0] * [-1, 1, -1], atol=1e-5)
    elsa = resolve("elsa")
    driven = read_clip(tmp_path / "out/take/elsa.curves.npz")
    mirrored = onto(arkit, elsa).values[0, elsa.rig.mirror_columns]
    np.testing.assert_allclose(driven.values[0], mirrored, atol=1e-5)
    assert driven.frame_rate_hz == pytest.approx(24.0, rel=0.01)


def test_a_mix_of_the_users_is_made_of_the_recordings_arkit_values(take, tmp_path, arkit):
    (tmp_path / "tune.toml").write_text('[map]\nmouth-open = "cheekPuff"\n')
    elsa = resolve("elsa")
    options = RetargetOptions(("npz",), tuning=read_tuning(tmp_path / "tune.toml", [elsa.rig]))
    driven = retarget(take, [elsa], tmp_path / "out", options).clips["elsa"]
    column = elsa.rig.index("mouth-open")
    puff = arkit.values[:, ARKIT.index("cheekPuff")]
    np.testing.assert_allclose(driven.values[:, column], puff, atol=1e-6)
    write_curves(tmp_path / "own.npz", onto(arkit, elsa))
    with pytest.raises(MappingError, match="mixes controls from ARKit"):
        retarget(tmp_path / "own.npz", [elsa], tmp_path / "own", options)
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--fps", "0"], "--fps 0 is of no use"),
        (["--controls", "none.toml"], "none.toml cannot be read"),
    ],
)
def test_options_of_no_use_are_refused_before_any_work(take, tmp_path, capsys, words, sentence):
    given = ["retarget", str(take), "--avatar", "ada", "--out", str(tmp_path / "out"), *words]
    assert main(given) != 0
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
