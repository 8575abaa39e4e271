"""Mapping files: what they change, and one clear sentence for what is wrong in them."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.errors import MappingError
from freeavatar.mapping.profiles import weights
from freeavatar.mapping.user_mapping import read_mapping
from freeavatar.rig import ARKIT, Control, RigSpec


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        path = tmp_path / "mine.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def face(**values: float) -> np.ndarray:
    row = np.zeros(52, np.float32)
    for name, value in values.items():
        row[ARKIT.index(name)] = value
    return row


def test_targets_gains_and_mutes_change_a_profile(written):
    mapping = read_mapping(
        written(
            """
            profile = "vrm1"
            mute = ["lookUp"]
            [map]
            Grin = { mouthSmileLeft = 0.5, mouthSmileRight = 0.5, jawOpen = -0.25 }
            Puff = "cheekPuff"
            [gain]
            aa = 0.5
            Puff = 2
            """
        )
    )
    row = face(mouthSmileLeft=1, mouthSmileRight=1, jawOpen=0.8, cheekPuff=0.4, eyeLookUpLeft=1)
    names, values = weights(mapping.profile(), row)
    said = dict(zip(names, values.tolist(), strict=True))
    assert said["Grin"] == pytest.approx(0.8)
    assert said["Puff"] == pytest.approx(0.8)
    assert said["aa"] == pytest.approx(0.4)
    assert said["lookUp"] == 0
    assert said["happy"] == pytest.approx(1.0)


def test_a_muted_target_stays_at_rest_and_not_at_zero(written):
    mapping = read_mapping(written('profile = "vrchat"\nmute = ["v2/EyeLidLeft"]'))
    names, values = weights(mapping.profile(), face(eyeBlinkLeft=1))
    assert values[names.index("v2/EyeLidLeft")] == pytest.approx(0.75)


def test_a_recipe_for_a_lid_means_what_it_says(written):
    mapping = read_mapping(written('profile = "vrm1"\n[map]\nblink = "eyeBlinkLeft"'))
    names, values = weights(mapping.profile(), face(eyeBlinkLeft=0.7))
    assert values[names.index("blink")] == pytest.approx(0.7)
    assert values[names.index("blinkLeft")] == pytest.approx(0.7)


def test_rows_of_an_avatar_are_replaced_turned_up_and_muted(written):
    rig = RigSpec("toy", (Control("open"), Control("smile"), Control("puff"), Control("rest")))
    own = np.zeros((4, 52), np.float32)
    own[0, ARKIT.index("jawOpen")] = 1.0
    own[1, ARKIT.index("mouthSmileLeft")] = 0.5
    own[3, ARKIT.index("noseSneerLeft")] = 1.0
    mapping = read_mapping(written('mute=["rest"]\n[map]\npuff={cheekPuff=1.5}\n[gain]\nopen=2.0'))
    matrix = mapping.rig_map(rig, own)
    assert matrix[0, ARKIT.index("jawOpen")] == 2.0
    assert matrix[1, ARKIT.index("mouthSmileLeft")] == 0.5
    assert matrix[2, ARKIT.index("cheekPuff")] == 1.5
    assert not matrix[3].any()
    assert own[0, ARKIT.index("jawOpen")] == 1.0
    with pytest.raises(MappingError, match="Did you mean smile"):
        read_mapping(written("[map]\nsmyle={jawOpen=1}")).rig_map(rig, own)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[map", "not a TOML file"),
        ("[mapp]\na = 1", "Did you mean map"),
        ('profile = "vrm7"', "Did you mean vrm"),
        ("profile = 3", "in quotes"),
        ("[map]\na = {jawOpne = 1.0}", "Did you mean jawOpen"),
        ("[map]\na = {}", "Write the ARKit controls"),
        ("[map]\na = 1.0", "Write the ARKit controls"),
        ("[map]\na = {jawOpen = true}", "Write a number"),
        ("[map]\na = {jawOpen = nan}", "Write a number"),
        ('[map]\n"" = "jawOpen"', "without a name"),
        ('profile="vrm1"\n[gain]\naa = "much"', "Write a number"),
        ("map = 3", "Write it as a table"),
        ('mute = "aa"', "list of names"),
        ('profile="vrm1"\n[gain]\nhappi = 1', "Did you mean happy"),
        ('profile="vrm1"\nmute = ["happi"]', "Did you mean happy"),
        ("", "neither a profile nor targets"),
    ],
)
def test_mistakes_are_told_in_one_sentence(written, text, says):
    with pytest.raises(MappingError, match=says) as told:
        read_mapping(written(text)).profile()
    assert "mine.toml" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(MappingError, match="cannot be read"):
        read_mapping(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MappingError, match="not a TOML file"):
        read_mapping(tmp_path / "bytes.toml")
