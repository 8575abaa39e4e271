"""A new avatar from file to weights, with tiny untrained networks: every stage, and no harm."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.animator.export import export_animator
from freeavatar.animator.identity import Cast, arkit_member
from freeavatar.animator.model import Animator as Network
from freeavatar.animator.model import AnimatorConfig
from freeavatar.animator.onboard import OnboardConfig, SharedNetworks, onboard
from freeavatar.animator.runtime import Animator
from freeavatar.animator.train import KIND
from freeavatar.avatars.gltf import load_avatar
from freeavatar.checkpoints import Checkpoint, save_checkpoint
from freeavatar.expression.encoder import KIND as ENCODER_KIND
from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork
from freeavatar.expression.export import export_network
from freeavatar.expression.vit import ViTConfig
from freeavatar.renderer.model import KIND as RENDERER_KIND
from freeavatar.renderer.model import NeuralRenderer, RendererConfig
from freeavatar.rig import ARKIT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> SharedNetworks:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("runs")
    encoder_config = EncoderConfig(
        ViTConfig(patch_size=56, width=32, depth=1, num_heads=2), embedding_size=8, num_features=24
    )
    encoder = ExpressionNetwork(encoder_config).eval()
    tensors = {f"network.{k}": v for k, v in encoder.state_dict().items()}
    _save(root / "expression", ENCODER_KIND, dataclasses.asdict(encoder_config), tensors)
    export_network(encoder, root / "expression")
    config, cast = AnimatorConfig(24, 32, 1, code_size=4), Cast((arkit_member(),))
    described = dataclasses.asdict(config) | {"cast": cast.to_json()}
    _save(root / "animator", KIND, described, Network(config, 1, 52).state_dict())
    export_animator(root / "animator" / "final.safetensors", root / "animator")
    renderer_config = RendererConfig(16, (16, 16, 16), code_size=4)
    described = dataclasses.asdict(renderer_config) | {
        "avatars": [{"avatar": "somebody", "rig": ARKIT.to_json()}]
    }
    _save(
        root / "renderer",
        RENDERER_KIND,
        described,
        NeuralRenderer(renderer_config, [52]).state_dict(),
    )
    return SharedNetworks.of_runs(root / "expression", root / "animator", root / "renderer")


def _save(
    folder: Path, kind: str, config: dict[str, object], tensors: dict[str, torch.Tensor]
) -> None:
    save_checkpoint(folder / "final.safetensors", Checkpoint(kind, config, {}, dict(tensors)))


def test_a_new_avatar_learns_and_nobody_else_changes(
    networks: SharedNetworks, tmp_path: Path, toy_avatar_file: Path
) -> None:
    shutil.copy(toy_avatar_file, tmp_path / "hero.glb")
    hero = load_avatar(tmp_path / "hero.glb")
    features = np.random.default_rng(0).standard_normal((5, 24)).astype(np.float32)
    before = Animator.load(networks.animator.parent)
    shared = [path.read_bytes() for path in dataclasses.astuple(networks)]
    arkit, by_name = before.controls(features, ARKIT), before.controls(features, hero)
    config = OnboardConfig(num_pictures=100, num_people=24, renderer_steps=12, animator_steps=24)
    stages: list[str] = []
    made = onboard(
        hero,
        tmp_path / "work",
        networks,
        config,
        on_progress=lambda stage, *_: stages.append(stage),
    )
    assert made.weights == tmp_path / "hero.weights.npz"
    assert (made.num_controls, made.num_understood) == (6, 6)
    assert made.weights.stat().st_size < 100_000
    wanted = ["drawing", "learning its looks", "looking at it", "looking at others"]
    assert list(dict.fromkeys(stages)) == [*wanted, "learning to move"]
    after = Animator.load(networks.animator.parent)
    assert after.knows(hero)
    assert np.abs(after.controls(features, hero) - by_name).max() > 1e-3
    np.testing.assert_array_equal(after.controls(features, ARKIT), arkit)
    assert [path.read_bytes() for path in dataclasses.astuple(networks)] == shared
    again = onboard(hero, tmp_path / "work", networks, config, tmp_path / "again.npz")
    with np.load(made.weights) as one, np.load(again.weights) as other:
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
