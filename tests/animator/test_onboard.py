"""A new avatar from file to weights, with tiny untrained networks: every stage, and no harm."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.animator import onboard as onboarding
from freeavatar.animator.export import export_animator, load_animator, save_animator
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.likeness import understood
from freeavatar.animator.linear import SHARE, arkit_readout, by_name
from freeavatar.animator.model import Animator as Network
from freeavatar.animator.model import AnimatorConfig
from freeavatar.animator.onboard import (
    OnboardConfig,
    SharedNetworks,
    WorkClock,
    onboard,
    work_name,
)
from freeavatar.animator.runtime import Animator
from freeavatar.avatars.gltf import load_avatar
from freeavatar.checkpoints import Checkpoint, save_checkpoint
from freeavatar.expression.encoder import KIND as ENCODER_KIND
from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork
from freeavatar.expression.export import export_network
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.expression.vit import ViTConfig
from freeavatar.renderer.model import KIND as RENDERER_KIND
from freeavatar.renderer.model import NeuralRenderer, RendererConfig
from freeavatar.rig import ARKIT

SMALL = OnboardConfig(num_pictures=100, num_people=12, renderer_steps=12, animator_steps=24)
STAGES = [
    "drawing",
    "learning its looks",
    "looking at it",
    "looking at others",
    "learning to move",
]


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
    animator = Network(config, 1, 52)
    animator.readouts.normal_(std=0.02)
    animator.shares.fill_(SHARE)
    (root / "animator").mkdir()
    save_animator(root / "animator" / "final.safetensors", animator, cast, {})
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
    arkit, at_once = before.controls(features, ARKIT), before.controls(features, hero)
    stages: list[str] = []
    made = onboard(
        hero,
        tmp_path / "work",
        networks,
        SMALL,
        on_progress=lambda stage, *_: stages.append(stage),
    )
    assert made.weights == tmp_path / "hero.weights.npz"
    assert (made.num_controls, made.num_understood) == (6, 6)
    assert made.weights.stat().st_size < 100_000
    assert list(dict.fromkeys(stages)) == STAGES
    after = Animator.load(networks.animator.parent)
    assert after.knows(hero)
    assert np.abs(after.controls(features, hero) - at_once).max() > 1e-3
    np.testing.assert_array_equal(after.controls(features, ARKIT), arkit)
    assert [path.read_bytes() for path in dataclasses.astuple(networks)] == shared
    # The linear map of the shared network, as the names of this avatar's controls have it.
    read_off = arkit_readout(*load_animator(networks.animator_weights))
    expected = by_name(read_off, DrivenRig("hero", hero.rig, understood(hero)))
    with np.load(made.weights) as file:
        np.testing.assert_allclose(file["readouts"], expected.weights, atol=1e-3)
        np.testing.assert_array_equal(file["shares"], np.float32(SHARE))
    assert np.abs(expected.weights).max() > 0.02
    again = onboard(hero, tmp_path / "work", networks, SMALL, tmp_path / "again.npz")
    assert again.weights.read_bytes() == made.weights.read_bytes()
    assert again.worked_s == made.worked_s > 0.0, "a finished run that is repeated takes no time"


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many crops the encoder was given, call by call; parts are small."""
    counts: list[int] = []
    encode = onboarding.encode_crops

    def counted(encoder: ExpressionEncoder, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        counts.append(len(crops))
        return encode(encoder, crops)

    monkeypatch.setattr(onboarding, "encode_crops", counted)
    monkeypatch.setattr(onboarding, "CHUNK", 40)
    monkeypatch.setattr(onboarding, "PEOPLE_PART", 5)
    return counts


@pytest.mark.slow
def test_stopped_in_every_stage_it_goes_on_to_the_same_bytes(
    networks: SharedNetworks, tmp_path: Path, toy_avatar_file: Path, looked_at: list[int]
) -> None:
    hero = load_avatar(toy_avatar_file)
    whole = onboard(hero, tmp_path / "whole", networks, SMALL, tmp_path / "whole.npz")
    assert looked_at == [40, 40, 20, 5, 5, 2]
    looked_at.clear()
    stopped: list[str] = []

    def stop(stage: str, _done: int, _total: int | None) -> None:
        if stage not in stopped:
            stopped.append(stage)
            raise KeyboardInterrupt

    target = tmp_path / "stopped.npz"
    for _ in STAGES:
        with pytest.raises(KeyboardInterrupt):
            onboard(hero, tmp_path / "stopped", networks, SMALL, target, stop)
        assert not target.exists()
    made = onboard(hero, tmp_path / "stopped", networks, SMALL, target, stop)
    assert stopped == STAGES
    assert target.read_bytes() == whole.weights.read_bytes()
    assert looked_at == [40, 40, 20, 5, 5, 2], "nothing is looked at twice"
    noted = json.loads((tmp_path / "stopped" / "worked.json").read_text())
    assert noted == {"finished": True, "worked_s": made.worked_s}
    leftovers = [p.name for p in (tmp_path / "stopped").iterdir() if p.name.startswith(".")]
    assert leftovers == []
    assert list((tmp_path / "stopped").glob("*.parts")) == []


def test_seconds_add_up_over_runs_until_the_work_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now: Iterator[float] = iter(float(10 * i) for i in range(100))
    monkeypatch.setattr(onboarding.time, "monotonic", lambda: next(now))
    with pytest.raises(KeyboardInterrupt), WorkClock(tmp_path):
        raise KeyboardInterrupt
    first = json.loads((tmp_path / "worked.json").read_text())
    assert first["worked_s"] > 0.0
    assert not first["finished"]
    with WorkClock(tmp_path) as clock:
        clock.tick()
        assert clock.worked_s > first["worked_s"]
    second = json.loads((tmp_path / "worked.json").read_text())
    assert second["finished"]
    with WorkClock(tmp_path) as clock:
        clock.tick()
        assert clock.worked_s == second["worked_s"]
    assert json.loads((tmp_path / "worked.json").read_text()) == second


def test_whatever_decides_the_outcome_has_a_folder_of_its_own(
    networks: SharedNetworks, tmp_path: Path, toy_avatar_file: Path
) -> None:
    shutil.copy(toy_avatar_file, tmp_path / "hero.glb")
    hero = load_avatar(tmp_path / "hero.glb")
    other = dataclasses.replace(networks, animator=networks.animator_weights)
    names = {
        work_name(hero, networks, SMALL),
        work_name(hero, networks, dataclasses.replace(SMALL, by_name=False)),
        work_name(hero, other, SMALL),
    }
    (tmp_path / "hero.glb").write_bytes(toy_avatar_file.read_bytes() + bytes(4))
    names.add(work_name(hero, networks, SMALL))
    assert len(names) == 4
    assert all(name.startswith("hero-") for name in names)
