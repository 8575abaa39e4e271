"""A convolutional stem that begins where a public face-mesh network ended its training.

Its layers are those of the first five stages of the 478-point mesh network in `capture/models`
(Apache-2.0). That network saw far more faces than two CPU cores can; what it learned about lids and
lips is taken over as a start, then everything above the frozen stages is trained on expressions.
No landmark is computed: the stem is cut off long before the points.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from freeavatar.errors import WeightsError

# Channels, channels between the two 1x1 convolutions, blocks; each stage but the first halves.
STAGES: tuple[tuple[int, int, int], ...] = (
    (16, 8, 4),
    (32, 16, 5),
    (64, 32, 5),
    (128, 64, 5),
    (128, 64, 5),
)
MESH_NETWORK = Path(__file__).parents[1] / (
    "capture/models/face_landmarks_detector_prelu_as_dwconv.onnx"
)


class Rectifier(nn.Module):
    """PReLU with a slope per channel, spelled out: a third faster to train on CPUs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((1, channels, 1, 1), 0.25))

    def forward(self, maps: Float[Tensor, "batch channel height width"]) -> Tensor:
        if self.training and not torch.is_grad_enabled():
            return F.prelu(maps, self.slope.flatten())
        if torch.compiler.is_exporting():
            # Two passes over the maps in ONNX Runtime, where the form below takes three.
            return maps + F.relu(maps * torch.full_like(self.slope, -1.0)) * (1 - self.slope)
        return F.relu(maps) * (1 - self.slope) + self.slope * maps


class Bottleneck(nn.Module):
    """Narrow, look around, widen, add; a halving block looks at 2 x 2 pixels at once."""

    def __init__(self, channels_in: int, channels: int, narrow: int, halve: bool) -> None:
        super().__init__()
        side = 2 if halve else 1
        self.halve, self.padding = halve, channels - channels_in
        self.reduce = nn.Conv2d(channels_in, narrow, side, stride=side)
        self.inner = Rectifier(narrow)
        self.around = nn.Conv2d(narrow, narrow, 3, padding=1, groups=narrow)
        self.expand = nn.Conv2d(narrow, channels, 1)
        self.outer = Rectifier(channels)

    def forward(self, maps: Float[Tensor, "batch channel height width"]) -> Tensor:
        change = self.expand(self.around(self.inner(self.reduce(maps))))
        if self.halve:
            maps = F.pad(F.max_pool2d(maps, 2), (0, 0, 0, 0, 0, self.padding))
        return self.outer(maps + change)


class MeshStem(nn.Module):
    """Crops of 224 pixels, the size of face that the mesh network knew -> a token for 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, STAGES[0][0], 3, stride=2)
        self.first_rectifier = Rectifier(STAGES[0][0])
        self.stages = nn.ModuleList()
        channels_in = STAGES[0][0]
        for number, (channels, narrow, num_blocks) in enumerate(STAGES):
            blocks = [
                Bottleneck(channels if i else channels_in, channels, narrow, number > 0 and i == 0)
                for i in range(num_blocks)
            ]
            self.stages.append(nn.Sequential(*blocks))
            channels_in = channels
        self.norm = nn.LayerNorm(channels_in)
        self.proj = nn.Linear(channels_in, width)
        self.num_frozen = 0

    def forward(
        self, batch: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch token channel"]:
        """Pictures in [0, 1], as the mesh network takes them."""
        batch = batch.contiguous(memory_format=torch.channels_last)
        if self.training and self.num_frozen:
            # A few pictures at a time stay in the processor's cache: three times as fast. In
            # bfloat16 a CPU would spend more on casting these wide maps than it saves.
            exact = torch.autocast("cpu", enabled=False)
            with torch.no_grad(), exact if batch.device.type == "cpu" else nullcontext():
                maps = torch.cat([self._low(part) for part in batch.split(4)])
        else:
            maps = self._low(batch)
        return self.upper(maps)

    def upper(
        self, maps: Float[Tensor, "batch channel rows columns"]
    ) -> Float[Tensor, "batch token width"]:
        """From the first stage that learns to the tokens."""
        for stage in self.stages[self.num_frozen :]:
            maps = stage(maps)
        return self.proj(self.norm(maps.flatten(2).transpose(1, 2)))

    def _low(self, batch: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Everything below the first stage that learns."""
        maps = self.first_rectifier(self.first(F.pad(batch, (0, 1, 0, 1))))
        for stage in self.stages[: self.num_frozen]:
            maps = stage(maps)
        return maps

    def freeze(self, num_stages: int) -> None:
        """Leave the first stages as they are: they cost most of a step and hold few weights."""
        self.num_frozen = num_stages
        if num_stages:
            for part in (self.first, self.first_rectifier, *self.stages[:num_stages]):
                part.requires_grad_(False)


def load_mesh_weights(stem: MeshStem, network: Path = MESH_NETWORK) -> None:
    """Copy the mesh network's weights; WeightsError when the file is another network."""
    convolutions, slopes = _read(network)
    layers: list[nn.Conv2d] = [stem.first]
    rectifiers: list[Rectifier] = [stem.first_rectifier]
    for stage in stem.stages:
        for block in stage:  # type: ignore[attr-defined]
            layers += [block.reduce, block.around, block.expand]
            rectifiers += [block.inner, block.outer]
    try:
        with torch.no_grad():
            for layer, (weight, bias) in zip(layers, convolutions, strict=False):
                assert layer.bias is not None
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(bias))
            for rectifier, slope in zip(rectifiers, slopes, strict=False):
                rectifier.slope.copy_(torch.from_numpy(slope).view(1, -1, 1, 1))
    except RuntimeError as error:
        raise WeightsError(f"{network} is not the 478-point mesh network ({error}).") from error


def _read(network: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    """Weights and biases of all convolutions in order, and the slopes of all rectifiers.

    The file has each rectifier as slope * x + (1 - slope) * relu(x), the factors as depthwise 1x1
    convolutions without bias.
    """
    import onnx  # only training has it

    if not network.is_file():
        raise WeightsError(f"There is no mesh network at {network}. Is the installation complete?")
    graph = onnx.load(str(network)).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    feeds_sum = {name for node in graph.node if node.op_type == "Add" for name in node.input}
    convolutions, slopes = [], []
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        weight = np.array(values[node.input[1]])
        is_factor = len(node.input) == 2 and weight[0].size == 1 and node.output[0] in feeds_sum
        if not is_factor:
            bias = values[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight))
            convolutions.append((weight, np.array(bias, np.float32)))
        elif made_by.get(node.input[0]) != "Relu":
            slopes.append(weight.reshape(-1))
    return convolutions, slopes
