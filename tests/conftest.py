"""Shape annotations become checks while the tests run; small media and stand-in networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
DEMO_CLIP = ROOT / "examples" / "clips" / "crying_to_laughing.mp4"


def checked_modules() -> list[str]:
    """Every module except those that numba compiles, for it cannot see through the checks."""
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sorted((SOURCE / "freeavatar").rglob("*.py"))
        if path.name != "__init__.py"
        and not re.search(r"^(import|from) numba", path.read_text("utf-8"), re.MULTILINE)
    ]


install_import_hook(checked_modules(), "beartype.beartype")

# A shared machine may stop a test for a second; that is no finding.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """make_video(name, pictures, rate=10, sound=False): an H.264 file of RGB pictures."""

    def make(
        name: str, pictures: Iterable[np.ndarray], rate: int = 10, sound: bool = False
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            video = None
            voice = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
            for picture in pictures:
                if video is None:
                    video = container.add_stream("libx264", rate=rate)
                    video.height, video.width = picture.shape[:2]
                    video.pix_fmt = "yuv420p"
                    video.options = {"preset": "ultrafast", "crf": "18"}
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
                container.mux(video.encode(frame))
            if video is not None:
                container.mux(video.encode())
            if voice is not None:
                tone = np.sin(np.arange(16_000) * 0.1).astype(np.float32)
                piece = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
                piece.sample_rate, piece.time_base, piece.pts = 16_000, Fraction(1, 16_000), 0
                container.mux(voice.encode(piece))
                container.mux(voice.encode())
        return path

    return make


@pytest.fixture(scope="session")
def face_pictures() -> list[np.ndarray]:
    """Every sixth of the first frames of the demonstration clip: a real face, 640 x 360."""
    if not DEMO_CLIP.exists():
        pytest.skip(f"needs {DEMO_CLIP.relative_to(ROOT)}")
    pictures = []
    with av.open(str(DEMO_CLIP)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % 6 == 0:
                pictures.append(frame.to_ndarray(format="rgb24"))
            if len(pictures) == 6:
                break
    return pictures


@pytest.fixture
def no_face_pictures() -> list[np.ndarray]:
    """A moving gradient."""
    column = np.linspace(40, 200, 96).astype(np.uint8)
    picture = np.broadcast_to(column[None, :, None], (64, 96, 3))
    return [np.roll(picture, 8 * i, axis=1) for i in range(4)]


@pytest.fixture(scope="session")
def toy_avatar_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bent sheet whose six morphs have ARKit names."""
    from freeavatar.avatars.gltf_writer import (
        GltfMaterial,
        GltfMesh,
        GltfNode,
        GltfSurface,
        write_glb,
    )

    x, y = (
        a.ravel() for a in np.meshgrid(np.linspace(-0.06, 0.06, 9), np.linspace(-0.09, 0.09, 11))
    )
    vertices = np.stack([x, y, 0.05 - 6 * x**2 - 2 * y**2], axis=1).astype(np.float32)
    grid = np.arange(99).reshape(11, 9)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])

    def bump(px: float, py: float, move: tuple[float, float, float]) -> np.ndarray:
        near = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 2e-4)
        return (near[:, None] * np.array(move)).astype(np.float32)

    morphs = {
        "eyeBlinkLeft": bump(0.03, 0.045, (0, -0.01, 0)),
        "eyeBlinkRight": bump(-0.03, 0.045, (0, -0.01, 0)),
        "mouthSmileLeft": bump(0.03, -0.03, (0.005, 0.008, -0.002)),
        "mouthSmileRight": bump(-0.03, -0.03, (-0.005, 0.008, -0.002)),
        "mouthPucker": bump(0, -0.018, (0, 0, 0.01)),
        "jawOpen": bump(0, -0.07, (0, -0.02, -0.005)),
    }
    uvs = np.stack([x / 0.12 + 0.5, 0.5 - y / 0.18], axis=1).astype(np.float32)
    surface = GltfSurface(
        vertices,
        triangles,
        uvs,
        GltfMaterial("skin", (0.8, 0.6, 0.5, 1.0)),
        deltas=np.stack(list(morphs.values())),
    )
    path = tmp_path_factory.mktemp("avatars") / "toy.glb"
    write_glb(path, (GltfNode("head", mesh=GltfMesh("face", (surface,), tuple(morphs))),))
    return path


@pytest.fixture
def stand_in_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the shipped weights: features are coarse pixels, controls are sums of them."""
    from freeavatar.animator.runtime import Animator
    from freeavatar.avatars.avatar import Avatar
    from freeavatar.errors import AvatarError
    from freeavatar.expression.runtime import ExpressionEncoder, Expressions
    from freeavatar.rig import RigSpec

    class CoarsePixels(ExpressionEncoder):
        def __init__(self) -> None:
            pass

        def encode(self, crops: np.ndarray) -> Expressions:
            coarse = crops.reshape(len(crops), 4, 56, 4, 56, 3).mean(axis=(2, 4, 5))
            features = (coarse.reshape(len(crops), 16) / 255 + 0.01).astype(np.float32)
            return Expressions(features / np.linalg.norm(features, axis=1)[:, None], features)

    class Sums(Animator):
        def __init__(self) -> None:
            self.usual = np.full(16, 0.25, np.float32)

        def controls(
            self,
            features: np.ndarray,
            avatar: Avatar | RigSpec,
            neutral: np.ndarray | None = None,
        ) -> np.ndarray:
            rig = avatar.rig if isinstance(avatar, Avatar) else avatar
            if isinstance(avatar, Avatar) and avatar.arkit_to_rig is None:
                raise AvatarError(f"The controls of {avatar.name!r} have unknown names.")
            if len(features) == 0:
                return np.zeros((0, len(rig)), np.float32)
            if neutral is not None:
                features = features - (neutral - self.usual)
            weights = np.random.default_rng(0).normal(size=(features.shape[1], len(rig)))
            shares = 1 / (1 + np.exp(-features @ weights))
            return rig.clamp(rig.minimum + shares * (rig.maximum - rig.minimum))

    monkeypatch.setattr(ExpressionEncoder, "load", staticmethod(lambda **_: CoarsePixels()))
    monkeypatch.setattr(Animator, "load", staticmethod(Sums))
