"""How true the neural renderer is, to the eye (PSNR, SSIM) and to the expression encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.images import pictures_from_batch
from freeavatar.renderer.data import AvatarSet, encoder_crops, range_shares
from freeavatar.renderer.model import NeuralRenderer

FACE_SHARE = 0.1
"""Pixels whose region weight is above this belong to the moving face."""


@dataclass(frozen=True)
class Fidelity:
    """One avatar's held-out pictures, neural beside rasterized."""

    avatar: str
    psnr_db: float
    """Over the moving face."""
    rest_psnr_db: float
    """Of the avatar at rest shown instead: what doing nothing scores."""
    ssim: float
    retrieval: float
    """Share of neural pictures whose nearest rasterized one, to the encoder, is their own."""
    chance: float
    """Of the retrieval."""
    distance_ratio: float
    """Encoder's distance neural to rasterized, over the distance between two expressions."""


@torch.no_grad()
def judge_avatar(
    model: NeuralRenderer,
    number: int,
    avatar_set: AvatarSet,
    encoder: ExpressionEncoder | None,
    most: int = 200,
) -> Fidelity:
    """Measure on the judging tenth of the set."""
    rows = np.arange(avatar_set.num_train, len(avatar_set))[:most]
    truth = avatar_set.shards.gather(rows)
    shares = range_shares(avatar_set.rig, avatar_set.controls[rows])
    drawn = pictures_from_batch(model(torch.from_numpy(shares), number).numpy())
    face = avatar_set.regions > FACE_SHARE
    rest = np.broadcast_to(avatar_set.rest, truth.shape)
    retrieval = ratio = float("nan")
    if encoder is not None:
        retrieval, ratio = seen_by(encoder, drawn, truth)
    return Fidelity(
        avatar_set.avatar,
        psnr_db(drawn, truth, face),
        psnr_db(rest, truth, face),
        float(np.mean([ssim(a, b, face) for a, b in zip(drawn, truth, strict=True)])),
        retrieval,
        1.0 / len(rows),
        ratio,
    )


def psnr_db(
    drawn: UInt8[np.ndarray, "picture height width 3"],
    truth: UInt8[np.ndarray, "picture height width 3"],
    face: Bool[np.ndarray, "height width"],
) -> float:
    """Peak signal-to-noise ratio over the pixels of the face, of all pictures together."""
    error = (drawn[:, face].astype(np.float64) - truth[:, face]) ** 2
    return float(10.0 * np.log10(255.0**2 / max(error.mean(), 1e-9)))


def ssim(
    drawn: UInt8[np.ndarray, "height width 3"],
    truth: UInt8[np.ndarray, "height width 3"],
    face: Bool[np.ndarray, "height width"],
) -> float:
    """Structural similarity (Wang et al. 2004) of the grey pictures, Gaussian window of 1.5
    pixels, averaged over the face."""
    one, other = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (drawn, truth))

    def local(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    mean_a, mean_b = local(one), local(other)
    var_a, var_b = local(one * one) - mean_a**2, local(other * other) - mean_b**2
    covariance = local(one * other) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(score[face].mean())


def embed(
    encoder: ExpressionEncoder, pictures: UInt8[np.ndarray, "picture size size 3"]
) -> Float[np.ndarray, "picture embedding"]:
    """Unit embeddings of drawn crops."""
    crops = encoder_crops(pictures)
    chunks = [encoder.encode(crops[i : i + 32]).embeddings for i in range(0, len(crops), 32)]
    return np.concatenate(chunks)


def seen_by(
    encoder: ExpressionEncoder,
    drawn: UInt8[np.ndarray, "picture size size 3"],
    truth: UInt8[np.ndarray, "picture size size 3"],
) -> tuple[float, float]:
    """(retrieval, distance ratio) of neural pictures among rasterized ones."""
    neural, rasterized = embed(encoder, drawn), embed(encoder, truth)
    apart = np.linalg.norm(neural[:, None] - rasterized[None], axis=2)
    own = np.diagonal(apart)
    between = np.linalg.norm(rasterized[:, None] - rasterized[None], axis=2)
    other = between[~np.eye(len(between), dtype=bool)]
    retrieval = float((apart.argmin(1) == np.arange(len(apart))).mean())
    return retrieval, float(np.median(own) / max(float(np.median(other)), 1e-9))


def fidelity_table(results: Sequence[Fidelity]) -> str:
    """Markdown, one avatar a line and their mean."""
    lines = [
        "| avatar | PSNR, face (rest instead) | SSIM, face | retrieval (chance) | distance ratio |",
        "|---|---:|---:|---:|---:|",
    ]
    numbers = np.array(
        [
            (r.psnr_db, r.rest_psnr_db, r.ssim, r.retrieval, r.chance, r.distance_ratio)
            for r in results
        ]
    )
    named = [*zip([r.avatar for r in results], numbers, strict=True), ("mean", numbers.mean(0))]
    for name, (psnr, rest, structure, retrieval, chance, ratio) in named:
        lines.append(
            f"| {name} | {psnr:.1f} ({rest:.1f}) | {structure:.3f} | "
            f"{retrieval:.2f} ({chance:.3f}) | {ratio:.2f} |"
        )
    return "\n".join(lines) + "\n"


def picture_sheet(
    model: NeuralRenderer, sets: Sequence[AvatarSet], columns: int = 8
) -> UInt8[np.ndarray, "height width 3"]:
    """Held-out pictures: rasterized above, neural below, a pair of rows per avatar."""
    bands = []
    for number, avatar_set in enumerate(sets):
        rows = np.arange(avatar_set.num_train, len(avatar_set))[:columns]
        shares = torch.from_numpy(range_shares(avatar_set.rig, avatar_set.controls[rows]))
        with torch.no_grad():
            drawn = pictures_from_batch(model(shares, number).numpy())
        for pictures in (avatar_set.shards.gather(rows), drawn):
            bands.append(np.concatenate(list(pictures), axis=1))
    return np.concatenate(bands)
