"""The whole examination of an expression encoder: renders, real faces, people's votes, damage.

Every part is asked of the encoder and of its peers on the same pictures. Nothing here may be
trained on: renders of held-out people, faces outside the training split, human triplets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from freeavatar.errors import DataError
from freeavatar.evaluation.cache import EncodingCache
from freeavatar.evaluation.corruptions import IN_PLACE, rolled
from freeavatar.evaluation.peers import (
    Encoded,
    FaceFinder,
    MaskedTrunk,
    MediaPipe52,
    Method,
    OurEncoder,
    Pictures,
    RawPixels,
    aligned,
    from_stored,
)
from freeavatar.evaluation.report import Section
from freeavatar.evaluation.sheets import neighbour_sheet, spread_out
from freeavatar.evaluation.truth import canonical_head, control_distances
from freeavatar.expression import evaluate as measures
from freeavatar.expression.data import strengths
from freeavatar.expression.evaluate import TRIPLET_TYPES, Triplets
from freeavatar.rig import ARKIT
from freeavatar.training.shards import ShardSet, open_shards

PROBED_COMPONENTS = 32
"""Numbers that a probe for the person may read: as many as the embedding has."""

FRONTAL_RAD = np.radians(12)

OnProgress = Callable[[str, int, int | None], None]
"""Stage, steps done, steps in all."""


@dataclass(frozen=True)
class Judges:
    """Where the pictures lie, and how many of them are looked at."""

    renders: Path | None = None
    """A render set of people who are in no training set."""
    turned: Path | None = None
    """The same set drawn with heads turned away, or the beginning of it."""
    faces: Path | None = None
    """A face set with a test split and the teachers' labels."""
    triplets: Path | None = None
    """Triplets that people voted on: triplets.csv and faces-48px.tar."""
    components: Path | None = None
    """Folder that holds face_blendshapes.onnx; without it there is no MediaPipe-52 column."""
    mae: Path | None = None
    """A masked autoencoder, whose features alone are asked who it is."""
    num_renders: int = 3000
    num_faces: int = 1000
    num_triplets: int = 4000
    """Of each type."""
    num_damaged: int = 120
    """Renders and faces that are damaged in every way."""
    num_classes: int = 40
    """Classes of expression that the types of render triplets are counted by."""
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What the examination found."""

    sections: list[Section]
    facts: dict[str, Any]
    methods: tuple[str, ...]
    neighbours: UInt8[np.ndarray, "height width 3"] | None
    """Nearest faces of 24 real faces."""


@dataclass
class _Session:
    """What all parts share."""

    judges: Judges
    methods: list[Method]
    cache: EncodingCache
    progress: OnProgress
    pretrained: Method | None = None
    """Knows faces by pretraining alone; asked only who they are."""
    sections: list[Section] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    neighbours: np.ndarray | None = None

    @property
    def ours(self) -> str:
        return self.methods[0].name

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.judges.seed)

    def encode(self, what: str, pictures: Pictures) -> dict[str, Encoded]:
        """By method."""
        encoded = {}
        for i, method in enumerate(self.methods):
            self.progress(f"{what}: {method.name}", i, len(self.methods))
            encoded[method.name] = self.cache.encode(method, pictures)
        return encoded

    def section(self, title: str, note: str) -> Section:
        self.sections.append(Section(title, note))
        return self.sections[-1]


def examine(
    judges: Judges,
    cache_folder: Path,
    encoder: Path | None = None,
    progress: OnProgress = lambda _stage, _done, _total: None,
) -> Outcome:
    """Everything that the given folders allow; `encoder` is an ONNX file, None the shipped one."""
    if judges.renders is None and judges.faces is None and judges.triplets is None:
        raise DataError("Nothing to judge by. Give --renders, --faces or --triplets.")
    cv2.setNumThreads(1)
    ours = OurEncoder(encoder)
    methods: list[Method] = [ours]
    if judges.components is not None:
        methods.append(MediaPipe52(judges.components))
    methods.append(RawPixels())
    alone = None if judges.mae is None else MaskedTrunk(judges.mae)
    session = _Session(judges, methods, EncodingCache(cache_folder), progress, alone)
    session.facts["encoder"] = f"{ours.path.name} (sha256 {ours.fingerprint})"
    if judges.renders is not None:
        _judge_renders(session, judges.renders)
    if judges.faces is not None:
        _judge_faces(session, judges.faces)
    if judges.triplets is not None:
        _judge_human_triplets(session, judges.triplets)
    asked = methods if alone is None else [*methods, alone]
    names = tuple(method.name for method in asked)
    return Outcome(session.sections, session.facts, names, session.neighbours)


# --- renders: the truth is known --------------------------------------------------------------


@dataclass(frozen=True)
class _Renders:
    pictures: Pictures
    controls: Float[np.ndarray, "picture 52"]
    """What each face does, as ARKit values of the canonical head; 0 where its actor cannot."""
    known: Float[np.ndarray, "picture 52"]
    """The values that its sliders were set to, NaN there."""
    people: Int[np.ndarray, "picture"]
    yaw_rad: Float[np.ndarray, "picture"]
    distances: Float[np.ndarray, "picture picture"]


def _judge_renders(session: _Session, folder: Path) -> None:
    shards = open_shards(folder)
    if "arkit" not in shards.columns or "shows" not in shards.index:
        raise DataError(f"{folder} is no render set: it has no ARKit truth. Give it as --faces?")
    renders = _read_renders(shards, session.judges.num_renders)
    session.facts["renders"] = (
        f"{len(renders.people)} of {len(np.unique(renders.people))} people in {folder.name}"
    )
    encoded = session.encode("renders", renders.pictures)
    neutral = np.linalg.norm(renders.controls, axis=1) < 0.15
    spaces = {
        name: _without_neutral(e.embeddings, renders.people, neutral)
        if name == MediaPipe52.name
        else e.embeddings
        for name, e in encoded.items()
    }
    _render_triplets(session, renders, spaces)
    _retrieval(session, renders, spaces)
    _mirror(session, renders, encoded)
    _controls(session, renders, encoded)
    _drift(session, "renders", renders.pictures, encoded, spaces, renders)
    if session.judges.turned is not None:
        _turned(session, shards, session.judges.turned, spaces)


def _read_renders(shards: ShardSet, num: int) -> _Renders:
    rows = _evenly(len(shards), num)
    people = shards.columns["actor"][rows].astype(int)
    controls = shards.columns["arkit"][rows].astype(np.float64)
    moved = controls * strengths(shards, rows)
    shows = np.asarray(shards.index["shows"], bool)[people]
    return _Renders(
        from_stored(shards.gather(rows)),
        moved,
        np.where(shows, controls, np.nan),
        people,
        shards.columns["head_rad"][rows, 0].astype(np.float64),
        canonical_head().distances(moved),
    )


def _evenly(total: int, num: int) -> Int[np.ndarray, "row"]:
    return np.unique(np.linspace(0, total - 1, min(num, total)).astype(int))


def _without_neutral(
    scores: Float[np.ndarray, "picture score"],
    people: Int[np.ndarray, "picture"],
    neutral: np.ndarray,
) -> Float[np.ndarray, "picture score"]:
    """Minus the person's median neutral face, which is how the scores are best used."""
    moved = scores.copy()
    for person in np.unique(people):
        at_rest = scores[(people == person) & neutral]
        at_rest = at_rest[~np.isnan(at_rest).any(axis=1)]
        if len(at_rest):
            moved[people == person] -= np.median(at_rest, axis=0)
    return moved


def _render_triplets(
    session: _Session, renders: _Renders, spaces: dict[str, Float[np.ndarray, "_ _"]]
) -> None:
    section = session.section(
        "Triplets on held-out people",
        "Right by the FEC rule, on triplets that are clear both by how far a canonical head's skin "
        "moves and by control values. The types count classes of expression (k-means). "
        "MediaPipe-52: per-person neutral removed; no answer counts as wrong, except in the last "
        "row.",
    )
    rng = session.rng()
    shapes = np.concatenate(canonical_head().shapes(renders.controls), axis=1)
    classes = measures.expression_classes(shapes, session.judges.num_classes, rng)
    rulers = [renders.distances, control_distances(renders.controls)]
    typed = measures.draw_typed_triplets(rulers, classes, session.judges.num_triplets, rng)
    every = np.concatenate([typed[kind] for kind in TRIPLET_TYPES])
    _add_triplets(section, "all", every, spaces)
    for kind in TRIPLET_TYPES:
        _add_triplets(section, f"{kind}-class", typed[kind], spaces)
    a, p, n = renders.people[every].T
    _add_triplets(section, "negative is the anchor's own face", every[(a != p) & (a == n)], spaces)
    if MediaPipe52.name in spaces:
        answered = ~np.isnan(spaces[MediaPipe52.name]).any(axis=1)
        seen = every[answered[every].all(axis=1)]
        _add_triplets(section, "where MediaPipe-52 has answers", seen, spaces)


def _add_triplets(
    section: Section, name: str, triplets: Triplets, spaces: dict[str, Float[np.ndarray, "_ _"]]
) -> None:
    values = {who: measures.triplet_accuracy(space, triplets) for who, space in spaces.items()}
    section.add(f"{name} ({len(triplets)})", values, 1 / 3)


def _retrieval(
    session: _Session, renders: _Renders, spaces: dict[str, Float[np.ndarray, "_ _"]]
) -> None:
    share = 0.02
    same = measures.relevant_by_truth(renders.distances, share)
    section = session.section(
        "Retrieval and identity",
        "The same expression means among the truly nearest 2 % of all pictures. The probe reads "
        "the person linearly; lower is better there, and for the share of nearest neighbours that "
        "are the same person. A probe on more numbers reads more, so each space is also asked by "
        f"its first {PROBED_COMPONENTS} principal components.",
    )
    found = {who: measures.retrieval_precision(space, same) for who, space in spaces.items()}
    for k in (1, 5, 10):
        section.add(f"precision at {k}", {w: f[k] for w, f in found.items()}, share)
    leaks = {
        who: measures.identity_leakage(space, renders.people, same | same.T, session.rng())
        for who, space in spaces.items()
    }
    first = next(iter(leaks.values()))
    for measure, name, chance in (
        ("nearest other person shows the same expression", "neighbour_same_expression", share),
        ("nearest face is the same person", "neighbour_same_person", first.neighbour_chance),
        ("same expression of another beats own other expression", "expression_wins", 0.5),
        ("person read by a linear probe", "person_probe", first.probe_chance),
    ):
        section.add(measure, {w: getattr(leak, name) for w, leak in leaks.items()}, chance)
    section.add(
        "nearest picture of the same person shows the same expression",
        {w: _own_shares_expression(space, renders, same | same.T) for w, space in spaces.items()},
        share,
    )
    section.add(
        f"person read from {PROBED_COMPONENTS} principal components",
        {w: _person_probe(session, space, renders) for w, space in spaces.items()},
        first.probe_chance,
    )
    if session.pretrained is not None:
        space = session.cache.encode(session.pretrained, renders.pictures).embeddings
        section.add(
            f"person read from {PROBED_COMPONENTS} principal components of MAE features alone",
            {session.pretrained.name: _person_probe(session, space, renders)},
            first.probe_chance,
        )


def _person_probe(
    session: _Session, space: Float[np.ndarray, "picture _"], renders: _Renders
) -> float:
    """Accuracy of a linear probe for the person, on as many numbers for every method."""
    answered = ~np.isnan(space).any(axis=1)
    centred = space[answered] - space[answered].mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:PROBED_COMPONENTS]
    return measures.linear_probe(centred @ directions.T, renders.people[answered], session.rng())


def _own_shares_expression(
    space: Float[np.ndarray, "picture _"],
    renders: _Renders,
    same_expression: Bool[np.ndarray, "picture picture"],
) -> float:
    """How often the nearest other picture of the same person shows the same expression."""
    answered = np.flatnonzero(~np.isnan(space).any(axis=1))
    apart = measures.pairwise(space[answered])
    people = renders.people[answered]
    apart[people[:, None] != people[None]] = np.inf
    np.fill_diagonal(apart, np.inf)
    nearest = answered[apart.argmin(axis=1)]
    return float(same_expression[answered, nearest].mean())


def _mirror(session: _Session, renders: _Renders, encoded: dict[str, Encoded]) -> None:
    to_mirror = canonical_head().distances(
        renders.controls[:, ARKIT.mirror_columns], renders.controls
    )
    cases = measures.mirror_cases(to_mirror, renders.distances)
    kept = _evenly(len(cases.asked), 400) if len(cases.asked) else np.zeros(0, int)
    cases = measures.MirrorCases(
        cases.asked[kept], cases.like_mirror[kept], cases.like_original[kept]
    )
    section = session.section(
        "Left and right",
        "Mirrored pictures of clearly lopsided faces: nearer to a face that truly shows the "
        "mirrored expression than to one that shows the original.",
    )
    if len(cases.asked) == 0:
        section.add("recognised (no clearly lopsided faces)", {})
        return
    asked = renders.pictures.rows(cases.asked)
    flipped = Pictures(
        np.ascontiguousarray(asked.crops[:, :, ::-1]), np.ascontiguousarray(asked.wide[:, :, ::-1])
    )
    mirrored = session.encode("mirrored faces", flipped)
    values = {
        name: measures.mirror_accuracy(encoded[name].embeddings, mirrored[name].embeddings, cases)
        for name in encoded
    }
    section.add(f"recognised ({len(cases.asked)})", values, 0.5)


def _controls(session: _Session, renders: _Renders, encoded: dict[str, Encoded]) -> None:
    section = session.section(
        "ARKit controls by a linear probe",
        "Ridge regression fitted on half of the people, correlation with the truth on the other "
        "half, mean over controls. Of the encoder's features; `embedding` is what triplets "
        "compare.",
    )
    probes = {
        name: measures.control_probe(e.features, renders.known, renders.people)
        for name, e in encoded.items()
    }
    ours = encoded[session.ours].embeddings
    of_embedding = measures.control_probe(ours, renders.known, renders.people)
    for region in of_embedding:
        section.add(region, {name: probe[region] for name, probe in probes.items()})
    section.add("all, embedding", {session.ours: of_embedding["all"]})


# --- real faces: teachers' hints --------------------------------------------------------------


def _judge_faces(session: _Session, folder: Path) -> None:
    shards = open_shards(folder)
    rows = held_out_rows(shards, folder, session.judges.num_faces)
    session.facts["faces"] = f"{len(rows)} outside the training split of {folder.name}"
    pictures = from_stored(shards.gather(rows))
    encoded = session.encode("faces", pictures)
    spaces = {name: e.embeddings for name, e in encoded.items()}
    if "teacher" in shards.columns and "emotion" in shards.columns:
        _face_triplets(session, shards, rows, spaces)
    _drift(session, "faces", pictures, encoded, spaces)
    asked = _queries(shards, rows, spaces[session.ours])
    session.neighbours = neighbour_sheet(pictures.crops, spaces[session.ours], asked)


def _queries(
    shards: ShardSet, rows: Int[np.ndarray, "row"], embeddings: Float[np.ndarray, "row _"]
) -> Int[np.ndarray, "query"]:
    """24 faces, as different as the teachers find them, so that every encoder is asked about the
    same ones; faces that look away come last."""
    if "teacher" not in shards.columns or "emotion" not in shards.columns:
        return spread_out(embeddings, 24)
    scores = np.nan_to_num(shards.columns["teacher"][rows].astype(np.float64))
    scores[:, ARKIT.columns("gaze")] = 0.0
    hints = np.concatenate([scores, shards.columns["emotion"][rows].astype(np.float64)], axis=1)
    yaw_rad = shards.columns["head_rad"][rows, 0].astype(np.float64)
    frontal = np.flatnonzero(np.abs(yaw_rad) < np.radians(20))
    if len(frontal) < 24:
        frontal = np.argsort(np.abs(yaw_rad))[:24]
    return frontal[spread_out(hints[frontal], 24)]


def held_out_rows(shards: ShardSet, folder: Path, num: int) -> Int[np.ndarray, "row"]:
    """Evenly chosen good faces outside the training split."""
    if "split" not in shards.columns:
        raise DataError(f"{folder} is no face set: it has no column `split`.")
    held_out = ~np.char.startswith(shards.columns["split"].astype(str), "train")
    if "quality" in shards.columns:
        held_out &= shards.columns["quality"] > 0.5
    rows = np.flatnonzero(held_out)
    if len(rows) < 30:
        raise DataError(
            f"{folder} has {len(rows)} good faces outside the training split; 30 are needed. "
            "Make it with --labels that name another split than train."
        )
    return rows[_evenly(len(rows), num)]


def _face_triplets(
    session: _Session,
    shards: ShardSet,
    rows: Int[np.ndarray, "row"],
    spaces: dict[str, Float[np.ndarray, "_ _"]],
) -> None:
    section = session.section(
        "Triplets on real faces",
        "Clear to an emotion net, to the 52-score net, or to both; faces are outside the training "
        "split. The second row is MediaPipe-52's own judgement, so its score there is no finding.",
    )
    emotion = np.sqrt(np.nan_to_num(shards.columns["emotion"][rows].astype(np.float64)))
    scores = shards.columns["teacher"][rows].astype(np.float64)
    known = ~np.isnan(scores[:, 0])
    felt = measures.pairwise(emotion)
    moved = control_distances(np.nan_to_num(scores))
    classes = emotion.argmax(axis=1)
    for name, rulers in (
        ("what is felt (emotion net)", [felt]),
        ("what moves (52-score net)", [moved]),
        ("both agree", [felt, moved]),
    ):
        rng = session.rng()
        typed = measures.draw_typed_triplets(
            rulers, classes, session.judges.num_triplets, rng, clearness=0.6
        )
        triplets = np.concatenate(list(typed.values()))
        _add_triplets(section, name, triplets[known[triplets].all(axis=1)], spaces)


# --- people's votes ---------------------------------------------------------------------------


def _judge_human_triplets(session: _Session, folder: Path) -> None:
    faces, triplets, kinds = measures.read_human_triplets(folder)
    session.facts["human triplets"] = f"{len(triplets)} over {len(faces)} faces of 48 pixels"
    session.progress("human triplets: cutting", 0, None)
    found = aligned(faces)
    encoded = session.encode("human triplets", found)
    as_given = session.cache.encode(session.methods[0], Pictures(faces, faces))
    spaces = {name: e.embeddings for name, e in encoded.items()}
    section = session.section(
        "Triplets that people voted on",
        "Evaluation only. Faces are found and cut as the product does it; no answer counts as "
        "wrong, except in the last row.",
    )
    _add_triplets(section, "all", triplets, spaces)
    kind_of = np.array(kinds)
    for kind in TRIPLET_TYPES:
        _add_triplets(section, f"{kind}-class", triplets[kind_of == kind], spaces)
    uncut = {session.ours: as_given.embeddings}
    _add_triplets(section, "all, faces as they are", triplets, uncut)
    if MediaPipe52.name in spaces:
        answered = ~np.isnan(spaces[MediaPipe52.name]).any(axis=1)
        seen = triplets[answered[triplets].all(axis=1)]
        _add_triplets(section, "where MediaPipe-52 has answers", seen, spaces)


# --- damage -----------------------------------------------------------------------------------


def _drift(
    session: _Session,
    what: str,
    pictures: Pictures,
    encoded: dict[str, Encoded],
    spaces: dict[str, Float[np.ndarray, "_ _"]],
    renders: _Renders | None = None,
) -> None:
    section = session.section(
        f"Drift under damage, {what}",
        "Distance that damage moves a face, as a share of the median distance between two faces. "
        "`no answer` is the share of pictures that lose theirs. Rolled faces are found and cut "
        "again.",
    )
    typical = {name: measures.typical_distance(space) for name, space in spaces.items()}
    rows = _evenly(len(pictures), session.judges.num_damaged)
    chosen = pictures.rows(rows)
    damaged = {name: _damaged(chosen, name, session.rng()) for name in IN_PLACE}
    missing = np.zeros(len(chosen), bool)
    damaged["roll 45 degrees"], missing = _rolled(chosen)
    for name, hurt in damaged.items():
        after = session.encode(f"{what}, {name}", hurt)
        drifts = {}
        for who, before in encoded.items():
            moved = after[who].embeddings.copy()
            if name.startswith("roll") and who != MediaPipe52.name:
                moved[missing] = np.nan
            drifts[who] = measures.drift(before.embeddings[rows], moved, typical[who])
        _add_drift(section, name, drifts)
    if renders is not None:
        turned = {
            who: measures.turn_drift(
                space, renders.distances, renders.people, renders.yaw_rad, typical[who]
            )
            for who, space in spaces.items()
        }
        _add_drift(section, "yaw 30 to 50 degrees (estimated)", turned)


def _turned(
    session: _Session,
    shards: ShardSet,
    folder: Path,
    spaces: dict[str, Float[np.ndarray, "_ _"]],
) -> None:
    """The same faces in the same light, drawn from the front and turned: only the pose differs."""
    turned = open_shards(folder)
    same = ("seed", "actors", "weights", "size", "occluded_share", "camera_damage_share")
    if "turned_rad" not in turned.index or any(
        turned.index.get(name) != shards.index.get(name) for name in same
    ):
        raise DataError(
            f"{folder} does not show the faces of --renders, turned. Draw it with the options of "
            "that set and --turned-deg."
        )
    num = min(len(turned), len(shards))
    frontal = np.abs(shards.columns["head_rad"][:num, 0].astype(np.float64)) < FRONTAL_RAD
    rows = np.flatnonzero(frontal)
    if not np.array_equal(shards.columns["arkit"][:num], turned.columns["arkit"][:num]):
        raise DataError(f"{folder} shows other expressions than --renders. Draw both again.")
    before = session.encode("frontal faces", from_stored(shards.gather(rows)))
    after = session.encode("turned faces", from_stored(turned.gather(rows)))
    degrees = round(float(np.degrees(turned.index["turned_rad"])))
    drifts = {
        who: measures.drift(
            encoded.embeddings, after[who].embeddings, measures.typical_distance(spaces[who])
        )
        for who, encoded in before.items()
    }
    section = session.section(
        "Drift when the head turns, renders",
        f"{len(rows)} faces drawn from the front and with a yaw of {degrees} degrees, all else "
        "equal; a share of the median distance between two faces, as above.",
    )
    _add_drift(section, f"yaw {degrees} degrees", drifts)


def _add_drift(section: Section, name: str, drifts: dict[str, measures.Drift]) -> None:
    section.add(name, {who: drift.median for who, drift in drifts.items()})
    section.add(f"{name}: no answer", {who: drift.without_output for who, drift in drifts.items()})


def _damaged(pictures: Pictures, name: str, rng: np.random.Generator) -> Pictures:
    return from_stored(np.stack([IN_PLACE[name](picture, rng) for picture in pictures.wide]))


def _rolled(pictures: Pictures) -> tuple[Pictures, np.ndarray]:
    """Every face rolled by 45 degrees, left and right in turn, and cut again; and which were not
    found."""
    finder = FaceFinder()
    wide, crops, missing = [], [], []
    for i, picture in enumerate(pictures.wide):
        turned = rolled(picture, np.radians(45.0 if i % 2 else -45.0))
        found = finder.crop(turned)
        missing.append(found is None)
        wide.append(turned)
        crops.append(np.zeros_like(pictures.crops[0]) if found is None else found)
    return Pictures(np.stack(crops), np.stack(wide)), np.array(missing)
