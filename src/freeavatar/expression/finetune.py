"""Learn the expression space from comparisons, with exact controls and teachers' hints beside.

PAPER.md section 1b; loss weights of zero give the ablations: triplets alone, controls alone, both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from freeavatar.devices import pick_device
from freeavatar.errors import DataError
from freeavatar.expression.augment import AugmentConfig, augment
from freeavatar.expression.data import FacePool, Samples
from freeavatar.expression.distill import distillation_loss, load_teacher
from freeavatar.expression.encoder import (
    KIND,
    EncoderConfig,
    ExpressionTrainer,
    TrainerOutput,
)
from freeavatar.expression.losses import (
    PAIRS,
    anonymity_loss,
    expression_distances,
    known_mse,
    left_minus_right,
    sameness_loss,
    triplet_loss,
)
from freeavatar.expression.mesh_stem import MeshStem, load_mesh_weights
from freeavatar.expression.start import fit_heads, load_start, load_trunk
from freeavatar.expression.triplets import TripletSet
from freeavatar.expression.votes import VoteBatch, draw_votes, vote_loss
from freeavatar.images import batch_from_pictures
from freeavatar.rig import ARKIT
from freeavatar.training.loop import LoopConfig, Losses, Run


@dataclass(frozen=True)
class FinetuneConfig:
    """Batch mix and loss weights; a weight of 0 switches a term off for an ablation."""

    model: EncoderConfig = field(default_factory=EncoderConfig)
    renders_per_batch: int = 80
    faces_per_batch: int = 32
    twins: float = 0.5
    """Share of rows drawn twice (see `FacePool.draw`)."""
    emphasis: float = 3.0
    """How much more often the most lopsided render is drawn than an even one."""
    oversampling: float = 6.0
    """How much more often at most a render is drawn for the rarest control in it (PAPER.md: 2 to
    10 times): jaws pushed aside are in 2 of 100 renders."""
    triplets: float = 1.0
    face_triplets: float = 0.5
    """Real faces among themselves: what moves and what it feels like, by two teachers."""
    what_moves: bool = True
    what_is_felt: bool = True
    """Which teacher ranks real faces in `face_triplets`; of two, both must agree."""
    mixed_triplets: float = 0.25
    """Renders and real faces together, by what they feel like: the domain is no shortcut."""
    sameness: float = 0.5
    """Twins and whoever shows the very same expression, drawn together."""
    mirrors: float = 0.0
    """Triplets of renders whose odd one is the mirror image of another: few among all."""
    own_faces: float = 0.0
    """Triplets whose odd one is the anchor's own person in another expression: hard, and few."""
    anonymity: float = 0.0
    """What people have in common with themselves, made nothing (`losses.anonymity_loss`)."""
    companions: float = 0.0
    """Share of rows that show the person of another row again, for the two terms above."""
    votes: float = 1.0
    """Comparisons that people made, where there are some."""
    votes_per_batch: int = 12
    controls: float = 1.0
    asymmetry: float = 0.3
    """Left minus right of paired controls. Faces are lopsided rarely and a little, so it hardly
    shows in the error of either side (the paper has a network of its own for it)."""
    teacher: float = 0.5
    head: float = 0.2
    emotion: float = 0.2
    distil: float = 1.0
    """To agree with a teacher of the same kind, where there is one."""
    frozen_stages: int = 2
    """Of a mesh stem; they cost most of a step and hold few weights."""
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    compiled: bool = False
    """Fuse the layers that learn (needs a C++ compiler): half the time on CPUs with bfloat16."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_steps=20_000, learning_rate=6e-4, weight_decay=0.05, warmup_steps=60
        )
    )


def _exact_controls(pool: FacePool | None) -> list[Float[np.ndarray, "_ 52"]]:
    """Of each set that knows them; none without a pool."""
    sets = pool.sets if pool is not None else []
    return [s.columns["arkit"].astype(np.float32) for s in sets if "arkit" in s.columns]


def control_weights(pool: FacePool | None) -> Float[np.ndarray, "52"]:
    """1 / variance of each control over the set, so that rare and small ones count alike."""
    values = _exact_controls(pool)
    variance = np.concatenate(values).var(axis=0) if values else np.ones(len(ARKIT))
    return (1.0 / (variance + 0.01)).astype(np.float32)


def asymmetry_weights(pool: FacePool | None) -> Float[np.ndarray, "pair"]:
    """1 / variance of left minus right of each pair (`losses.PAIRS`)."""
    values = _exact_controls(pool)
    if not values:
        return np.ones(len(PAIRS), np.float32)
    both = np.concatenate(values)[:, PAIRS]
    return (1.0 / ((both[..., 0] - both[..., 1]).var(axis=0) + 0.004)).astype(np.float32)


@dataclass(frozen=True)
class Weights:
    """How much each error counts."""

    controls: Float[Tensor, "52"]
    asymmetry: Float[Tensor, "pair"]


class Batch:
    """Crops and targets as tensors on the training device."""

    def __init__(
        self, samples: Samples, device: torch.device, votes: VoteBatch | None = None
    ) -> None:
        self.votes = votes
        self.pictures = torch.from_numpy(batch_from_pictures(samples.crops)).to(device)
        self.controls = torch.from_numpy(samples.controls).to(device)
        self.moved = torch.from_numpy(samples.moved).to(device)
        self.head_rad = torch.from_numpy(samples.head_rad).to(device)
        self.emotion = torch.from_numpy(samples.emotion).to(device)
        self.exact = torch.from_numpy(samples.exact).to(device)
        self.person = torch.from_numpy(samples.person).to(device)


def finetune(
    render_folders: list[Path],
    face_folders: list[Path],
    mae_checkpoint: Path | None,
    run_folder: Path,
    config: FinetuneConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
    votes: TripletSet | None = None,
    start: Path | None = None,
    teacher: Path | None = None,
) -> Path:
    """Train or go on training; returns `final.safetensors`.

    `votes` are people's comparisons, for instance those of `datasets.fec.open_fec`; `start` is the
    `final.safetensors` of an earlier run, or the shipped `expression.safetensors`, to begin with;
    `teacher` that of a model whose answers this one is to give. Votes do without renders, whose
    place in the batch they take.
    """
    cv2.setNumThreads(1)
    if not render_folders and (votes is None or not config.votes):
        raise DataError(
            "There is nothing to compare: neither renders nor comparisons by people. Give at least "
            "one of them; faces alone only help."
        )
    renders = render_pool(render_folders, config) if render_folders else None
    faces = FacePool(face_folders, config.augmentation) if face_folders else None
    torch.manual_seed(config.loop.seed)
    trainer = ExpressionTrainer(config.model)
    mesh = trainer.network.trunk.patch_embed
    slow: list[torch.nn.Parameter] = []
    if isinstance(mesh, MeshStem):
        load_mesh_weights(mesh)
        mesh.freeze(config.frozen_stages)
        slow = list(mesh.stages.parameters())
    if mae_checkpoint is not None:
        load_trunk(trainer, mae_checkpoint)
    lacks_heads = start is not None and not load_start(trainer, start)
    device = pick_device(config.loop.device)
    weights = Weights(
        torch.from_numpy(control_weights(renders)).to(device),
        torch.from_numpy(asymmetry_weights(renders)).to(device),
    )

    elder = load_teacher(teacher, device, config.model) if teacher is not None else None
    num_votes = config.votes_per_batch
    if renders is None:
        num_votes += config.renders_per_batch // 3  # a triplet is three faces

    shares = (config.twins, config.companions)

    def draw(rng: np.random.Generator) -> Batch:
        parts = []
        if renders is not None:
            parts.append(renders.draw(config.renders_per_batch, rng, True, *shares))
        if faces is not None and config.faces_per_batch:
            parts.append(faces.draw(config.faces_per_batch, rng, True, *shares))
        if not parts:
            assert votes is not None  # refused above
            parts.append(_unlabelled(votes, config, rng))
        joined = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(Samples)
        }
        voted = None
        if votes is not None and config.votes:
            voted = draw_votes(votes, num_votes, config.augmentation, rng, device)
        return Batch(Samples(**joined), device, voted)

    def losses(batch: Batch) -> Losses:
        return expression_losses(trainer, batch, weights, config, elder)

    if lacks_heads and not (run_folder / "last.safetensors").is_file():
        fit_heads(trainer.to(device), (draw(rng) for rng in _apart(config.loop.seed)))
    if config.compiled:
        _compile(trainer)
    run = Run(run_folder, KIND, trainer, dataclasses.asdict(config.model), config.loop, slow)
    return run.fit(draw, losses, report)


def _apart(seed: int, num: int = 80) -> Iterator[np.random.Generator]:
    """Generators for batches that are not a step's."""
    for number in range(num):
        yield np.random.default_rng((seed, number, 0, 1))


def _unlabelled(votes: TripletSet, config: FinetuneConfig, rng: np.random.Generator) -> Samples:
    """Faces that people compared, in the place of real faces: only a teacher speaks of them.

    Two at least, because the network normalises over a batch.
    """
    num = max(config.faces_per_batch, 2)
    chosen = votes.crops[rng.integers(0, len(votes.crops), num)]
    crops = [augment(crop, config.augmentation, rng, bool(rng.random() < 0.5)) for crop in chosen]
    unknown = np.full((num, len(ARKIT)), np.nan, np.float32)
    return Samples(
        np.stack(crops),
        controls=unknown,
        moved=unknown,
        head_rad=np.full((num, 3), np.nan, np.float32),
        emotion=np.full((num, 7), np.nan, np.float32),
        exact=np.zeros(num, bool),
        person=np.full(num, -1),
        lifelike=np.ones(num, bool),
    )


def render_pool(folders: list[Path], config: FinetuneConfig) -> FacePool:
    """Renders, drawn as often as the configuration asks for each kind."""
    return FacePool(
        folders, config.augmentation, emphasis=config.emphasis, oversampling=config.oversampling
    )


def _compile(trainer: ExpressionTrainer) -> None:
    """Fuse what learns; batches of one size only."""
    trunk = trainer.network.trunk
    trunk.encode = torch.compile(trunk.encode, dynamic=False)  # type: ignore[method-assign]
    if isinstance(trunk.patch_embed, MeshStem):
        stem = trunk.patch_embed
        stem.upper = torch.compile(stem.upper, dynamic=False)  # type: ignore[method-assign]


def expression_losses(
    trainer: ExpressionTrainer,
    batch: Batch,
    weights: Weights,
    config: FinetuneConfig,
    teacher: ExpressionTrainer | None = None,
) -> Losses:
    """All terms by name; `loss` is their weighted sum."""
    out = trainer(batch.pictures)
    with torch.no_grad():
        wanted = teacher(batch.pictures).in_float32() if teacher is not None else None
    voted = trainer.network(batch.votes.pictures)[0] if batch.votes is not None else None
    # Distances between unit vectors cancel to nothing in bfloat16: losses are float32 everywhere.
    with torch.autocast(batch.pictures.device.type, enabled=False):
        losses = _losses(out.in_float32(), batch, weights, config)
        if wanted is not None:
            losses["distil"] = distillation_loss(out.in_float32(), wanted)
            losses["loss"] = losses["loss"] + config.distil * losses["distil"]
        if batch.votes is not None and voted is not None:
            losses["votes"], losses["vote_accuracy"] = vote_loss(voted.float(), batch.votes)
            losses["loss"] = losses["loss"] + config.votes * losses["votes"]
    return losses


def token_losses(
    trainer: ExpressionTrainer,
    tokens: Float[Tensor, "batch token width"],
    batch: Batch,
    weights: Weights,
    config: FinetuneConfig,
) -> Losses:
    """The same terms, from tokens of the trunk instead of pictures."""
    return _losses(trainer.read_out(tokens).in_float32(), batch, weights, config)


def _losses(out: TrainerOutput, batch: Batch, weights: Weights, config: FinetuneConfig) -> Losses:
    losses = _of_renders(out, batch, weights, config)
    if (~batch.exact).any():
        losses |= _of_real_faces(out, batch, weights, config)
    factors = {
        "triplets": config.triplets,
        "sameness": config.sameness,
        "mirrors": config.mirrors,
        "own_faces": config.own_faces,
        "anonymity": config.anonymity,
        "controls": config.controls,
        "asymmetry": config.asymmetry,
        "head": config.head,
        "teacher": config.teacher,
        "face_triplets": config.face_triplets,
        "own_real_faces": config.own_faces,
        "mixed_triplets": config.mixed_triplets,
        "emotion": config.emotion,
    }
    zero = out.embeddings.new_zeros(())
    total = sum((factors.get(name, 0.0) * value for name, value in losses.items()), start=zero)
    return losses | {"loss": total}


def _of_renders(
    out: TrainerOutput, batch: Batch, weights: Weights, config: FinetuneConfig
) -> Losses:
    """What the exact truth of renders says, and what any faces say by being the same."""
    exact = batch.exact
    distances = expression_distances(batch.moved)
    both_exact = exact[:, None] & exact[None]
    losses: Losses = {}
    losses["triplets"], losses["triplet_accuracy"] = triplet_loss(
        out.embeddings, distances, both_exact
    )
    if config.sameness:
        losses["sameness"] = sameness_loss(out.embeddings, _same(batch))
    if config.mirrors:
        losses["mirrors"], losses["mirror_accuracy"] = triplet_loss(
            out.embeddings, distances, both_exact, negatives=_mirrored(batch)
        )
    if config.own_faces:
        losses["own_faces"], losses["own_face_accuracy"] = triplet_loss(
            out.embeddings, distances, both_exact, negatives=_own(batch)
        )
    if config.anonymity:
        losses["anonymity"] = anonymity_loss(out.embeddings, batch.person, _same(batch))
    losses["controls"] = known_mse(out.controls[exact], batch.controls[exact], weights.controls)
    losses["asymmetry"] = known_mse(
        left_minus_right(out.controls[exact]),
        left_minus_right(batch.controls[exact]),
        weights.asymmetry,
    )
    losses["head"] = known_mse(out.head_rad, batch.head_rad, weights.controls.new_full((3,), 10.0))
    return losses


def _of_real_faces(
    out: TrainerOutput, batch: Batch, weights: Weights, config: FinetuneConfig
) -> Losses:
    """What teachers guess of real faces: comparisons only where they are sure and agree."""
    hinted = ~batch.exact
    losses: Losses = {}
    losses["teacher"] = known_mse(out.taught[hinted], batch.controls[hinted], weights.controls)
    felt = felt_distances(batch.emotion)
    is_felt = ~torch.isnan(batch.emotion).any(dim=1)
    known, rulers = hinted, []
    if config.what_moves:
        known = known & ~torch.isnan(batch.controls).all(dim=1)
        rulers.append(expression_distances(batch.moved))
    if config.what_is_felt:
        known = known & is_felt
        rulers.append(felt)
    if rulers:
        pairs = known[:, None] & known[None]
        both = torch.stack([_on_one_scale(ruler, pairs) for ruler in rulers]).sum(dim=0)
        losses["face_triplets"], losses["face_accuracy"] = triplet_loss(
            out.embeddings, both, pairs, agreeing=rulers if len(rulers) > 1 else ()
        )
    both_felt = is_felt[:, None] & is_felt[None]
    losses["mixed_triplets"], losses["mixed_accuracy"] = triplet_loss(
        out.embeddings, felt, both_felt
    )
    if config.own_faces:
        losses["own_real_faces"], losses["own_real_accuracy"] = triplet_loss(
            out.embeddings,
            felt,
            both_felt & hinted[:, None] & hinted[None],
            negatives=_own(batch),
        )
    losses["emotion"] = emotion_loss(out.emotion_logits, batch.emotion)
    return losses


def _own(batch: Batch) -> Bool[Tensor, "batch batch"]:
    """Which faces are known to be the same person's."""
    return (batch.person[:, None] == batch.person[None]) & (batch.person >= 0)[:, None]


def _same(batch: Batch) -> Bool[Tensor, "batch batch"]:
    """Which faces show the very same: renders of equal truth, and a real face and its twin."""
    told = torch.nan_to_num(torch.cat([batch.moved, batch.emotion * ~batch.exact[:, None]], dim=1))
    alike = (told[:, None] - told[None]).abs().amax(dim=2) < 1e-5
    unknown = ~batch.exact & torch.isnan(batch.moved).all(dim=1)
    known = ~unknown[:, None] & ~unknown[None]
    return alike & known & (batch.exact[:, None] == batch.exact[None])


def _mirrored(batch: Batch) -> Bool[Tensor, "batch batch"]:
    """Which lopsided renders show each other's mirrored expression."""
    columns = torch.as_tensor(ARKIT.mirror_columns, device=batch.moved.device)
    there, back = torch.nan_to_num(batch.moved), torch.nan_to_num(batch.moved[:, columns])
    alike = (there[:, None] - back[None]).abs().amax(dim=2) < 1e-5
    return alike & ~_same(batch) & batch.exact[:, None] & batch.exact[None]


def felt_distances(emotion: Float[Tensor, "batch 7"]) -> Float[Tensor, "batch batch"]:
    """How differently faces feel, by the emotion teacher's probabilities.

    Their fourth roots, as unit vectors: a hint of fear beside neutral then counts as people count
    it (docs/experiments.md); plain probabilities see only the winner.
    """
    mild = F.normalize(torch.nan_to_num(emotion).clamp_min(0) ** 0.25 + 1e-6, dim=1)
    return (2 - 2 * mild @ mild.T).clamp_min(1e-8).sqrt()


def _on_one_scale(
    distances: Float[Tensor, "batch batch"], pairs: Bool[Tensor, "batch batch"]
) -> Float[Tensor, "batch batch"]:
    """Divided by their mean over the pairs that count."""
    return distances / ((distances * pairs).sum() / pairs.sum().clamp_min(1)).clamp_min(1e-6)


def emotion_loss(
    logits: Float[Tensor, "batch 7"], emotion: Float[Tensor, "batch 7"]
) -> Float[Tensor, ""]:
    """Cross-entropy with the teacher's probabilities where it spoke."""
    known = ~torch.isnan(emotion).any(dim=1)
    if not known.any():
        return logits.new_zeros(())
    return F.cross_entropy(logits[known], emotion[known].float())
