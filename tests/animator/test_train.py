"""Joint training: every loss is asked for where its data is, and can be switched off."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.animator.data import FaceTables, FeatureTable, OwnTable
from freeavatar.animator.export import load_animator
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.model import Animator, AnimatorConfig
from freeavatar.animator.onlooker import Onlooker
from freeavatar.animator.train import (
    AnimatorTrainConfig,
    AnimatorTrainer,
    Lessons,
    LossWeights,
    train_animator,
)
from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork
from freeavatar.expression.vit import ViTConfig
from freeavatar.renderer.data import PICTURE_SIZE, AvatarSet
from freeavatar.renderer.model import NeuralRenderer, RendererConfig
from freeavatar.renderer.train import KnownAvatar
from freeavatar.rig import ARKIT, Control, RigSpec
from freeavatar.training.loop import LoopConfig
from freeavatar.training.shards import ShardSet

RIG = RigSpec(
    "toy",
    (
        Control("winkLeft", "eye", "winkRight"),
        Control("winkRight", "eye", "winkLeft"),
        Control("maw", "jaw", minimum=-1.0),
    ),
)
NUM = 24


def toy_member() -> DrivenRig:
    matrix = np.zeros((3, 52), np.float32)
    matrix[0, ARKIT.index("eyeBlinkLeft")] = 1.0
    matrix[1, ARKIT.index("eyeBlinkRight")] = 1.0
    matrix[2, ARKIT.index("jawOpen")] = 1.0
    return DrivenRig("toy", RIG, matrix)


CAST = Cast((arkit_member(), toy_member()))


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def table(controls: np.ndarray) -> FeatureTable:
        embeddings = rng.standard_normal((NUM, 8)).astype(np.float32)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        features = rng.standard_normal((NUM, 16)).astype(np.float32)
        return FeatureTable(
            features,
            embeddings,
            controls,
            np.ones(NUM, np.float32),
            np.arange(NUM) % 3,
            np.ones(NUM, bool),
        )

    controls = rng.uniform(0, 1, (NUM, 52)).astype(np.float32)
    faces = FaceTables(table(controls), table(controls[:, ARKIT.mirror_columns]))
    own = table(controls)
    shares = rng.uniform(0, 1, (NUM, 3)).astype(np.float32)
    crops = rng.integers(0, 255, (NUM, PICTURE_SIZE, PICTURE_SIZE, 3)).astype(np.uint8)
    regions = rng.uniform(0, 1, (PICTURE_SIZE, PICTURE_SIZE)).astype(np.float32)
    pictures = AvatarSet("toy", RIG, ShardSet((crops,), {}, {}), shares, crops[0], regions)
    renderer = NeuralRenderer(RendererConfig(16, (16, 16, 16), code_size=4), [3])
    for parameter in renderer.trunk.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    trunk = ViTConfig(image_size=64, patch_size=16, width=32, depth=1, num_heads=2)
    encoder = ExpressionNetwork(EncoderConfig(trunk, embedding_size=8))
    onlooker = Onlooker(renderer, (KnownAvatar("toy", RIG),), encoder)
    own_table = OwnTable("toy", own.features, own.embeddings, shares, np.arange(NUM))
    return Lessons(table(controls), faces, (own_table,), (pictures,), onlooker)


def run(folder: Path, lessons: Lessons, weights: LossWeights) -> dict[str, float]:
    """The last line of a short training's log."""
    config = AnimatorTrainConfig(
        AnimatorConfig(16, 24, 1, code_size=4),
        weights,
        batch_size=12,
        avatars_per_step=2,
        look_every=2,
        look_at=6,
        loop=LoopConfig(num_steps=8, log_every=4, device="cpu", precision="float32"),
    )
    train_animator(lessons, CAST, folder, config)
    line: dict[str, float] = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    return line


def test_every_loss_has_its_say_and_its_switch(tmp_path: Path, lessons: Lessons) -> None:
    terms = {
        "names",
        "own",
        "asymmetry",
        "within",
        "hint",
        "mirror",
        "sparsity",
        "range",
        "consistency",
        "pixels",
    }
    line = run(tmp_path / "all", lessons, LossWeights())
    assert terms <= set(line)
    assert all(np.isfinite(value) for value in line.values())
    off = LossWeights(names=0.0, own=0.0, hint=0.0, consistency=0.0, pixels=0.0)
    line = run(tmp_path / "off", lessons, off)
    assert not {"names", "own", "asymmetry", "within", "hint", "consistency", "pixels"} & set(line)
    bare = Lessons(lessons.renders)
    assert set(run(tmp_path / "bare", bare, LossWeights())) <= {
        "step", "trained_s", "loss", "names", "asymmetry", "within",
    }  # fmt: skip


def test_looking_alone_moves_the_controls(tmp_path: Path, lessons: Lessons) -> None:
    """With everything else switched off, what remains to learn from is what the encoder sees."""
    nothing = LossWeights(*[0.0] * len(dataclasses.fields(LossWeights)))
    run(tmp_path / "nothing", lessons, nothing)
    run(tmp_path / "looking", lessons, dataclasses.replace(nothing, consistency=1.0))
    still, moved = (
        load_animator(tmp_path / name / "final.safetensors")[0] for name in ("nothing", "looking")
    )
    rows = torch.from_numpy(CAST.slots(toy_member()))
    assert (still.vectors[rows] - moved.vectors[rows]).abs().max() > 1e-6


def test_every_avatar_is_looked_at_and_not_arkit_alone(lessons: Lessons) -> None:
    """ARKit's curves are driven in every step and can be drawn on any head with ARKit's names."""
    assert lessons.onlooker is not None
    torch.manual_seed(0)
    known = (KnownAvatar("toy", RIG), KnownAvatar("head", ARKIT))
    renderer = NeuralRenderer(RendererConfig(16, (16, 16, 16), code_size=4), [3, len(ARKIT)])
    onlooker = Onlooker(renderer, known, lessons.onlooker.encoder)
    both = dataclasses.replace(lessons, onlooker=onlooker)
    model = Animator(AnimatorConfig(16, 24, 1, code_size=4), 2, len(CAST.control_names))
    weights = LossWeights(*[0.0] * len(dataclasses.fields(LossWeights)))
    config = AnimatorTrainConfig(
        weights=dataclasses.replace(weights, consistency=1.0, pixels=1.0),
        batch_size=4, avatars_per_step=2, look_at=6,
    )  # fmt: skip
    trainer = AnimatorTrainer(model, CAST, both, config, torch.device("cpu"))
    assert all(part.likenesses for part in trainer.parts)
    found = [
        trainer.losses(trainer.draw(np.random.default_rng(seed), look=True)) for seed in range(8)
    ]
    assert all("consistency" in losses for losses in found)
    with_pixels = sum("pixels" in losses for losses in found)
    assert 0 < with_pixels < len(found)  # the toy's own pictures, and ARKit, which has none


def test_what_names_do_not_tie_to_the_face_learns_nothing_from_names(
    tmp_path: Path, lessons: Lessons
) -> None:
    """Unknown truth (NaN) is masked: it moves neither the loss nor the network."""
    known = lessons.renders.controls.copy()
    known[:, ARKIT.index("jawOpen")] = np.nan
    bare = Lessons(dataclasses.replace(lessons.renders, controls=known))
    line = run(tmp_path / "masked", bare, LossWeights())
    assert np.isfinite(line["loss"])
    model, _ = load_animator(tmp_path / "masked" / "final.safetensors")
    slot = CAST.slots(toy_member())[2]
    assert float(model.biases[slot].detach()) == pytest.approx(-2.0, abs=1e-3)


def test_the_curves_themselves_are_in_every_step(lessons: Lessons) -> None:
    others = [dataclasses.replace(toy_member(), avatar=f"toy{i}") for i in range(4)]
    cast = Cast((*others[:2], arkit_member(), *others[2:]))
    model = Animator(AnimatorConfig(16, 24, 1, code_size=4), 5, len(cast.control_names))
    config = AnimatorTrainConfig(batch_size=4, avatars_per_step=2)
    trainer = AnimatorTrainer(model, cast, Lessons(lessons.renders), config, torch.device("cpu"))
    drawn = [trainer.draw(np.random.default_rng(i), look=False).driven for i in range(40)]
    assert all(2 in driven and len(set(driven)) == 2 for driven in drawn)
    assert {i for driven in drawn for i in driven} == {0, 1, 2, 3, 4}
