"""Numbers for the model card: held-out people, human votes, mirrored faces.

    python recipes/evaluate_expression.py

Data      data/renders/judges (render_actors.py --people held-out), human-triplets-dev
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from freeavatar.animator.runtime import Animator
from freeavatar.expression.augment import plain
from freeavatar.expression.evaluate import draw_triplets, read_human_triplets, triplet_accuracy
from freeavatar.expression.losses import expression_distances
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.rig import ARKIT, REGIONS
from freeavatar.training.shards import open_shards


@dataclass(frozen=True)
class Options:
    """Evaluate an expression encoder, and an animator on stills when one is given."""

    encoder: Path | None = None
    """An ONNX file; the shipped network when left out."""
    animator: Path | None = None
    """Folder of animator.onnx and animator.npz."""
    renders: Path = Path("data/renders/judges")
    human: Path = Path("../shared/data/human-triplets-dev")
    seed: int = 0


def main(options: Options) -> None:
    encoder = ExpressionEncoder.load(options.encoder)
    results: dict[str, float] = {}
    shards = open_shards(options.renders)
    crops = np.stack([plain(p) for part in shards.parts for p in part])
    truth = shards.columns["arkit"].astype(np.float32)
    shows = np.asarray(shards.index["shows"], bool)[shards.columns["actor"].astype(int)]
    known = np.where(shows, truth, np.nan)
    distances = expression_distances(torch.from_numpy(known)).numpy()
    triplets = draw_triplets(distances, 20_000, np.random.default_rng(options.seed))
    seen = encode(encoder, crops)
    results["triplets, held-out people"] = triplet_accuracy(seen[0], triplets)
    results["triplets, raw pixels"] = triplet_accuracy(small_pixels(crops), triplets)
    results["mirrored faces recognised"] = mirror_test(encoder, crops, known, seen[0])
    if options.human.is_dir():
        faces, votes, kinds = read_human_triplets(options.human)
        judged = encode(encoder, faces)[0]
        results["triplets, human votes"] = triplet_accuracy(judged, votes)
        results["triplets, human votes, raw pixels"] = triplet_accuracy(small_pixels(faces), votes)
        for kind in sorted(set(kinds)):
            chosen = np.array([k == kind for k in kinds])
            results[f"triplets, human votes, {kind}-class"] = triplet_accuracy(
                judged, votes[chosen]
            )
    if options.animator is not None:
        driven = Animator.load(options.animator).controls(seen[1], ARKIT)
        results |= still_correlations(driven, known)
    print(json.dumps({name: round(value, 3) for name, value in results.items()}, indent=1))


def encode(encoder: ExpressionEncoder, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    batches = [encoder.encode(crops[i : i + 64]) for i in range(0, len(crops), 64)]
    return (
        np.concatenate([b.embeddings for b in batches]),
        np.concatenate([b.features for b in batches]),
    )


def small_pixels(crops: np.ndarray) -> np.ndarray:
    """What a comparison without any model would use."""
    small = crops[:, ::7, ::7].reshape(len(crops), -1).astype(np.float32)
    small -= small.mean(axis=1, keepdims=True)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)


def mirror_test(
    encoder: ExpressionEncoder, crops: np.ndarray, truth: np.ndarray, embeddings: np.ndarray
) -> float:
    """For clearly lopsided faces: is the mirrored picture nearer to a face that truly shows the
    mirrored expression than to one that shows the original expression?"""
    values = np.nan_to_num(truth)
    mirrored = values[:, ARKIT.mirror_columns]
    lopsided = np.flatnonzero(np.abs(values - mirrored).max(axis=1) > 0.6)
    flipped = encode(encoder, np.ascontiguousarray(crops[lopsided, :, ::-1]))[0]
    right = []
    for row, embedding in zip(lopsided, flipped, strict=True):
        others = np.arange(len(values)) != row
        like_mirror = np.abs(values - mirrored[row]).sum(axis=1)
        like_original = np.abs(values - values[row]).sum(axis=1)
        same = np.argmin(np.where(others, like_mirror, np.inf))
        opposite = np.argmin(np.where(others, like_original, np.inf))
        if like_mirror[same] < 0.5 * like_mirror[opposite]:
            near = np.linalg.norm(embedding - embeddings[same])
            right.append(near < np.linalg.norm(embedding - embeddings[opposite]))
    return float(np.mean(right)) if right else float("nan")


def still_correlations(driven: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Correlation over pictures of each ARKit control, averaged per region."""
    by_control = np.full(len(ARKIT), np.nan)
    for i in range(len(ARKIT)):
        known = ~np.isnan(truth[:, i])
        if truth[known, i].std() > 0.02:
            by_control[i] = np.corrcoef(driven[known, i], truth[known, i])[0, 1]
    results = {"stills, correlation, all": float(np.nanmean(by_control))}
    for region in REGIONS:
        columns = ARKIT.columns(region)
        if len(columns):
            results[f"stills, correlation, {region}"] = float(np.nanmean(by_control[columns]))
    return results


if __name__ == "__main__":
    main(tyro.cli(Options))
