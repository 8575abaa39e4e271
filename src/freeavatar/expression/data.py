"""Batches for the expression model: crops from shards, damaged on the fly, with their truth.

A render set knows every control exactly. A face set knows only what offline teachers guessed:
the 52-score net and an emotion net; both are hints, never a run-time dependency.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from freeavatar.expression.augment import AugmentConfig, augment, harsh, plain
from freeavatar.expression.losses import PAIRS
from freeavatar.rig import ARKIT
from freeavatar.training.shards import ShardSet, open_shards

# Where the 52-score teacher is worth listening to. Left out: channels that stay near zero whatever
# the face does (cheeks, nose, frown, wide eyes, dimples, tongue; PEERS.md).
TAUGHT_CONTROLS: tuple[str, ...] = tuple(
    name
    for name in ARKIT.names
    if not name.startswith(("cheek", "nose", "tongue", "eyeWide", "jawForward"))
    and not name.startswith(("mouthFrown", "mouthDimple", "mouthClose"))
)


ACTIVE = 0.4
"""A control above this is part of the shape that a face makes."""
SURE_QUALITY = 0.5
"""Teachers' guesses about a real face of less quality than this are left out."""
SURE_EMOTION = 0.5
"""An emotion teacher whose best guess is less likely than this has seen nothing."""
TOLD_MORE = 20.0
"""How many times as often a real face is drawn whose person is known: such sets are small."""
OTHER_VIEW = 0.6
"""How often a twin is another picture of the same expression, where a set has several."""


@dataclass(frozen=True)
class Samples:
    """Crops with what is known of them; NaN where nothing is."""

    crops: UInt8[np.ndarray, "sample size size 3"]
    controls: Float[np.ndarray, "sample 52"]
    """ARKit values: exact for renders, the teacher's for real faces."""
    moved: Float[np.ndarray, "sample 52"]
    """What the face does, as ARKit values of the canonical head: a slider that hardly moves one
    face and pulls another wide says little about how alike they look."""
    head_rad: Float[np.ndarray, "sample 3"]
    emotion: Float[np.ndarray, "sample 7"]
    exact: Bool[np.ndarray, "sample"]
    """True for renders."""
    person: Int[np.ndarray, "sample"]
    """Who it is, numbered through all sets of a pool; -1 where nobody says."""
    lifelike: Bool[np.ndarray, "sample"]
    """What somebody really did: a frame of a recorded take, or a real face."""


Split = Literal["train", "test"]


class FacePool:
    """One or more shard sets of one kind, read by row with augmentation and mirroring."""

    def __init__(
        self,
        folders: list[Path],
        augmentation: AugmentConfig,
        split: Split = "train",
        emphasis: float = 0.0,
        oversampling: float = 1.0,
        lifelike: float = 1.0,
    ) -> None:
        """`emphasis`: how much more often (1 + emphasis) the most lopsided render is drawn;
        `oversampling`: up to so many times as often for the rarest control in it; `lifelike`: so
        many times as often when its expression is a frame of a recorded take, or a face at rest
        that begins a session."""
        self.sets: list[ShardSet] = [open_shards(folder) for folder in folders]
        self.augmentation = augmentation
        self._harsh = harsh(augmentation)
        usable = [_usable_rows(shards, split) for shards in self.sets]
        # Rows of the other split are nobody's: no companion may come from there.
        self._people = [
            np.where(np.isin(np.arange(len(people)), rows), people, -1)
            for people, rows in zip(_people(self.sets), usable, strict=True)
        ]
        self._in_sessions = ["session" in shards.columns for shards in self.sets]
        self._lifelike = [
            _recorded(shards) | ("arkit" not in shards.columns) for shards in self.sets
        ]
        self.rows: Int[np.ndarray, "row 2"] = np.concatenate(
            [np.stack([np.full(len(r), i), r], axis=1) for i, r in enumerate(usable)]
        )
        shares = np.concatenate(
            [
                (
                    (1 + emphasis * _lopsided(shards))
                    * _rare(shards, oversampling)
                    * np.where(_recorded(shards) | _resting(shards), lifelike, 1.0)
                    * _told(shards)
                )[r]
                for shards, r in zip(self.sets, usable, strict=True)
            ]
        )
        self._up_to: Float[np.ndarray, "row"] = np.cumsum(shares) / shares.sum()

    def __len__(self) -> int:
        return len(self.rows)

    def draw(
        self,
        num: int,
        rng: np.random.Generator,
        mirror: bool = True,
        twins: float = 0.0,
        companions: float = 0.0,
    ) -> Samples:
        """Random rows, each mirrored (with its truth) half of the time.

        `twins` is the share of rows drawn twice, the second time with more damage, or as another
        view of the same expression where the set has some: the same face must look alike through
        any damage and from any side, and its mirror image must not, unless the face is even.
        `companions` is the share of rows that show the person of another row again.
        """
        lots = rng.random(num - round(num * twins / 2))
        chosen = self.rows[np.searchsorted(self._up_to, lots).clip(max=len(self.rows) - 1)]
        for i in range(round(num * companions / 2)):
            chosen[-1 - i] = self._companion(chosen[i], rng)
        again = [self._again(row, rng) for row in chosen[: num - len(chosen)]]
        chosen = np.concatenate([chosen, np.reshape(again, (-1, 2)).astype(chosen.dtype)])
        damage = [self.augmentation] * (num - len(again)) + [
            self._harsh if (twin == row).all() else self.augmentation
            for twin, row in zip(again, chosen, strict=False)
        ]
        samples = [
            self._sample(int(s), int(r), rng, bool(mirror and rng.random() < 0.5), how)
            for (s, r), how in zip(chosen, damage, strict=True)
        ]
        crops, controls, moved, head, emotion, exact, person, lifelike = zip(*samples, strict=True)
        return Samples(
            np.stack(crops),
            np.stack(controls),
            np.stack(moved),
            np.stack(head),
            np.stack(emotion),
            np.array(exact),
            np.array(person),
            np.array(lifelike),
        )

    def _companion(
        self, row: Int[np.ndarray, "2"], rng: np.random.Generator
    ) -> Int[np.ndarray, "2"]:
        """A row of the same person in the same set, by lot; the row itself for nobody's."""
        which, number = int(row[0]), int(row[1])
        own = self._people[which]
        if own[number] < 0:
            return row
        others = np.flatnonzero(own == own[number])
        return np.array([which, int(rng.choice(others))])

    def _again(self, row: Int[np.ndarray, "2"], rng: np.random.Generator) -> Int[np.ndarray, "2"]:
        """The row itself, or another picture of its expression."""
        which, number = int(row[0]), int(row[1])
        expressions = self.sets[which].columns.get("expression")
        if expressions is None or rng.random() >= OTHER_VIEW:
            return row
        first, end = np.searchsorted(expressions, expressions[number] + np.array([0, 1]))
        others = [other for other in range(first, end) if other != number]
        return np.array([which, int(rng.choice(others))]) if others else row

    def plain(self, num: int) -> UInt8[np.ndarray, "sample size size 3"]:
        """The first crops, as the product sees them."""
        pictures = [self.sets[s].gather(np.array([r]))[0] for s, r in self.rows[:num]]
        return np.stack([plain(picture, self.augmentation.size) for picture in pictures])

    def _sample(
        self,
        which: int,
        row: int,
        rng: np.random.Generator,
        mirror: bool,
        damage: AugmentConfig | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool, int, bool]:
        shards = self.sets[which]
        stored = shards.gather(np.array([row]))[0]
        crop = augment(stored, damage or self.augmentation, rng, mirror)
        exact = "arkit" in shards.columns
        controls = _controls(shards, row)
        moved = controls * strengths(shards, np.array([row]))[0]
        head = _row(shards, "head_rad", row, 3)
        if mirror:
            controls, moved = controls[ARKIT.mirror_columns], moved[ARKIT.mirror_columns]
            head = head * np.array([-1, 1, -1], np.float32)
        emotion = _row(shards, "emotion", row, 7)
        person = int(self._people[which][row])
        if mirror and person >= 0 and self._in_sessions[which]:
            person += 1  # in a mirrored light, beside which a plain face says little
        return (
            crop,
            controls,
            moved,
            head,
            np.where(_is_sure(emotion), emotion, np.nan),
            exact,
            person,
            bool(self._lifelike[which][row]),
        )


def _is_sure(emotion: Float[np.ndarray, "7"]) -> bool:
    return bool(np.nanmax(np.nan_to_num(emotion)) >= SURE_EMOTION)


def _people(sets: list[ShardSet]) -> list[Int[np.ndarray, "row"]]:
    """Who is in each row of each set, -1 where nobody says.

    A person has one number in all render sets. Names alone do not tell: two folders of built heads
    count from zero, so what each control moves on a face belongs to who it is. A set of sessions
    says who sits there: somebody in every session, and somebody else in its mirror image.
    """
    numbers: dict[str, int] = {}
    found = []
    for which, shards in enumerate(sets):
        if "session" in shards.columns:
            sessions, of_row = np.unique(shards.columns["session"], return_inverse=True)
            first = len(numbers)
            for session in sessions:
                for side in ("plain", "mirrored"):
                    numbers[f"{which} session {session} {side}"] = len(numbers)
            found.append(first + 2 * of_row)
        elif "actor" in shards.columns and "actors" in shards.index:
            names = shards.index["actors"]
            reach = shards.index.get("strength") or [None] * len(names)
            keys = [f"{name} {moves}" for name, moves in zip(names, reach, strict=True)]
            of_actor = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
            found.append(of_actor[shards.columns["actor"].astype(int)])
        elif "person" in shards.columns:
            told = [f"{which} {person}" for person in shards.columns["person"]]
            found.append(np.array([numbers.setdefault(key, len(numbers)) for key in told]))
        else:
            found.append(np.full(len(shards), -1))
    return found


def _lopsided(shards: ShardSet) -> Float[np.ndarray, "row"]:
    """Largest difference between left and right, 0 to 1; 0 where the truth is not known."""
    if "arkit" not in shards.columns:
        return np.zeros(len(shards))
    left, right = PAIRS.T
    arkit = shards.columns["arkit"].astype(np.float32)
    return np.abs(arkit[:, left] - arkit[:, right]).max(axis=1).clip(0, 1)


def _recorded(shards: ShardSet) -> Bool[np.ndarray, "row"]:
    """Which expressions are frames of recorded takes; none where a set does not say."""
    return _from(shards, "take")


def _resting(shards: ShardSet) -> Bool[np.ndarray, "row"]:
    """Faces that do nothing, in sets that show what somebody else does beside it."""
    if "session" not in shards.columns:
        return np.zeros(len(shards), bool)
    return _from(shards, "neutral")


def _from(shards: ShardSet, source: str) -> Bool[np.ndarray, "row"]:
    sources = shards.index.get("sources", [])
    if source not in sources or "source" not in shards.columns:
        return np.zeros(len(shards), bool)
    return np.asarray(shards.columns["source"] == sources.index(source))


def _rare(shards: ShardSet, most: float) -> Float[np.ndarray, "row"]:
    """`rare_first`; 1 where the truth is not known."""
    if "arkit" not in shards.columns:
        return np.ones(len(shards))
    return rare_first(shards.columns["arkit"].astype(np.float32), most)


def rare_first(
    controls: Float[np.ndarray, "sample 52"], most: float
) -> Float[np.ndarray, " sample"]:
    """How often each row is drawn: up to `most` times as often for the rarest control in it; all
    alike where that is 1 or less."""
    active = np.nan_to_num(controls) > ACTIVE
    share = active.mean(axis=0)
    usual = np.median(share[share > 0]) if share.any() else 1.0
    rarity_of = np.clip(usual / np.maximum(share, 1e-6), 1.0, max(most, 1.0))
    return np.where(active, rarity_of, 1.0).max(axis=1)


def _row(shards: ShardSet, column: str, row: int, width: int) -> Float[np.ndarray, "width"]:
    if column not in shards.columns:
        return np.full(width, np.nan, np.float32)
    return shards.columns[column][row].astype(np.float32)


def _controls(shards: ShardSet, row: int) -> Float[np.ndarray, "52"]:
    """Truth of a render, NaN where its actor cannot show a control; or the teacher's scores."""
    if "arkit" in shards.columns:
        values = shards.columns["arkit"][row].astype(np.float32)
        shows = shards.index.get("shows")
        if shows is not None:
            actor = int(shards.columns["actor"][row])
            values = np.where(np.asarray(shows[actor], bool), values, np.nan)
        return values.astype(np.float32)
    values = _row(shards, "teacher", row, len(ARKIT))
    taught = np.isin(ARKIT.names, TAUGHT_CONTROLS)
    if "quality" in shards.columns and shards.columns["quality"][row] < SURE_QUALITY:
        taught = np.zeros_like(taught)
    return np.where(taught, values, np.nan).astype(np.float32)


def strengths(shards: ShardSet, rows: Int[np.ndarray, "row"]) -> Float[np.ndarray, "row 52"]:
    """How far each control moves the face of each row, as a share of the canonical head's way; 1
    where a set does not say."""
    known = shards.index.get("strength")
    if known is None:
        return np.ones((len(rows), len(ARKIT)), np.float32)
    of_rows = [known[int(actor)] for actor in shards.columns["actor"][rows]]
    return np.array(of_rows, np.float32).reshape(-1, len(ARKIT))


def _usable_rows(shards: ShardSet, split: Split) -> Int[np.ndarray, "row"]:
    """Rows of one split; sets that split elsewhere (renders, by actor) are all of one split."""
    if "split" not in shards.columns:
        return np.arange(len(shards))
    is_train = np.char.startswith(shards.columns["split"].astype(str), "train")
    return np.flatnonzero(is_train if split == "train" else ~is_train)


def _told(shards: ShardSet) -> Float[np.ndarray, "row"]:
    """How often real faces are drawn for who is known to be in them."""
    return np.full(len(shards), TOLD_MORE if "person" in shards.columns else 1.0)
