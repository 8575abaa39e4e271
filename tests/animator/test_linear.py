"""Controls read straight off the features, beside the network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.animator.data import FaceTables, FeatureTable
from freeavatar.animator.export import load_animator, save_animator, save_finished
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.linear import (
    MADE_UP,
    SHARE,
    add_linear_readout,
    arkit_readout,
    as_we_would,
    stronger,
)
from freeavatar.animator.model import Animator, AnimatorConfig
from freeavatar.animator.train import Lessons
from freeavatar.rig import ARKIT, Control, RigSpec
from freeavatar.training.least_squares import Samples, fit

NUM, NUM_FEATURES = 800, 60
ALL = np.ones(NUM, bool)
JAW, SMILE = ARKIT.index("jawOpen"), ARKIT.index("mouthSmileLeft")
RIG = RigSpec(
    "creature",
    (
        Control("mouth", minimum=-1.0, maximum=1.0, region="jaw"),
        Control("gill", region="mouth"),
    ),
)
"""A control that goes both ways and is ARKit's jaw by name, and one that no name explains."""

NAMES = np.zeros((2, 52), np.float32)
NAMES[0, JAW] = 1.0
CAST = Cast((arkit_member(), DrivenRig("creature", RIG, NAMES)))
RNG = np.random.default_rng(0)
TRUE = RNG.standard_normal((52, NUM_FEATURES)) * 0.02


def renders(num: int = NUM) -> FeatureTable:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((num, NUM_FEATURES)).astype(np.float32)
    controls = (0.4 + features @ TRUE.T).astype(np.float32)
    return FeatureTable(
        features, features, controls, np.ones(num, np.float32), np.arange(num) % 5, ALL[:num]
    )


@pytest.fixture
def model() -> Animator:
    torch.manual_seed(0)
    config = AnimatorConfig(NUM_FEATURES, 16, 1, code_size=4)
    return Animator(config, 2, len(CAST.control_names)).eval()


@torch.no_grad()
def answers(model: Animator, table: FeatureTable, member: int = 0) -> np.ndarray:
    slots = torch.from_numpy(CAST.slots(CAST.members[member]))
    return model(torch.from_numpy(table.features), member, slots).numpy()


def test_a_model_is_the_mean_of_network_and_linear_map(model: Animator) -> None:
    table = renders()
    slots = torch.from_numpy(CAST.slots(CAST.members[0]))
    with torch.no_grad():
        learned = model.learned(torch.from_numpy(table.features), 0, slots).numpy()
    np.testing.assert_array_equal(answers(model, table), learned)
    add_linear_readout(model, CAST, table)
    straight = arkit_readout(model, CAST)(table.features).clip(0.0, 1.0)
    expected = (1 - SHARE) * learned + SHARE * straight
    np.testing.assert_allclose(answers(model, table), expected, atol=1e-5)


def test_a_stronger_map_says_the_same_of_a_face_at_rest() -> None:
    table = renders()
    found = fit([Samples(table.features, table.controls, np.ones(NUM))], 1e-6)
    at_rest, moved = table.features[0], table.features[1:]
    more = stronger(found, at_rest, 1.5)
    rest = found(at_rest[None])
    np.testing.assert_allclose(more(at_rest[None]), rest, atol=1e-6)
    np.testing.assert_allclose(more(moved) - rest, 1.5 * (found(moved) - rest), atol=1e-5)


def test_a_training_ends_with_it(model: Animator, tmp_path: Path) -> None:
    table = renders()
    save_animator(tmp_path / "trained", model, CAST, {})
    save_finished(tmp_path / "trained", tmp_path / "finished", Lessons(table))
    finished, _ = load_animator(tmp_path / "finished")
    add_linear_readout(model, CAST, table)
    torch.testing.assert_close(finished.readouts, model.readouts)
    torch.testing.assert_close(finished.shares, model.shares)
    assert finished.shares.max() == SHARE


def test_a_teacher_says_which_way_but_not_how_far() -> None:
    rng = np.random.default_rng(2)
    said = 0.3 + 0.1 * rng.standard_normal((500, 2))
    hints = np.stack([7.0 - 5.0 * said[:, 0], np.full(500, np.nan)], axis=1)
    as_ours = as_we_would(hints, said)
    np.testing.assert_allclose(as_ours[:, 0].mean(), said[:, 0].mean())
    np.testing.assert_allclose(as_ours[:, 0].std(), said[:, 0].std())
    assert np.corrcoef(as_ours[:, 0], said[:, 0])[0, 1] < -0.999
    assert np.isnan(as_ours[:, 1]).all()


def test_real_faces_turn_the_map_where_a_teacher_is_sure(model: Animator) -> None:
    table = renders(200)
    hints = np.full((NUM, 52), np.nan, np.float32)
    hints[:, JAW] = 0.4 - renders().features @ TRUE[JAW]
    real = renders()

    def of_faces(confidence: float) -> np.ndarray:
        sure = np.full(NUM, confidence, np.float32)
        faces = FeatureTable(real.features, real.features, hints, sure, np.full(NUM, -1), ALL)
        add_linear_readout(model, CAST, table, FaceTables(faces, faces))
        return arkit_readout(model, CAST).weights[JAW]

    assert of_faces(0.0) @ TRUE[JAW] > 0.0
    assert of_faces(1.0) @ TRUE[JAW] < 0.0


def test_real_faces_keep_eyes_and_lips_as_open_as_the_network_has_them(model: Animator) -> None:
    real = renders()
    silent = np.full((NUM, 52), np.nan, np.float32)
    faces = dataclasses.replace(real, controls=silent)
    add_linear_readout(model, CAST, real, FaceTables(faces, faces))
    slots = torch.from_numpy(CAST.slots(CAST.members[0]))
    with torch.no_grad():
        learned = model.learned(torch.from_numpy(real.features), 0, slots).numpy()
    straight = arkit_readout(model, CAST)(real.features)
    apart = np.abs(straight.clip(0.0, 1.0).mean(axis=0) - learned.mean(axis=0))
    shut = [ARKIT.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthClose")]
    assert apart[shut].max() < 0.03 < apart[JAW]


def test_of_closed_lips_the_network_tells_what_no_teacher_does(model: Animator) -> None:
    real = renders()
    faces = dataclasses.replace(real, controls=np.full((NUM, 52), np.nan, np.float32))
    slots = torch.from_numpy(CAST.slots(CAST.members[0]))
    with torch.no_grad():
        learned = model.learned(torch.from_numpy(real.features), 0, slots).numpy()
    add_linear_readout(model, CAST, real, FaceTables(faces, faces))
    straight = arkit_readout(model, CAST)(real.features)

    def alike(control: int) -> float:
        return float(np.corrcoef(straight[:, control], learned[:, control])[0, 1])

    assert alike(ARKIT.index("mouthClose")) > 0.8 > alike(JAW)


def test_what_somebody_did_counts_more_than_what_was_made_up(model: Animator) -> None:
    table = renders()
    made_up = np.arange(NUM) % 2 == 0
    controls = table.controls + made_up[:, None].astype(np.float32)
    mixed = dataclasses.replace(table, controls=controls, lifelike=~made_up)
    add_linear_readout(model, CAST, mixed)
    offset = arkit_readout(model, CAST).offsets[JAW] - 0.4
    assert abs(offset - MADE_UP / (1 + MADE_UP)) < 0.03, "not half of the way"


def test_an_avatar_gets_what_its_names_mean_and_what_has_no_name_is_left_to_the_network(
    model: Animator,
) -> None:
    table = renders()
    add_linear_readout(model, CAST, table)
    arkit, (mouth, gill) = arkit_readout(model, CAST), CAST.slots(CAST.members[1])
    # Half of the range lies below rest.
    np.testing.assert_allclose(model.readouts[mouth].numpy(), arkit.weights[JAW] / 2, atol=1e-6)
    np.testing.assert_allclose(float(model.offsets[mouth]), 0.5 + arkit.offsets[JAW] / 2, atol=1e-6)
    assert float(model.shares[mouth]) == SHARE
    with torch.no_grad():
        features = torch.from_numpy(table.features)
        slots = torch.tensor([int(gill)])
        learned = model.learned(features, 1, slots)
        torch.testing.assert_close(model(features, 1, slots), learned, rtol=0.0, atol=1e-6)
