"""`freeavatar evaluate triplets`: any embeddings against any triplets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zipfile import BadZipFile

import numpy as np
import tyro

from freeavatar.errors import DataError


@dataclass(frozen=True)
class Triplets:
    """Share of triplets that ready embeddings answer rightly, by type; chance is 0.333.

    A triplet is right when anchor and positive lie nearer to each other than either lies to the
    negative.
    """

    embeddings: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NPZ")]
    """A file of `freeavatar embed`, or any .npz with an array `embeddings` [n, d]."""
    triplets: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CSV")]
    """Columns a, p, n (rows of the embeddings) and type."""

    def run(self) -> int:
        """Print one line per type."""
        from freeavatar.expression.evaluate import read_triplets, triplet_accuracy

        rows = _read_embeddings(self.embeddings)
        triplets, kinds = read_triplets(self.triplets, len(rows))
        if len(triplets) == 0:
            raise DataError(f"{self.triplets} holds no triplets.")
        print(f"all {triplet_accuracy(rows, triplets):.3f} ({len(triplets)})")
        for kind in sorted(set(kinds)):
            chosen = triplets[np.array(kinds) == kind]
            print(f"{kind} {triplet_accuracy(rows, chosen):.3f} ({len(chosen)})")
        return 0


def _read_embeddings(path: Path) -> np.ndarray:
    """Rows; NaN where no face was found, which answers no triplet rightly."""
    try:
        with np.load(path, allow_pickle=False) as file:
            rows = file["embeddings"].astype(np.float64)
            found = file["found"] if "found" in file else np.ones(len(rows), bool)
    except (OSError, ValueError, KeyError, EOFError, AttributeError, BadZipFile) as error:
        raise DataError(
            f"{path} is no file of embeddings ({error}). Make one with: freeavatar embed"
        ) from error
    if rows.ndim != 2:
        raise DataError(f"{path}: embeddings have shape {rows.shape}, expected [n, d].")
    rows[~found] = np.nan
    return rows
