"""Are curves of real faces possible? What no rendered picture can tell.

Real faces have no true curves. The 52-score net, poor as its scale is, knows that few people in
pictures have their eyes shut: curves that disagree with it in kind are wrong, however well they do
on renders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.animator.data import encode_crops
from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import DataError
from freeavatar.evaluation.expression import held_out_rows
from freeavatar.evaluation.peers import from_stored
from freeavatar.evaluation.report import Section
from freeavatar.expression.data import TAUGHT_CONTROLS
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.rig import ARKIT
from freeavatar.training.shards import open_shards

STRONG = 0.9
SHUT = 0.6
"""Of eyeBlink: from here on an eye is closed to who looks at it."""
MOVING_STD = 0.02
ARKIT_CURVES, SCORES = "ARKit curves", "52-score net"


def real_curves(
    folder: Path,
    num: int,
    avatars: Sequence[Avatar],
    encoder: ExpressionEncoder,
    animator: Animator,
) -> Section:
    """ARKit's curves, and the controls of avatars with ARKit's names, of faces outside the training
    split beside what the 52-score net says of them; DataError for a set without its scores."""
    shards = open_shards(folder)
    if "teacher" not in shards.columns:
        raise DataError(f"{folder} has no scores of the 52-score net. Make it with --teachers.")
    rows = held_out_rows(shards, folder, num)
    scores = shards.columns["teacher"][rows].astype(np.float64)
    taught = np.isin(ARKIT.names, TAUGHT_CONTROLS)
    known = ~np.isnan(scores[:, taught]).any(axis=1)
    scores = scores[known]
    features, _ = encode_crops(encoder, from_stored(shards.gather(rows[known])).crops)
    answers = {ARKIT_CURVES: animator.controls(features, ARKIT)}
    for avatar in avatars:
        if set(avatar.rig.names) == set(ARKIT.names):
            own = animator.controls(features, avatar)
            answers[avatar.name] = own[:, [avatar.rig.index(name) for name in ARKIT.names]]
    section = Section(
        "Real faces",
        f"{len(scores)} of {folder.name} outside the training split beside the 52-score net, which "
        "has no truth but a sense of what faces do: over the channels that it is believed in. "
        f"Strong: above {STRONG}. Shut: eyeBlink above {SHUT}.",
    )
    section.add(
        "correlation with it", {n: _agreement(a, scores, taught) for n, a in answers.items()}
    )
    section.add(
        "mean absolute difference from it",
        {n: float(np.abs(a - scores)[:, taught].mean()) for n, a in answers.items()},
    )
    both = answers | {SCORES: scores}
    section.add(
        "share of strong values",
        {n: float((a[:, taught] > STRONG).mean()) for n, a in both.items()},
    )
    lid = ARKIT.index("eyeBlinkLeft")
    section.add(
        "share of faces with a shut left eye",
        {n: float((a[:, lid] > SHUT).mean()) for n, a in both.items()},
    )
    return section


def _agreement(
    answers: Float[np.ndarray, "face 52"],
    scores: Float[np.ndarray, "face 52"],
    taught: np.ndarray,
) -> float:
    """Pearson's correlation, mean over the channels that move; a constant counts as 0."""
    found = [
        np.corrcoef(answers[:, i], scores[:, i])[0, 1] if answers[:, i].std() > 1e-6 else 0.0
        for i in np.flatnonzero(taught)
        if scores[:, i].std() > MOVING_STD
    ]
    return float(np.mean(found)) if found else float("nan")
