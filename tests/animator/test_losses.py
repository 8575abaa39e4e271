"""The animator's losses: live gradients through renderer and encoder, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freeavatar.animator.identity import DrivenRig, arkit_member
from freeavatar.animator.losses import (
    consistency_loss,
    hint_loss,
    mirror_loss,
    range_loss,
    sparsity_loss,
)
from freeavatar.animator.onlooker import Onlooker
from freeavatar.animator.train import hinted, rarity
from freeavatar.expression.data import TAUGHT_CONTROLS
from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork
from freeavatar.expression.losses import known_mse
from freeavatar.expression.vit import ViTConfig
from freeavatar.renderer.model import NeuralRenderer, RendererConfig
from freeavatar.renderer.train import KnownAvatar
from freeavatar.rig import ARKIT, Control, RigSpec

RIG = RigSpec("toy", tuple(Control(f"c{i}") for i in range(5)))


@pytest.fixture
def onlooker() -> Onlooker:
    """Random tiny networks in double precision: gradients do not care for training."""
    torch.manual_seed(0)
    renderer = NeuralRenderer(RendererConfig(16, (16, 16, 16), code_size=4), [len(RIG)])
    for parameter in renderer.trunk.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    renderer.rests.fill_(0.5)
    torch.nn.init.normal_(renderer.effects[0], std=0.05)
    trunk = ViTConfig(image_size=64, patch_size=16, width=32, depth=1, num_heads=2)
    encoder = ExpressionNetwork(EncoderConfig(trunk, embedding_size=8))
    return Onlooker(renderer.double(), (KnownAvatar("toy", RIG),), encoder.double())


def test_the_expression_consistency_has_a_true_gradient_at_the_controls(onlooker: Onlooker) -> None:
    """The defect of the published code that must not be repeated: pictures without gradient."""
    (likeness,) = onlooker.likenesses(DrivenRig("toy", RIG, np.zeros((5, 52), np.float32)))
    source = torch.nn.functional.normalize(torch.randn(2, 8, dtype=torch.double), dim=1)

    def loss(shares: torch.Tensor) -> torch.Tensor:
        return consistency_loss(onlooker.look([(shares, likeness)])[1], source)

    shares = torch.rand(2, 5, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(shares), shares)
    assert (gradient.abs() > 1e-9).all(), "every control of every sample is pulled"
    step = 1e-5
    for sample, column in ((0, 0), (0, 4), (1, 2)):
        nudge = torch.zeros_like(shares)
        nudge[sample, column] = step
        numeric = (loss(shares + nudge) - loss(shares - nudge)) / (2 * step)
        torch.testing.assert_close(gradient[sample, column], numeric, rtol=1e-4, atol=1e-10)


def test_following_the_gradient_makes_the_avatar_look_more_like_the_source(
    onlooker: Onlooker,
) -> None:
    (likeness,) = onlooker.likenesses(DrivenRig("toy", RIG, np.zeros((5, 52), np.float32)))
    wanted = torch.tensor([[0.9, 0.1, 0.8, 0.2, 0.5]], dtype=torch.double)
    source = onlooker.look([(wanted, likeness)])[1].detach()
    shares = torch.full((1, 5), 0.5, dtype=torch.double, requires_grad=True)
    before = consistency_loss(onlooker.look([(shares, likeness)])[1], source)
    optimizer = torch.optim.Adam([shares], lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        consistency_loss(onlooker.look([(shares, likeness)])[1], source).backward()
        optimizer.step()
    after = consistency_loss(onlooker.look([(shares, likeness)])[1], source)
    assert after < 0.1 * before


def test_looking_trains_neither_renderer_nor_encoder(onlooker: Onlooker) -> None:
    frozen = [*onlooker.renderer.parameters(), *onlooker.encoder.parameters()]
    assert not any(parameter.requires_grad for parameter in frozen)
    assert not onlooker.encoder.training


def test_a_member_is_drawn_as_itself_or_as_anybody_who_speaks_its_names() -> None:
    shuffled = RigSpec("head", tuple(reversed(ARKIT.controls)))
    known = (
        KnownAvatar("other", RIG),
        KnownAvatar("head", shuffled),
        KnownAvatar("twin", shuffled),
    )
    looker = Onlooker.__new__(Onlooker)
    looker.known = known
    member = DrivenRig("head", shuffled, np.zeros((52, 52), np.float32))
    assert [likeness.row for likeness in looker.likenesses(member)] == [1]
    arkit = looker.likenesses(arkit_member())
    assert [likeness.row for likeness in arkit] == [1, 2]
    values = np.arange(52)
    assert [ARKIT.names[i] for i in values[list(arkit[0].columns)]] == list(shuffled.names)
    assert looker.likenesses(DrivenRig("stranger", RIG, np.zeros((5, 52), np.float32)))[0].row == 0


def test_unknown_controls_have_no_part_in_a_loss() -> None:
    predicted = torch.rand(4, 3, requires_grad=True)
    target = torch.rand(4, 3)
    target[:, 1] = torch.nan
    weights = rarity(target)
    assert weights[1] == 0.0
    (gradient,) = torch.autograd.grad(known_mse(predicted, target, weights), predicted)
    assert (gradient[:, 1] == 0).all()
    assert (gradient[:, [0, 2]] != 0).all()


def test_a_hint_gives_a_direction_and_not_a_scale() -> None:
    hint = torch.rand(32, 2)
    confidence = torch.ones(32)
    assert hint_loss(0.2 * hint + 0.3, hint, confidence) < 0.05
    assert hint_loss(0.9 - 0.2 * hint, hint, confidence) > 1.9


def test_a_hint_is_silent_where_the_teacher_is_dead_or_unsure() -> None:
    torch.manual_seed(0)
    hint = torch.rand(32, 3)
    hint[:, 1] = torch.nan
    hint[:, 2] = 0.25  # never moves
    confidence = torch.ones(32)
    confidence[:16] = 0.0
    predicted = torch.rand(32, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(hint_loss(predicted, hint, confidence), predicted)
    assert (gradient[:, 1:] == 0).all()
    assert (gradient[:16] == 0).all()
    assert (gradient[16:, 0] != 0).all()
    dead = ("cheekPuff", "noseSneerLeft", "mouthFrownRight", "tongueOut", "eyeWideLeft")
    assert not set(dead) & set(TAUGHT_CONTROLS)


def test_controls_that_no_name_ties_to_arkit_get_no_hint() -> None:
    matrix = np.zeros((5, 52), np.float32)
    matrix[2, ARKIT.index("jawOpen")] = 1.0
    hints = hinted(DrivenRig("toy", RIG, matrix), np.full((3, 52), 0.5, np.float32))
    assert torch.isnan(hints[:, [0, 1, 3, 4]]).all()
    assert (hints[:, 2] == 0.5).all()


def test_mirrored_faces_must_get_mirrored_controls() -> None:
    mirror = torch.tensor([1, 0, 2])
    predicted = torch.tensor([[0.9, 0.1, 0.4]])
    weights = torch.ones(3)
    assert mirror_loss(predicted, torch.tensor([[0.1, 0.9, 0.4]]), mirror, weights) == 0.0
    assert mirror_loss(predicted, predicted, mirror, weights) > 0.1


def test_priors_are_nothing_at_rest_and_within_the_range() -> None:
    rest = torch.tensor([0.0, 0.5])
    assert sparsity_loss(rest[None], rest) == 0.0
    assert sparsity_loss(rest[None] + 0.2, rest) > 0.1
    assert range_loss(torch.tensor([[-6.0, 0.0, 6.0]])) == 0.0
    assert range_loss(torch.tensor([[-9.0]])) > 1.0
