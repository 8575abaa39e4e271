"""The neural renderer: what it is fed, that it learns, and that its gradients are true."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.avatars.gltf import load_avatar
from freeavatar.datasets.motion_sources import MotionSources
from freeavatar.errors import DataError
from freeavatar.renderer.data import (
    PICTURE_SIZE,
    AvatarSet,
    Sitter,
    linear_effects,
    open_avatar_set,
    range_shares,
    write_avatar_set,
)
from freeavatar.renderer.evaluate import psnr_db, ssim
from freeavatar.renderer.losses import region_weights
from freeavatar.renderer.model import NeuralRenderer, RendererConfig
from freeavatar.renderer.samples import ControlSampler
from freeavatar.renderer.train import (
    RendererTrainConfig,
    load_renderer,
    new_renderer,
    train_renderer,
)
from freeavatar.training.loop import LoopConfig
from freeavatar.training.shards import ShardSet

NO_TAKES = MotionSources(np.zeros((0, 52), np.float32))
TINY = RendererConfig(vector_size=16, widths=(16, 16, 16), code_size=4)


@pytest.fixture(scope="module")
def toy_set(tmp_path_factory: pytest.TempPathFactory, toy_avatar_file: Path) -> AvatarSet:
    folder = tmp_path_factory.mktemp("sets") / "toy"
    write_avatar_set(load_avatar(toy_avatar_file), NO_TAKES, folder, 12, part_size=6)
    return open_avatar_set(folder)


def test_a_stopped_set_goes_on_to_the_same_bytes(
    tmp_path: Path, toy_avatar_file: Path, toy_set: AvatarSet
) -> None:
    avatar, folder = load_avatar(toy_avatar_file), tmp_path / "toy"
    write_avatar_set(avatar, NO_TAKES, folder, 6, part_size=6)
    write_avatar_set(avatar, NO_TAKES, folder, 12, part_size=6)
    again = open_avatar_set(folder)
    rows = np.arange(12)
    np.testing.assert_array_equal(again.shards.gather(rows), toy_set.shards.gather(rows))
    np.testing.assert_array_equal(again.controls, toy_set.controls)
    with pytest.raises(DataError, match="seed"):
        write_avatar_set(avatar, NO_TAKES, folder, 12, seed=1, part_size=6)


def test_sampled_controls_stay_in_range_and_move_every_control(toy_avatar_file: Path) -> None:
    avatar = load_avatar(toy_avatar_file)
    sampler = ControlSampler(avatar, NO_TAKES)
    drawn = np.stack([sampler.draw(np.random.default_rng(i))[0] for i in range(300)])
    assert (drawn >= avatar.rig.minimum).all()
    assert (drawn <= avatar.rig.maximum).all()
    assert (drawn.std(axis=0) > 0.05).all()


def test_regions_are_where_controls_move_pixels(toy_avatar_file: Path, toy_set: AvatarSet) -> None:
    sitter = Sitter.of(load_avatar(toy_avatar_file))
    values = sitter.avatar.rig.rest.copy()
    values[sitter.avatar.rig.index("mouthPucker")] = 1.0
    moved = np.abs(sitter.draw(values).astype(int) - toy_set.rest).mean(axis=2) > 6
    assert moved.any()
    assert toy_set.regions[moved].min() > 0.0
    assert (toy_set.regions[: PICTURE_SIZE // 4] < 1e-3).all(), "nothing moves the forehead"


def striped(toy_set: AvatarSet, power: float) -> tuple[AvatarSet, np.ndarray]:
    """Pictures in which each control brightens a stripe of its own, and the full stripes."""
    shares = np.random.default_rng(0).uniform(0, 1, (12, 6)).astype(np.float32)
    stripes = np.zeros((6, 128, 128, 3), np.float32)
    for control in range(6):
        stripes[control, control * 20 : control * 20 + 20] = 100.0
    crops = (np.tensordot(shares**power, stripes, 1) + 60.0).round().astype(np.uint8)
    made = dataclasses.replace(
        toy_set,
        shards=ShardSet((crops,), {}, {}),
        controls=shares,
        rest=np.full((128, 128, 3), 60, np.uint8),
    )
    return made, stripes


def test_small_effects_are_the_slope_of_what_was_drawn(toy_set: AvatarSet) -> None:
    made, stripes = striped(toy_set, power=1.0)
    expected = stripes.reshape(6, 32, 4, 32, 4, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(linear_effects(made), expected, atol=0.02)


def test_an_untrained_network_shows_the_avatar_at_rest(toy_set: AvatarSet) -> None:
    model = new_renderer([toy_set], TINY)
    rest = torch.from_numpy(range_shares(toy_set.rig, toy_set.rig.rest[None]))
    drawn = model(rest.expand(3, -1), 0).detach().numpy()
    expected = toy_set.rest.transpose(2, 0, 1) / 255.0
    np.testing.assert_allclose(drawn, np.broadcast_to(expected, drawn.shape), atol=1e-6)


def test_avatars_drawn_together_look_as_they_do_alone() -> None:
    torch.manual_seed(0)
    model = _random(NeuralRenderer(TINY, [3, 7]))
    groups = [(torch.rand(2, 7), 1), (torch.rand(3, 3), 0)]
    together = model.draw(groups)
    alone = torch.cat([model(shares, avatar) for shares, avatar in groups])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_it_memorises_what_is_not_linear_and_reads_back(tmp_path: Path, toy_set: AvatarSet) -> None:
    made, _ = striped(toy_set, power=3.0)
    loop = LoopConfig(
        num_steps=140, learning_rate=1e-2, weight_decay=0.0, ema_decay=0.9, device="cpu",
        precision="float32",
    )  # fmt: skip
    checkpoint = train_renderer(
        [made], tmp_path, RendererTrainConfig(TINY, batch_size=8, loop=loop)
    )
    model, known = load_renderer(checkpoint)
    assert [k.avatar for k in known] == ["toy"]
    assert not any(p.requires_grad for p in model.parameters())
    rows = np.arange(made.num_train)
    truth = torch.from_numpy(made.shards.gather(rows).transpose(0, 3, 1, 2) / 255.0).float()
    shares = torch.from_numpy(range_shares(made.rig, made.controls[rows]))
    learned = (model(shares, 0) - truth).abs().mean()
    untrained = (new_renderer([made], TINY)(shares, 0) - truth).abs().mean()
    assert learned < 0.7 * untrained


def test_gradients_at_the_controls_are_those_of_finite_differences() -> None:
    torch.manual_seed(1)
    model = _random(NeuralRenderer(TINY, [5])).double().requires_grad_(False)
    target = torch.rand(1, 3, PICTURE_SIZE, PICTURE_SIZE, dtype=torch.double)

    def loss(shares: torch.Tensor) -> torch.Tensor:
        return (model(shares, 0) - target).square().mean()

    shares = torch.rand(1, 5, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(shares), shares)
    assert gradient.abs().min() > 0.0
    step = 1e-5
    for column in (0, 3):
        nudge = torch.zeros_like(shares)
        nudge[0, column] = step
        numeric = (loss(shares + nudge) - loss(shares - nudge)) / (2 * step)
        torch.testing.assert_close(gradient[0, column], numeric, rtol=1e-4, atol=1e-12)


def test_heavier_regions_keep_the_mean_weight_of_one() -> None:
    weights = region_weights(torch.rand(2, 8, 8))
    torch.testing.assert_close(weights.mean(dim=(1, 2)), torch.ones(2))


def test_psnr_and_ssim_of_known_pictures() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 230, (32, 32, 3)).astype(np.uint8)
    face = np.ones((32, 32), bool)
    shifted = picture + np.uint8(10)
    assert psnr_db(shifted[None], picture[None], face) == pytest.approx(
        20 * np.log10(25.5), abs=1e-6
    )
    assert ssim(picture, picture, face) == pytest.approx(1.0)
    assert ssim(rng.permutation(picture), picture, face) < 0.5


def _random(model: NeuralRenderer) -> NeuralRenderer:
    """With a last layer that does something, and pictures at rest."""
    for parameter in model.trunk.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.rests.uniform_()
    for effects in model.effects:
        torch.nn.init.normal_(effects, std=0.1)
    return model
