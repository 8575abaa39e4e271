"""One actor's profile: the neutral face and the reach of each control, kept for other takes.

Found in two passes over a take: the calmest frames give the neutral face, and curves made in the
knowledge of it say how far this actor's face goes. The neutral is kept as what the expression model
saw, so that it serves every avatar, also ones that come later.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.rig import ARKIT, ARKIT_NAMES, mirror_name

FORMAT = "freeavatar actor profile"
VERSION = 1
_FULL = 0.9
"""What an actor's farthest movement becomes."""
_TRIED = 0.45
"""A control that went less far was not tried: its reach is unknown and stays."""
_MOST_GAIN = 1.6
"""More would make noise of the estimate visible."""


@dataclass(frozen=True)
class ActorProfile:
    """What takes of one actor share."""

    source: str
    """Name of the take that it was found in."""
    weights: str
    """Of the networks it was found with; others see other features."""
    trust: float
    """How far the neutral is believed, 0 to 1."""
    neutral_features: Float[np.ndarray, " feature"]
    """Output of the expression model on the neutral face."""
    neutral_head_rad: Float[np.ndarray, " 3"]
    gains: Float[np.ndarray, " 52"]
    """By ARKit control; 1 where the take says nothing."""


@dataclass(frozen=True)
class RigProfile:
    """What is left to do on one rig when the animator knows the actor's face at rest."""

    head_rad: Float[np.ndarray, " 3"]
    """Counts as straight ahead."""
    gains: Float[np.ndarray, " control"]


def reach_gains(clip: AnimationClip) -> Float[np.ndarray, " 52"]:
    """Gains that take an actor's farthest movements to 0.9; the clip is ARKit's, neutral removed.

    Both sides get the same gain: a face that is crooked by nature stays crooked.
    """
    seen = clip.values[clip.found]
    if clip.rig.names != ARKIT_NAMES or len(seen) == 0:
        return np.ones(len(ARKIT))
    reach = np.percentile(seen, 98, axis=0)
    for column, name in enumerate(ARKIT_NAMES):
        other = ARKIT.index(mirror_name(name))
        reach[column] = reach[other] = max(reach[column], reach[other])
    tried = reach >= _TRIED
    gains = np.where(tried, np.clip(_FULL / np.maximum(reach, 1e-6), 1.0, _MOST_GAIN), 1.0)
    gains[ARKIT.columns("gaze")] = 1.0
    return gains


def rig_gains(
    gains: Float[np.ndarray, " 52"],
    names: tuple[str, ...],
    arkit_to_rig: Float[np.ndarray, "control 52"] | None,
) -> Float[np.ndarray, " control"]:
    """The same for the controls of a rig: by name, or by what ARKit moves them; else 1."""
    found = np.ones(len(names))
    for column, name in enumerate(names):
        if name in ARKIT:
            found[column] = gains[ARKIT.index(name)]
        elif arkit_to_rig is not None and arkit_to_rig[column].any():
            found[column] = np.average(gains, weights=np.abs(arkit_to_rig[column]))
    return found


def write_profile(path: Path, profile: ActorProfile) -> None:
    """Indented JSON; gains by name, to be read and changed by hand."""
    record = {
        "format": FORMAT,
        "version": VERSION,
        "source": profile.source,
        "weights": profile.weights,
        "trust": round(profile.trust, 4),
        "gains": {n: round(float(g), 4) for n, g in zip(ARKIT_NAMES, profile.gains, strict=True)},
        "neutral_head_rad": [round(float(angle), 6) for angle in profile.neutral_head_rad],
        "neutral_features": [float(f"{v:.6g}") for v in profile.neutral_features],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def read_profile(path: Path, weights: str) -> ActorProfile:
    """CurveFileError for a file that is no profile, or one made with other networks."""
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CurveFileError(
            f"The profile {path} cannot be read: {error.strerror or error}. Check the path."
        ) from error
    except ValueError as error:
        raise CurveFileError(f"{path} is not an actor's profile: it is no JSON. {_MAKE}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CurveFileError(f'{path} is not an actor\'s profile (no "{FORMAT}"). {_MAKE}')
    if record.get("version") != VERSION:
        raise CurveFileError(
            f"{path} is of version {record.get('version')}, not {VERSION}. {_MAKE}"
        )
    if record.get("weights") != weights:
        raise CurveFileError(
            f"The profile {path} was made with other networks than those installed. {_MAKE}"
        )
    try:
        given = record["gains"]
        profile = ActorProfile(
            str(record["source"]),
            weights,
            float(record["trust"]),
            np.array(record["neutral_features"], np.float32),
            np.array(record["neutral_head_rad"], np.float64),
            np.array([float(given.get(name, 1.0)) for name in ARKIT_NAMES]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CurveFileError(
            f"{path} lacks something or holds no numbers ({error}). {_MAKE}"
        ) from error
    numbers = (profile.neutral_features, profile.neutral_head_rad, profile.gains)
    shaped = profile.neutral_features.ndim == 1 and profile.neutral_head_rad.shape == (3,)
    if not shaped or not all(np.isfinite(some).all() for some in numbers):
        raise CurveFileError(f"{path} holds something that is not a number. {_MAKE}")
    return profile


_MAKE = "Make one with: freeavatar calibrate TAKE --out actor.json"
