"""Encodings kept on disk: asking the same network about the same pictures twice costs nothing."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from freeavatar.evaluation.peers import Encoded, Method, Pictures


class EncodingCache:
    """One small file per method and set of pictures; a damaged or foreign one is made again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def encode(self, method: Method, pictures: Pictures) -> Encoded:
        """From disk if these bytes were encoded before."""
        digest = hashlib.sha256(pictures.crops.tobytes())
        digest.update(pictures.wide.tobytes())
        name = method.name.lower().replace(" ", "-")
        path = self._folder / f"{name}-{method.fingerprint}-{digest.hexdigest()[:16]}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                return Encoded(file["embeddings"], file["features"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass
        encoded = method.encode(pictures)
        unfinished = path.with_name(f".{os.getpid()}-{path.name}")
        np.savez(unfinished, embeddings=encoded.embeddings, features=encoded.features)
        os.replace(unfinished, path)
        return encoded
