"""NumPy archives: <avatar>.curves.npz with one performance, embeddings.npz with many pictures."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from freeavatar.animation import AnimationClip
from freeavatar.errors import CurveFileError
from freeavatar.rig import RigSpec

_DAMAGED = (
    *(ValueError, KeyError, TypeError, EOFError, AttributeError),
    *(zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError, MemoryError, SyntaxError),
)
"""What reading a damaged archive raises; the last four: an unknown way of packing, a password, an
array of a size that nobody has, a header that is no Python."""


def write_curves(path: Path, clip: AnimationClip) -> None:
    """times_s [n] float64, values [n, control] float32, names [control] text, found [n] bool,
    confidence [n] and head_rad [n, 3] float64, rig: the whole RigSpec as JSON text. No pickle is
    needed to read it."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            times_s=clip.times_s.astype(np.float64),
            values=clip.values.astype(np.float32),
            names=np.array(clip.rig.names, dtype=np.str_),
            found=clip.found,
            confidence=clip.confidence.astype(np.float64),
            head_rad=clip.head_rad.astype(np.float64),
            rig=np.array(json.dumps(clip.rig.to_json(), ensure_ascii=False)),
        )


def read_curves(path: Path) -> AnimationClip:
    """The clip that `write_curves` wrote; CurveFileError when the file is something else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            rig = RigSpec.from_json(json.loads(str(archive["rig"])))
            return AnimationClip(
                rig,
                archive["times_s"],
                rig.clamp(archive["values"]),
                archive["found"],
                archive["head_rad"],
                archive["confidence"] if "confidence" in archive else np.zeros(0),
            )
    except OSError as error:
        reason = error.strerror or error
        raise CurveFileError(f"{path} cannot be read: {reason}. Check the path.") from error
    except _DAMAGED as error:
        raise CurveFileError(
            f"{path} is not an NPZ of curves that freeavatar wrote ({error}). Export it again."
        ) from error


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
