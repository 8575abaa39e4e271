"""Reader for the public FEC format: triplets of face pictures with people's votes.

Google facial expression comparison dataset (Vemulapalli & Agarwala 2019). A csv without header,
one triplet a row:

    url1,left1,right1,top1,bottom1, url2,..., url3,..., type, annotator1,vote1, annotator2,...

Boxes are fractions of the picture, a vote (1 to 3) names the odd face out. The pictures are not
part of the dataset; how files must be named is told at `picture_path`.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from jaxtyping import UInt8

from freeavatar.capture.align import SHARD_CROP_SIZE, frame_from_pose, shard_crop
from freeavatar.capture.detect import FaceDetector
from freeavatar.capture.headpose import fit_detection, fit_mesh
from freeavatar.capture.landmarks import FaceMesh, region_from_detection
from freeavatar.errors import DataError
from freeavatar.expression.triplets import TripletSet

TYPES = {"ONE_CLASS_TRIPLET": 1, "TWO_CLASS_TRIPLET": 2, "THREE_CLASS_TRIPLET": 3}
"""Classes of expression that the three faces come from."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_FACE_COLUMNS = 5
_NUM_FIXED = 3 * _FACE_COLUMNS + 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FecFace:
    """A face in a picture on the web."""

    url: str
    box: tuple[float, float, float, float]
    """Left, right, top, bottom as shares of the picture, in the order of the file."""


@dataclass(frozen=True)
class FecRow:
    """One triplet and what people said of it."""

    faces: tuple[FecFace, FecFace, FecFace]
    num_classes: int
    """1, 2 or 3."""
    votes: tuple[int, ...]
    """Of every annotator: 0, 1 or 2, the face that is least like the others."""

    @property
    def odd_one(self) -> int | None:
        """The face that most people called odd; None for a tie or no votes."""
        counted = Counter(self.votes).most_common(2)
        if not counted or (len(counted) == 2 and counted[0][1] == counted[1][1]):
            return None
        return counted[0][0]

    @property
    def agreement(self) -> float:
        """Share of votes for the most named face, in [0, 1]."""
        return max(Counter(self.votes).values()) / len(self.votes) if self.votes else 0.0


def read_fec(path: Path) -> list[FecRow]:
    """All rows of one FEC file; DataError names the first that is not of the format."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read the FEC file {path} ({error}).") from error
    if not lines:
        raise DataError(f"{path} is empty. A FEC file has one triplet in every line.")
    rows = []
    for number, line in lines:
        try:
            rows.append(_parse(line))
        except ValueError as error:
            raise DataError(
                f"{path}, line {number} is no FEC triplet: {error}. Expected 3 x (URL, left, "
                "right, top, bottom), the type, then pairs of annotator and vote."
            ) from error
    return rows


def _parse(line: Sequence[str]) -> FecRow:
    """ValueError says what is wrong with the line."""
    if len(line) < _NUM_FIXED:
        raise ValueError(f"it has {len(line)} columns, at least {_NUM_FIXED} are needed")
    fields = [value.strip() for value in line]
    kind = fields[_NUM_FIXED - 1]
    if kind not in TYPES:
        raise ValueError(f"column {_NUM_FIXED} is {kind!r}, not one of {', '.join(TYPES)}")
    first, second, third = (
        _parse_face(fields[i : i + _FACE_COLUMNS]) for i in range(0, _NUM_FIXED - 1, _FACE_COLUMNS)
    )
    rest = fields[_NUM_FIXED:]
    while rest and not rest[-1]:
        rest.pop()
    if len(rest) % 2:
        raise ValueError(f"annotators and votes do not come in pairs ({len(rest)} columns)")
    votes = []
    for vote in rest[1::2]:
        if vote not in ("1", "2", "3"):
            raise ValueError(f"a vote is {vote!r}, not 1, 2 or 3")
        votes.append(int(vote) - 1)
    return FecRow((first, second, third), TYPES[kind], tuple(votes))


def _parse_face(fields: Sequence[str]) -> FecFace:
    url, *numbers = fields
    if not url:
        raise ValueError("a URL is empty")
    try:
        left, right, top, bottom = (float(number) for number in numbers)
    except ValueError:
        raise ValueError(f"the box of {url} is {numbers}, not four numbers") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"the box of {url} is {numbers}, not shares of a picture")
    return FecFace(url, (left, right, top, bottom))


def picture_path(folder: Path, url: str) -> Path | None:
    """The file of a URL in a folder of pictures; None when it was not fetched.

    Looked for in this order: the SHA-1 of the URL in hexadecimal, with any picture suffix; the last
    part of the URL's path, as it is or decoded; that name with another picture suffix.
    """
    name = Path(urlsplit(url).path).name
    names = [hashlib.sha1(url.encode()).hexdigest() + suffix for suffix in PICTURE_SUFFIXES]
    names += [name, unquote(name)]
    names += [str(Path(unquote(name)).with_suffix(s)) for s in PICTURE_SUFFIXES if Path(name).stem]
    for candidate in names:
        if candidate and (folder / candidate).is_file():
            return folder / candidate
    return None


def load_triplets(
    rows: Sequence[FecRow],
    pictures: Path,
    min_agreement: float = 0.6,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> TripletSet:
    """Cut every face of the triplets that have a clear vote and all three pictures.

    What is missing or unreadable is told in one warning; DataError when nothing is left.
    """
    if not pictures.is_dir():
        raise DataError(f"There is no folder of pictures {pictures}.")
    clear = [row for row in rows if row.odd_one is not None and row.agreement >= min_agreement]
    faces = list(dict.fromkeys(face for row in clear for face in row.faces))
    cutter = _Cutter()
    crops: dict[FecFace, np.ndarray] = {}
    missing: Counter[str] = Counter()
    for done, face in enumerate(faces):
        progress(done, len(faces))
        cut = cutter.cut(pictures, face)
        if isinstance(cut, str):
            missing[cut] += 1
        else:
            crops[face] = cut
    progress(len(faces), len(faces))
    if missing:
        told = ", ".join(f"{count} {reason}" for reason, count in missing.items())
        logger.warning(
            "%d of %d FEC faces are left out: %s.", sum(missing.values()), len(faces), told
        )
    place = {face: i for i, face in enumerate(crops)}
    kept = [row for row in clear if all(face in place for face in row.faces)]
    if not kept:
        raise DataError(
            f"No usable triplet among {len(rows)}: {len(clear)} have a clear vote, and "
            f"{len(crops)} of their {len(faces)} faces were found in {pictures}. "
            "Name pictures by the SHA-1 of their URL, or by the URL's last part."
        )
    return TripletSet(
        np.stack(list(crops.values())),
        np.array([[place[face] for face in _turned(row)] for row in kept]),
        np.array([row.num_classes for row in kept]),
        np.array([row.agreement for row in kept]),
    )


def open_fec(
    folder: Path, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> TripletSet:
    """All csv files of a folder, with the pictures in its subfolder `pictures` (or beside them)."""
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        raise DataError(f"No FEC file (*.csv) in {folder}.")
    rows = [row for table in tables for row in read_fec(table)]
    pictures = folder / "pictures"
    return load_triplets(rows, pictures if pictures.is_dir() else folder, progress=progress)


def _turned(row: FecRow) -> Iterator[FecFace]:
    """Anchor, positive, negative."""
    assert row.odd_one is not None  # only clear rows get here
    yield from (face for i, face in enumerate(row.faces) if i != row.odd_one)
    yield row.faces[row.odd_one]


class _Cutter:
    """Faces inside boxes, cut as the product would; the box alone where the networks see none."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._mesh = FaceMesh()

    def cut(self, folder: Path, face: FecFace) -> UInt8[np.ndarray, "144 144 3"] | str:
        """The crop, or why there is none."""
        path = picture_path(folder, face.url)
        if path is None:
            return "without a picture"
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            return "unreadable"
        part = _around(picture[..., ::-1], face.box)
        found = self._detector.find_large(part)
        if not found:
            side = min(part.shape[:2])
            top, left = (part.shape[0] - side) // 2, (part.shape[1] - side) // 2
            square = np.ascontiguousarray(part[top : top + side, left : left + side])
            size = (SHARD_CROP_SIZE, SHARD_CROP_SIZE)
            return cv2.resize(square, size, interpolation=cv2.INTER_AREA)
        middle = np.array(part.shape[1::-1]) / 2.0
        main = min(
            found, key=lambda f: float(np.linalg.norm((f.box[:2] + f.box[2:]) / 2.0 - middle))
        )
        mesh = self._mesh.read(part, region_from_detection(main))
        pose = fit_mesh(mesh) if mesh.score >= 0.5 else fit_detection(main)
        return shard_crop(part, frame_from_pose(pose))


def _around(
    picture: UInt8[np.ndarray, "height width 3"], box: tuple[float, float, float, float]
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The box with a third of its size around it, as far as the picture goes."""
    height, width = picture.shape[:2]
    left, right, top, bottom = box[0] * width, box[1] * width, box[2] * height, box[3] * height
    more_x, more_y = (right - left) / 3.0, (bottom - top) / 3.0
    x0, x1 = max(int(left - more_x), 0), min(int(np.ceil(right + more_x)), width)
    y0, y1 = max(int(top - more_y), 0), min(int(np.ceil(bottom + more_y)), height)
    return np.ascontiguousarray(picture[y0:y1, x0:x1])
