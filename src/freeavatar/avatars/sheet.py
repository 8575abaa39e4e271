"""Contact sheet of an avatar: every control alone, with its name beneath it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.scene import PreparedAvatar, portrait_camera, prepare, render
from freeavatar.errors import OutputError

_PAPER, _INK = (24, 25, 28), (225, 226, 230)
_CAPTION_HEIGHT = 22
_MARGIN = 0.72
"""Closer than a portrait: lids and lips matter here, shoulders do not."""


def contact_sheet(
    avatar: Avatar, cell: int = 192, columns: int = 8
) -> UInt8[np.ndarray, "height width 3"]:
    """The face at rest, then every control alone at the end of its range farthest from rest."""
    prepared = prepare(avatar)
    rows = -(-(len(avatar.rig) + 1) // columns)
    tall = cell + _CAPTION_HEIGHT
    canvas = np.full((rows * tall, columns * cell, 3), _PAPER, np.uint8)
    for place in range(len(avatar.rig) + 1):
        controls, caption = avatar.rig.rest.copy(), "at rest"
        if place > 0:
            control = avatar.rig.controls[place - 1]
            up, down = control.maximum - control.rest, control.rest - control.minimum
            controls[place - 1] = control.maximum if up >= down else control.minimum
            caption = control.name
        top, left = place // columns * tall, place % columns * cell
        canvas[top : top + cell, left : left + cell] = _portrait(avatar, prepared, controls, cell)
        _write(canvas[top + cell : top + tall, left : left + cell], caption)
    return canvas


def write_sheet(path: Path, avatar: Avatar) -> None:
    """Save the contact sheet as a picture; the ending of the name chooses the format."""
    sheet = np.ascontiguousarray(contact_sheet(avatar)[..., ::-1])
    try:
        written = cv2.imwrite(str(path), sheet)
    except cv2.error:
        written = False
    if not written:
        raise OutputError(
            f"Cannot write the picture {path}. Choose a folder that exists and a name that ends "
            "in .png or .jpg."
        )


def _portrait(
    avatar: Avatar, prepared: PreparedAvatar, controls: Float[np.ndarray, "control"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    camera = portrait_camera(avatar.face, margin=_MARGIN)
    return render(prepared, pose(avatar, controls), camera, width=size, height=size).rgb


def _write(band: UInt8[np.ndarray, "height width 3"], text: str) -> None:
    """Centre the text in the band, smaller or cut where it does not fit."""
    height, width = band.shape[:2]
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.42
    letters = "".join(letter if letter.isascii() else "?" for letter in text)
    (wide, tall), _ = cv2.getTextSize(letters, font, scale, 1)
    if wide > width - 6:
        scale = max(scale * (width - 6) / wide, 0.3)
        (wide, tall), _ = cv2.getTextSize(letters, font, scale, 1)
    place = (max((width - wide) // 2, 3), (height + tall) // 2)
    line = np.ascontiguousarray(band)
    cv2.putText(line, letters, place, font, scale, _INK, 1, cv2.LINE_AA)
    band[:] = line
