"""How good an expression space is, as numbers over ready embeddings; no network runs here.

Distances are Euclidean, rows that are NaN (a peer that found no face) count as wrong answers.
`freeavatar.evaluation` feeds these functions with pictures and peers.
"""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from freeavatar.errors import DataError
from freeavatar.expression.runtime import CROP_SIZE
from freeavatar.rig import ARKIT, REGIONS

Triplets = Int[np.ndarray, "triplet 3"]
TripletType = Literal["one", "two", "three"]
TRIPLET_TYPES: tuple[TripletType, ...] = ("one", "two", "three")
"""How many classes of expression the three pictures come from (Vemulapalli & Agarwala 2019)."""
_TAR_END = 1024
"""Bytes of zeros that end a tar."""


def rightly_answered(
    embeddings: Float[np.ndarray, "picture embedding"], triplets: Triplets
) -> Bool[np.ndarray, "triplet"]:
    """d(a, p) < d(a, n) and d(a, p) < d(p, n): the FEC rule; chance is a third."""
    anchor, positive, negative = (embeddings[triplets[:, i]] for i in range(3))
    near = np.linalg.norm(anchor - positive, axis=1)
    far_a = np.linalg.norm(anchor - negative, axis=1)
    far_p = np.linalg.norm(positive - negative, axis=1)
    return (near < far_a) & (near < far_p)


def triplet_accuracy(
    embeddings: Float[np.ndarray, "picture embedding"], triplets: Triplets
) -> float:
    """Share of triplets that `rightly_answered` holds for."""
    if len(triplets) == 0:
        return float("nan")
    return float(rightly_answered(embeddings, triplets).mean())


def draw_triplets(
    distances: Float[np.ndarray, "picture picture"],
    num: int,
    rng: np.random.Generator,
    clearness: float = 0.75,
) -> Triplets:
    """Random triplets whose positive is clearly closer to the anchor than the negative is to
    either, by true distances."""
    kept: list[np.ndarray] = []
    count = 0
    for _ in range(1000):
        drawn = rng.integers(0, len(distances), (4 * num, 3))
        a, p, n = drawn.T
        near, far = distances[a, p], np.minimum(distances[a, n], distances[p, n])
        clear = (near < clearness * far) & (a != p) & (a != n) & (p != n)
        kept.append(drawn[clear])
        count += int(clear.sum())
        if count >= num:
            return np.concatenate(kept)[:num]
    raise DataError(f"Only {count} of {num} clear triplets can be drawn from these pictures.")


def draw_typed_triplets(
    measures: Sequence[Float[np.ndarray, "picture picture"]],
    classes: Int[np.ndarray, "picture"],
    num_each: int,
    rng: np.random.Generator,
    clearness: float = 0.75,
) -> dict[TripletType, Triplets]:
    """`num_each` triplets of every type (fewer where there are fewer) that are clear by every
    measure: people who disagree on how to measure a face still agree on these.

    The odd one out of three random pictures becomes the negative.
    """
    typed: dict[TripletType, Triplets] = {}
    for kind in TRIPLET_TYPES:
        kept: list[np.ndarray] = []
        for _ in range(30):
            drawn = _draw_of_type(classes, kind, 4 * num_each, rng)
            kept.append(_with_clear_oddity(measures, drawn, clearness))
            if sum(map(len, kept)) >= num_each:
                break
        typed[kind] = np.concatenate(kept)[:num_each]
    return typed


def _draw_of_type(
    classes: Int[np.ndarray, "picture"], kind: TripletType, num: int, rng: np.random.Generator
) -> Triplets:
    """Three different pictures from one, two or three classes."""
    order = np.argsort(classes, kind="stable")
    labels, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    # Classes are drawn as often as they have pictures.
    first = rng.integers(0, len(classes), num)
    of_first = np.searchsorted(labels, classes[first])

    def another(of_class: np.ndarray) -> np.ndarray:
        return order[starts[of_class] + rng.integers(0, counts[of_class])]

    anyone = rng.integers(0, len(classes), (2, num))
    second = anyone[0] if kind == "three" else another(of_first)
    third = another(of_first) if kind == "one" else anyone[1]
    drawn = np.stack([first, second, third], axis=1)
    a, b, c = classes[drawn].T
    wanted = {
        "one": np.ones(num, bool),
        "two": c != a,
        "three": (a != b) & (b != c) & (a != c),
    }[kind]
    different = (drawn[:, 0] != drawn[:, 1]) & (drawn[:, 1] != drawn[:, 2])
    return drawn[wanted & different & (drawn[:, 0] != drawn[:, 2])]


def _with_clear_oddity(
    measures: Sequence[Float[np.ndarray, "picture picture"]], drawn: Triplets, clearness: float
) -> Int[np.ndarray, "clear 3"]:
    """Triplets with the negative last, where every measure clearly says which one it is."""
    turned = [drawn[:, list(order)] for order in ((0, 1, 2), (0, 2, 1), (1, 2, 0))]
    kept = []
    for triplets in turned:
        a, p, n = triplets.T
        clear = np.ones(len(triplets), bool)
        for distances in measures:
            clear &= distances[a, p] < clearness * np.minimum(distances[a, n], distances[p, n])
        kept.append(triplets[clear])
    return np.concatenate(kept)


def expression_classes(
    shapes: Float[np.ndarray, "picture shape"], num: int, rng: np.random.Generator
) -> Int[np.ndarray, "picture"]:
    """k-means classes of expressions, started by k-means++; for naming triplet types."""
    centres = shapes[[int(rng.integers(len(shapes)))]]
    for _ in range(min(num, len(shapes)) - 1):
        near = _squared(shapes, centres).min(axis=1).astype(np.float64)
        total = near.sum()
        chosen = int(rng.choice(len(shapes), p=near / total)) if total > 0 else 0
        centres = np.concatenate([centres, shapes[[chosen]]])
    for _ in range(25):
        nearest = _squared(shapes, centres).argmin(axis=1)
        for i in range(len(centres)):
            if (nearest == i).any():
                centres[i] = shapes[nearest == i].mean(axis=0)
    return _squared(shapes, centres).argmin(axis=1)


def _squared(
    one: Float[np.ndarray, "row column"], other: Float[np.ndarray, "other column"]
) -> Float[np.ndarray, "row other"]:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2.0 * one @ other.T
    return np.maximum(squares, 0.0)


def pairwise(embeddings: Float[np.ndarray, "picture embedding"]) -> Float[np.ndarray, "_ _"]:
    """Distances between all pictures; NaN for rows without an answer."""
    return np.sqrt(_squared(embeddings, embeddings))


def relevant_by_truth(
    distances: Float[np.ndarray, "picture picture"], share: float = 0.02
) -> Bool[np.ndarray, "picture picture"]:
    """For every picture, the share of all others whose expression is truly nearest: "the same"."""
    far = distances.copy()
    np.fill_diagonal(far, np.inf)
    count = max(1, round(share * (len(far) - 1)))
    nearest = np.argpartition(far, count - 1, axis=1)[:, :count]
    relevant = np.zeros(far.shape, bool)
    np.put_along_axis(relevant, nearest, True, axis=1)
    return relevant


def retrieval_precision(
    embeddings: Float[np.ndarray, "picture embedding"],
    relevant: Bool[np.ndarray, "picture picture"],
    ks: Sequence[int] = (1, 5, 10),
) -> dict[int, float]:
    """Share of relevant pictures among the k nearest, averaged over pictures."""
    order = _neighbours(embeddings, max(ks))
    hits = np.take_along_axis(relevant, order, axis=1)
    hits[np.isnan(embeddings).any(axis=1)] = False
    return {k: float(hits[:, :k].mean()) for k in ks}


def _neighbours(
    embeddings: Float[np.ndarray, "picture embedding"], num: int
) -> Int[np.ndarray, "picture neighbour"]:
    apart = np.nan_to_num(pairwise(embeddings), nan=np.inf)
    np.fill_diagonal(apart, np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, :num]


@dataclass(frozen=True)
class IdentityLeakage:
    """How much of who a face is an embedding tells; less is better, but for `expression_wins`."""

    person_probe: float
    """Accuracy of a linear read-out of the person, on pictures it was not fitted to."""
    probe_chance: float
    neighbour_same_expression: float
    """Share of other-person nearest neighbours that show the same expression."""
    neighbour_same_person: float
    """Share of nearest neighbours that are the same person."""
    neighbour_chance: float
    """What the last would be if identity did not matter."""
    expression_wins: float
    """How often another person with the same expression lies nearer than the same person with
    another expression."""


def identity_leakage(
    embeddings: Float[np.ndarray, "picture embedding"],
    people: Int[np.ndarray, "picture"],
    same_expression: Bool[np.ndarray, "picture picture"],
    rng: np.random.Generator,
) -> IdentityLeakage:
    """All measures of identity on pictures of several people; rows without an answer are left
    out."""
    answered = ~np.isnan(embeddings).any(axis=1)
    embeddings, people = embeddings[answered], people[answered]
    same_expression = same_expression[answered][:, answered]
    apart = pairwise(embeddings)
    np.fill_diagonal(apart, np.inf)
    same_person = people[:, None] == people[None]
    nearest = apart.argmin(axis=1)
    rows = np.arange(len(people))
    other_nearest = np.where(same_person, np.inf, apart).argmin(axis=1)
    others = ~same_person & same_expression
    mine = same_person & ~same_expression
    np.fill_diagonal(mine, False)
    usable = np.flatnonzero(others.any(1) & mine.any(1))
    wins = [_pair_wins(apart[i], others[i], mine[i], rng) for i in usable]
    counts = np.unique(people, return_counts=True)[1]
    return IdentityLeakage(
        person_probe=linear_probe(embeddings, people, rng),
        probe_chance=float(counts.max() / counts.sum()),
        neighbour_same_expression=float(same_expression[rows, other_nearest].mean()),
        neighbour_same_person=float(same_person[rows, nearest].mean()),
        neighbour_chance=float((same_person.sum(1) - 1).mean() / max(len(people) - 1, 1)),
        expression_wins=float(np.mean(wins)) if wins else float("nan"),
    )


def _pair_wins(
    apart: Float[np.ndarray, "picture"],
    others: Bool[np.ndarray, "picture"],
    mine: Bool[np.ndarray, "picture"],
    rng: np.random.Generator,
    num: int = 32,
) -> float:
    same, different = np.flatnonzero(others), np.flatnonzero(mine)
    return float((apart[rng.choice(same, num)] < apart[rng.choice(different, num)]).mean())


def linear_probe(
    embeddings: Float[np.ndarray, "picture embedding"],
    labels: Int[np.ndarray, "picture"],
    rng: np.random.Generator,
) -> float:
    """Accuracy of ridge regression to one-hot labels, fitted on a random half, asked on the
    other."""
    fitted = rng.permutation(len(labels)) < len(labels) // 2
    targets = (labels[:, None] == np.unique(labels)[None]).astype(np.float64)
    said = _ridge(embeddings[fitted], targets[fitted], embeddings[~fitted])
    return float((np.unique(labels)[said.argmax(1)] == labels[~fitted]).mean())


def _ridge(
    known: Float[np.ndarray, "row feature"],
    targets: Float[np.ndarray, "row target"],
    asked: Float[np.ndarray, "asked feature"],
    strength: float = 1e-2,
) -> Float[np.ndarray, "asked target"]:
    """Ridge regression with standardised features; strength is a share of a feature's variance."""
    mean, spread = known.mean(0), known.std(0) + 1e-8
    x = ((known - mean) / spread).astype(np.float64)
    offset = targets.mean(0)
    gram = x.T @ x / len(x) + strength * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - offset) / len(x))
    return ((asked - mean) / spread) @ weights + offset


def control_probe(
    features: Float[np.ndarray, "picture feature"],
    controls: Float[np.ndarray, "picture 52"],
    people: Int[np.ndarray, "picture"],
) -> dict[str, float]:
    """Correlation of a ridge read-out with the true ARKit controls, per region and over all.

    Fitted on one half of the people and asked about the other, both ways. NaN controls and rows
    without an answer are left out.
    """
    answered = ~np.isnan(features).any(axis=1)
    features, controls, people = features[answered], controls[answered], people[answered]
    said = np.full(controls.shape, np.nan)
    in_first = np.isin(people, np.unique(people)[::2])
    for known in (in_first, ~in_first):
        if known.any() and not known.all():
            said[~known] = _ridge(features[known], np.nan_to_num(controls[known]), features[~known])
    by_control = np.full(len(ARKIT), np.nan)
    for i in range(len(ARKIT)):
        rows = ~(np.isnan(controls[:, i]) | np.isnan(said[:, i]))
        if rows.sum() > 10 and controls[rows, i].std() > 0.02 and said[rows, i].std() > 1e-9:
            by_control[i] = np.corrcoef(said[rows, i], controls[rows, i])[0, 1]
    result = {"all": _mean(by_control)}
    for region in REGIONS:
        if len(ARKIT.columns(region)):
            result[region] = _mean(by_control[ARKIT.columns(region)])
    return result


def _mean(values: Float[np.ndarray, "_"]) -> float:
    """Mean of what is known; NaN, silently, when nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True)
class MirrorCases:
    """Lopsided faces, each with one face that truly shows the mirrored expression and one that
    shows its own; rows of the same pictures."""

    asked: Int[np.ndarray, "case"]
    like_mirror: Int[np.ndarray, "case"]
    like_original: Int[np.ndarray, "case"]


def mirror_cases(
    to_mirror: Float[np.ndarray, "picture picture"],
    distances: Float[np.ndarray, "picture picture"],
    clearness: float = 0.5,
) -> MirrorCases:
    """Faces that differ from their mirror image by at least the median distance between two faces,
    and whose best stand-in for the mirrored expression is a clear one.

    `to_mirror[i, j]` is the true distance from the mirrored expression of i to that of j.
    """
    typical = float(np.median(distances[np.triu_indices(len(distances), 1)]))
    lopsided = np.flatnonzero(np.diagonal(to_mirror) > typical)
    far_self, far_own = to_mirror[lopsided].copy(), distances[lopsided].copy()
    rows = np.arange(len(lopsided))
    far_self[rows, lopsided] = far_own[rows, lopsided] = np.inf
    like_mirror, like_original = far_self.argmin(1), far_own.argmin(1)
    clear = to_mirror[lopsided, like_mirror] < clearness * to_mirror[lopsided, like_original]
    return MirrorCases(lopsided[clear], like_mirror[clear], like_original[clear])


def mirror_accuracy(
    embeddings: Float[np.ndarray, "picture embedding"],
    mirrored: Float[np.ndarray, "case embedding"],
    cases: MirrorCases,
) -> float:
    """Share of mirrored pictures nearer to the mirrored expression than to the original one."""
    if len(cases.asked) == 0:
        return float("nan")
    near = np.linalg.norm(mirrored - embeddings[cases.like_mirror], axis=1)
    return float((near < np.linalg.norm(mirrored - embeddings[cases.like_original], axis=1)).mean())


def typical_distance(embeddings: Float[np.ndarray, "picture embedding"]) -> float:
    """Median distance between two random faces: what drift is measured in."""
    answered = embeddings[~np.isnan(embeddings).any(axis=1)]
    if len(answered) < 2:
        return float("nan")
    return float(np.median(pairwise(answered)[np.triu_indices(len(answered), 1)]))


@dataclass(frozen=True)
class Drift:
    """What damage to a picture does to its embedding."""

    median: float
    """Distance from the embedding of the clean picture, in typical distances."""
    without_output: float
    """Share of pictures for which there is no answer any more, of those that had one."""


def drift(
    clean: Float[np.ndarray, "picture embedding"],
    damaged: Float[np.ndarray, "picture embedding"],
    typical: float,
) -> Drift:
    """Drift over pictures; the median is over those that still have an answer."""
    had = ~np.isnan(clean).any(axis=1)
    gone = np.isnan(damaged[had]).any(axis=1)
    moved = np.linalg.norm((damaged - clean)[had][~gone], axis=1)
    return Drift(
        float(np.median(moved)) / typical if len(moved) else float("nan"),
        float(gone.mean()) if had.any() else float("nan"),
    )


def turn_drift(
    embeddings: Float[np.ndarray, "picture embedding"],
    distances: Float[np.ndarray, "picture picture"],
    people: Int[np.ndarray, "picture"],
    yaw_rad: Float[np.ndarray, "picture"],
    typical: float,
) -> Drift:
    """Drift of faces turned by 30 to 50 degrees, estimated without pairs of equal expression.

    Each is compared with the frontal face of the same person that is truly nearest; what frontal
    faces as close in expression are apart is taken off (in squares, as independent parts add).
    """
    frontal = np.abs(yaw_rad) < np.radians(12)
    turned = (np.abs(yaw_rad) > np.radians(30)) & (np.abs(yaw_rad) < np.radians(51))
    answered = ~np.isnan(embeddings).any(axis=1)
    nearest = _nearest_frontal(distances, people, frontal & answered)
    gone = float((~answered[turned]).mean()) if turned.any() else float("nan")
    pairs = {}
    for name, rows in (("turned", turned & answered), ("frontal", frontal & answered)):
        rows = np.flatnonzero(rows & (nearest >= 0))
        pairs[name] = rows, distances[rows, nearest[rows]]
    (turned_rows, gaps), (frontal_rows, frontal_gaps) = pairs["turned"], pairs["frontal"]
    if len(turned_rows) == 0 or len(frontal_rows) == 0:
        return Drift(float("nan"), gone)
    # For each turned pair a frontal pair as far apart in truth.
    order = np.argsort(frontal_gaps)
    place = np.searchsorted(frontal_gaps[order], gaps).clip(0, len(order) - 1)
    matched = frontal_rows[order[place]]
    moved = np.linalg.norm(embeddings[turned_rows] - embeddings[nearest[turned_rows]], axis=1)
    usual = np.linalg.norm(embeddings[matched] - embeddings[nearest[matched]], axis=1)
    squared = float(np.median(moved)) ** 2 - float(np.median(usual)) ** 2
    return Drift(float(np.sqrt(max(squared, 0.0))) / typical, gone)


def _nearest_frontal(
    distances: Float[np.ndarray, "picture picture"],
    people: Int[np.ndarray, "picture"],
    frontal: Bool[np.ndarray, "picture"],
) -> Int[np.ndarray, "picture"]:
    """The truly nearest other frontal picture of the same person; -1 where there is none."""
    allowed = (people[:, None] == people[None]) & frontal[None]
    np.fill_diagonal(allowed, False)
    far = np.where(allowed, distances, np.inf)
    return np.where(allowed.any(axis=1), far.argmin(axis=1), -1)


def read_triplets(table: Path, num_pictures: int) -> tuple[Triplets, list[str]]:
    """Triplets and their types from a csv with the columns a, p, n (rows of pictures) and type."""
    if not table.is_file():
        raise DataError(f"There is no file {table}. Give a csv with the columns a, p, n and type.")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{table} cannot be read ({error}). Give a csv with the columns a, p, n and type."
        ) from error
    missing = {"a", "p", "n", "type"} - set(found)
    if missing:
        raise DataError(
            f"{table} lacks the column {sorted(missing)[0]} (it has: {', '.join(found)[:80]!r}). "
            "Triplets need a, p, n and type."
        )
    try:
        triplets = np.array([[int(row[key]) for key in "apn"] for row in rows], int).reshape(-1, 3)
    except (ValueError, TypeError) as error:  # TypeError: the row is too short
        raise DataError(f"{table} holds something that is no row number ({error}).") from error
    outside = (triplets < 0) | (triplets >= num_pictures)
    if outside.any():
        raise DataError(f"{table} names picture {triplets[outside][0]} of {num_pictures}.")
    return triplets, [row["type"] for row in rows]


def read_human_triplets(
    folder: Path,
) -> tuple[UInt8[np.ndarray, "picture size size 3"], Triplets, list[str]]:
    """Crops, triplets and their types of a set judged by people (evaluation only).

    `folder` holds triplets.csv (a, p, n, type: rows of the pictures in name order) and
    faces-48px.tar.
    """
    archive_path = folder / "faces-48px.tar"
    if not archive_path.is_file():
        raise DataError(f"{folder} is no set of human triplets: it holds no {archive_path.name}.")
    pictures = []
    for name, data in sorted(_read_whole_tar(archive_path).items()):
        encoded = np.frombuffer(data, np.uint8)
        picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
        if picture is None:
            raise DataError(f"{name} in {archive_path} is not a readable picture. Fetch it again.")
        enlarged = cv2.resize(picture, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
        pictures.append(enlarged[..., ::-1])
    if not pictures:
        raise DataError(f"{archive_path} holds no picture. Fetch it again.")
    triplets, kinds = read_triplets(folder / "triplets.csv", len(pictures))
    return np.stack(pictures), triplets, kinds


def _read_whole_tar(path: Path) -> dict[str, bytes]:
    """All files by name. Rows of a table count them, so one that was cut short is refused."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isfile():
                    stream = archive.extractfile(member)
                    assert stream is not None  # only files get here
                    files[member.name] = stream.read()
                    if len(files[member.name]) < member.size:
                        raise tarfile.ReadError("unexpected end of data")
        with path.open("rb") as file:
            file.seek(-min(_TAR_END, path.stat().st_size), 2)
            # A whole tar ends with zeros; tarfile takes one cut between two files for whole.
            if any(file.read()):
                raise tarfile.ReadError("it ends without an end mark")
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            f"{path} is damaged or cut short after {len(files)} files ({error}). Fetch it again."
        ) from error
    return files
