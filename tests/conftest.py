"""Shape annotations become checks while the tests run; small media and stand-in networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"


def checked_modules() -> list[str]:
    """Every module except those that numba compiles, for it cannot see through the checks."""
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sorted((SOURCE / "freeavatar").rglob("*.py"))
        if path.name != "__init__.py"
        and not re.search(r"^(import|from) numba", path.read_text("utf-8"), re.MULTILINE)
    ]


install_import_hook(checked_modules(), "beartype.beartype")

MakeVideo = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """make_video(name, pictures, rate=10, sound=False): an H.264 file of RGB pictures."""

    def make(
        name: str, pictures: Iterable[np.ndarray], rate: int = 10, sound: bool = False
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = None
            voice = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
            count = 0
            for picture in pictures:
                if stream is None:
                    stream = container.add_stream("libx264", rate=rate)
                    stream.height, stream.width = picture.shape[:2]
                    stream.pix_fmt = "yuv420p"
                    stream.options = {"preset": "ultrafast", "crf": "18"}
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
                container.mux(stream.encode(frame))
                count += 1
            if stream is not None:
                container.mux(stream.encode())
            if voice is not None:
                tone = np.sin(np.arange(max(count, 10) * 16_000 // rate) * 0.1).astype(np.float32)
                piece = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
                piece.sample_rate, piece.time_base, piece.pts = 16_000, Fraction(1, 16_000), 0
                container.mux(voice.encode(piece))
                container.mux(voice.encode())
        return path

    return make


def grey(num_frames: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Pictures without a face."""
    return [np.full((height, width, 3), 90 + 5 * (i % 2), np.uint8) for i in range(num_frames)]
