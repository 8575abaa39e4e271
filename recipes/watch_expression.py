"""How a running or finished training of the encoder does on people it never saw, in seconds.

    python recipes/watch_expression.py --run runs/expression

Data      data/renders/judges (recipes/render_actors.py --people held-out)
Time      10 s for 500 stills on one core
Prints    the step, and by the model's own read-out heads: the correlation with the true controls
          (mean over controls that are shown and move), left minus right, and the triplets that
          its embeddings answer rightly by the true distance
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from jaxtyping import Float

from freeavatar.checkpoints import load_checkpoint
from freeavatar.expression.augment import plain
from freeavatar.expression.data import strengths
from freeavatar.expression.encoder import KIND, ExpressionTrainer
from freeavatar.expression.evaluate import draw_triplets, triplet_accuracy
from freeavatar.expression.export import config_from_json
from freeavatar.expression.losses import PAIRS, expression_distances
from freeavatar.images import batch_from_pictures
from freeavatar.rig import ARKIT, REGIONS
from freeavatar.training.shards import ShardSet, open_shards


@dataclass(frozen=True)
class Options:
    """Judge the averaged weights of a run, or of one that is going on."""

    run: Path = Path("runs/expression")
    renders: Path = Path("data/renders/judges")
    num: int = 500
    size: int = 224
    """Side that crops are shrunk to before the encoder sees them: 112 shows what detail brings."""
    seed: int = 0


def main(options: Options) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    trainer, step = load_trainer(options.run)
    shards = open_shards(options.renders)
    rows = np.linspace(0, len(shards) - 1, min(options.num, len(shards))).astype(int)
    crops = np.stack([plain(picture, options.size) for picture in shards.gather(rows)])
    with torch.no_grad():
        parts = [
            trainer(torch.from_numpy(batch_from_pictures(c))) for c in np.array_split(crops, 10)
        ]
    said = np.concatenate([part.controls.numpy() for part in parts])
    embeddings = np.concatenate([part.embeddings.numpy() for part in parts])
    truth = known(shards, rows)
    moved = shards.columns["arkit"][rows].astype(np.float32) * strengths(shards, rows)
    distances = expression_distances(torch.from_numpy(moved)).numpy()
    triplets = draw_triplets(distances, 4000, np.random.default_rng(options.seed))
    by_control = correlations(said, truth)
    left, right = PAIRS.T
    sides = correlations(said[:, left] - said[:, right], truth[:, left] - truth[:, right])
    by_region = {
        region: round(float(np.nanmean(by_control[ARKIT.columns(region)])), 3)
        for region in REGIONS
        if np.isfinite(by_control[ARKIT.columns(region)]).any()
    }
    found = {
        "step": step,
        "correlation": round(float(np.nanmean(by_control)), 4),
        "left minus right": round(float(np.nanmean(sides)), 4),
        "triplets": round(triplet_accuracy(embeddings, triplets), 4),
    }
    print(json.dumps(found | by_region))


def load_trainer(run: Path) -> tuple[ExpressionTrainer, int]:
    """Averaged weights of the last save, or of the finished run."""
    last = run / "last.safetensors"
    loaded = load_checkpoint(last if last.is_file() else run / "final.safetensors", KIND)
    tensors = {
        k.removeprefix("average."): v for k, v in loaded.tensors.items() if k.startswith("average.")
    }
    trainer = ExpressionTrainer(config_from_json(loaded.config)).eval()
    trainer.load_state_dict(tensors or loaded.tensors)
    return trainer, int(loaded.progress["step"])


def known(shards: ShardSet, rows: np.ndarray) -> Float[np.ndarray, "row 52"]:
    """True controls, NaN where a face cannot show one."""
    shows = np.asarray(shards.index["shows"], bool)[shards.columns["actor"][rows].astype(int)]
    return np.where(shows, shards.columns["arkit"][rows].astype(np.float32), np.nan)


def correlations(
    said: Float[np.ndarray, "row column"], truth: Float[np.ndarray, "row column"]
) -> Float[np.ndarray, "column"]:
    """Per column over the rows where the truth is known; NaN where it hardly moves."""
    found = np.full(truth.shape[1], np.nan)
    for i in range(truth.shape[1]):
        rows = ~np.isnan(truth[:, i])
        if rows.sum() > 10 and truth[rows, i].std() > 0.02:
            found[i] = np.corrcoef(said[rows, i], truth[rows, i])[0, 1]
    return found


if __name__ == "__main__":
    main(tyro.cli(Options))
