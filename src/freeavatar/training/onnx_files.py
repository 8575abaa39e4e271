"""Clean-up of exported networks before they leave the machine that made them."""

from __future__ import annotations

from pathlib import Path

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
