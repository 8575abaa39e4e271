"""Who is who in a table, and how they look at rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freeavatar.animator.losses import within_loss
from freeavatar.animator.people import AVERAGED, FEWEST, People, of_avatar
from freeavatar.rig import ARKIT

CPU = torch.device("cpu")
NUM = 40
WHO = np.array([7] * NUM + [3] * NUM + [-1] * 4)
MOVED = np.concatenate([np.linspace(0, 5, NUM), np.linspace(0, 5, NUM)[::-1], np.zeros(4)])
FEATURES = torch.arange(len(WHO), dtype=torch.float32)[:, None].repeat(1, 2)
"""Every feature is the number of its row."""


@pytest.fixture
def people() -> People:
    return People(WHO, MOVED, CPU)


def test_companions_are_of_the_same_person_and_nobodys_faces_stay_alone(people: People) -> None:
    rows = np.arange(len(WHO))
    drawn = np.stack([people.companions(rows, np.random.default_rng(seed)) for seed in range(50)])
    assert (WHO[drawn] == WHO[rows]).all()
    assert (drawn[:, -4:] == rows[-4:]).all()
    assert len(np.unique(drawn[:, 0])) > 20


def test_a_neutral_face_is_the_mean_of_those_that_do_least(people: People) -> None:
    rows, usual = np.array([5, 60]), torch.full((2,), -1.0)
    for seed in range(20):
        found = people.neutrals(FEATURES, rows, usual, (0.0, 0.0), np.random.default_rng(seed))
        # Of 7 the first rows do least, of 3 the last ones.
        assert 0 <= found[0, 0] < FEWEST
        assert 2 * NUM - FEWEST <= found[1, 0] < 2 * NUM
    drawn = [
        float(people.neutrals(FEATURES, rows, usual, (0.0, 0.0), np.random.default_rng(s))[0, 0])
        for s in range(20)
    ]
    assert any((value * AVERAGED) % AVERAGED for value in drawn), "several are averaged"


def test_what_is_not_known_is_anybodys_and_mistakes_are_mild(people: People) -> None:
    rng, usual = np.random.default_rng(0), torch.full((2,), -1.0)
    rows = np.array([5, 60, 2 * NUM])
    unknown = people.neutrals(FEATURES, rows, usual, (1.0, 0.0), rng)
    np.testing.assert_array_equal(unknown, -1.0)
    known = people.neutrals(FEATURES, rows, usual, (0.0, 0.0), rng)
    np.testing.assert_array_equal(known[2], -1.0)
    mistaken = [
        float(people.neutrals(FEATURES, rows, usual, (0.0, 1.0), np.random.default_rng(s))[0, 0])
        for s in range(40)
    ]
    assert max(mistaken) > FEWEST
    assert max(MOVED[int(value)] for value in mistaken) < 1.5


def test_the_usual_face_is_the_mean_over_people(people: People) -> None:
    first, second = np.arange(FEWEST).mean(), (2 * NUM - 1 - np.arange(FEWEST)).mean()
    np.testing.assert_allclose(people.usual(FEATURES), (first + second) / 2)
    nobody = People(np.full(4, -1), np.zeros(4), CPU)
    np.testing.assert_allclose(nobody.usual(FEATURES[:4]), FEATURES[:4].mean(0))


def test_an_avatar_that_looks_about_is_at_rest() -> None:
    shares = np.tile(ARKIT.rest, (NUM, 1)).astype(np.float32)
    shares[:, ARKIT.index("jawOpen")] = 0.9
    shares[:FEWEST, ARKIT.index("jawOpen")] = 0.0
    shares[:FEWEST, ARKIT.columns("gaze")] = 1.0
    avatar = of_avatar(shares, ARKIT, CPU)
    rng, usual = np.random.default_rng(0), torch.zeros(2)
    found = avatar.neutrals(FEATURES[:NUM], np.arange(NUM), usual, (0.0, 0.0), rng)
    assert found.max() < FEWEST


def test_who_is_shifted_throughout_loses_nothing_within() -> None:
    """An error that both faces of a person share is no movement."""
    truth = torch.rand(8, 5)
    weights = torch.ones(5)
    shift = torch.rand(4, 5).repeat(2, 1)
    assert float(within_loss(truth + shift, truth, weights)) == pytest.approx(0.0, abs=1e-6)
    moved = truth.clone()
    moved[0] += 0.5
    assert float(within_loss(moved, truth, weights)) > 0.01
    truth[0, 0] = torch.nan
    assert torch.isfinite(within_loss(moved, truth, weights))
