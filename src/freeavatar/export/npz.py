"""embeddings.npz: expression embeddings of many pictures and videos, one row a frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float


def write_embeddings(
    path: Path,
    embeddings: Float[np.ndarray, "row dimension"],
    source: Sequence[str],
    time_s: Float[np.ndarray, " row"],
    found: Bool[np.ndarray, " row"],
) -> None:
    """embeddings [n, d] float32 unit vectors (zeros where no face was found), source [n] text,
    time_s [n] seconds, found [n] bool. No pickle is needed to read it."""
    lengths = np.linalg.norm(embeddings, axis=1)
    if len(embeddings) and not np.allclose(lengths[found], 1.0, atol=1e-3):
        raise ValueError(
            f"embeddings have lengths {lengths.min():.3f} to {lengths.max():.3f}, not 1"
        )
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            embeddings=embeddings.astype(np.float32),
            source=np.array(list(source), dtype=np.str_),
            time_s=time_s.astype(np.float64),
            found=found,
        )
