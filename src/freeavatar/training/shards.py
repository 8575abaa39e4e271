"""The data-set format: folders of parts, each a uint8 memmap of crops with its truth beside it.

set/part-000/crops.npy   uint8 [n, size, size, 3]
             truth.npz   one array [n, ...] per column
set/index.json           what the columns mean
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int, UInt8

from freeavatar.errors import DataError


@dataclass(frozen=True)
class ShardSet:
    """Parts read as one long table; pictures stay on disk until gathered."""

    parts: tuple[UInt8[np.ndarray, "_ size size 3"], ...]
    columns: dict[str, np.ndarray]
    index: dict[str, Any]

    def __len__(self) -> int:
        return int(sum(len(part) for part in self.parts))

    def gather(self, rows: Int[np.ndarray, "row"]) -> UInt8[np.ndarray, "row size size 3"]:
        """Pictures of these rows, in their order."""
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        part_of_row = np.searchsorted(starts, rows, side="right") - 1
        pictures = [
            self.parts[part][row - starts[part]]
            for part, row in zip(part_of_row, rows, strict=True)
        ]
        return np.stack(pictures)


def read_json(path: Path) -> dict[str, Any]:
    """A note that belongs to a set; DataError when it is damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Delete {path.parent} and make it again."
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} is damaged: it holds a {type(content).__name__}, not an object. "
            f"Delete {path.parent} and make it again."
        )
    return content


def open_shards(folder: Path) -> ShardSet:
    """Open a set written by `freeavatar.datasets`; DataError names what is missing or damaged."""
    if not (folder / "index.json").is_file():
        raise DataError(f"{folder} is not a data set (no index.json). Make it with its recipe.")
    index = read_json(folder / "index.json")
    part_folders: Sequence[Path] = sorted(p for p in folder.glob("part-*") if p.is_dir())
    if not part_folders and (folder / "crops.npy").is_file():
        part_folders = [folder]
    if not part_folders:
        raise DataError(f"{folder} holds no finished part. Run its recipe again to go on.")
    pictures, tables = [], []
    for part in part_folders:
        try:
            crops = np.load(part / "crops.npy", mmap_mode="r", allow_pickle=False)
            with np.load(part / "truth.npz", allow_pickle=False) as file:
                columns = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise DataError(
                f"{part} is damaged ({error}). Delete it and run its recipe."
            ) from error
        # NumPy before 2.1 stored savez's own option allow_pickle as if it were a column.
        table = {name: column for name, column in columns.items() if column.ndim}
        if crops.dtype != np.uint8 or crops.ndim != 4:
            raise DataError(
                f"{part} is damaged: its crops are {crops.dtype} of shape {crops.shape}, not "
                "pictures. Delete it and run its recipe."
            )
        lengths = {len(crops), *(len(column) for column in table.values())}
        if len(lengths) != 1:
            raise DataError(f"{part} is damaged: its columns have lengths {sorted(lengths)}.")
        pictures.append(crops)
        tables.append(table)
    names = {frozenset(table) for table in tables}
    if len(names) > 1:
        partly = ", ".join(sorted(frozenset.union(*names) - frozenset.intersection(*names)))
        raise DataError(
            f"Some parts of {folder} lack columns that others have ({partly}). "
            "Run its recipe again to finish them."
        )
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return ShardSet(tuple(pictures), columns, index)
