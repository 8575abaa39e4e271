"""What the neural renderer learns from: avatars drawn by the rasterizer, framed as capture crops.

A set is one folder per avatar in the data-set format of `training.shards`; beside the parts lie
`rest.npy` (the avatar at rest) and `regions.npy` (where its controls move pixels).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.avatars.avatar import Avatar, FaceFrame, pose
from freeavatar.avatars.scene import Camera, PreparedAvatar, prepare, render
from freeavatar.datasets.actors import cut_to_face
from freeavatar.datasets.motion_sources import MotionSources
from freeavatar.datasets.render_variation import crop_camera
from freeavatar.errors import DataError
from freeavatar.expression.runtime import CROP_SIZE
from freeavatar.renderer.samples import SOURCES, ControlSampler
from freeavatar.rig import RigSpec
from freeavatar.training.shards import ShardSet, open_shards

FORMAT_VERSION = 2
PICTURE_SIZE = 128
"""Side of the pictures: they show what the encoder's crop shows."""
EFFECT_SIZE = 32
"""Side of the small pictures of what each control changes."""
CROP_SIDE_IN_U = 3.2
"""Side of the face crop (docs/architecture.md)."""
DISTANCE_IN_U = 14.0
"""Camera to face: about 90 cm, a webcam's."""


def face_camera(face: FaceFrame) -> Camera:
    """In front of the face at rest; its square picture is the crop that capture would cut."""
    fov = 2.0 * float(np.arctan(0.5 * CROP_SIDE_IN_U / DISTANCE_IN_U))
    return replace(crop_camera(face, (0.0, 0.0, 0.0), DISTANCE_IN_U), fov_y_rad=fov)


@dataclass(frozen=True)
class Sitter:
    """An avatar ready to be drawn many times."""

    avatar: Avatar
    """Cut to the head."""
    prepared: PreparedAvatar
    camera: Camera

    @staticmethod
    def of(avatar: Avatar) -> Sitter:
        small = cut_to_face(avatar)
        return Sitter(small, prepare(small), face_camera(small.face))

    def draw(
        self, controls: Float[np.ndarray, " control"], size: int = PICTURE_SIZE, samples: int = 2
    ) -> UInt8[np.ndarray, "size size 3"]:
        """The face crop of these controls, in the one light that all training pictures share."""
        posed = pose(self.avatar, controls)
        picture = render(
            self.prepared, posed, self.camera, None, size, size, samples=samples, shadow_size=160
        )
        return picture.rgb


def region_map(sitter: Sitter, sampler: ControlSampler) -> Float[np.ndarray, "size size"]:
    """Where the rig's controls move pixels, 0 to 1.

    Every control spreads one unit over the pixels that it changes: an eyelid, which changes few,
    weighs as much there as a jaw does over half of the face.
    """
    rest = sitter.draw(sitter.avatar.rig.rest).astype(np.float32)
    total = np.zeros(rest.shape[:2], np.float32)
    for column in range(len(sitter.avatar.rig)):
        moved = np.abs(sitter.draw(sampler.single(column)) - rest).mean(2)
        moved = cv2.GaussianBlur(np.where(moved > 3.0, moved, 0.0), (0, 0), 1.5)
        if moved.sum() > 50.0:
            total += moved / moved.sum()
    return np.sqrt(total / max(float(total.max()), 1e-12)).astype(np.float32)


def draw_samples(
    sitter: Sitter, sampler: ControlSampler, start: int, num: int, seed: int
) -> tuple[UInt8[np.ndarray, "num size size 3"], dict[str, np.ndarray]]:
    """Pictures start .. start + num and their controls; each depends on seed and number alone."""
    crops = np.empty((num, PICTURE_SIZE, PICTURE_SIZE, 3), np.uint8)
    controls, sources = [], []
    for i in range(num):
        values, source = sampler.draw(np.random.default_rng((seed, start + i)))
        crops[i] = sitter.draw(values)
        controls.append(values)
        sources.append(source)
    return crops, {
        "controls": np.array(controls, np.float32),
        "source": np.array(sources, np.uint8),
    }


def write_avatar_set(
    avatar: Avatar,
    motion: MotionSources,
    folder: Path,
    num: int,
    seed: int = 0,
    part_size: int = 500,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Draw what is missing of one avatar's set; a stopped run goes on where it was."""
    index = {
        "kind": "avatar",
        "version": FORMAT_VERSION,
        "avatar": avatar.name,
        "rig": avatar.rig.to_json(),
        "seed": seed,
        "part_size": part_size,
        "size": PICTURE_SIZE,
        "sources": list(SOURCES),
    }
    _claim(folder, index)
    done = sum(1 for _ in folder.glob("part-*")) * part_size
    if done >= num:
        report(num, num)
        return
    sitter = Sitter.of(avatar)
    sampler = ControlSampler(sitter.avatar, motion)
    if not (folder / "regions.npy").is_file():
        np.save(folder / "rest.npy", sitter.draw(avatar.rig.rest))
        np.save(folder / "regions.npy", region_map(sitter, sampler))
    for number, start in enumerate(range(0, num, part_size)):
        part = folder / f"part-{number:03d}"
        if not part.is_dir():
            crops, columns = draw_samples(sitter, sampler, start, min(part_size, num - start), seed)
            with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
                whole = Path(unfinished) / "part"
                whole.mkdir()
                np.save(whole / "crops.npy", crops)
                np.savez(whole / "truth.npz", **columns)  # type: ignore[arg-type]
                whole.rename(part)
        report(min(start + part_size, num), num)
    for leftover in folder.glob(".unfinished-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _claim(folder: Path, index: dict[str, object]) -> None:
    """Write index.json, or check that the folder holds parts of this very set."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.json"
    if not path.is_file():
        path.write_text(json.dumps(index))
        return
    found = json.loads(path.read_text())
    different = sorted(key for key in index if found.get(key) != index[key])
    if different:
        raise DataError(
            f"{folder} holds pictures made otherwise ({', '.join(different)} differ). "
            "Choose another folder, or delete it."
        )


@dataclass(frozen=True)
class AvatarSet:
    """The pictures of one avatar."""

    avatar: str
    rig: RigSpec
    shards: ShardSet
    controls: Float[np.ndarray, "picture control"]
    rest: UInt8[np.ndarray, "size size 3"]
    regions: Float[np.ndarray, "size size"]

    def __len__(self) -> int:
        return len(self.controls)

    @property
    def num_train(self) -> int:
        """Pictures from here on are for judging: the last tenth, at least one."""
        return len(self) - max(1, len(self) // 10)


def open_avatar_set(folder: Path) -> AvatarSet:
    """Read a set written by `write_avatar_set`; DataError when it is another kind or not begun."""
    shards = open_shards(folder)
    if shards.index.get("kind") != "avatar":
        raise DataError(f"{folder} is a set of {shards.index.get('kind')}, not of one avatar.")
    try:
        rest, regions = np.load(folder / "rest.npy"), np.load(folder / "regions.npy")
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is damaged ({error}). Delete it and draw it again.") from error
    rig = RigSpec.from_json(shards.index["rig"])
    controls = shards.columns["controls"].astype(np.float32)
    return AvatarSet(shards.index["avatar"], rig, shards, controls, rest, regions)


def linear_effects(
    avatar_set: AvatarSet, most: int = 1500
) -> Float[np.ndarray, "control 3 small small"]:
    """What each control changes in a small picture, on average: the least squares fit of the
    training pictures, in units of a picture in [0, 1] for the whole range of the control."""
    rows = np.arange(min(avatar_set.num_train, most))
    rest_shares = range_shares(avatar_set.rig, avatar_set.rig.rest[None])
    moved = range_shares(avatar_set.rig, avatar_set.controls[rows]) - rest_shares
    pictures = np.stack([_small(picture) for picture in avatar_set.shards.gather(rows)])
    change = (pictures - _small(avatar_set.rest)).reshape(len(rows), -1)
    # A little ridge: controls that always move together share what they change.
    gram = moved.T @ moved + 3e-4 * len(rows) * np.eye(moved.shape[1], dtype=np.float32)
    effects = np.linalg.solve(gram, moved.T @ change)
    shape = (-1, EFFECT_SIZE, EFFECT_SIZE, 3)
    return np.ascontiguousarray(effects.reshape(shape).transpose(0, 3, 1, 2), np.float32)


def _small(picture: UInt8[np.ndarray, "size size 3"]) -> Float[np.ndarray, "small small 3"]:
    size = (EFFECT_SIZE, EFFECT_SIZE)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def range_shares(
    rig: RigSpec, controls: Float[np.ndarray, "sample control"]
) -> Float[np.ndarray, "sample control"]:
    """Each value's place in its control's range, 0 to 1: what networks see."""
    reach = np.maximum(rig.maximum - rig.minimum, 1e-6)
    return ((controls - rig.minimum) / reach).astype(np.float32)


def encoder_crops(
    pictures: UInt8[np.ndarray, "picture size size 3"],
) -> UInt8[np.ndarray, "picture 224 224 3"]:
    """Drawn crops at the size that the encoder looks at."""
    how = cv2.INTER_AREA if pictures.shape[1] > CROP_SIZE else cv2.INTER_LINEAR
    return np.stack([cv2.resize(p, (CROP_SIZE, CROP_SIZE), interpolation=how) for p in pictures])
