"""Training the expression model: stopped at any step it comes to the same curve; bad input."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.checkpoints import load_checkpoint, save_checkpoint
from freeavatar.errors import DataError, WeightsError
from freeavatar.expression.distill import distillation_loss
from freeavatar.expression.encoder import KIND, EncoderConfig, ExpressionTrainer
from freeavatar.expression.finetune import FinetuneConfig, finetune
from freeavatar.expression.triplets import TripletSet
from freeavatar.expression.vit import ViTConfig
from freeavatar.training.loop import LoopConfig, Run

TRUNK = ViTConfig(patch_size=28, width=16, depth=1, num_heads=2)
LOOP = LoopConfig(num_steps=6, log_every=1, device="cpu", warmup_steps=2)
CONFIG = FinetuneConfig(
    model=EncoderConfig(TRUNK, embedding_size=4, token_size=4, num_features=8),
    renders_per_batch=6,
    faces_per_batch=0,
    loop=LOOP,
)


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("renders")
    part = folder / "part-000"
    part.mkdir()
    rng = np.random.default_rng(0)
    np.save(part / "crops.npy", rng.integers(0, 256, (20, 144, 144, 3), dtype=np.uint8))
    np.savez(
        part / "truth.npz",
        arkit=rng.uniform(0, 1, (20, 52)).astype(np.float16),
        head_rad=rng.normal(0, 0.2, (20, 3)).astype(np.float16),
        actor=np.zeros(20, np.int16),
    )
    (folder / "index.json").write_text(json.dumps({"shows": [[True] * 52]}))
    return folder


def train(renders: Path, out: Path, config: FinetuneConfig, stop_at: int | None = None) -> None:
    def report(line: dict[str, float]) -> None:
        if line["step"] == stop_at:
            raise KeyboardInterrupt

    finetune([renders], [], None, out, config, report)


def curve(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("save_every_s", [0.0, 1e6])
def test_stopped_at_any_step_it_comes_to_the_same_curve(
    renders: Path, tmp_path: Path, save_every_s: float
) -> None:
    torch.set_num_threads(1)
    config = dataclasses.replace(CONFIG, loop=dataclasses.replace(LOOP, save_every_s=save_every_s))
    train(renders, tmp_path / "whole", config)
    for stop_at in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            train(renders, tmp_path / "cut", config, stop_at)
    train(renders, tmp_path / "cut", config)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    whole, cut = (
        load_checkpoint(tmp_path / name / "final.safetensors", KIND).tensors
        for name in ("whole", "cut")
    )
    for name, tensor in whole.items():
        torch.testing.assert_close(cut[name], tensor, rtol=0, atol=0)


def test_a_run_of_another_architecture_or_with_damaged_weights_is_refused(
    renders: Path, tmp_path: Path
) -> None:
    short = dataclasses.replace(CONFIG, loop=dataclasses.replace(LOOP, num_steps=1))
    train(renders, tmp_path, short)
    wider = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, embedding_size=6))
    with pytest.raises(WeightsError, match="another architecture"):
        train(renders, tmp_path, wider)
    last = tmp_path / "last.safetensors"
    data = bytearray(last.read_bytes())
    data[-3] ^= 0xFF
    last.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        train(renders, tmp_path, CONFIG)


def test_a_run_begins_with_the_weights_of_another(renders: Path, tmp_path: Path) -> None:
    first = finetune([renders], [], None, tmp_path / "first", CONFIG)
    still = dataclasses.replace(LOOP, num_steps=1, learning_rate=0.0)
    config = dataclasses.replace(CONFIG, loop=still)
    second = finetune([renders], [], None, tmp_path / "second", config, start=first)
    fresh = finetune([renders], [], None, tmp_path / "fresh", config)
    before, after, untaught = (
        load_checkpoint(path, KIND).tensors for path in (first, second, fresh)
    )
    for name, _ in ExpressionTrainer(CONFIG.model).named_parameters():
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    assert not torch.equal(before["controls.weight"], untaught["controls.weight"])
    wider = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, embedding_size=6))
    with pytest.raises(WeightsError, match="of another network"):
        finetune([renders], [], None, tmp_path / "third", wider, start=first)
    with pytest.raises(WeightsError, match="no checkpoint"):
        finetune([renders], [], None, tmp_path / "third", CONFIG, start=tmp_path / "absent")


def test_weights_without_heads_get_heads_that_read_them(renders: Path, tmp_path: Path) -> None:
    first = finetune([renders], [], None, tmp_path / "first", CONFIG)
    whole = load_checkpoint(first, KIND)
    network = {n: t for n, t in whole.tensors.items() if n.startswith("network.")}
    shipped = tmp_path / "expression.safetensors"
    save_checkpoint(shipped, dataclasses.replace(whole, tensors=network))
    still = dataclasses.replace(
        CONFIG, loop=dataclasses.replace(LOOP, num_steps=1, learning_rate=0.0)
    )
    final = finetune([renders], [], None, tmp_path / "second", still, start=shipped)
    tensors = load_checkpoint(final, KIND).tensors
    for name, tensor in network.items():
        if not name.startswith("network.spread"):  # its statistics follow every batch
            torch.testing.assert_close(tensors[name], tensor, rtol=0, atol=0)
    assert tensors["controls.weight"].abs().max() > 0
    fresh = finetune([renders], [], None, tmp_path / "fresh", still)
    untaught = load_checkpoint(fresh, KIND).tensors  # of the same seed, at a rate of zero
    torch.testing.assert_close(tensors["emotion.weight"], untaught["emotion.weight"])
    assert not torch.equal(tensors["head.weight"], untaught["head.weight"])


def test_no_renders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a data set"):
        train(tmp_path / "absent", tmp_path / "run", CONFIG)


def test_votes_of_people_join_the_loss(renders: Path, tmp_path: Path) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (4, 144, 144, 3), dtype=np.uint8)
    votes = TripletSet(crops, np.array([[0, 1, 2], [1, 2, 3]]), np.array([1, 3]), np.ones(2))
    lines: list[dict[str, float]] = []
    short = dataclasses.replace(CONFIG, loop=dataclasses.replace(LOOP, num_steps=2))
    finetune([renders], [], None, tmp_path, short, lines.append, votes)
    for line in lines:
        known = short.triplets * line["triplets"] + short.controls * line["controls"]
        known += short.asymmetry * line["asymmetry"] + short.head * line["head"]
        known += short.sameness * line["sameness"]
        known += short.votes * line["votes"]
        assert line["votes"] > 0
        assert line["loss"] == pytest.approx(known, abs=1e-3)


def test_parameters_trained_before_learn_slowly(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    before = [layer.weight.detach().clone() for layer in model]  # type: ignore[operator]
    config = LoopConfig(num_steps=1, warmup_steps=0, weight_decay=0.0, slow_rate=0.25, device="cpu")
    run = Run(tmp_path, "test", model, {}, config, slow=model[0].parameters())
    run.fit(lambda _: torch.ones(3, 2), lambda batch: {"loss": model(batch).square().mean()})
    # Adam's first step has the size of the rate, whatever the gradient.
    moved = [
        float((layer.weight - old).abs().max().detach())
        for layer, old in zip(model, before, strict=True)
    ]
    assert moved[0] == pytest.approx(0.25 * moved[1], rel=1e-3)


def test_a_teacher_joins_the_loss(renders: Path, tmp_path: Path) -> None:
    train(renders, tmp_path / "teacher", CONFIG)
    teacher = tmp_path / "teacher" / "final.safetensors"
    lines: list[dict[str, float]] = []
    short = dataclasses.replace(CONFIG, loop=dataclasses.replace(LOOP, num_steps=2, seed=7))
    finetune([renders], [], None, tmp_path / "student", short, lines.append, teacher=teacher)
    for line in lines:
        known = short.triplets * line["triplets"] + short.controls * line["controls"]
        known += short.asymmetry * line["asymmetry"] + short.head * line["head"]
        known += short.sameness * line["sameness"]
        assert line["distil"] > 0
        assert line["loss"] == pytest.approx(known + short.distil * line["distil"], abs=1e-3)


def test_who_says_what_the_teacher_says_loses_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trainer = ExpressionTrainer(CONFIG.model).eval()
    said, other = (trainer(torch.rand(3, 3, 112, 112)) for _ in range(2))
    assert distillation_loss(said, said).item() == 0.0
    assert distillation_loss(other, said).item() > 0.0
