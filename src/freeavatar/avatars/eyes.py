"""Finds the eyeballs of an avatar that turn: eye bones, or eyeball meshes turned as wholes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from freeavatar.avatars.arkit import arkit_name
from freeavatar.avatars.avatar import Eye, Side, Surface
from freeavatar.avatars.gltf_scene import Scene, Skinning
from freeavatar.rig import region_of

EYE_WORDS = {"eye", "eyes", "eyeball", "eyeballs", "sclera", "iris", "cornea", "pupil"}
NOT_EYEBALL = {
    "brow", "eyebrow", "lid", "eyelid", "lash", "lashes", "eyelash", "eyelashes", "gland",
    "occlusion", "blend", "socket", "shadow", "tear", "tearline", "end", "target", "ctrl",
    "control", "ik", "aim", "look", "upper", "lower", "bag", "liner",
}  # fmt: skip
SIDES: dict[str, Side] = {"l": "left", "left": "left", "r": "right", "right": "right"}

MIN_SHARE = 0.5
"""A vertex turns with an eye bone that holds at least half of it."""
MORPHED_SHARE = 0.1
"""An eyeball that morphs move by more than this share of its size is turned by them already."""


@dataclass(frozen=True)
class SurfaceOrigin:
    """Where a surface came from in the file."""

    node: int
    skinning: Skinning | None


def eye_side(name: str) -> tuple[bool, Side | None]:
    """Whether a node's name means an eyeball or eye bone, and of which side."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]
    # "lefteye", "eyer": the side glued to the word.
    split: list[str] = []
    for word in words:
        glued = re.fullmatch(r"(left|right|l|r)(eye|eyeball)|(eye|eyeball)(left|right|l|r)", word)
        split += [part for part in glued.groups() if part] if glued else [word]
    if not EYE_WORDS & set(split) or NOT_EYEBALL & set(split):
        return False, None
    sides = {SIDES[word] for word in split if word in SIDES}
    return True, sides.pop() if len(sides) == 1 else None


def find_eyes(
    scene: Scene,
    surfaces: Sequence[Surface],
    origins: Sequence[SurfaceOrigin],
    morph_names: Sequence[str],
    bones: dict[Side, int],
) -> tuple[Eye, ...]:
    """The eyes that gaze controls must turn; empty when the morphs turn them, or nothing can.

    `bones` are eye nodes that the file names outright (VRM's humanoid); others are found by name.
    """
    eyes = _bone_eyes(scene, surfaces, origins, bones) or _ball_eyes(scene, surfaces, origins)
    return tuple(eye for eye in eyes if not _turned_by_morphs(eye, surfaces, morph_names))


def _bone_eyes(
    scene: Scene,
    surfaces: Sequence[Surface],
    origins: Sequence[SurfaceOrigin],
    bones: dict[Side, int],
) -> list[Eye]:
    eyes: list[Eye] = []
    for side in ("left", "right"):
        named = [i for i, node in scene.nodes.items() if eye_side(node.name) == (True, side)]
        if side in bones:
            named.insert(0, bones[side])
        # Eyeball, iris and cornea may be nodes beside each other: all turn with the first that
        # carries anything.
        carriers = [node for node in named if _carried(scene.below(node), surfaces, origins)]
        if not carriers:
            continue
        below = set().union(*(scene.below(node) for node in carriers))
        moving = tuple(
            _following(below, surface, origin)
            for surface, origin in zip(surfaces, origins, strict=True)
        )
        first = scene.nodes[carriers[0]]
        pivot = first.world[:3, 3]
        points = np.concatenate([s.vertices[m] for s, m in zip(surfaces, moving, strict=True)])
        # A mesh node often sits at the origin of the world: then the ball's own centre counts.
        if not (points.min(axis=0) <= pivot).all() or not (pivot <= points.max(axis=0)).all():
            pivot = sphere_centre(points)
        eyes.append(Eye(side, first.name, pivot.astype(np.float32), moving))
    return eyes


def _following(
    below: set[int], surface: Surface, origin: SurfaceOrigin
) -> Int[np.ndarray, "moved"]:
    """Vertices of a surface that turn with these nodes."""
    if origin.skinning is not None:
        return np.flatnonzero(origin.skinning.share(below) >= MIN_SHARE)
    return np.arange(len(surface.vertices) if origin.node in below else 0)


def _carried(
    below: set[int], surfaces: Sequence[Surface], origins: Sequence[SurfaceOrigin]
) -> bool:
    return any(
        len(_following(below, surface, origin))
        for surface, origin in zip(surfaces, origins, strict=True)
    )


def _ball_eyes(
    scene: Scene, surfaces: Sequence[Surface], origins: Sequence[SurfaceOrigin]
) -> list[Eye]:
    """Eyeball meshes that hold both eyes: the halves on each side of the middle."""
    balls = [
        eye_side(scene.nodes[origin.node].name) == (True, None) or surface.material.kind == "eye"
        for surface, origin in zip(surfaces, origins, strict=True)
    ]
    chosen = [surface.vertices for surface, ball in zip(surfaces, balls, strict=True) if ball]
    if not chosen:
        return []
    everything = np.concatenate(chosen)
    middle = 0.5 * (everything[:, 0].min() + everything[:, 0].max())
    eyes = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        moving = tuple(
            np.flatnonzero(ball & (sign * (surface.vertices[:, 0] - middle) > 0))
            for surface, ball in zip(surfaces, balls, strict=True)
        )
        points = np.concatenate([s.vertices[m] for s, m in zip(surfaces, moving, strict=True)])
        if len(points) < 8:
            return []
        eyes.append(Eye(side, None, sphere_centre(points).astype(np.float32), moving))  # type: ignore[arg-type]
    return eyes


def _turned_by_morphs(eye: Eye, surfaces: Sequence[Surface], morph_names: Sequence[str]) -> bool:
    gaze = {
        index
        for index, name in enumerate(morph_names)
        if region_of(arkit_name(name) or name) == "gaze" or name.lower().startswith("look")
    }
    for surface, moving in zip(surfaces, eye.vertices, strict=True):
        if len(moving) < 4:
            continue
        size = float(np.ptp(surface.vertices[moving], axis=0).max())
        for morph, delta in zip(surface.morphs, surface.deltas, strict=True):
            if morph in gaze and np.abs(delta[moving]).max() > MORPHED_SHARE * size:
                return True
    return False


def sphere_centre(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "3"]:
    """Centre of the sphere that fits best; of the box when the points are no sphere."""
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    relative = (points - middle).astype(np.float64)
    system = np.hstack([2 * relative, np.ones((len(points), 1))])
    solution, _, rank, _ = np.linalg.lstsq(system, (relative**2).sum(axis=1), rcond=None)
    inside = np.abs(solution[:3]).max() < 0.5 * np.ptp(points, axis=0).max()
    return middle + solution[:3] if rank == 4 and inside else middle
