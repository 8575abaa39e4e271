"""What nobody knows is passed over, and samples count as much as they weigh."""

from __future__ import annotations

import numpy as np

from freeavatar.training.least_squares import LinearMap, Samples, fit

NUM = 800
RNG = np.random.default_rng(0)
TRUE = LinearMap(RNG.standard_normal((5, 30)) * 0.02, np.full(5, 0.4))
INPUTS = RNG.standard_normal((NUM, 30)).astype(np.float32)


def test_it_finds_what_made_the_targets_and_passes_over_what_is_not_known() -> None:
    targets = TRUE(INPUTS)
    targets[: NUM // 2, 1] = np.nan
    targets[:, 2] = np.nan
    found = fit([Samples(INPUTS, targets, np.ones(NUM))], 1e-6)
    rest = np.arange(5) != 2
    np.testing.assert_allclose(found.weights[rest], TRUE.weights[rest], atol=1e-4)
    np.testing.assert_allclose(found.offsets[rest], 0.4, atol=1e-4)
    assert not found.weights[2].any(), "what nobody knows is not made up"


def test_samples_count_as_much_as_their_weight() -> None:
    right = Samples(INPUTS, TRUE(INPUTS), np.ones(NUM))
    wrong = Samples(INPUTS, TRUE(INPUTS) + 1.0, np.full(NUM, 0.25))
    np.testing.assert_allclose(fit([right, wrong], 1e-6).offsets, 0.4 + 0.2, atol=1e-3)


def test_maps_add_up() -> None:
    both = TRUE.scaled(0.25) + TRUE.scaled(0.5)
    np.testing.assert_allclose(both(INPUTS), 0.75 * TRUE(INPUTS))
