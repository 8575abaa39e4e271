"""Where pictures of faces come from: tars, folders, single files, videos. Copies are left out.

A tar that was cut short gives what can be read of it, with a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from freeavatar.capture.video import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from freeavatar.errors import DataError

_TAR_BLOCK = 512

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureFile:
    """One picture or video in a folder, or one picture in a tar."""

    source: Path
    """Folder or tar."""
    name: str
    place: tuple[int, int] | None = None
    """Where its bytes begin in a tar, and how many they are."""

    @property
    def key(self) -> str:
        """Name without suffix, folders kept."""
        return str(Path(self.name).with_suffix(""))

    @property
    def path(self) -> Path:
        """Of a file that is not in a tar."""
        return self.source / self.name

    @property
    def is_video(self) -> bool:
        """Videos give many pictures."""
        return Path(self.name).suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class Listing:
    """What there is to read."""

    files: tuple[PictureFile, ...]
    """Different ones, in the order of sources and names."""
    left_out: Counter[str]
    """Exact copies, near copies."""


def list_pictures(
    sources: Sequence[Path],
    without_near_copies: bool = True,
    progress: Callable[[int], None] = lambda _seen: None,
) -> Listing:
    """All different pictures and videos; DataError when there is none."""
    exact: set[str] = set()
    near = NearCopies()
    files: list[PictureFile] = []
    left_out: Counter[str] = Counter()
    for seen, (file, data) in enumerate(f for source in sources for f in _read_all(source)):
        progress(seen)
        digest = hashlib.sha1(data).hexdigest()
        if digest in exact:
            left_out["copy"] += 1
            continue
        exact.add(digest)
        if without_near_copies and not file.is_video and near.is_copy_of_another(data):
            left_out["near copy"] += 1
            continue
        files.append(file)
    if not files:
        listed = ", ".join(str(source) for source in sources)
        raise DataError(f"No pictures ({', '.join(PICTURE_SUFFIXES)}) or videos in {listed}.")
    return Listing(tuple(sorted(files, key=lambda file: (file.source, file.name))), left_out)


def list_once(
    sources: Sequence[Path],
    without_near_copies: bool,
    note: Path,
    progress: Callable[[int], None] = lambda _seen: None,
) -> Listing:
    """`list_pictures`, remembered in the file `note` while the sources stay as they are."""
    state = [*(_state(source) for source in sources), without_near_copies]
    if note.is_file():
        try:
            known = json.loads(note.read_text())
            if known["state"] == state:
                files = tuple(
                    PictureFile(Path(source), name, tuple(place) if place else None)
                    for source, name, place in known["files"]
                )
                return Listing(files, Counter(known["left_out"]))
        except (ValueError, KeyError, TypeError):
            pass  # half a note is no note
    listing = list_pictures(sources, without_near_copies, progress)
    told = [[str(file.source), file.name, file.place] for file in listing.files]
    note.write_text(json.dumps({"state": state, "files": told, "left_out": dict(listing.left_out)}))
    return listing


def _state(source: Path) -> list[Any]:
    """Changes when a source does."""
    if not source.is_dir():
        facts = source.stat() if source.exists() else None
        return [str(source), facts and facts.st_size, facts and facts.st_mtime_ns]
    paths = [path for path in sorted(source.rglob("*")) if path.is_file()]
    digest = hashlib.sha1()
    for path in paths:
        digest.update(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}".encode())
    return [str(source), len(paths), digest.hexdigest()]


def _read_all(source: Path) -> Iterator[tuple[PictureFile, bytes]]:
    """Every file with its bytes; of a video what tells it from others."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in PICTURE_SUFFIXES + VIDEO_SUFFIXES:
                yield _on_disk(PictureFile(source, str(path.relative_to(source))))
    elif source.suffix.lower() in PICTURE_SUFFIXES + VIDEO_SUFFIXES and source.is_file():
        yield _on_disk(PictureFile(source.parent, source.name))
    else:
        yield from _read_tar(source)


def _on_disk(file: PictureFile) -> tuple[PictureFile, bytes]:
    if not file.is_video:
        return file, file.path.read_bytes()
    with file.path.open("rb") as stream:
        return file, stream.read(1 << 20) + str(file.path.stat().st_size).encode()


def _read_tar(source: Path) -> Iterator[tuple[PictureFile, bytes]]:
    num_read = 0
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                num_read += 1
                if member.isfile() and Path(member.name).suffix.lower() in PICTURE_SUFFIXES:
                    stream = tar.extractfile(member)
                    assert stream is not None  # only files get here
                    data = stream.read()
                    if len(data) < member.size:
                        raise tarfile.ReadError("unexpected end of data")
                    place = (member.offset_data, member.size)
                    yield PictureFile(source, member.name, place), data
        cut = not _ends_as_tars_do(source)
        reason = "it ends without an end mark"
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        if num_read == 0:
            raise DataError(
                f"{source} is neither a folder nor a readable tar ({error}). "
                "Give folders of pictures, .tar files, pictures or videos."
            ) from error
        cut, reason = True, str(error)
    if cut:
        logger.warning(
            "%s was cut short (%s): its first %d entries are used.", source, reason, num_read
        )


def _ends_as_tars_do(source: Path) -> bool:
    """With a block of zeros; tarfile takes a file cut between two entries for a whole one.

    Compressed ones have checks of their own.
    """
    with source.open("rb") as file:
        if file.read(_TAR_BLOCK)[257:262] != b"ustar":
            return True
        file.seek(-min(_TAR_BLOCK, source.stat().st_size), 2)
        return not any(file.read())


def read_pictures(files: Sequence[PictureFile]) -> Iterator[tuple[PictureFile, bytes]]:
    """The bytes of listed pictures, in their order."""
    opened: dict[Path, tarfile.TarFile] = {}
    try:
        for file in files:
            if file.place is None:
                yield file, file.path.read_bytes()
                continue
            if file.source not in opened:
                opened[file.source] = tarfile.open(file.source)  # noqa: SIM115 (closed below)
            stream = opened[file.source].fileobj
            assert stream is not None  # open for reading
            # By place and not by name: tarfile reads to the end to look up a name, and a tar that
            # was cut short has none.
            stream.seek(file.place[0])
            yield file, stream.read(file.place[1])
    finally:
        for tar in opened.values():
            tar.close()


class NearCopies:
    """Remembers pictures, to tell when one comes again smaller, recompressed or slightly cropped.

    Candidates differ in at most 3 of 64 bits of a difference hash; they are copies only if no part
    of a 32 x 32 grey picture differs, because the same person smiling shares the hash too.
    """

    _MAX_BITS = 3
    _MAX_PART_DIFFERENCE = 6.0
    """Grey levels, mean over an eighth by an eighth of the picture. JPEG at quality 30 stays below
    3, a smile of the same person in the same studio reaches 10."""

    def __init__(self) -> None:
        self._hashes: list[int] = []
        self._small: list[np.ndarray] = []
        # Of four 16-bit bands at least one is equal when at most three bits differ.
        self._by_band: dict[tuple[int, int], list[int]] = defaultdict(list)

    def is_copy_of_another(self, data: bytes) -> bool:
        """Of an encoded picture; unreadable ones are no copies."""
        if not data:
            return False
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        return grey is not None and self.is_copy(grey)

    def is_copy(self, grey: UInt8[np.ndarray, "height width"]) -> bool:
        """True if something like it was shown before; remembers it if not."""
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.int16)
        code = _difference_hash(grey)
        bands = [(i, (code >> (16 * i)) & 0xFFFF) for i in range(4)]
        for row in {row for band in bands for row in self._by_band[band]}:
            if (self._hashes[row] ^ code).bit_count() > self._MAX_BITS:
                continue
            parts = np.abs(self._small[row] - small).reshape(8, 4, 8, 4).mean(axis=(1, 3))
            if parts.max() < self._MAX_PART_DIFFERENCE:
                return True
        for band in bands:
            self._by_band[band].append(len(self._hashes))
        self._hashes.append(code)
        self._small.append(small)
        return False


def _difference_hash(grey: UInt8[np.ndarray, "height width"]) -> int:
    """One bit for each of 8 x 8 places: is it brighter than its left neighbour?"""
    tiny = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (tiny[:, 1:] > tiny[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
