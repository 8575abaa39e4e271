"""The embedding forgets what is no expression, and nothing else of the network changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork
from freeavatar.expression.steady import DamagedFaces, DamagedRenders, SteadyConfig, steady
from freeavatar.expression.vit import ViTConfig
from freeavatar.rig import ARKIT

NUM, NUM_FEATURES, NOISY = 1200, 40, 8
"""Of the features, the last few tell only what happened to the picture."""
SMILE = ARKIT.index("mouthSmileLeft")


def network(hidden: int = 0) -> ExpressionNetwork:
    torch.manual_seed(0)
    trunk = ViTConfig(patch_size=56, width=16, depth=1, num_heads=2)
    config = EncoderConfig(
        trunk, embedding_size=6, embedding_hidden=hidden, token_size=4, num_features=NUM_FEATURES
    )
    made = ExpressionNetwork(config).eval()
    made.spread.running_mean = torch.linspace(-0.3, 0.3, 6)
    made.spread.running_var = torch.linspace(0.5, 2.0, 6)
    return made


@torch.no_grad()
def embedded(one: ExpressionNetwork, features: np.ndarray) -> np.ndarray:
    said = one.spread(one.embedding(torch.from_numpy(features.astype(np.float32))))
    return torch.nn.functional.normalize(said, dim=1).numpy()


def lessons(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features that tell a few controls, and in their last columns what is no expression."""
    controls = np.zeros((NUM, 52))
    shown = rng.random((NUM, 12)) * (rng.random((NUM, 12)) < 0.4)
    controls[:, rng.choice(52, 12, replace=False)] = shown
    mixing = np.random.default_rng(3).standard_normal((52, NUM_FEATURES - NOISY))
    told = controls @ mixing
    return np.concatenate([told, 2.0 * rng.standard_normal((NUM, NOISY))], axis=1), controls


def drift(one: ExpressionNetwork, rng: np.random.Generator) -> float:
    """How far the same expressions wander when something else happens, beside how far they are
    from each other."""
    features, _ = lessons(np.random.default_rng(1))
    other = features.copy()
    other[:, -NOISY:] = 2.0 * rng.standard_normal((NUM, NOISY))
    first, second = embedded(one, features), embedded(one, other)
    apart = np.linalg.norm(first - np.roll(first, 1, axis=0), axis=1)
    return float(np.median(np.linalg.norm(first - second, axis=1)) / np.median(apart))


def test_what_is_no_expression_moves_it_less() -> None:
    plain, steadied = network(), network()
    features, controls = lessons(np.random.default_rng(1))
    steady(steadied, DamagedRenders(features, controls))
    rng = np.random.default_rng(2)
    assert drift(steadied, rng) < 0.75 * drift(plain, rng)
    for name, tensor in plain.state_dict().items():
        same = torch.equal(tensor, steadied.state_dict()[name])
        assert same != name.startswith(("embedding.", "spread.running")), name


def test_a_share_of_nothing_changes_nothing() -> None:
    before, after = network(), network()
    features, controls = lessons(np.random.default_rng(1))
    steady(after, DamagedRenders(features, controls), config=SteadyConfig(share=0.0))
    np.testing.assert_allclose(embedded(after, features), embedded(before, features), atol=1e-5)


def test_lopsided_faces_are_farther_from_their_mirror_image() -> None:
    features, controls = lessons(np.random.default_rng(1))
    left, right = np.zeros((2, 52))
    left[SMILE], right[SMILE + 1] = 1.0, 1.0
    assert ARKIT.mirror_columns[SMILE] == SMILE + 1
    # Half of the faces smile on one side, and features know which.
    side = np.arange(NUM) % 2 == 0
    controls[:, [SMILE, SMILE + 1]] = np.where(side[:, None], left, right)[:, [SMILE, SMILE + 1]]
    features[:, 0] += np.where(side, 0.7, -0.7)

    def apart(lopsided: float) -> float:
        made = network()
        steady(made, DamagedRenders(features, controls), config=SteadyConfig(1.0, lopsided))
        face, mirrored = features[:200].copy(), features[:200].copy()
        mirrored[:, 0] -= np.where(side[:200], 1.4, -1.4)
        return float(np.linalg.norm(embedded(made, face) - embedded(made, mirrored), axis=1).mean())

    assert apart(2.0) > 1.2 * apart(1.0)


def test_damaged_faces_come_nearer_to_what_they_were() -> None:
    features, controls = lessons(np.random.default_rng(1))
    clean = np.random.default_rng(5).standard_normal((300, NUM_FEATURES))
    damaged = clean.copy()
    # Another kind of damage than renders have.
    damaged[:, :NOISY] += 4.0 * np.random.default_rng(6).standard_normal((300, NOISY))

    def wander(faces: DamagedFaces | None) -> float:
        made = network()
        steady(made, DamagedRenders(features, controls), faces, SteadyConfig(share=1.0))
        return float(np.linalg.norm(embedded(made, clean) - embedded(made, damaged), axis=1).mean())

    assert wander(DamagedFaces(clean, damaged)) < 0.9 * wander(None)


def test_controls_that_a_face_cannot_show_are_at_rest() -> None:
    features, controls = lessons(np.random.default_rng(1))
    unknown = np.where(controls == 0.0, np.nan, controls)
    one, other = network(), network()
    steady(one, DamagedRenders(features, controls))
    steady(other, DamagedRenders(features, unknown))
    torch.testing.assert_close(one.state_dict(), other.state_dict())


def test_an_embedding_that_bends_is_refused() -> None:
    with pytest.raises(ValueError, match="linear"):
        steady(network(hidden=8), DamagedRenders(*lessons(np.random.default_rng(1))))
