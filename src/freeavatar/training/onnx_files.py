"""Clean-up of exported networks before they leave the machine that made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx


def strip_traces(path: Path) -> None:
    """Drop the exporter's notes (stack traces with file paths) from a network, in place."""
    model = onnx.load(str(path))
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        for value in graph.value_info:
            del value.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    onnx.save(model, str(path))


def store_in_half_precision(path: Path) -> None:
    """Halve the file: big float32 tensors are kept as float16 and cast back when loaded.

    Arithmetic stays in float32; ONNX Runtime folds the casts once per session.
    """
    model = onnx.load(str(path))
    casts = []
    for tensor in list(model.graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 1024:
            continue
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half")
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(half)
        cast = onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT)
        casts.append(cast)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))
