"""What a masked autoencoder alone knows of faces: its trunk's tokens, averaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from freeavatar.checkpoints import load_checkpoint
from freeavatar.errors import WeightsError
from freeavatar.expression.pretrain import KIND
from freeavatar.expression.vit import VisionTransformer, ViTConfig
from freeavatar.images import batch_from_pictures

Describe = Callable[[UInt8[np.ndarray, "crop size size 3"]], Float[np.ndarray, "crop width"]]


def load_mae_features(checkpoint: Path) -> Describe:
    """From `final.safetensors` of `freeavatar train faces`; WeightsError for another network."""
    loaded = load_checkpoint(checkpoint, KIND)
    try:
        shape = loaded.config["trunk"]
        config = ViTConfig(**(shape | {"stem_widths": tuple(shape["stem_widths"])}))
        trunk = VisionTransformer(config).eval()
        prefix = "trunk."
        trunk.load_state_dict(
            {n.removeprefix(prefix): t for n, t in loaded.tensors.items() if n.startswith(prefix)}
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{checkpoint} holds no trunk that this version knows ({error}). "
            "Give final.safetensors of `freeavatar train faces`."
        ) from error

    @torch.no_grad()
    def describe(
        crops: UInt8[np.ndarray, "crop size size 3"],
    ) -> Float[np.ndarray, "crop width"]:
        return np.asarray(trunk(torch.from_numpy(batch_from_pictures(crops))).mean(dim=1).numpy())

    return describe
