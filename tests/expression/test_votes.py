"""Triplets that people voted on can be learned from."""

from __future__ import annotations

import numpy as np
import torch

from freeavatar.expression.augment import AugmentConfig
from freeavatar.expression.triplets import TripletSet
from freeavatar.expression.votes import ONE_CLASS_MARGIN, VoteBatch, draw_votes, vote_loss


def some_votes() -> TripletSet:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (6, 144, 144, 3), dtype=np.uint8)
    triplets = np.array([[0, 1, 2], [3, 4, 5], [0, 1, 5], [3, 4, 2]])
    return TripletSet(crops, triplets, np.array([1, 2, 3, 2]), np.full(4, 0.8))


def test_the_loss_is_the_papers_sum_of_two_hinges() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(5, 4), dim=-1)
    triplets = torch.tensor([[0, 1, 2], [3, 4, 0]])
    batch = VoteBatch(torch.zeros(5, 3, 8, 8), triplets, torch.tensor([0.1, 0.2]))
    total, right = 0.0, 0
    for (a, p, n), margin in zip(triplets.tolist(), (0.1, 0.2), strict=True):
        near = (embeddings[a] - embeddings[p]).norm()
        far_a = (embeddings[a] - embeddings[n]).norm()
        far_p = (embeddings[p] - embeddings[n]).norm()
        total += float((near - far_a + margin).clamp_min(0) + (near - far_p + margin).clamp_min(0))
        right += int(near < far_a and near < far_p)
    loss, accuracy = vote_loss(embeddings, batch)
    assert abs(float(loss) - total / 2) < 1e-4
    assert float(accuracy) == right / 2


def test_batches_repeat_and_know_their_margins() -> None:
    votes = some_votes()
    device = torch.device("cpu")
    one, two = (
        draw_votes(votes, 5, AugmentConfig(), np.random.default_rng(3), device) for _ in range(2)
    )
    torch.testing.assert_close(one.pictures, two.pictures, rtol=0, atol=0)
    assert one.pictures.shape[1:] == (3, 224, 224)
    assert int(one.triplets.max()) < len(one.pictures)
    assert set(one.margins.tolist()) <= {np.float32(0.2).item(), np.float32(0.1).item()}
    assert np.float32(ONE_CLASS_MARGIN).item() == 0.10000000149011612


def test_a_free_table_of_embeddings_learns_all_votes() -> None:
    torch.manual_seed(0)
    votes = some_votes()
    table = torch.nn.Parameter(torch.randn(6, 4))
    batch = VoteBatch(
        torch.zeros(6, 3, 8, 8), torch.from_numpy(votes.triplets), torch.full((4,), 0.2)
    )
    optimizer = torch.optim.Adam([table], lr=0.05)
    for _ in range(100):
        loss, right = vote_loss(torch.nn.functional.normalize(table, dim=-1), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(right) == 1.0
