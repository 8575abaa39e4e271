"""Curves that are taken as far as the truth goes, without another order of frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freeavatar.animator.data import FeatureTable, OwnTable
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.model import Animator, AnimatorConfig
from freeavatar.animator.reach import widen
from freeavatar.rig import ARKIT, Control, RigSpec

NUM = 600
RIG = RigSpec(
    "creature",
    (Control("fold", region="mouth"), Control("gill", region="mouth")),
)
"""Controls that no ARKit name tells the meaning of."""
CAST = Cast((arkit_member(), DrivenRig("creature", RIG, np.zeros((2, 52), np.float32))))


@pytest.fixture
def model() -> Animator:
    torch.manual_seed(0)
    return Animator(AnimatorConfig(8, 16, 1, code_size=4), 2, len(CAST.control_names)).eval()


def renders() -> FeatureTable:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((NUM, 8)).astype(np.float32)
    controls = (rng.random((NUM, 52)) * (rng.random((NUM, 52)) < 0.3)).astype(np.float32)
    sure, everyone = np.ones(NUM, np.float32), np.ones(NUM, bool)
    return FeatureTable(features, features, controls, sure, np.arange(NUM) % 5, everyone)


def own(values: np.ndarray) -> OwnTable:
    features = np.random.default_rng(1).standard_normal((len(values), 8)).astype(np.float32)
    return OwnTable("creature", features, features, values, np.arange(len(values)))


@torch.no_grad()
def answers(model: Animator, table: FeatureTable, member: int = 0) -> np.ndarray:
    slots = torch.from_numpy(CAST.slots(CAST.members[member]))
    neutral = torch.from_numpy(table.features[:1]).expand(len(table), -1)
    return model(torch.from_numpy(table.features), member, slots, neutral).numpy()


def test_spread_comes_near_the_truth_and_order_stays(model: Animator) -> None:
    table = renders()
    before = answers(model, table)
    widen(model, CAST, table, share=1.0)
    after = answers(model, table)
    assert before.std(axis=0).mean() < 0.15
    assert after.std(axis=0).mean() > 1.5 * before.std(axis=0).mean()
    for column in range(52):
        np.testing.assert_array_equal(np.argsort(before[:, column]), np.argsort(after[:, column]))


def test_both_sides_are_widened_alike(model: Animator) -> None:
    biases = model.biases.detach().clone()
    vectors = model.vectors.detach().clone()
    widen(model, CAST, renders())
    slots = CAST.slots(CAST.members[0])
    factor = (model.vectors.norm(dim=1) / vectors.norm(dim=1)).detach().numpy()[slots]
    shift = model.biases.detach().numpy()[slots] - factor * biases.numpy()[slots]
    np.testing.assert_allclose(factor, factor[ARKIT.mirror_columns], rtol=1e-5)
    np.testing.assert_allclose(shift, shift[ARKIT.mirror_columns], atol=1e-5)
    assert (factor > 1.0 - 1e-5).all()


def test_controls_without_a_name_learn_it_from_own_pictures(model: Animator) -> None:
    slots = CAST.slots(CAST.members[1])
    before = model.vectors[slots].detach().clone()
    still = model.vectors.detach().clone()
    widen(model, CAST, renders())
    np.testing.assert_array_equal(model.vectors[slots].detach(), before)
    shares = np.random.default_rng(2).random((400, 2)).astype(np.float32)
    shares[:, 1] = 0.0
    widen(model, CAST, renders(), (own(shares),))
    changed = (model.vectors[slots].detach() - before).abs().max(dim=1).values
    assert changed[0] > 0.0
    assert changed[1] == 0.0, "what never moves says nothing of its reach"
    assert not torch.equal(still, model.vectors)


def test_a_share_of_nothing_changes_nothing(model: Animator) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    widen(model, CAST, renders(), share=0.0)
    for name, tensor in model.state_dict().items():
        np.testing.assert_allclose(tensor, before[name], rtol=1e-6)
