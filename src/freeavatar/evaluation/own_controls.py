"""Does an avatar get its own controls back from its own pictures? Of those no training has seen.

The judging tenth of a picture set (`renderer.data`) is looked at by the expression encoder and
driven by the animator; what comes out is compared with what drew the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.animator.data import encode_crops
from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import DataError
from freeavatar.evaluation.report import Section
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.renderer.data import AvatarSet, encoder_crops, open_avatar_set, range_shares
from freeavatar.rig import RigSpec

MOVING_STD = 0.05
"""Of a control's range; correlation with what moves less would be noise."""


@dataclass(frozen=True)
class OwnPictures:
    """Judging pictures of one avatar, as the encoder describes them, and what drew them."""

    avatar: str
    rig: RigSpec
    features: Float[np.ndarray, "picture feature"]
    controls: Float[np.ndarray, "picture control"]


def judging_pictures(
    avatar_set: AvatarSet, encoder: ExpressionEncoder, most: int | None = None
) -> OwnPictures:
    """The pictures of a set that no training sees, or the first `most` of them, encoded."""
    rows = np.arange(avatar_set.num_train, len(avatar_set))[:most]
    features, _ = encode_crops(encoder, encoder_crops(avatar_set.shards.gather(rows)))
    return OwnPictures(avatar_set.avatar, avatar_set.rig, features, avatar_set.controls[rows])


def own_correlation(pictures: OwnPictures, controls: Float[np.ndarray, "picture control"]) -> float:
    """Pearson's correlation of predicted `controls` with the true ones, mean over those that move.

    A control that is predicted as a constant counts as 0; NaN when none moves.
    """
    found = range_shares(pictures.rig, controls)
    truth = range_shares(pictures.rig, pictures.controls)
    scores = [
        np.corrcoef(found[:, i], truth[:, i])[0, 1] if found[:, i].std() > 1e-6 else 0.0
        for i in np.flatnonzero(truth.std(axis=0) > MOVING_STD)
    ]
    return float(np.mean(scores)) if scores else float("nan")


def own_controls(
    folder: Path,
    avatars: Sequence[Avatar],
    encoder: ExpressionEncoder,
    animator: Animator,
    on_progress: Callable[[str, int, int | None], None],
) -> Section:
    """A row for every set below `folder` whose avatar the animator knows.

    `avatars` lend their own weights files; the others are looked up in the animator's own table.
    """
    folders = sorted(path.parent for path in folder.glob("*/index.json"))
    if not folders:
        raise DataError(
            f"{folder} holds no picture sets of avatars; "
            "draw them with recipes/train_renderer.py --only-draw."
        )
    by_name = {avatar.name: avatar for avatar in avatars}
    rows: dict[str, float] = {}
    strangers = []
    for number, one in enumerate(folders):
        on_progress("own controls", number, len(folders))
        avatar_set = open_avatar_set(one)
        drive = _driver(avatar_set, by_name.get(avatar_set.avatar), animator)
        if drive is None:
            strangers.append(avatar_set.avatar)
            continue
        pictures = judging_pictures(avatar_set, encoder)
        shown = f"{pictures.avatar}, {len(pictures.rig)} controls"
        rows[shown] = own_correlation(pictures, drive(pictures.features))
    note = (
        "Each avatar's own pictures, the tenth that no training sees: correlation of all its "
        "controls with those that drew them, mean over the ones that move."
    )
    if strangers:
        note += f" Left out, as the animator does not know their rigs: {', '.join(strangers)}."
    section = Section("Own controls", note)
    for shown, score in rows.items():
        section.add(shown, {"correlation": score})
    if rows:
        section.add("mean", {"correlation": float(np.nanmean(list(rows.values())))})
    return section


_Drive = Callable[[np.ndarray], np.ndarray]
"""Features to controls."""


def _driver(avatar_set: AvatarSet, avatar: Avatar | None, animator: Animator) -> _Drive | None:
    """How the animator drives the very rig that was drawn; None when it does not know it."""
    if avatar is not None:
        if avatar.rig.digest != avatar_set.rig.digest or not animator.knows(avatar):
            return None
        return lambda features: animator.controls(features, avatar)
    try:
        found = animator.member_controls(avatar_set.avatar, np.zeros((0, 0), np.float32))
    except KeyError:
        return None
    if found.shape[1] != len(avatar_set.rig):
        return None
    return lambda features: animator.member_controls(avatar_set.avatar, features)
