"""Controls stay in range, avatars differ in number of controls, and the animator learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.animator.data import FeatureTable, rig_targets
from freeavatar.animator.export import export_animator, load_animator
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.model import Animator as Network
from freeavatar.animator.model import AnimatorConfig, Conditioning
from freeavatar.animator.runtime import Animator
from freeavatar.animator.train import AnimatorTrainConfig, Lessons, train_animator
from freeavatar.errors import WeightsError
from freeavatar.rig import ARKIT, Control, RigSpec
from freeavatar.training.loop import LoopConfig


def creature() -> DrivenRig:
    """Three controls, one with a range of its own, one that mixes two ARKit shapes."""
    rig = RigSpec(
        "creature",
        (Control("maw", "jaw"), Control("gills", "cheek", minimum=-1.0), Control("ears", "brow")),
    )
    matrix = np.zeros((3, 52), np.float32)
    matrix[0, ARKIT.index("jawOpen")] = 1.0
    matrix[1, ARKIT.index("cheekPuff")] = 1.0
    matrix[2, ARKIT.index("browInnerUp")] = 0.5
    matrix[2, ARKIT.index("browOuterUpLeft")] = 0.5
    return DrivenRig("creature", rig, matrix)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureTable]:
    """A tiny animator that has learned random features by heart."""
    rng = np.random.default_rng(0)
    controls = rng.uniform(0, 1, (8, 52)).astype(np.float32)
    features = rng.standard_normal((8, 24)).astype(np.float32)
    table = FeatureTable(
        features, features[:, :4], controls, np.ones(8, np.float32), np.arange(8), np.ones(8, bool)
    )
    config = AnimatorTrainConfig(
        model=AnimatorConfig(num_features=24, width=48, num_blocks=1, code_size=4),
        batch_size=16,
        feature_noise=0.0,
        loop=LoopConfig(num_steps=250, learning_rate=1e-2, weight_decay=0.0, device="cpu"),
    )
    folder = tmp_path_factory.mktemp("animator")
    checkpoint = train_animator(Lessons(table), Cast((arkit_member(), creature())), folder, config)
    export_animator(checkpoint, folder)
    return folder, table


def test_it_memorises_eight_expressions_on_two_rigs(trained: tuple[Path, FeatureTable]) -> None:
    folder, table = trained
    driven = Animator.load(folder).controls(table.features, ARKIT)
    assert np.abs(driven - table.controls).mean() < 0.05


def test_controls_stay_in_range_for_any_input(trained: tuple[Path, FeatureTable]) -> None:
    folder, _ = trained
    wild = 100 * np.random.default_rng(1).standard_normal((64, 24)).astype(np.float32)
    driven = Animator.load(folder).controls(wild, ARKIT)
    assert driven.min() >= 0.0
    assert driven.max() <= 1.0


def test_onnx_answers_like_pytorch_and_each_avatar_has_its_own_controls(
    trained: tuple[Path, FeatureTable],
) -> None:
    folder, table = trained
    model, cast = load_animator(folder / "final.safetensors")
    runtime = Animator.load(folder)
    for index, member in enumerate(cast.members):
        slots = torch.from_numpy(cast.slots(member))
        with torch.no_grad():
            shares = model(torch.from_numpy(table.features), index, slots).numpy()
        rig = member.rig
        expected = rig.minimum + shares * (rig.maximum - rig.minimum)
        actual = runtime.member_controls(member.avatar, table.features)
        assert actual.shape == (8, len(rig))
        # The file holds its weights in half precision.
        np.testing.assert_allclose(actual, expected, atol=5e-4)


@pytest.mark.parametrize("conditioning", ["concat", "film", "hyper"])
def test_every_conditioning_gives_avatars_a_say(conditioning: Conditioning) -> None:
    torch.manual_seed(0)
    config = AnimatorConfig(24, 32, 2, code_size=4, conditioning=conditioning, hyper_rank=3)
    model = Network(config, 2, 5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    features, slots = torch.randn(6, 24), torch.arange(5)
    one, other = model(features, 0, slots), model(features, 1, slots)
    assert (one - other).abs().max() > 0.01
    gradients = torch.autograd.grad(one.sum(), [model.codes])
    assert (gradients[0][0] != 0).all()
    assert (gradients[0][1] == 0).all(), "no avatar learns from another's faces"


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", ["concat", "hyper"])
def test_every_conditioning_is_exported(tmp_path: Path, conditioning: Conditioning) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((8, 24)).astype(np.float32)
    controls = rng.uniform(0, 1, (8, 52)).astype(np.float32)
    table = FeatureTable(
        features, features[:, :4], controls, np.ones(8, np.float32), np.arange(8), np.ones(8, bool)
    )
    model = AnimatorConfig(24, 32, 1, code_size=4, conditioning=conditioning)
    config = AnimatorTrainConfig(
        model=model, batch_size=8, loop=LoopConfig(num_steps=20, device="cpu")
    )
    cast = Cast((arkit_member(), creature()))
    checkpoint = train_animator(Lessons(table), cast, tmp_path, config)
    export_animator(checkpoint, tmp_path)
    network, _ = load_animator(checkpoint)
    slots = torch.from_numpy(cast.slots(cast.members[0]))
    expected = network(torch.from_numpy(features), 0, slots).detach().numpy()
    np.testing.assert_allclose(
        Animator.load(tmp_path).controls(features, ARKIT), expected, atol=5e-4
    )


def test_an_exported_network_tells_nothing_of_the_machine_it_was_made_on(
    trained: tuple[Path, FeatureTable],
) -> None:
    folder, _ = trained
    assert b".py" not in (folder / "animator.onnx").read_bytes()


def test_targets_are_shares_of_the_range_and_unknown_where_the_source_is() -> None:
    controls = np.zeros((2, 52), np.float32)
    controls[0, ARKIT.index("cheekPuff")] = 0.5
    controls[1, ARKIT.index("jawOpen")] = np.nan
    shares = rig_targets(creature(), controls)
    np.testing.assert_allclose(shares[0], [0.0, 0.75, 0.0])
    assert np.isnan(shares[1, 0])
    np.testing.assert_allclose(shares[1, 1:], [0.5, 0.0])


def test_a_cast_reads_back_equal() -> None:
    cast = Cast((arkit_member(), creature()))
    again = Cast.from_json(cast.to_json())
    assert [m.rig for m in again.members] == [m.rig for m in cast.members]
    np.testing.assert_allclose(again.members[1].arkit_to_rig, creature().arkit_to_rig)


def test_a_damaged_table_is_refused(trained: tuple[Path, FeatureTable], tmp_path: Path) -> None:
    folder, _ = trained
    (tmp_path / "animator.onnx").write_bytes((folder / "animator.onnx").read_bytes())
    (tmp_path / "animator.npz").write_bytes(b"PK hello")
    with pytest.raises(WeightsError, match="not a table of avatars"):
        Animator.load(tmp_path)
