"""Gain, mute and mix of single controls: exactly what the file says, and nothing else."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.errors import MappingError
from freeavatar.motion.tune import read_tuning, tune
from freeavatar.rig import ARKIT, Control, RigSpec

TOOTHY = RigSpec("toothy", (Control("Grin"), Control("jawOpen", "jaw"), Control("Ears", rest=0.5)))


def tuned(tmp_path: Path, text: str, rig: RigSpec = TOOTHY) -> tuple[AnimationClip, np.ndarray]:
    path = tmp_path / "tune.toml"
    path.write_text(text)
    arkit = np.zeros((4, 52), np.float32)
    arkit[:, ARKIT.index("mouthSmileLeft")] = [0.0, 0.2, 0.4, 1.0]
    values = np.full((4, len(rig)), 0.5, np.float32)
    clip = AnimationClip(rig, np.arange(4) / 30.0, values, np.ones(4, bool), np.zeros((4, 3)))
    return tune(clip, arkit, read_tuning(path, [rig])), values


def test_a_gain_scales_about_rest_and_ends_at_the_range(tmp_path):
    clip, before = tuned(tmp_path, "[gain]\njawOpen = 1.5\nEars = 3.0\nGrin = 9.0\n")
    assert clip.values[:, 1].tolist() == pytest.approx([0.75] * 4)
    np.testing.assert_array_equal(clip.values[:, 2], before[:, 2])
    assert clip.values[:, 0].tolist() == [1.0] * 4


def test_a_muted_control_rests(tmp_path):
    clip, _ = tuned(tmp_path, 'mute = ["Grin", "Ears"]\n')
    assert clip.values[:, 0].tolist() == [0.0] * 4
    assert clip.values[:, 2].tolist() == [0.5] * 4
    assert clip.values[:, 1].tolist() == [0.5] * 4


def test_a_mix_is_made_of_arkits_values_and_then_scaled(tmp_path):
    clip, _ = tuned(tmp_path, "[map]\nGrin = { mouthSmileLeft = 0.5 }\n[gain]\nGrin = 2.0\n")
    np.testing.assert_allclose(clip.values[:, 0], [0.0, 0.2, 0.4, 1.0], atol=1e-6)


def test_names_of_another_avatar_in_the_same_file_are_passed_over(tmp_path):
    path = tmp_path / "tune.toml"
    path.write_text('mute = ["Grin", "cheekPuff"]\n')
    tuning = read_tuning(path, [TOOTHY])
    values = np.full((1, 52), 0.5, np.float32)
    clip = AnimationClip(ARKIT, np.zeros(1), values, np.ones(1, bool), np.zeros((1, 3)))
    result = tune(clip, values, tuning).values
    assert result[0, ARKIT.index("cheekPuff")] == 0.0
    assert (np.delete(result[0], ARKIT.index("cheekPuff")) == 0.5).all()


def test_a_name_that_nobody_has_is_refused(tmp_path):
    with pytest.raises(MappingError, match="Gryn"):
        tuned(tmp_path, 'mute = ["Gryn"]\n')
    with pytest.raises(MappingError, match="profile has no meaning"):
        tuned(tmp_path, 'profile = "vrm1"\n')


def test_the_example_of_the_documentation_is_accepted_and_does_what_it_says(tmp_path):
    text = (Path(__file__).resolve().parents[2] / "docs" / "mapping.md").read_text("utf-8")
    (example,) = re.findall(r"(?:^    .*\n|^\n)*^    # tune\.toml\n(?:^    .*\n|^\n)*", text, re.M)
    clip, before = tuned(tmp_path, textwrap.dedent(example), ARKIT)
    after = {name: clip.values[:, ARKIT.index(name)] for name in ARKIT.names}
    np.testing.assert_allclose(after["jawOpen"], 1.3 * before[:, 0], atol=1e-6)
    assert after["tongueOut"].tolist() == [0.0] * 4
    np.testing.assert_allclose(after["mouthDimpleLeft"], [0.0, 0.2, 0.4, 1.0], atol=1e-6)
    np.testing.assert_array_equal(after["mouthSmileLeft"], before[:, 0])
