"""Pictures of what the animator does: sources beside all avatars, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from freeavatar.animator.data import encode_crops
from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf import load_avatar
from freeavatar.datasets.actors import Actor, make_actor
from freeavatar.datasets.motion_sources import set_gaze
from freeavatar.errors import DataError
from freeavatar.evaluation.animator import play
from freeavatar.evaluation.sheets import spread_out
from freeavatar.expression.augment import plain
from freeavatar.expression.data import TAUGHT_CONTROLS
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import Sitter
from freeavatar.rig import ARKIT
from freeavatar.training.shards import ShardSet, open_shards

CELL = 112
FACING_RAD = 0.4
"""Yaw beyond which half of a mouth is hidden."""
CLEAR_QUALITY, FRONTAL_RAD = 0.97, 0.45
_CAPTION = 16
_PAPER, _INK = (24, 26, 29), (205, 208, 212)

GESTURES: tuple[tuple[str, dict[str, float]], ...] = (
    ("neutral", {}),
    ("wink left", {"eyeBlinkLeft": 1.0, "eyeSquintLeft": 0.4, "cheekSquintLeft": 0.4}),
    ("wink right", {"eyeBlinkRight": 1.0, "eyeSquintRight": 0.4, "cheekSquintRight": 0.4}),
    ("smile left", {"mouthSmileLeft": 0.9, "cheekSquintLeft": 0.3, "mouthDimpleLeft": 0.2}),
    ("smile right", {"mouthSmileRight": 0.9, "cheekSquintRight": 0.3, "mouthDimpleRight": 0.2}),
    ("brow left", {"browOuterUpLeft": 1.0, "browInnerUp": 0.2}),
    ("brow right", {"browOuterUpRight": 1.0, "browInnerUp": 0.2}),
    ("look left", {}),
    ("look right", {}),
    ("look up", {}),
    ("look down", {}),
    ("tongue", {"tongueOut": 1.0, "jawOpen": 0.45}),
    ("puff", {"cheekPuff": 1.0}),
    ("frown", {"mouthFrownLeft": 0.9, "mouthFrownRight": 0.9}),
    ("sneer", {"noseSneerLeft": 0.9, "noseSneerRight": 0.9}),
    ("wide eyes", {"eyeWideLeft": 1.0, "eyeWideRight": 1.0}),
)
"""Name and ARKit values; left is the character's left, on the right of the picture."""
TAUGHT = np.flatnonzero(np.isin(ARKIT.names, TAUGHT_CONTROLS))
_LOOKS = {
    "look left": (0.9, 0.0),
    "look right": (-0.9, 0.0),
    "look up": (0.0, -0.9),
    "look down": (0.0, 0.9),
}
"""(yaw, pitch) of both eyes, as shares of their range."""


def gesture_values(name: str, controls: dict[str, float]) -> Float[np.ndarray, " 52"]:
    """ARKit values of one gesture."""
    values = np.zeros(len(ARKIT), np.float32)
    for control, amount in controls.items():
        values[ARKIT.index(control)] = amount
    if name in _LOOKS:
        yaw, pitch = _LOOKS[name]
        set_gaze(values, (yaw, yaw), (pitch, pitch))
    return values


def gesture_sheet(
    actor: Actor, avatars: Sequence[Avatar], encoder: ExpressionEncoder, animator: Animator
) -> UInt8[np.ndarray, "height width 3"]:
    """A person never trained on shows every gesture; each avatar repeats it from the picture."""
    values = np.stack([gesture_values(name, controls) for name, controls in GESTURES])
    still = np.random.default_rng(3)
    crops = np.stack([plain(crop) for crop in play(actor, values, still)])
    return driven_sheet(crops, [name for name, _ in GESTURES], avatars, encoder, animator)


def held_out_actor(data: Path, name: str = "Asian_M_3") -> Actor:
    """A VALID person whom no training picture shows."""
    return make_actor(load_avatar(data / "avatars" / "valid" / f"{name}.glb"))


def real_faces(folder: Path, num: int = 16) -> UInt8[np.ndarray, "face 224 224 3"]:
    """Clear, nearly frontal faces outside the training split, in the crop of the product: as
    different as a teacher can tell, or evenly chosen where no teacher spoke."""
    shards = open_shards(folder)
    split = shards.columns.get("split", np.full(len(shards), "test")).astype(str)
    rows = np.flatnonzero(~np.char.startswith(split, "train"))
    if not len(rows):
        raise DataError(f"{folder} has no face outside its training split.")
    rows = seen_well(shards, rows, num)
    if "quality" in shards.columns and "head_rad" in shards.columns:
        turned = np.abs(shards.columns["head_rad"][rows].astype(np.float32)[:, :2]).max(axis=1)
        clear = (shards.columns["quality"][rows] > CLEAR_QUALITY) & (turned < FRONTAL_RAD)
        rows = rows[clear] if clear.sum() >= num else rows
    if "teacher" in shards.columns:
        scores = shards.columns["teacher"][rows].astype(np.float32)[:, TAUGHT]
        rows = rows[~np.isnan(scores).any(axis=1)]
        scores = scores[~np.isnan(scores).any(axis=1)]
        rows = rows[spread_out(scores, num)] if len(rows) else rows
    else:
        rows = rows[np.linspace(0, len(rows) - 1, min(num, len(rows))).astype(np.int64)]
    return np.stack([plain(picture) for picture in shards.gather(rows)])


def seen_well(
    shards: ShardSet, rows: Int[np.ndarray, " row"], num: int
) -> Int[np.ndarray, " some"]:
    """Those who face the camera, and of them the sharper half: a blurred profile, which is as far
    from all others as any expression, would tell nobody how well an avatar does."""
    if "head_rad" in shards.columns:
        facing = np.abs(shards.columns["head_rad"][rows, 0].astype(np.float32)) < FACING_RAD
        rows = rows[facing] if facing.sum() >= num else rows
    if "sharpness" in shards.columns:
        sharpness = shards.columns["sharpness"][rows].astype(np.float32)
        sharp = sharpness >= np.median(sharpness)
        rows = rows[sharp] if sharp.sum() >= num else rows
    return rows


def driven_sheet(
    crops: UInt8[np.ndarray, "source size size 3"],
    captions: Sequence[str],
    avatars: Sequence[Avatar],
    encoder: ExpressionEncoder,
    animator: Animator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Sources in the first row, one avatar in each row below."""
    features, _ = encode_crops(encoder, crops)
    rows = [_row([_cell(crop) for crop in crops], "source", captions)]
    for avatar in avatars:
        sitter = Sitter.of(avatar)
        drawn = [_cell(sitter.draw(v)) for v in animator.controls(features, avatar)]
        rows.append(_row(drawn, avatar.name, [""] * len(drawn)))
    return np.concatenate(rows)


def _cell(picture: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "112 112 3"]:
    return np.asarray(cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA))


def _row(
    cells: Sequence[UInt8[np.ndarray, "_ _ 3"]], name: str, captions: Sequence[str]
) -> UInt8[np.ndarray, "height width 3"]:
    row = np.full((CELL + _CAPTION, CELL * len(cells), 3), _PAPER, np.uint8)
    for i, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        row[:CELL, i * CELL : (i + 1) * CELL] = cell
        words = f"{name} {caption}" if i == 0 else caption
        at = (i * CELL + 3, CELL + 12)
        cv2.putText(row, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, _INK, 1, cv2.LINE_AA)
    return row
