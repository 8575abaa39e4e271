"""Random people: identity, colours and hair drawn from wide ranges, repeatable by seed."""

from __future__ import annotations

import numpy as np

from heads.anny import AnnyData
from heads.assemble import Person
from heads.look import Colour, Look
from heads.shape import Identity

TONES: tuple[Colour, ...] = (
    (0.96, 0.82, 0.74),
    (0.92, 0.75, 0.64),
    (0.86, 0.66, 0.53),
    (0.76, 0.55, 0.41),
    (0.62, 0.42, 0.30),
    (0.47, 0.31, 0.22),
    (0.34, 0.22, 0.16),
)
TONE_OF_ORIGIN = {"caucasian": (0.0, 3.2), "asian": (0.6, 4.0), "african": (3.3, 6.0)}
IRISES: tuple[Colour, ...] = (
    (0.20, 0.12, 0.07),
    (0.33, 0.21, 0.12),
    (0.42, 0.34, 0.18),
    (0.33, 0.42, 0.28),
    (0.35, 0.48, 0.58),
    (0.45, 0.52, 0.55),
)
HAIRS: tuple[Colour, ...] = (
    (0.06, 0.045, 0.04),
    (0.13, 0.08, 0.055),
    (0.25, 0.15, 0.09),
    (0.40, 0.25, 0.14),
    (0.68, 0.50, 0.28),
    (0.50, 0.20, 0.09),
    (0.62, 0.60, 0.57),
    (0.85, 0.84, 0.82),
)
FOLDERS = ("head", "eyes", "nose", "mouth", "chin", "cheek", "forehead", "eyebrows", "ears")


def tone(level: float) -> Colour:
    """Skin colour between the seven steps of TONES."""
    rows = np.array(TONES)
    red, green, blue = (float(np.interp(level, np.arange(len(rows)), rows[:, k])) for k in range(3))
    return red, green, blue


def random_person(data: AnnyData, name: str, seed: int) -> Person:
    rng = np.random.default_rng(seed)
    main = str(rng.choice(["caucasian", "asian", "african"]))
    shares = rng.dirichlet([0.35, 0.35, 0.35])
    origin = dict(zip(("caucasian", "asian", "african"), shares * 0.4, strict=True))
    origin[main] += 0.6
    female = float(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.8, 1.0)]))
    age = float(
        rng.choice(
            [rng.uniform(0.38, 0.55), rng.uniform(0.6, 0.72), rng.uniform(0.7, 1.0)],
            p=[0.15, 0.5, 0.35],
        )
    )
    identity = Identity(
        female,
        age,
        origin,
        rng.uniform(0.2, 0.8),
        rng.uniform(0.15, 0.85),
        random_targets(data, rng),
    )
    return Person(name, identity, _random_look(rng, main, female > 0.5, age, seed))


def random_targets(
    data: AnnyData, rng: np.random.Generator, strength: float = 0.34
) -> dict[str, float]:
    """About a third of the local targets, both sides alike but for a little asymmetry."""
    targets: dict[str, float] = {}
    for name in data.local_names(*FOLDERS):
        if ("trans-" in name and name.startswith("head/")) or "push" in name:
            continue
        folder, _, short = name.partition("/")
        if short.startswith("r-") or rng.random() > 0.33:
            continue
        amount = float(abs(rng.normal(0, strength)))
        if folder in ("eyes", "ears", "head"):
            amount *= 0.7
        targets[name] = min(amount, 0.8)
        if short.startswith("l-"):
            targets[f"{folder}/r-{short[2:]}"] = float(
                np.clip(amount + rng.normal(0, 0.06), 0.0, 0.8)
            )
    return targets


def _random_look(
    rng: np.random.Generator, origin: str, female: bool, age: float, seed: int
) -> Look:
    level = rng.uniform(*TONE_OF_ORIGIN[origin])
    skin = np.array(tone(level)) * rng.uniform(0.975, 1.025, 3)
    dark = level > 2.6 or origin != "caucasian"
    hair = np.array(HAIRS[rng.integers(0, 2 if dark else 6)]) * rng.uniform(0.8, 1.2)
    if age > 0.85 and rng.random() < 0.75:
        hair = np.array(HAIRS[rng.integers(6, 8)])
    if rng.random() < 0.05:
        hair = rng.uniform(0.1, 0.8, 3)
    brows = np.minimum(hair, 0.45) * 0.75 + 0.02
    styles = (
        ["bob", "long", "bun", "curly", "short", "swept", "buzz"]
        if female
        else ["short", "swept", "buzz", "bald", "curly", "long", "mohawk"]
    )
    chance = (
        [0.25, 0.25, 0.15, 0.15, 0.1, 0.07, 0.03]
        if female
        else [0.3, 0.2, 0.15, 0.15, 0.1, 0.07, 0.03]
    )
    beard = (
        "none"
        if female or age < 0.58
        else str(
            rng.choice(
                ["none", "stubble", "moustache", "goatee", "full"], p=[0.45, 0.2, 0.07, 0.1, 0.18]
            )
        )
    )
    lips = skin * (0.84, 0.60, 0.60) * rng.uniform(0.9, 1.05)
    made_up = female and rng.random() < 0.35
    if made_up:
        lips = np.array([rng.uniform(0.5, 0.75), rng.uniform(0.1, 0.3), rng.uniform(0.15, 0.35)])
    return Look(
        skin=_colour(skin),
        blush=_colour(skin * (0.95, 0.62, 0.60)),
        blush_amount=rng.uniform(0.1, 0.5),
        lips=_colour(lips),
        lip_amount=rng.uniform(0.5, 0.9) if not made_up else 0.9,
        hair=_colour(hair),
        hair_style=str(rng.choice(styles, p=chance)),  # type: ignore[arg-type]
        hairline=float(rng.uniform(-0.1, 0.12) if female else rng.uniform(-0.1, 0.25)),
        brows=_colour(brows),
        brow_width=float(rng.uniform(0.5, 1.1) if female else rng.uniform(0.75, 1.4)),
        brow_height=float(rng.normal(0, 0.015)),
        beard=beard,  # type: ignore[arg-type]
        iris=_colour(np.array(IRISES[rng.integers(0, 2 if dark else 6)])),
        lash_amount=float(rng.uniform(0.6, 1.2) if female else rng.uniform(0.3, 0.7)),
        freckles=float(rng.uniform(0.3, 0.8) if level < 2.5 and rng.random() < 0.25 else 0.0),
        wrinkles=float(np.clip((age - 0.66) * 3.0, 0.0, 1.0) * rng.uniform(0.4, 1.0)),
        shirt=_colour(rng.uniform(0.08, 0.9, 3)),
        seed=seed,
    )


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (float(v) for v in np.clip(values, 0.02, 0.98))
    return red, green, blue
