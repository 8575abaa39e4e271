"""Things that people do not have: horns and antennae."""

from __future__ import annotations

import numpy as np

from heads.anatomy import Anatomy
from heads.hair import HairSurface, arc_of_height, grid, skull
from heads.look import Look
from heads.shape import METRES, Shape


def extra_surfaces(anatomy: Anatomy, shape: Shape, look: Look) -> list[HairSurface]:
    """The look's extras, in place on the head."""
    if look.extra == "none":
        return []
    return [_horn(anatomy, shape, look, side) for side in (-1.0, 1.0)]


def _horn(anatomy: Anatomy, shape: Shape, look: Look, side: float) -> HairSurface:
    """A ringed horn that curves up and back, or a thin antenna with a bulb."""
    rows, around = 28, 16
    thin = look.extra == "antennae"
    turn = np.array([side * (22.0 if thin else 30.0)])
    place, out = skull(anatomy, shape, turn, arc_of_height(anatomy, turn, np.array([8.1])))
    t = np.linspace(0.0, 1.0, rows)
    length = (0.9 if thin else 0.95) * METRES
    bend = t * (0.9 if thin else 1.5)
    forward = out[0] + [0.25 * side, 0.2, 0.0]
    forward /= np.linalg.norm(forward)
    back = np.array([0.1 * side, 0.35, -1.0 if not thin else 0.4])
    back -= forward * (back @ forward)
    back /= np.linalg.norm(back)
    step = np.cos(bend)[:, None] * forward + np.sin(bend)[:, None] * back
    spine = place[0] - 0.06 * METRES * forward + np.cumsum(step, axis=0) * (length / rows)
    if thin:
        radius = 0.022 + 0.075 * np.exp(-(((t - 0.95) / 0.05) ** 2))
    else:
        radius = 0.15 * (1 - t) ** 0.8 * (1 + 0.07 * np.sin(t * 60)) + 0.004
    across = np.cross(step, back + np.array([1e-3, 0, 0]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(across, step)
    angle = np.linspace(0, 2 * np.pi, around + 1)
    circle = np.cos(angle)[:, None, None] * across + np.sin(angle)[:, None, None] * other
    vertices = spine + circle * (radius * METRES)[:, None]
    uvs = np.stack(np.broadcast_arrays((angle / (2 * np.pi))[:, None], t[None]), axis=-1)
    picture = _horn_picture(look)
    return HairSurface(
        "Horn", vertices.reshape(-1, 3), grid(around + 1, rows), uvs.reshape(-1, 2), picture
    )


def _horn_picture(look: Look, size: int = 64) -> np.ndarray:
    along = np.linspace(0, 1, size)[None, :, None]
    base, tip = np.array(look.hair) * 0.8, np.array([0.85, 0.78, 0.62])
    picture = base + (tip - base) * along**0.8
    picture = picture * (0.9 + 0.1 * np.sin(along * 60))
    return np.broadcast_to(picture, (size, size, 3)).astype(np.float32)
