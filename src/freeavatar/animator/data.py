"""What the animator is fed: features of the frozen encoder, with the truth of their pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freeavatar.animator.identity import DrivenRig
from freeavatar.expression.data import FacePool
from freeavatar.expression.runtime import ExpressionEncoder


@dataclass(frozen=True)
class FeatureTable:
    """Encoder features of many damaged crops, and the ARKit values of each (NaN = unknown)."""

    features: Float[np.ndarray, "sample feature"]
    controls: Float[np.ndarray, "sample 52"]


def encode_pool(
    pool: FacePool,
    encoder: ExpressionEncoder,
    num: int,
    seed: int,
    report: Callable[[int], None] = lambda _: None,
    batch_size: int = 64,
) -> FeatureTable:
    """Draw `num` augmented crops and run the encoder that ships, so training sees what it will."""
    features, controls = [], []
    for start in range(0, num, batch_size):
        samples = pool.draw(min(batch_size, num - start), np.random.default_rng((seed, start)))
        features.append(encoder.encode(samples.crops).features)
        controls.append(samples.controls)
        report(start + len(samples.crops))
    return FeatureTable(np.concatenate(features), np.concatenate(controls))


def save_table(path: Path, table: FeatureTable) -> None:
    np.savez(path, features=table.features, controls=table.controls)


def load_table(path: Path) -> FeatureTable:
    with np.load(path, allow_pickle=False) as file:
        return FeatureTable(file["features"], file["controls"])


def rig_targets(
    member: DrivenRig, controls: Float[np.ndarray, "sample 52"]
) -> Float[np.ndarray, "sample control"]:
    """ARKit truth as shares of the member's ranges; NaN where an unknown control has a say."""
    matrix, rig = member.arkit_to_rig, member.rig
    unknown = np.isnan(controls).astype(np.float32) @ (np.abs(matrix.T) > 0.05) > 0
    values = rig.clamp(rig.rest + np.nan_to_num(controls) @ matrix.T)
    shares = (values - rig.minimum) / np.maximum(rig.maximum - rig.minimum, 1e-6)
    return np.where(unknown, np.nan, shares).astype(np.float32)
