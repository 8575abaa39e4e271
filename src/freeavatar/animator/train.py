"""Train one animator for all avatars: every pull of the paper's section 2, each with its weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freeavatar.animator.data import FaceTables, FeatureTable, OwnTable, rig_targets
from freeavatar.animator.identity import ARKIT_MEMBER, Cast, DrivenRig
from freeavatar.animator.losses import (
    asymmetry_loss,
    consistency_loss,
    hint_loss,
    mirror_loss,
    range_loss,
    sparsity_loss,
    within_loss,
)
from freeavatar.animator.model import Animator, AnimatorConfig
from freeavatar.animator.onlooker import Likeness, Onlooker
from freeavatar.animator.people import People, of_avatar, of_renders
from freeavatar.expression.data import rare_first
from freeavatar.expression.losses import known_mse
from freeavatar.images import batch_from_pictures
from freeavatar.renderer.data import AvatarSet, range_shares
from freeavatar.renderer.losses import picture_loss, region_weights
from freeavatar.training.loop import LoopConfig, Losses, Run

KIND = "freeavatar-animator-2"
"""The second has linear read-outs."""


@dataclass(frozen=True)
class LossWeights:
    """A weight of 0 switches a term off, for an ablation or for want of data."""

    names: float = 1.0
    """The weak teacher: what another's ARKit controls mean on this rig by name (or by geometry)."""
    own: float = 1.0
    """Controls of the avatar's own pictures, exactly known, with or without names."""
    asymmetry: float = 0.5
    within: float = 2.0
    """What two faces of one person differ in: movement, whoever it is."""
    hint: float = 0.2
    """The 52-score teacher on real faces."""
    mirror: float = 0.1
    """Mirrored real faces give mirrored controls; at 0.3 avatars followed real faces less."""
    sparsity: float = 0.01
    range: float = 0.1
    consistency: float = 1.0
    """Measure curves of real faces beside it (evaluation/real_curves.py): there it goes too far."""
    pixels: float = 5.0


@dataclass(frozen=True)
class AnimatorTrainConfig:
    """Size, length and loss weights."""

    model: AnimatorConfig = field(default_factory=AnimatorConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    batch_size: int = 256
    avatars_per_step: int = 3
    """Drawn anew each step: all of them at once would cost three times as much and teach the shared
    trunk the same expressions."""
    oversampling: float = 4.0
    """How much more often at most a picture is drawn for the rarest shape in it (PAPER.md: 2 to
    10 times for puckers, pressed lips, puffed cheeks, winks)."""
    feature_noise: float = 0.15
    """Standard deviation of what is added to features, in units of their own: two frames of one
    expression never match exactly."""
    unknown_neutral: float = 0.1
    """Share of faces whose owner's neutral face is not told: pictures, and takes that just began.
    1 trains without it."""
    mistaken_neutral: float = 0.15
    """Share for which another mild expression is taken for the neutral face, as happens to takes
    in which somebody smiles throughout."""
    look_every: int = 4
    """Steps between looks through renderer and encoder: they cost a hundred times as much."""
    look_at: int = 12
    """Pairs of a face and an avatar in one look: thirds of real faces, renders, own pictures."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            num_steps=6000, learning_rate=1e-3, weight_decay=0.02, warmup_steps=100
        )
    )


@dataclass(frozen=True)
class Lessons:
    """All that there is to learn from; what is None or empty is not asked for."""

    renders: FeatureTable
    faces: FaceTables | None = None
    own: tuple[OwnTable, ...] = ()
    sets: tuple[AvatarSet, ...] = ()
    """The pictures behind `own`, for the pixel loss."""
    onlooker: Onlooker | None = None


@dataclass(frozen=True)
class _Own:
    """One member's own pictures on the device."""

    features: Tensor
    embeddings: Tensor
    shares: Tensor
    weights: Tensor
    people: People
    rows: Tensor
    pictures: AvatarSet | None
    regions: Tensor | None


class _Part:
    """One member of the cast with its targets, on the training device."""

    def __init__(
        self, number: int, member: DrivenRig, cast: Cast, lessons: Lessons, device: torch.device
    ) -> None:
        rig = member.rig
        self.number = number
        self.slots = torch.from_numpy(cast.slots(member)).to(device)
        self.mirror = torch.from_numpy(rig.mirror_columns).to(device)
        self.rest = torch.from_numpy(range_shares(rig, rig.rest[None])[0]).to(device)
        self.target = torch.from_numpy(rig_targets(member, lessons.renders.controls)).to(device)
        self.weights = rarity(self.target)
        self.likenesses: tuple[Likeness, ...] = ()
        if lessons.onlooker is not None:
            self.likenesses = lessons.onlooker.likenesses(member)
        self.hints: tuple[Tensor, Tensor] | None = None
        if lessons.faces is not None:
            tables = (lessons.faces.plain, lessons.faces.mirrored)
            plain, mirrored = (hinted(member, table.controls) for table in tables)
            self.hints = (plain.to(device), mirrored.to(device))
        self.own = _own_of(member, lessons, device)


def _own_of(member: DrivenRig, lessons: Lessons, device: torch.device) -> _Own | None:
    table = next((table for table in lessons.own if table.avatar == member.avatar), None)
    if table is None:
        return None
    pictures = next((s for s in lessons.sets if s.avatar == member.avatar), None)
    shares = torch.from_numpy(table.shares).to(device)
    regions = None
    if pictures is not None:
        regions = region_weights(torch.from_numpy(pictures.regions)).to(device)
    return _Own(
        torch.from_numpy(table.features).to(device),
        torch.from_numpy(table.embeddings).to(device),
        shares,
        rarity(shares),
        of_avatar(table.shares, member.rig, device),
        torch.from_numpy(table.rows),
        pictures,
        regions,
    )


def hinted(member: DrivenRig, hints: np.ndarray) -> Tensor:
    """A teacher's 52 scores in a member's terms; NaN for controls that it cannot speak of.

    Controls that no name ties to ARKit get no hint, whereas true renders show them at rest.
    """
    silent = ~np.abs(member.arkit_to_rig).max(axis=1, initial=0.0).astype(bool)
    return torch.from_numpy(np.where(silent, np.nan, rig_targets(member, hints)))


def rarity(target: Tensor) -> Tensor:
    """1 / variance of each control, so that a cheek puff counts like a jaw; 0 where nothing is
    known."""
    known = ~torch.isnan(target)
    count = known.sum(0).clamp_min(1)
    values = torch.nan_to_num(target)
    mean = values.sum(0) / count
    variance = ((values - mean).square() * known).sum(0) / count
    return known.any(0) / (variance + 0.01)


@dataclass(frozen=True)
class _Batch:
    """Rows of one step: of the renders' table, of the faces' and, per driven member, of its own."""

    renders: Tensor
    faces: Tensor
    driven: list[int]
    own: dict[int, Tensor]
    neutrals: Tensor
    """Features of the neutral faces of whom the renders show."""
    own_neutrals: dict[int, Tensor]
    lot: int
    """Says whom to look at, and on which avatar."""
    look: bool


class AnimatorTrainer:
    """Draws batches and grades them; the loop that steps is `training.loop.Run`."""

    def __init__(
        self,
        model: Animator,
        cast: Cast,
        lessons: Lessons,
        config: AnimatorTrainConfig,
        device: torch.device,
    ) -> None:
        self.model, self.config, self.device = model, config, device
        self.onlooker = lessons.onlooker.to(device) if lessons.onlooker is not None else None
        self.parts = [_Part(i, m, cast, lessons, device) for i, m in enumerate(cast.members)]
        names = [member.avatar for member in cast.members]
        self.arkit = names.index(ARKIT_MEMBER) if ARKIT_MEMBER in names else -1
        self.renders = _on_device(lessons.renders, device)
        self.chances = np.cumsum(rare_first(lessons.renders.controls, config.oversampling))
        self.people = of_renders(lessons.renders, device)
        self.faces: tuple[dict[str, Tensor], ...] = ()
        if lessons.faces is not None:
            self.faces = tuple(
                _on_device(t, device) for t in (lessons.faces.plain, lessons.faces.mirrored)
            )

    def draw(self, rng: np.random.Generator, look: bool) -> _Batch:
        """Random rows and a few avatars."""
        config = self.config
        num = min(config.avatars_per_step, len(self.parts))
        driven = sorted(rng.permutation(len(self.parts)).tolist(), key=self._can_wait)[:num]
        own = {
            i: torch.from_numpy(rng.integers(0, len(part.shares), config.batch_size // 2))
            for i in driven
            if (part := self.parts[i].own) is not None
        }
        num_faces = len(self.faces[0]["features"]) if self.faces else 0
        # About a quarter of what is looked at: in-the-wild faces teach little by themselves.
        half = config.batch_size // 2
        faces = rng.integers(0, num_faces, half) if num_faces else np.zeros(0, int)
        lots = rng.random(config.batch_size - half) * self.chances[-1]
        drawn = np.searchsorted(self.chances, lots).astype(np.int64)
        # The second half shows the people of the first again.
        drawn = np.concatenate([drawn, self.people.companions(drawn[:half], rng)])
        neutrals = self._neutrals(self.people, self.renders["features"], drawn[:half], rng)
        own_neutrals = {
            i: self._neutrals(part.people, part.features, own[i].numpy(), rng)
            for i in own
            if (part := self.parts[i].own) is not None
        }
        return _Batch(
            torch.from_numpy(drawn),
            torch.from_numpy(faces.astype(np.int64)),
            driven,
            own,
            torch.cat([neutrals, neutrals]),
            own_neutrals,
            int(rng.integers(1 << 30)),
            look,
        )

    def _neutrals(
        self, people: People, features: Tensor, rows: np.ndarray, rng: np.random.Generator
    ) -> Tensor:
        shares = (self.config.unknown_neutral, self.config.mistaken_neutral)
        return people.neutrals(features, rows, self.model.usual, shares, rng)

    def _can_wait(self, number: int) -> bool:
        """ARKit's own curves, which every export and many rigs are made of, are in every step."""
        return number != self.arkit

    def losses(self, batch: _Batch) -> Losses:
        """All terms by name; `loss` is their weighted sum."""
        weights = self.config.weights
        terms: dict[str, list[Tensor]] = {}
        for number in batch.driven:
            part = self.parts[number]
            for found in (
                self._of_renders(part, batch),
                self._of_own(part, batch),
                self._of_faces(part, batch),
            ):
                for name, value in found.items():
                    terms.setdefault(name, []).append(value)
        means = {name: torch.stack(values).mean() for name, values in terms.items()}
        if batch.look and self.onlooker is not None and (weights.consistency or weights.pixels):
            means |= self._look(self.onlooker, batch)
        factors = dataclasses.asdict(weights)
        zero = self.renders["features"].new_zeros(())
        total = sum((factors[name] * value for name, value in means.items()), start=zero)
        return {"loss": total} | means

    def _noisy(self, features: Tensor) -> Tensor:
        spread = self.config.feature_noise * self.model.trunk.spread
        return features + spread * torch.randn_like(features)

    def _of_renders(self, part: _Part, batch: _Batch) -> Losses:
        """Other people's expressions: what they mean on this rig, if names may be believed."""
        if not self.config.weights.names:
            return {}
        features = self._noisy(self.renders["features"][batch.renders])
        neutrals = self._noisy(batch.neutrals)
        predicted = self.model.learned(features, part.number, part.slots, neutrals)
        target = part.target[batch.renders]
        return {
            "names": known_mse(predicted, target, part.weights),
            "within": within_loss(predicted, target, part.weights),
            "asymmetry": asymmetry_loss(predicted, target, part.mirror, part.weights),
        }

    def _of_own(self, part: _Part, batch: _Batch) -> Losses:
        """The avatar's own pictures: what drew them is known, whatever it is called."""
        own = part.own
        if own is None or not self.config.weights.own:
            return {}
        rows = batch.own[part.number]
        predicted = self.model.learned(
            self._noisy(own.features[rows]),
            part.number,
            part.slots,
            self._noisy(batch.own_neutrals[part.number]),
        )
        return {"own": known_mse(predicted, own.shares[rows], own.weights)}

    def _of_faces(self, part: _Part, batch: _Batch) -> Losses:
        """Real faces: nothing is known, much can be asked for."""
        if not self.faces:
            return {}
        plain, mirrored = (self._noisy(table["features"][batch.faces]) for table in self.faces)
        raw = self.model.raw(plain, part.number, part.slots)
        predicted = torch.sigmoid(raw)
        of_mirrored = self.model.learned(mirrored, part.number, part.slots)
        found = {
            "mirror": mirror_loss(predicted, of_mirrored, part.mirror, part.weights),
            "sparsity": sparsity_loss(predicted, part.rest),
            "range": range_loss(raw),
        }
        if self.config.weights.hint and part.hints is not None:
            hint = part.hints[0][batch.faces]
            found["hint"] = hint_loss(predicted, hint, self.faces[0]["confidence"][batch.faces])
        return found

    def _look(self, onlooker: Onlooker, batch: _Batch) -> Losses:
        """Draw what was predicted for one avatar and let the encoder compare it with its source."""
        drawable = [self.parts[i] for i in batch.driven if self.parts[i].likenesses]
        if not drawable:
            return {}
        # By lot: ARKit's own curves are driven in every step, and would be all that is looked at.
        which, of_part = divmod(batch.lot, len(drawable))[::-1]
        part = drawable[which]
        likeness = part.likenesses[of_part % len(part.likenesses)]
        third = max(1, self.config.look_at // 3)
        features = [self.renders["features"][batch.renders[:third]]]
        sources = [self.renders["embeddings"][batch.renders[:third]]]
        if self.faces:
            features.append(self.faces[0]["features"][batch.faces[:third]])
            sources.append(self.faces[0]["embeddings"][batch.faces[:third]])
        own = part.own
        rows = batch.own[part.number][:third] if own is not None else None
        if own is not None and rows is not None:
            features.append(own.features[rows])
            sources.append(own.embeddings[rows])
        shares = self.model.learned(torch.cat(features), part.number, part.slots)
        pictures, seen = onlooker.look([(shares, likeness)])
        found = {"consistency": consistency_loss(seen.float(), torch.cat(sources))}
        if own is not None and rows is not None and own.pictures is not None:
            assert own.regions is not None
            truth = own.pictures.shards.gather(own.rows[rows].numpy())
            drawn = pictures[-len(rows) :].float()
            wanted = torch.from_numpy(batch_from_pictures(truth)).to(self.device)
            found["pixels"] = picture_loss(drawn, wanted, own.regions.expand(len(rows), -1, -1))
        return found


def _on_device(table: FeatureTable, device: torch.device) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(getattr(table, name)).to(device)
        for name in ("features", "embeddings", "confidence")
    }


def train_animator(
    lessons: Lessons,
    cast: Cast,
    run_folder: Path,
    config: AnimatorTrainConfig,
    report: Callable[[dict[str, float]], None] = lambda _: None,
) -> Path:
    """Every step drives a few avatars with the same expressions; returns `final.safetensors`."""
    torch.manual_seed(config.loop.seed)
    model = Animator(config.model, len(cast.members), len(cast.control_names))
    people = of_renders(lessons.renders, torch.device("cpu"))
    features = torch.from_numpy(lessons.renders.features)
    model.usual.copy_(people.usual(features))
    model.trunk.spread.copy_(features.std(0).clamp_min(1e-6))
    described = dataclasses.asdict(config.model) | {"cast": cast.to_json()}
    return fit(model, described, cast, lessons, run_folder, config, report)


def fit(
    model: Animator,
    described: dict[str, object],
    cast: Cast,
    lessons: Lessons,
    run_folder: Path,
    config: AnimatorTrainConfig,
    report: Callable[[dict[str, float]], None],
) -> Path:
    """Train what of the model is not frozen."""
    run = Run(run_folder, KIND, model, described, config.loop)
    trainer = AnimatorTrainer(model, cast, lessons, config, run.device)
    return run.fit(
        lambda rng: trainer.draw(rng, (run.step + 1) % config.look_every == 0),
        trainer.losses,
        report,
    )
