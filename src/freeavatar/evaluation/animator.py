"""How well the animator drives: unseen people and takes, one source on many avatars, speed.

Everything is drawn by the rasterizer and looked at by the expression encoder: what is measured is
what a user would see, not what a training loss says.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from freeavatar.animator.data import encode_crops
from freeavatar.animator.runtime import Animator
from freeavatar.at_rest import at_rest
from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.gltf import load_avatar
from freeavatar.avatars.scene import render
from freeavatar.datasets.actors import Actor, make_actor
from freeavatar.datasets.casting import HELD_OUT_PEOPLE
from freeavatar.datasets.motion_sources import HELD_OUT_TAKES, read_take
from freeavatar.datasets.render_variation import crop_camera, draw_lights
from freeavatar.errors import DataError
from freeavatar.evaluation.own_controls import own_controls
from freeavatar.evaluation.peers import MediaPipe52, Pictures, from_stored
from freeavatar.evaluation.real_curves import real_curves
from freeavatar.evaluation.report import Section
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder
from freeavatar.performance import Performance
from freeavatar.renderer.data import Sitter, encoder_crops
from freeavatar.rig import ARKIT, ARKIT_NAMES, Region
from freeavatar.training.shards import open_shards

OnProgress = Callable[[str, int, int | None], None]
"""Stage, steps done, steps in all."""

GROUPS: dict[str, tuple[Region, ...]] = {
    "brow": ("brow",),
    "eye": ("eye",),
    "gaze": ("gaze",),
    "jaw": ("jaw",),
    "mouth": ("mouth",),
    "cheek and nose": ("cheek", "nose"),
    "tongue": ("tongue",),
}
DEAD = ("cheekPuff", "noseSneer", "mouthFrown", "eyeWide", "tongueOut")
"""Channels that other trackers leave dead; each is reported alone."""
MOVING_STD = 0.02
"""A channel that moves less is still: correlation with it would be noise."""
TAKE_STEP = 3
"""Of a take at 30 frames a second every third frame is drawn."""
FRAMES_HZ = 10.0
TOLD = "freeavatar, neutral found"
HALF_SECOND = 5
"""In drawn frames."""
PLAYING_PEOPLE = HELD_OUT_PEOPLE[:3]


@dataclass(frozen=True)
class Shown:
    """Pictures with exact truth; `part` numbers the clips, or is all zero for stills."""

    pictures: Pictures
    controls: Float[np.ndarray, "picture 52"]
    shows: Bool[np.ndarray, "picture 52"]
    """Controls that this picture's person can show."""
    part: Int[np.ndarray, " picture"]


@dataclass(frozen=True)
class Judges:
    """Where the pictures lie, and how many of them are looked at."""

    renders: Path | None = None
    """A render set of people who are in no training set."""
    data: Path | None = None
    """A folder with avatars/valid, avatars/ict and motion."""
    sets: Path | None = None
    """A folder with one picture set per avatar."""
    faces: Path | None = None
    """A face set with the 52-score net's labels and a test split."""
    components: Path | None = None
    """Folder that holds face_blendshapes.onnx; without it there is no MediaPipe-52 column."""
    num_renders: int = 1500
    num_frames: int = 80
    num_faces: int = 400
    seed: int = 0


def examine(
    judges: Judges,
    avatars: Sequence[Avatar],
    encoder: ExpressionEncoder,
    animator: Animator,
    on_progress: OnProgress,
) -> list[Section]:
    """Every part for which there are pictures."""
    sections = []
    if judges.renders is not None:
        on_progress("single pictures", 0, None)
        shown = stills(judges.renders, judges.num_renders)
        guesses = guess_all(shown, encoder, animator, judges.components)
        note = f"{len(shown.controls)} pictures of people never trained on, correlation over all."
        sections.append(round_trip("Round trip, single pictures", note, shown, guesses))
    if judges.data is not None:
        shown, names = takes(judges.data, judges.num_frames, judges.seed, on_progress)
        on_progress("takes", 0, None)
        guesses = guess_all(shown, encoder, animator, judges.components)
        features, source = encode_crops(encoder, shown.pictures.crops)
        guesses[TOLD] = knowing_the_neutral(shown, features, animator)
        note = (
            f"{len(shown.controls)} frames, ten a second, cut as capture cuts them: "
            f"{', '.join(names)}. Correlation within each clip over channels that move in it; no "
            f"smoothing, no calibration; *{TOLD}*: the animator is told what was found in the clip."
        )
        sections.append(round_trip("Round trip, held-out takes", note, shown, guesses))
        # One clip a take is enough to compare avatars, and drawing is what costs.
        some = np.flatnonzero(np.isin(shown.part, np.unique(shown.part)[::3]))
        driven = []
        for number, avatar in enumerate(avatars):
            on_progress("driving avatars", number, len(avatars))
            driven.append(drive(avatar, features[some], encoder, animator))
        sections.append(across_avatars(source[some], shown.part[some], driven))
    if judges.sets is not None:
        sections.append(own_controls(judges.sets, avatars, encoder, animator, on_progress))
    if judges.faces is not None and "teacher" in open_shards(judges.faces).columns:
        on_progress("real faces", 0, None)
        sections.append(real_curves(judges.faces, judges.num_faces, avatars, encoder, animator))
    blank = np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    num_features = encoder.encode(blank).features.shape[1]
    sections.append(speed(animator, avatars, num_features))
    return sections


def stills(folder: Path, num: int) -> Shown:
    """Evenly chosen pictures of a held-out render set."""
    shards = open_shards(folder)
    if "arkit" not in shards.columns:
        raise DataError(f"{folder} has no ARKit truth; give a set of `freeavatar data renders`.")
    rows = np.unique(np.linspace(0, len(shards) - 1, min(num, len(shards))).astype(np.int64))
    actors = shards.columns["actor"][rows]
    return Shown(
        from_stored(shards.gather(rows)),
        shards.columns["arkit"][rows].astype(np.float32),
        np.asarray(shards.index["shows"], bool)[actors],
        np.zeros(len(rows), np.int64),
    )


def takes(
    data: Path, num_frames: int, seed: int, on_progress: OnProgress
) -> tuple[Shown, list[str]]:
    """Held-out people play the liveliest stretch of held-out takes; names of the clips."""
    paths = [data / "avatars" / "valid" / f"{name}.glb" for name in PLAYING_PEOPLE]
    actors = [make_actor(load_avatar(path)) for path in paths if path.is_file()]
    if not actors:
        raise DataError(f"None of {', '.join(PLAYING_PEOPLE)} is in {data}/avatars/valid.")
    clips: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    names = []
    for take in HELD_OUT_TAKES:
        values = liveliest(read_take(data / "motion" / f"{take}.csv")[::TAKE_STEP], num_frames)
        for actor in actors:
            on_progress("drawing takes", len(clips), len(actors) * len(HELD_OUT_TAKES))
            rng = np.random.default_rng((seed, len(clips)))
            clips.append((play(actor, values, rng), values, np.tile(actor.shows, (len(values), 1))))
            names.append(f"{actor.name} {take}")
    crops, values, shows = (np.concatenate([clip[i] for clip in clips]) for i in range(3))
    part = np.repeat(np.arange(len(clips)), [len(clip[0]) for clip in clips])
    return Shown(from_stored(crops), values, shows, part), names


def liveliest(values: Float[np.ndarray, "frame 52"], num: int) -> Float[np.ndarray, "_ 52"]:
    """The stretch of `num` frames in which most channels move."""
    if len(values) <= num:
        return values
    starts = np.arange(0, len(values) - num + 1, max(1, num // 4))
    moving = [(values[s : s + num].std(axis=0) > MOVING_STD).sum() for s in starts]
    start = int(starts[int(np.argmax(moving))])
    return values[start : start + num]


def play(
    actor: Actor, values: Float[np.ndarray, "frame 52"], rng: np.random.Generator
) -> UInt8[np.ndarray, "frame 288 288 3"]:
    """The take as face crops: one light, one camera, a head that turns slowly."""
    lights, distance = draw_lights(rng), float(rng.uniform(10.0, 25.0))
    swing, speed = rng.uniform(0.1, 0.25, 3), rng.uniform(0.02, 0.06, 3)
    crops = []
    for number, arkit in enumerate(values):
        yaw, pitch, roll = (
            float(v) for v in swing * np.sin(speed * number * np.array([1, 1.7, 0.6]))
        )
        head = (yaw, 0.6 * pitch, 0.4 * roll)
        posed = pose(actor.avatar, actor.controls(arkit), head)
        camera = crop_camera(actor.avatar.face, head, distance)
        picture = render(
            actor.prepared, posed, camera, lights, 288, 288, samples=1, shadow_size=160
        )
        crops.append(picture.rgb)
    return np.stack(crops)


def correlations(
    guess: Float[np.ndarray, "picture 52"], shown: Shown
) -> tuple[Float[np.ndarray, " 52"], Float[np.ndarray, " 52"]]:
    """(Pearson's correlation, mean absolute error) of each channel, mean over the clips in which
    it moves; NaN where it never does."""
    found: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    for part in np.unique(shown.part):
        rows = shown.part == part
        a, b = guess[rows].astype(np.float64), shown.controls[rows].astype(np.float64)
        seen = shown.shows[rows]
        scores, error = np.full(len(ARKIT), np.nan), np.full(len(ARKIT), np.nan)
        for channel in range(len(ARKIT)):
            use = seen[:, channel]
            x, y = a[use, channel], b[use, channel]
            if use.sum() < 8 or y.std() <= MOVING_STD:
                continue
            error[channel] = np.abs(x - y).mean()
            scores[channel] = np.corrcoef(x, y)[0, 1] if x.std() > 1e-6 else 0.0
        found.append(scores)
        errors.append(error)
    return _mean(np.array(found)), _mean(np.array(errors))


def _mean(table: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        # A channel that no clip moves has no mean: NaN says so.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(table, axis=0))


def round_trip(
    title: str, note: str, shown: Shown, guesses: dict[str, Float[np.ndarray, "picture 52"]]
) -> Section:
    """Correlations by group, dead channels one by one, error: one column per tracker."""
    section = Section(title, note)
    scored = {name: correlations(guess, shown) for name, guess in guesses.items()}

    def mean(columns: Sequence[int], which: int) -> dict[str, float]:
        return {name: float(_mean(scores[which][list(columns)])) for name, scores in scored.items()}

    section.add("all moving channels, correlation", mean(range(len(ARKIT)), 0))
    for group, regions in GROUPS.items():
        columns = [i for i, c in enumerate(ARKIT.controls) if c.region in regions]
        section.add(f"{group}, correlation", mean(columns, 0))
    for stem in DEAD:
        columns = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(stem)]
        section.add(f"{stem}, correlation", mean(columns, 0))
    section.add("left minus right, correlation", sides(shown, guesses))
    section.add("mean absolute error of moving channels", mean(range(len(ARKIT)), 1))
    return section


def sides(shown: Shown, guesses: dict[str, Float[np.ndarray, "picture 52"]]) -> dict[str, float]:
    """Correlation of the difference of paired channels, over all pictures: winks, crooked
    smiles."""
    mirror = ARKIT.mirror_columns
    left = [
        i
        for i, name in enumerate(ARKIT_NAMES)
        if name.endswith("Left") and ARKIT.controls[i].region not in ("gaze", "jaw")
        if name != "mouthLeft"
    ]
    found = {}
    for name, guess in guesses.items():
        scores = []
        for channel in left:
            use = shown.shows[:, channel] & shown.shows[:, mirror[channel]]
            wanted = (shown.controls[:, channel] - shown.controls[:, mirror[channel]])[use]
            got = (guess[:, channel] - guess[:, mirror[channel]])[use]
            if len(wanted) > 7 and wanted.std() > MOVING_STD:
                scores.append(np.corrcoef(got, wanted)[0, 1] if got.std() > 1e-6 else 0.0)
        found[name] = float(np.mean(scores)) if scores else float("nan")
    return found


def guess_all(
    shown: Shown, encoder: ExpressionEncoder, animator: Animator, components: Path | None
) -> dict[str, Float[np.ndarray, "picture 52"]]:
    """Ours, and the 52-score net where it is at hand (its last scores where it sees no face)."""
    features, _ = encode_crops(encoder, shown.pictures.crops)
    guesses = {"freeavatar": animator.controls(features, ARKIT)}
    if components is not None:
        scores = MediaPipe52(components).encode(shown.pictures).features
        scores = np.concatenate([scores, np.zeros((len(scores), 1), np.float32)], axis=1)
        for row in np.flatnonzero(np.isnan(scores).any(axis=1)):
            scores[row] = scores[row - 1] if row else 0.0
        guesses["MediaPipe-52"] = scores
    return guesses


def knowing_the_neutral(
    shown: Shown, features: Float[np.ndarray, "picture feature"], animator: Animator
) -> Float[np.ndarray, "picture 52"]:
    """Ours as `animate` reads a take: the face at rest is found in each clip."""
    curves = np.zeros((len(features), len(ARKIT)), np.float32)
    for part in np.unique(shown.part):
        rows = np.flatnonzero(shown.part == part)
        num, seen = len(rows), features[rows]
        times_s = np.arange(num) / FRAMES_HZ
        clip = Performance(times_s, np.ones(num, bool), np.zeros((num, 3)), seen, seen)
        curves[rows] = animator.controls(seen, ARKIT, at_rest(clip, animator))
    return curves


@dataclass(frozen=True)
class Driven:
    """One avatar driven by the same source frames, as the encoder sees it."""

    avatar: str
    pictures: UInt8[np.ndarray, "frame size size 3"]
    embeddings: Float[np.ndarray, "frame embedding"]


def drive(
    avatar: Avatar,
    features: Float[np.ndarray, "frame feature"],
    encoder: ExpressionEncoder,
    animator: Animator,
) -> Driven:
    """Controls, pictures, embeddings."""
    sitter = Sitter.of(avatar)
    controls = animator.controls(features, avatar)
    pictures = np.stack([sitter.draw(values) for values in controls])
    _, embeddings = encode_crops(encoder, encoder_crops(pictures))
    return Driven(avatar.name, pictures, embeddings)


def across_avatars(
    source: Float[np.ndarray, "frame embedding"],
    clip: Int[np.ndarray, " frame"],
    driven: Sequence[Driven],
) -> Section:
    """The same frame on two avatars must be more alike than half a second of one avatar."""
    section = Section(
        "The same source on different avatars",
        "Frames of held-out takes, drawn on each avatar and looked at by the encoder. Nearer: the "
        "same frame on another avatar is nearer than the same avatar half a second away (chance "
        "0.5). Source: the avatar's own frame is nearer to the source than the avatar half a "
        "second away.",
    )
    later = np.flatnonzero(np.roll(clip, -HALF_SECOND) == clip)
    later = later[later + HALF_SECOND < len(clip)]
    after = later + HALF_SECOND
    nearer: dict[str, float] = {}
    faithful: dict[str, float] = {}
    ratio: dict[str, float] = {}
    for one in driven:
        step = _apart(one.embeddings[later], one.embeddings[after])
        others = [
            _apart(one.embeddings[later], other.embeddings[later])
            for other in driven
            if other.avatar != one.avatar
        ]
        nearer[one.avatar] = float(np.mean([(d < step).mean() for d in others])) if others else 0.0
        ratio[one.avatar] = float(np.mean(others) / max(step.mean(), 1e-9)) if others else 0.0
        own = _apart(source[later], one.embeddings[later])
        away = _apart(source[later], one.embeddings[after])
        faithful[one.avatar] = float((own < away).mean())
    section.add("nearer", nearer, 0.5)
    section.add("distance to others over half a second", ratio)
    section.add("source", faithful, 0.5)
    return section


def _apart(
    one: Float[np.ndarray, "frame embedding"], other: Float[np.ndarray, "frame embedding"]
) -> Float[np.ndarray, " frame"]:
    return np.asarray(np.linalg.norm(one - other, axis=1))


def speed(
    animator: Animator, avatars: Sequence[Avatar], num_features: int, repeats: int = 200
) -> Section:
    """Milliseconds for one frame of one avatar: features to controls."""
    section = Section("Speed", "One frame, one avatar, one thread; median, milliseconds.")
    features = np.random.default_rng(0).standard_normal((1, num_features)).astype(np.float32)
    found = {}
    for avatar in avatars:
        animator.controls(features, avatar)
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            animator.controls(features, avatar)
            times.append(time.perf_counter() - started)
        found[avatar.name] = 1e3 * float(np.median(times))
    section.add("animator, ms a frame", found)
    return section
