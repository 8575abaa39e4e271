"""Training checkpoint -> ONNX: float and int8, stored in half precision, with parity measured."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from jaxtyping import UInt8
from onnxruntime.quantization import QuantType, quantize_dynamic

from freeavatar.checkpoints import load_checkpoint
from freeavatar.expression.encoder import KIND, EncoderConfig, ExpressionNetwork
from freeavatar.expression.runtime import CROP_SIZE, ExpressionEncoder
from freeavatar.expression.vit import ViTConfig
from freeavatar.images import batch_from_pictures
from freeavatar.training.onnx_files import store_in_half_precision, strip_traces


@dataclass(frozen=True)
class Parity:
    """Worst and mean cosine between PyTorch's embeddings and an exported file's."""

    variant: str
    worst_cosine: float
    mean_cosine: float
    megabytes: float


def config_from_json(data: dict[str, Any]) -> EncoderConfig:
    """Inverse of dataclasses.asdict."""
    trunk = data["trunk"] | {"stem_widths": tuple(data["trunk"]["stem_widths"])}
    return EncoderConfig(**(data | {"trunk": ViTConfig(**trunk)}))


def load_network(checkpoint: Path) -> ExpressionNetwork:
    """The network of a finished or running `finetune` (averaged weights), ready to use."""
    loaded = load_checkpoint(checkpoint, KIND)
    network = ExpressionNetwork(config_from_json(loaded.config))
    averaged = any(name.startswith("average.network.") for name in loaded.tensors)
    prefix = "average.network." if averaged else "network."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in loaded.tensors.items() if k.startswith(prefix)}
    )
    return network.eval()


def export_network(network: ExpressionNetwork, folder: Path) -> tuple[Path, Path]:
    """Write `expression.onnx` and `expression.int8.onnx` with a dynamic batch."""
    folder.mkdir(parents=True, exist_ok=True)
    full, int8 = folder / "expression.onnx", folder / "expression.int8.onnx"
    example = torch.zeros(2, 3, CROP_SIZE, CROP_SIZE)
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=["crops"],
        output_names=["embeddings", "features"],
        dynamic_shapes={"batch": {0: torch.export.Dim("crop")}},
        verbose=False,
    )
    assert program is not None
    program.save(str(full), external_data=False)
    strip_traces(full)
    # Seven bits: without VNNI pairs of products are added in 16 bits, which eight would overflow.
    quantize_dynamic(
        str(full),
        str(int8),
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=_of_the_embedding(full),
    )
    for path in (full, int8):
        store_in_half_precision(path)
    return full, int8


def _of_the_embedding(path: Path) -> list[str]:
    """Names of the last nodes: small, and the sums of many large weights of either sign, which
    steps of a hundredth would not leave alone."""
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    names = [node.name for node in nodes if any(i.startswith("embedding.") for i in node.input)]
    # The quantizer takes a Gemm apart before it asks.
    return [*names, *(f"{name}_MatMul" for name in names)]


def export_and_measure(
    network: ExpressionNetwork, folder: Path, crops: UInt8[np.ndarray, "crop 224 224 3"]
) -> list[Parity]:
    """Both files, and parity.json beside them: how they compare with PyTorch on these crops."""
    parities = [measure_parity(network, path, crops) for path in export_network(network, folder)]
    report = [dataclasses.asdict(parity) for parity in parities]
    (folder / "parity.json").write_text(json.dumps(report, indent=1))
    return parities


@torch.no_grad()
def measure_parity(
    network: ExpressionNetwork, path: Path, crops: UInt8[np.ndarray, "crop 224 224 3"]
) -> Parity:
    """Compare on real crops, in a batch and one by one."""
    expected = network(torch.from_numpy(batch_from_pictures(crops)))[0].numpy()
    encoder = ExpressionEncoder.load(path)
    batch = encoder.encode(crops).embeddings
    single = np.concatenate([encoder.encode(crop[None]).embeddings for crop in crops])
    cosines = np.concatenate([(expected * batch).sum(1), (expected * single).sum(1)])
    return Parity(path.name, float(cosines.min()), float(cosines.mean()), path.stat().st_size / 1e6)
