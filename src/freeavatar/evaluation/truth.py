"""True distance between two expressions: how far the skin of one canonical head moves, by region.

Independent of the distance that training uses (`expression.losses`), so that a space is not graded
by the ruler it was made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import CANONICAL_HEAD, resolve
from freeavatar.rig import ARKIT, Region

# A region's largest single movement counts as much as any other region's, but for those that are
# small in a picture.
REGION_WEIGHTS: dict[Region, float] = {
    "brow": 1.0,
    "eye": 1.0,
    "gaze": 0.6,
    "jaw": 1.0,
    "mouth": 1.0,
    "cheek": 0.7,
    "nose": 0.7,
    "tongue": 0.8,
}
_SKIN_REGIONS: tuple[Region, ...] = ("brow", "eye", "jaw", "mouth", "cheek", "nose")


@dataclass(frozen=True)
class CanonicalHead:
    """Linear maps from ARKit values to where the skin of each region goes.

    |map @ (a - b)| is the root of the summed squares of all its vertices' movements, in units of
    the largest such movement by a single control.
    """

    maps: tuple[Float[np.ndarray, "rank 52"], ...]
    weights: tuple[float, ...]

    def shapes(
        self, controls: Float[np.ndarray, "picture 52"]
    ) -> list[Float[np.ndarray, "picture _"]]:
        """What every region does, weighed; gaze and tongue as far as they are to be seen."""
        blocks = [
            weight * controls @ matrix.T
            for weight, matrix in zip(self.weights, self.maps, strict=True)
        ]
        return [*blocks, _gaze(controls), _tongue(controls)]

    def distances(
        self,
        controls: Float[np.ndarray, "picture 52"],
        others: Float[np.ndarray, "other 52"] | None = None,
    ) -> Float[np.ndarray, "picture other"]:
        """Euclidean per region, summed over regions."""
        rows = self.shapes(controls)
        columns = rows if others is None else self.shapes(others)
        return region_sum(rows, columns)


def region_sum(
    rows: Sequence[Float[np.ndarray, "row _"]], columns: Sequence[Float[np.ndarray, "column _"]]
) -> Float[np.ndarray, "row column"]:
    """Sum over regions of the Euclidean distances between rows and columns."""
    total = np.zeros((len(rows[0]), len(columns[0])))
    for one, other in zip(rows, columns, strict=True):
        squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2.0 * one @ other.T
        total += np.sqrt(np.maximum(squares, 0.0))
    return total


def control_distances(
    controls: Float[np.ndarray, "picture 52"],
) -> Float[np.ndarray, "picture picture"]:
    """The plain ruler beside the canonical one: control values per region, as in the training
    loss."""
    blocks = [weight * controls[:, ARKIT.columns(r)] for r, weight in REGION_WEIGHTS.items()]
    return region_sum(blocks, blocks)


def _gaze(controls: Float[np.ndarray, "picture 52"]) -> Float[np.ndarray, "picture 4"]:
    """Where both eyes look, less so the more the lids hide it."""
    angles = []
    for side in ("Left", "Right"):
        value = {
            n: controls[:, ARKIT.index(f"eyeLook{n}{side}")] for n in ("In", "Out", "Up", "Down")
        }
        seen = 1.0 - np.clip(controls[:, ARKIT.index(f"eyeBlink{side}")], 0.0, 1.0)
        angles += [(value["In"] - value["Out"]) * seen, (value["Up"] - value["Down"]) * seen]
    return REGION_WEIGHTS["gaze"] * np.stack(angles, axis=1) / np.sqrt(2.0)


def _tongue(controls: Float[np.ndarray, "picture 52"]) -> Float[np.ndarray, "picture 1"]:
    return REGION_WEIGHTS["tongue"] * controls[:, [ARKIT.index("tongueOut")]]


@cache
def canonical_head(name: str = CANONICAL_HEAD) -> CanonicalHead:
    """Measured on a bundled head."""
    moves = _skin_moves(resolve(name))
    lengths = np.linalg.norm(moves, axis=2)
    by_region = np.stack([lengths[ARKIT.columns(r)].max(axis=0) for r in _SKIN_REGIONS])
    region_of_vertex = by_region.argmax(axis=0)
    maps = []
    for i in range(len(_SKIN_REGIONS)):
        part = moves[:, region_of_vertex == i].reshape(len(ARKIT), -1)
        gram = part @ part.T
        values, vectors = np.linalg.eigh(gram / max(np.diagonal(gram).max(), 1e-12))
        maps.append((vectors * np.sqrt(np.maximum(values, 0.0))).T)
    return CanonicalHead(tuple(maps), tuple(REGION_WEIGHTS[r] for r in _SKIN_REGIONS))


def _skin_moves(avatar: Avatar) -> Float[np.ndarray, "52 vertex 3"]:
    """Movement of every skin vertex for each ARKit control at 1."""
    assert avatar.arkit_to_rig is not None  # bundled heads are understood
    morph_weights = avatar.bindings @ avatar.arkit_to_rig
    moved = [
        np.tensordot(morph_weights[s.morphs].T.astype(np.float64), s.deltas, axes=1)
        for s in avatar.surfaces
        if s.material.kind == "skin"
    ]
    return np.concatenate(moved, axis=1)
