"""Teach the read-out again on a trunk that stays as it is: many more steps a minute.

A step through the trunk costs 20 ms a crop on a core, one through the read-out hardly anything, and
the read-out is far from done when the time for the trunk is over (docs/experiments.md). Tokens of
damaged crops are therefore computed once, and comparisons, controls and hints are learned on them.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from freeavatar.checkpoints import load_checkpoint
from freeavatar.expression.data import Samples
from freeavatar.expression.encoder import KIND, ExpressionNetwork, ExpressionTrainer
from freeavatar.expression.export import config_from_json
from freeavatar.expression.finetune import (
    Batch,
    FinetuneConfig,
    Weights,
    asymmetry_weights,
    control_weights,
    render_pool,
    token_losses,
)
from freeavatar.images import batch_from_pictures
from freeavatar.rig import ARKIT
from freeavatar.training.loop import LoopConfig, Losses, Run

BLOCK = 16
"""Rows that were drawn together, twins among them, stay together."""
EMBEDDING = ("network.embedding.", "network.spread.")
"""Tensors of the embedding."""


@dataclass(frozen=True)
class RefineConfig:
    """How many crops to look at once, and how long to learn from them."""

    num_renders: int = 56_000
    num_faces: int = 24_000
    renders_per_batch: int = 96
    faces_per_batch: int = 32
    num_processes: int = 2
    embedding_hidden: int | None = None
    """Teach a new embedding with a hidden layer this wide (0: none); None keeps the old one."""
    only_embedding: bool = False
    """Leave the features as they are too: whoever learned from them need not learn again."""
    losses: FinetuneConfig = field(default_factory=FinetuneConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_steps=6000, learning_rate=1e-3, weight_decay=0.05, warmup_steps=50
        )
    )


@dataclass(frozen=True)
class TokenTable:
    """Tokens of many damaged crops, and the truth of each."""

    tokens: Float[np.ndarray, "row token width"]
    truth: Samples
    """Without the pictures: `crops` have no pixels."""

    def draw(self, num: int, rng: np.random.Generator) -> tuple[np.ndarray, Samples]:
        """`num` rows in whole blocks."""
        starts = rng.integers(0, len(self.tokens) // BLOCK, num // BLOCK) * BLOCK
        rows = (starts[:, None] + np.arange(BLOCK)).reshape(-1)
        picked = {
            f.name: getattr(self.truth, f.name)[rows]
            for f in dataclasses.fields(Samples)
            if f.name != "crops"
        }
        return self.tokens[rows], Samples(crops=_no_pictures(len(rows)), **picked)


def refine(
    checkpoint: Path,
    render_folders: list[Path],
    face_folders: list[Path],
    run_folder: Path,
    config: RefineConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
    fresh: bool = False,
    tokens: Path | None = None,
) -> Path:
    """Returns `final.safetensors`, of the same kind as finetune's; resumable like it.

    `fresh` forgets the read-out first, so that losses can be compared on equal terms; `tokens` is
    where the tokens lie or are put, `run_folder` unless several runs share them.
    """
    cv2.setNumThreads(1)
    run_folder.mkdir(parents=True, exist_ok=True)
    loaded = load_checkpoint(checkpoint, KIND)
    model = config_from_json(loaded.config)
    if config.embedding_hidden is not None:
        model = dataclasses.replace(model, embedding_hidden=config.embedding_hidden)
    torch.manual_seed(config.loop.seed)
    trainer = ExpressionTrainer(model)
    if fresh:
        trainer.network.trunk.load_state_dict(_trunk(loaded.tensors))
    elif config.embedding_hidden is not None:
        kept = {n: t for n, t in loaded.tensors.items() if not n.startswith(EMBEDDING)}
        trainer.load_state_dict(kept, strict=False)
    else:
        trainer.load_state_dict(loaded.tensors)
    trainer.network.trunk.requires_grad_(False)
    if config.only_embedding:
        trainer.requires_grad_(False)
        trainer.network.embedding.requires_grad_(True)
    renders = render_pool(render_folders, config.losses)
    sources = [(render_folders, config.num_renders, "renders")]
    if face_folders and config.num_faces:
        sources.append((face_folders, config.num_faces, "faces"))
    tables = [
        _table(checkpoint, folders, num, (tokens or run_folder) / name, config)
        for folders, num, name in sources
    ]
    shares = (config.renders_per_batch, config.faces_per_batch)
    run = Run(run_folder, KIND, trainer, dataclasses.asdict(model), config.loop)
    weights = Weights(
        torch.from_numpy(control_weights(renders)).to(run.device),
        torch.from_numpy(asymmetry_weights(renders)).to(run.device),
    )

    def draw(rng: np.random.Generator) -> tuple[Tensor, Batch]:
        drawn = [table.draw(num, rng) for table, num in zip(tables, shares, strict=False)]
        tokens = np.concatenate([part[0] for part in drawn]).astype(np.float32)
        joined = {
            f.name: np.concatenate([getattr(part[1], f.name) for part in drawn])
            for f in dataclasses.fields(Samples)
        }
        return torch.from_numpy(tokens).to(run.device), Batch(Samples(**joined), run.device)

    def losses(drawn: tuple[Tensor, Batch]) -> Losses:
        tokens, batch = drawn
        return token_losses(trainer, tokens, batch, weights, config.losses)

    return run.fit(draw, losses, report)


def _trunk(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "network.trunk."
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _table(
    checkpoint: Path, folders: list[Path], num: int, out: Path, config: RefineConfig
) -> TokenTable:
    """Tokens on disk, made by several processes; what is there already is not made again."""
    out.mkdir(parents=True, exist_ok=True)
    part_size = 2000 // BLOCK * BLOCK
    jobs = [
        (checkpoint, folders, min(part_size, num - start), config, out / f"part-{start:06d}.npz")
        for start in range(0, num // BLOCK * BLOCK, part_size)
    ]
    missing = [job for job in jobs if not job[-1].is_file()]
    if config.num_processes > 1 and len(missing) > 1:
        with multiprocessing.get_context("spawn").Pool(config.num_processes) as workers:
            workers.starmap(_encode_part, missing, chunksize=1)
    else:
        for job in missing:
            _encode_part(*job)
    parts = []
    for job in jobs:
        with np.load(job[-1], allow_pickle=False) as file:
            parts.append({name: file[name] for name in file.files})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    tokens = columns.pop("tokens")
    return TokenTable(tokens, Samples(crops=_no_pictures(len(tokens)), **columns))


@torch.no_grad()
def read_tokens(
    folder: Path, network: ExpressionNetwork
) -> tuple[
    Float[np.ndarray, "row feature"],
    Float[np.ndarray, "row embedding"],
    Float[np.ndarray, "row 52"],
]:
    """What the network makes of the crops whose tokens `refine` left in `folder`, with their
    controls: the trunk is what costs. None where there are no tokens."""
    features, embeddings, controls = [], [], []
    for path in sorted(folder.glob("part-*.npz")):
        with np.load(path, allow_pickle=False) as file:
            tokens, truth = torch.from_numpy(file["tokens"]).float(), file["controls"]
        embedded, described = network.read_out(tokens)
        features.append(described.numpy())
        embeddings.append(embedded.numpy())
        controls.append(truth)
    config = network.config
    if not controls:
        widths = (config.feature_size, config.embedding_size, len(ARKIT))
        features, embeddings, controls = ([np.zeros((0, n), np.float32)] for n in widths)
    return np.concatenate(features), np.concatenate(embeddings), np.concatenate(controls)


def _no_pictures(num: int) -> UInt8[np.ndarray, "num 0 0 3"]:
    return np.zeros((num, 0, 0, 3), np.uint8)


@torch.no_grad()
def _encode_part(
    checkpoint: Path, folders: list[Path], num: int, config: RefineConfig, path: Path
) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pool = render_pool(folders, config.losses)
    loaded = load_checkpoint(checkpoint, KIND)
    trainer = ExpressionTrainer(config_from_json(loaded.config)).eval()
    trainer.load_state_dict(loaded.tensors)
    rng = np.random.default_rng((config.loop.seed, int(path.stem.split("-")[1])))
    tokens, truths = [], []
    for _ in range(num // BLOCK):
        samples = pool.draw(
            BLOCK, rng, twins=config.losses.twins, companions=config.losses.companions
        )
        pictures = torch.from_numpy(batch_from_pictures(samples.crops))
        tokens.append(trainer.network.trunk(pictures).half().numpy())
        truths.append(samples)
    columns = {
        f.name: np.concatenate([getattr(truth, f.name) for truth in truths])
        for f in dataclasses.fields(Samples)
        if f.name != "crops"
    }
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(unfinished, tokens=np.concatenate(tokens), **columns)  # type: ignore[arg-type]
    unfinished.replace(path)
