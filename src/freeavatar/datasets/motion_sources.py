"""Expressions for training pictures: single controls, FACS-like combinations, real ARKit takes.

All values are ARKit 52 in [0, 1], gaze included, and plausible together: nobody looks in and out
with the same eye.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.datasets.expressions import LOWER, UPPER, Expression
from freeavatar.errors import CurveFileError
from freeavatar.rig import ARKIT, ARKIT_NAMES

HELD_OUT_TAKES = ("performance_s88", "speech_apfel")
"""Takes that judge the product; no training picture may come from them."""

SOURCES = ("neutral", "single", "pair", "facs", "sparse", "take", "mixed")
_SHARES = np.array([0.04, 0.13, 0.06, 0.30, 0.12, 0.23, 0.12])
"""How often each source is chosen; the two that need takes pass to facs when there are none."""

_SPARSE = SOURCES.index("sparse")
_GAZE = ARKIT.columns("gaze")
_NOT_GAZE = np.setdiff1d(np.arange(len(ARKIT)), _GAZE)
_UPPER_FACE = np.array(
    [i for i, c in enumerate(ARKIT.controls) if c.region in ("brow", "eye", "gaze")]
)
_SINGLES = tuple(name for name in ARKIT_NAMES if name not in ("mouthClose", "tongueOut"))
RARE = (
    "jawForward", "jawLeft", "jawRight", "mouthLeft", "mouthRight", "mouthClose", "cheekPuff",
    "mouthRollUpper", "mouthRollLower", "mouthShrugUpper", "mouthShrugLower", "mouthPucker",
    "mouthFunnel", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthPressLeft", "mouthPressRight", "mouthFrownLeft", "mouthFrownRight", "noseSneerLeft",
    "noseSneerRight", "cheekSquintLeft", "cheekSquintRight", "tongueOut",
)  # fmt: skip
"""What the other sources show seldom and networks learn last: sideways jaws, rolled lips."""


@dataclass(frozen=True)
class MotionSources:
    """Where expressions come from."""

    takes: Float[np.ndarray, "frame 52"]
    """Frames of all takes in one table; may be empty."""
    rare_share: float = 0.0
    """How often one to three of `RARE` move instead, strongly; they count as source "sparse"."""
    takes_share: float = 0.0
    """How often a frame of a take is played instead of anything else."""

    def rest(self, rng: np.random.Generator) -> tuple[Float[np.ndarray, "52"], int]:
        """A face that does nothing but look about, and the index of "neutral" in SOURCES."""
        values = _with_gaze_and_blink(np.zeros(len(ARKIT)), rng, often=False)
        return plausible(values), SOURCES.index("neutral")

    def draw(self, rng: np.random.Generator) -> tuple[Float[np.ndarray, "52"], int]:
        """One expression and the index of its source in SOURCES."""
        if self.rare_share and rng.random() < self.rare_share:
            return plausible(_with_gaze_and_blink(_rare(rng), rng, often=True)), _SPARSE
        source = SOURCES[int(rng.choice(len(SOURCES), p=_SHARES))]
        if self.takes_share and rng.random() < self.takes_share:
            source = "take"
        if source in ("take", "mixed") and not len(self.takes):
            source = "facs"
        draws: dict[str, Callable[[np.random.Generator], Float[np.ndarray, "52"]]] = {
            "neutral": lambda rng: np.zeros(len(ARKIT)),
            "single": _single,
            "pair": _pair,
            "facs": _facs,
            "sparse": _sparse,
            "take": self._take,
            "mixed": self._mixed,
        }
        values = draws[source](rng)
        if source != "take":
            values = _with_gaze_and_blink(values, rng, often=source in ("facs", "mixed"))
        return plausible(values), SOURCES.index(source)

    def _take(self, rng: np.random.Generator) -> Float[np.ndarray, "52"]:
        """A frame of a take, mirrored half of the time, played weaker or stronger."""
        values = self.takes[int(rng.integers(len(self.takes)))].astype(np.float64)
        if rng.random() < 0.5:
            values = values[ARKIT.mirror_columns]
        values[_NOT_GAZE] *= rng.uniform(0.7, 1.5)
        return values

    def _mixed(self, rng: np.random.Generator) -> Float[np.ndarray, "52"]:
        """Brows and eyes of one frame with the mouth of another, or of a drawn expression."""
        lower = self._take(rng) if rng.random() < 0.5 else _facs(rng)
        upper = self._take(rng) if rng.random() < 0.7 else _facs(rng)
        values = lower.copy()
        values[_UPPER_FACE] = upper[_UPPER_FACE]
        return values


def read_take(path: Path) -> Float[np.ndarray, "frame 52"]:
    """ARKit values of a Live Link Face CSV; rows in which no face was seen are left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise CurveFileError(f"Cannot read the take {path} ({error}).") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    missing = [name for name in ARKIT_NAMES if name.lower() not in header]
    if missing:
        raise CurveFileError(
            f"{path} is no Live Link Face recording: it has no column {missing[0]} "
            f"(of {len(missing)} missing ones)."
        )
    columns = [header.index(name.lower()) for name in ARKIT_NAMES]
    try:
        values = [[float(row[i]) for i in columns] for row in rows[1:] if len(row) > max(columns)]
    except ValueError as error:
        raise CurveFileError(f"{path} holds something that is no number ({error}).") from error
    return np.clip(np.array(values, np.float32).reshape(-1, len(ARKIT)), 0.0, 1.0)


def load_motion(
    paths: Sequence[Path], rare_share: float = 0.0, takes_share: float = 0.0
) -> MotionSources:
    """Sources with these takes; ValueError for a take that is kept for judging."""
    for path in paths:
        if path.stem in HELD_OUT_TAKES:
            raise ValueError(f"{path.name} is held out for evaluation and may not be trained on")
    tables = [read_take(path) for path in paths]
    frames = np.concatenate([np.zeros((0, len(ARKIT)), np.float32), *tables])
    return MotionSources(frames, rare_share, takes_share)


def plausible(values: Float[np.ndarray, "52"]) -> Float[np.ndarray, "52"]:
    """Clamp to [0, 1] and weaken the smaller of two controls that exclude each other."""
    values = np.clip(values, 0.0, 1.0)
    kept = np.ones(len(ARKIT))
    for first, second, keep in _OPPOSITES:
        kept[first if values[first] < values[second] else second] *= keep
    values = values * kept
    # Lips cannot close farther than the jaw is open, and the tongue needs a gap.
    jaw, close, tongue = (ARKIT.index(n) for n in ("jawOpen", "mouthClose", "tongueOut"))
    values[jaw] = max(values[jaw], min(0.45 * values[tongue], 0.3))
    values[close] = min(values[close], 0.9 * values[jaw])
    return values.astype(np.float32)


def _opposites() -> tuple[tuple[int, int, float], ...]:
    """Pairs of columns, and what is left of the weaker one."""
    pairs: list[tuple[str, str, float]] = [
        ("jawLeft", "jawRight", 0.0),
        ("mouthLeft", "mouthRight", 0.0),
        ("mouthFunnel", "mouthPucker", 0.6),
        ("tongueOut", "mouthClose", 0.0),
        ("tongueOut", "mouthPucker", 0.4),
        ("tongueOut", "mouthRollLower", 0.0),
        ("tongueOut", "mouthRollUpper", 0.2),
        ("cheekPuff", "jawOpen", 0.3),
        ("cheekPuff", "tongueOut", 0.0),
    ]
    for side in ("Left", "Right"):
        for first, second, keep in (
            ("eyeLookIn", "eyeLookOut", 0.0),
            ("eyeLookUp", "eyeLookDown", 0.0),
            ("eyeBlink", "eyeWide", 0.0),
            ("eyeSquint", "eyeWide", 0.3),
            ("mouthSmile", "mouthFrown", 0.3),
            ("browDown", "browOuterUp", 0.5),
        ):
            pairs.append((first + side, second + side, keep))
        for name in ("mouthSmile", "mouthStretch", "mouthDimple"):
            pairs.append((name + side, "mouthPucker", 0.3))
            pairs.append((name + side, "mouthFunnel", 0.5))
        pairs.append(("mouthPress" + side, "jawOpen", 0.3))
    return tuple((ARKIT.index(a), ARKIT.index(b), keep) for a, b, keep in pairs)


_OPPOSITES = _opposites()


def _vector(expression: Expression, strength: float, rng: np.random.Generator) -> np.ndarray:
    """An expression at a strength, every control a little off its recipe."""
    values = np.zeros(len(ARKIT))
    for name, amount in expression.controls:
        values[ARKIT.index(name)] = amount * strength * rng.uniform(0.75, 1.2)
    return values


def _single(rng: np.random.Generator) -> Float[np.ndarray, "52"]:
    values = np.zeros(len(ARKIT))
    values[ARKIT.index(_SINGLES[int(rng.integers(len(_SINGLES)))])] = rng.uniform(0.15, 1.0)
    return values


def _companions() -> tuple[tuple[int, ...], ...]:
    """For each column all others that `_single` draws and that it does not exclude."""
    columns = [ARKIT.index(name) for name in _SINGLES]
    excluded = {frozenset((first, second)) for first, second, keep in _OPPOSITES if keep == 0.0}
    return tuple(
        tuple(c for c in columns if c != column and frozenset((column, c)) not in excluded)
        for column in range(len(ARKIT))
    )


_COMPANIONS = _companions()


def _pair(rng: np.random.Generator) -> Float[np.ndarray, "52"]:
    """Half of the time a control and its mirror partner, about equally strong; otherwise, and
    always where a control has no partner that can move with it, any two."""
    values = _single(rng)
    first = int(values.argmax())
    partner, companions = int(ARKIT.mirror_columns[first]), _COMPANIONS[first]
    if partner in companions and rng.random() < 0.5:
        values[partner] = values[first] * rng.uniform(0.85, 1.15)
    else:
        values[int(rng.choice(companions))] = rng.uniform(0.15, 1.0)
    return values


def _facs(rng: np.random.Generator) -> Float[np.ndarray, "52"]:
    """One or two expressions of the upper and of the lower face, often lopsided."""
    values = np.zeros(len(ARKIT))
    for recipes, how_many in ((UPPER, rng.integers(0, 3)), (LOWER, rng.integers(0, 3))):
        for _ in range(int(how_many)):
            expression = recipes[int(rng.integers(len(recipes)))]
            strength = rng.uniform(0.25, 1.0) if rng.random() < 0.8 else rng.uniform(1.0, 1.3)
            drawn = _vector(expression, strength, rng)
            if rng.random() < 0.5:
                drawn = drawn[ARKIT.mirror_columns]
            values = np.maximum(values, drawn)
    if rng.random() < 0.4:
        values = _lopsided(values, rng)
    return values


def _sparse(rng: np.random.Generator) -> Float[np.ndarray, "52"]:
    """Two to six controls that need not belong together; partners usually move as one."""
    values = np.zeros(len(ARKIT))
    for column in rng.choice(_NOT_GAZE, int(rng.integers(2, 7)), replace=False):
        values[column] = rng.beta(1.5, 1.8)
        if rng.random() < 0.6:
            values[ARKIT.mirror_columns[column]] = values[column] * rng.uniform(0.8, 1.2)
    # Eyes that are half shut hide what else they do; not in every other picture.
    if rng.random() < 0.6:
        values[[ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")]] = 0.0
    return values


def _rare(rng: np.random.Generator) -> Float[np.ndarray, "52"]:
    """One to three rare controls, their partners half of the time, often with what faces do."""
    values = np.zeros(len(ARKIT))
    for name in rng.choice(RARE, int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])), replace=False):
        column = ARKIT.index(str(name))
        values[column] = rng.uniform(0.3, 1.0)
        partner = int(ARKIT.mirror_columns[column])
        if partner != column and rng.random() < 0.5:
            values[partner] = values[column] * rng.uniform(0.85, 1.15)
    jaw, close = ARKIT.index("jawOpen"), ARKIT.index("mouthClose")
    if values[close]:
        values[jaw] = values[close] * rng.uniform(1.0, 1.6)
    elif rng.random() < 0.35:
        values[jaw] = rng.uniform(0.05, 0.7)
    if rng.random() < 0.4:
        values = np.maximum(values, rng.uniform(0.2, 0.8) * _facs(rng))
    return values


def _lopsided(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weaken one side of the face, or of a few controls."""
    side = "Left" if rng.random() < 0.5 else "Right"
    keep = rng.uniform(0.0, 0.7)
    values = values.copy()
    for column, name in enumerate(ARKIT_NAMES):
        if name.endswith(side) and rng.random() < 0.8:
            values[column] *= keep
    return values


def _with_gaze_and_blink(
    values: np.ndarray, rng: np.random.Generator, often: bool
) -> Float[np.ndarray, "52"]:
    """Look somewhere, with both eyes; lids follow the gaze down and close now and then."""
    values = values.copy()
    if values[_GAZE].any():
        return values
    yaw = pitch = 0.0
    if rng.random() < (0.75 if often else 0.45):
        yaw, pitch = rng.normal(0.0, 0.38), rng.normal(0.08, 0.3)
        if rng.random() < 0.2:
            yaw, pitch = rng.uniform(-1.0, 1.0, 2)
    vergence = abs(rng.normal(0.0, 0.06))
    set_gaze(values, (yaw - vergence, yaw + vergence), (pitch, pitch + rng.normal(0.0, 0.02)))
    if rng.random() < 0.04:
        set_gaze(values, tuple(rng.normal(0.0, 0.5, 2)), tuple(rng.normal(0.0, 0.3, 2)))
    left, right = ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")
    if often and max(values[left], values[right]) < 0.1:
        lid = rng.choice([0.0, rng.uniform(0.0, 0.35), rng.uniform(0.3, 1.0)], p=[0.5, 0.35, 0.15])
        lid = max(lid, 0.35 * max(pitch, 0.0) * rng.uniform(0.3, 1.2))
        values[left], values[right] = lid * rng.uniform(0.9, 1.1), lid * rng.uniform(0.9, 1.1)
    return values


def set_gaze(
    values: np.ndarray, yaw: tuple[float, ...], pitch: tuple[float, ...]
) -> Float[np.ndarray, "52"]:
    """Write the eight eyeLook controls in place; pairs are (left eye, right eye), yaw > 0 to the
    character's left, pitch > 0 down, 1 is the whole range."""
    for side, eye_yaw, eye_pitch in zip(("Left", "Right"), yaw, pitch, strict=True):
        outward = eye_yaw if side == "Left" else -eye_yaw
        for name, value in (
            ("eyeLookOut", outward),
            ("eyeLookIn", -outward),
            ("eyeLookDown", eye_pitch),
            ("eyeLookUp", -eye_pitch),
        ):
            values[ARKIT.index(name + side)] = min(max(value, 0.0), 1.0)
    return values
