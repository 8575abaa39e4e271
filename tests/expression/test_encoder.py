"""Embeddings have unit length, comparisons can be learned, and a mirrored face is another one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch

from freeavatar.errors import WeightsError
from freeavatar.expression.augment import AugmentConfig, augment, plain
from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork, ExpressionTrainer
from freeavatar.expression.export import export_network, measure_parity
from freeavatar.expression.finetune import felt_distances
from freeavatar.expression.losses import (
    anonymity_loss,
    expression_distances,
    known_mse,
    sameness_loss,
    triplet_loss,
)
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.expression.start import load_trunk
from freeavatar.expression.vit import VisionTransformer, ViTConfig
from freeavatar.rig import ARKIT

TINY = EncoderConfig(
    ViTConfig(patch_size=28, width=32, depth=1, num_heads=2), embedding_size=8, num_features=32
)


@pytest.mark.parametrize("pool", ["mean", "grid"])
def test_embeddings_have_unit_length(pool: Literal["mean", "grid"]) -> None:
    config = dataclasses.replace(TINY, pool=pool)
    embeddings, features = ExpressionNetwork(config)(torch.rand(3, 3, 224, 224))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    assert features.shape == (3, config.feature_size)


def test_faces_do_not_start_as_one_direction() -> None:
    """A triplet loss on collapsed embeddings stays at its margin (docs/experiments.md)."""
    torch.manual_seed(0)
    embeddings, _ = ExpressionNetwork(TINY)(torch.rand(16, 3, 224, 224))
    assert float(torch.pdist(embeddings).mean().detach()) > 0.5


def test_pictures_of_any_size_are_looked_at_whole() -> None:
    torch.manual_seed(0)
    trunk = VisionTransformer(ViTConfig(patch_size=28, width=32, depth=1, num_heads=2))

    def tokens(size: int) -> torch.Tensor:
        """Of one smooth picture, drawn at this size."""
        across = torch.arange(size).add(0.5) / size
        wave = torch.sin(5 * across)[:, None] * torch.cos(4 * across)[None]
        return trunk.embed((0.5 + 0.5 * wave).expand(1, 3, size, size))

    with torch.no_grad():
        own, other = tokens(112), trunk.embed(torch.rand(1, 3, 112, 112))
        for size in (64, 150, 224, 336):
            assert (tokens(size) - own).norm() < 0.05 * (other - own).norm()
        # Shrinking averages: a board of single pixels is grey, not what every third pixel shows.
        board = (torch.arange(336)[:, None] + torch.arange(336)).remainder(2).float()
        seen = trunk.embed(board.expand(1, 3, 336, 336))
        grey = trunk.embed(torch.full((1, 3, 112, 112), 0.5))
        assert (seen - grey).abs().max() < 0.5


def test_a_solvable_triplet_set_reaches_100_percent() -> None:
    torch.manual_seed(0)
    # Six expressions shown by three "people" each; the pictures are random codes.
    controls = torch.zeros(18, 52)
    controls[:, 3] = torch.arange(6).repeat_interleave(3).float()
    controls[:, 3] += 0.05 * torch.arange(3).repeat(6)
    distances = expression_distances(controls)
    codes = torch.randn(18, 16)
    head = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    everything = torch.ones(18, 18, dtype=torch.bool)
    for _ in range(300):
        embeddings = torch.nn.functional.normalize(head(codes), dim=-1)
        loss, accuracy = triplet_loss(embeddings, distances, everything)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(accuracy) == 1.0


def test_triplets_agree_with_a_slow_obvious_count() -> None:
    torch.manual_seed(1)
    controls = torch.rand(7, 52)
    embeddings = torch.nn.functional.normalize(torch.randn(7, 4), dim=-1)
    distances = expression_distances(controls)
    clear = right = 0
    for a in range(7):
        for p in range(7):
            for n in range(7):
                if len({a, p, n}) < 3:
                    continue
                if distances[a, p] < 0.75 * min(distances[a, n], distances[p, n]):
                    clear += 1
                    near = (embeddings[a] - embeddings[p]).norm()
                    right += int(
                        near < (embeddings[a] - embeddings[n]).norm()
                        and near < (embeddings[p] - embeddings[n]).norm()
                    )
    everything = torch.ones(7, 7, dtype=torch.bool)
    _, accuracy = triplet_loss(embeddings, distances, everything)
    assert float(accuracy) == pytest.approx(right / max(clear, 1))


def test_a_wink_and_its_mirror_image_are_different_expressions() -> None:
    wink = torch.zeros(1, 52)
    wink[0, ARKIT.index("eyeBlinkLeft")] = 1.0
    mirrored = wink[:, torch.from_numpy(ARKIT.mirror_columns)]
    assert float(mirrored[0, ARKIT.index("eyeBlinkRight")]) == 1.0
    assert float(expression_distances(torch.cat([wink, mirrored]))[0, 1]) > 1.0


def test_unknown_controls_do_not_count_as_different() -> None:
    controls = torch.zeros(2, 52)
    controls[1, 3] = float("nan")
    assert float(expression_distances(controls)[0, 1]) == 0.0
    weights = torch.ones(52)
    assert float(known_mse(torch.zeros(2, 52), controls, weights)) == 0.0


def test_augmentation_is_repeatable_and_mirrors() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (288, 288, 3), dtype=np.uint8)
    config = AugmentConfig()
    once = augment(stored, config, np.random.default_rng(5))
    again = augment(stored, config, np.random.default_rng(5))
    np.testing.assert_array_equal(once, again)
    switches = [
        f.name for f in dataclasses.fields(AugmentConfig) if f.name not in ("size", "stored_margin")
    ]
    still = AugmentConfig(**dict.fromkeys(switches, 0.0))
    straight = augment(stored, still, np.random.default_rng(0))
    np.testing.assert_array_equal(straight, plain(stored))
    np.testing.assert_array_equal(
        augment(stored, still, np.random.default_rng(0), mirror=True), straight[:, ::-1]
    )
    # Stored crops are wider by 9 / 7: the middle is kept pixel for pixel.
    np.testing.assert_array_equal(straight, stored[32:256, 32:256])


def test_an_exported_network_answers_like_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ExpressionNetwork(TINY).eval()
    crops = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    full, int8 = export_network(network, tmp_path)
    assert measure_parity(network, full, crops).worst_cosine > 0.9999
    assert measure_parity(network, int8, crops).worst_cosine > 0.95
    # Steps of a hundredth would not leave the last sums alone.
    weights = [i for i in onnx.load(int8).graph.initializer if i.name.startswith("embedding.")]
    assert {w.data_type for w in weights} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    encoder = ExpressionEncoder.load(full)
    assert encoder.encode(crops[:0]).embeddings.shape == (0, 8)
    with pytest.raises(ValueError, match="expected"):
        encoder.encode(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="cannot be run"):
        ExpressionEncoder.load(tmp_path / "x.onnx")
    with pytest.raises(WeightsError, match="no checkpoint"):
        load_trunk(ExpressionTrainer(TINY), tmp_path / "absent.safetensors")


def test_feelings_are_compared_by_more_than_the_winner() -> None:
    """A face with a hint of fear lies between a neutral and a fearful one."""
    neutral, hint, fear = torch.eye(7)[0], torch.tensor([0.9, 0, 0, 0, 0.1, 0, 0]), torch.eye(7)[4]
    apart = felt_distances(torch.stack([neutral, hint, fear]))
    assert apart[0, 1] < apart[0, 2]
    assert apart[1, 2] < apart[0, 2]
    assert apart[0, 1] > 0.3 * apart[0, 2]  # plain probabilities would say a tenth
    torch.testing.assert_close(apart, apart.T)


def test_sameness_counts_what_faces_of_one_expression_lie_apart() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(6, 4), dim=1).requires_grad_()
    same = torch.zeros(6, 6, dtype=torch.bool)
    assert sameness_loss(embeddings, same) == 0
    same[0, 1] = same[1, 0] = True
    loss = sameness_loss(embeddings, same)
    squared = (embeddings[:, None] - embeddings[None]).square().sum(-1)
    others = ~torch.eye(6, dtype=torch.bool)
    assert loss.item() == pytest.approx((squared[0, 1] / squared[others].mean()).item(), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    assert gradient[:2].abs().sum() > 0
    assert gradient[2:].abs().sum() == 0


def test_only_the_negatives_asked_for_are_told_apart() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    position = torch.tensor([0.0, 0.1, 3.0, 3.1, 9.0])
    distances = (position[:, None] - position[None]).abs()
    everybody = torch.ones(5, 5, dtype=torch.bool)
    negatives = torch.zeros(5, 5, dtype=torch.bool)
    loss, accuracy = triplet_loss(embeddings, distances, everybody, negatives=negatives)
    assert loss == accuracy == 0
    negatives[0, 2] = True
    # Who is like the first face and unlike the third: the second, and nobody else.
    _, accuracy = triplet_loss(embeddings, distances, everybody, negatives=negatives)
    apart = torch.cdist(embeddings, embeddings)
    assert accuracy.item() == float(apart[0, 1] < apart[0, 2] and apart[0, 1] < apart[1, 2])


def test_anonymity_is_what_people_have_in_common_with_themselves() -> None:
    rng = torch.Generator().manual_seed(0)
    person = torch.arange(40).repeat_interleave(10)
    faces = torch.randn((400, 6), generator=rng)
    same = torch.eye(400, dtype=torch.bool)
    nobody = float(anonymity_loss(faces, person, same))
    assert abs(nobody) < 0.02
    who = torch.randn((40, 6), generator=rng).repeat_interleave(10, dim=0)
    assert float(anonymity_loss(faces + who, person, same)) == pytest.approx(0.5, abs=0.12)
    assert float(anonymity_loss(0.1 * faces + who, person, same)) > 0.8
    unknown = torch.full_like(person, -1)
    assert anonymity_loss(faces + who, unknown, same) == 0


def test_the_gradient_of_anonymity_takes_the_person_out() -> None:
    rng = torch.Generator().manual_seed(0)
    person = torch.arange(20).repeat_interleave(6)
    who = torch.randn((20, 4), generator=rng).repeat_interleave(6, dim=0)
    faces = torch.cat([torch.randn((120, 4), generator=rng), who], dim=1)
    out = torch.nn.Linear(8, 4)
    optimizer = torch.optim.Adam(out.parameters(), 0.03)
    same = torch.eye(120, dtype=torch.bool)
    for _ in range(150):
        loss = anonymity_loss(out(faces), person, same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert out.weight[:, 4:].norm() < 0.35 * out.weight[:, :4].norm()


def test_triplets_are_taken_only_where_all_rulers_agree() -> None:
    place = torch.tensor([0.0, 0.1, 1.0])
    distances = (place[:, None] - place[None]).abs()
    embeddings = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), dim=1
    )
    everything = torch.ones((3, 3), dtype=torch.bool)
    contrary = (distances + torch.eye(3)).reciprocal() - torch.eye(3)
    _, accuracy = triplet_loss(embeddings, distances, everything, agreeing=[distances])
    assert accuracy == 1
    _, accuracy = triplet_loss(embeddings, distances, everything, agreeing=[distances, contrary])
    assert accuracy == 0  # none is left
