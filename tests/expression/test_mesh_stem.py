"""The stem starts exactly where the public mesh network stands, and frozen stages stay there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from freeavatar.errors import WeightsError
from freeavatar.expression.mesh_stem import MESH_NETWORK, MeshStem, load_mesh_weights
from freeavatar.expression.vit import VisionTransformer, ViTConfig, vit_mesh


def test_stem_computes_what_the_mesh_network_computes() -> None:
    """Witness: ONNX Runtime on the original file, read out after its fifth stage."""
    model = onnx.load(str(MESH_NETWORK))
    tap = next(o for n in model.graph.node for o in n.output if "p_re_lu_174/mul1" in o)
    model.graph.output.append(onnx.helper.make_tensor_value_info(tap, 1, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    picture = np.random.default_rng(0).random((1, 3, 256, 256), np.float32)
    stem = MeshStem(192)
    load_mesh_weights(stem)
    # A layer norm forgets scale and a projection mixes: look at what goes into both.
    seen: list[torch.Tensor] = []
    stem.norm.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        stem(torch.from_numpy(picture))
    expected = session.run([tap], {"input_12": picture.transpose(0, 2, 3, 1)})[0]
    np.testing.assert_allclose(
        seen[0].numpy()[0], expected.reshape(128, 64).T, atol=1e-3 * np.abs(expected).max()
    )


def test_another_network_is_refused() -> None:
    other = MESH_NETWORK.with_name("face_detector.onnx")
    with pytest.raises(WeightsError, match="not the 478-point mesh network"):
        load_mesh_weights(MeshStem(32), other)


def test_frozen_stages_get_no_gradient_and_the_others_do() -> None:
    trunk = VisionTransformer(vit_mesh())
    stem = trunk.patch_embed
    assert isinstance(stem, MeshStem)
    stem.freeze(2)
    trunk(torch.rand(2, 3, 224, 224)).square().mean().backward()
    moved = [any(p.grad is not None for p in stage.parameters()) for stage in stem.stages]
    assert moved == [False, False, True, True, True]


def test_tokens_stand_for_patches_of_32_pixels() -> None:
    assert VisionTransformer(vit_mesh())(torch.rand(2, 3, 224, 224)).shape == (2, 49, 192)
    with pytest.raises(ValueError, match="32 pixels"):
        ViTConfig(stem="mesh", patch_size=16)


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="mesh network"):
        load_mesh_weights(MeshStem(32), tmp_path / "none.onnx")
