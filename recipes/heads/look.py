"""How a person looks apart from shape: colours, hair, brows, marks. Colours are sRGB in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = tuple[float, float, float]
HairStyle = Literal["bald", "buzz", "short", "swept", "bob", "long", "curly", "bun", "mohawk"]
BeardStyle = Literal["none", "stubble", "moustache", "goatee", "full"]
Extra = Literal["none", "horns", "antennae"]


@dataclass(frozen=True)
class Look:
    """Everything painted or added to a shape."""

    skin: Colour = (0.86, 0.68, 0.58)
    blush: Colour = (0.80, 0.42, 0.38)
    blush_amount: float = 0.25
    lips: Colour = (0.72, 0.40, 0.38)
    lip_amount: float = 0.7
    hair: Colour = (0.22, 0.14, 0.09)
    hair_style: HairStyle = "short"
    hairline: float = 0.0
    """Raises the hairline, in decimetres."""
    brows: Colour = (0.16, 0.10, 0.07)
    brow_width: float = 1.0
    brow_height: float = 0.0
    beard: BeardStyle = "none"
    iris: Colour = (0.36, 0.24, 0.14)
    iris_size: float = 1.0
    sclera: Colour = (0.93, 0.91, 0.88)
    pupil: Literal["round", "slit"] = "round"
    lash_amount: float = 1.0
    freckles: float = 0.0
    wrinkles: float = 0.0
    roughness: float = 0.55
    flat: bool = False
    """Drawn-cartoon colours: no pores, bold brows."""
    stripes: Colour | None = None
    """Bands across scalp and neck, for creatures."""
    shirt: Colour = (0.25, 0.33, 0.45)
    extra: Extra = "none"
    seed: int = 0
