"""Reads the container of a glTF file: JSON, buffers, meshopt compression, accessors and pictures.

Knows nothing about faces; `gltf_scene` and `gltf` build on it.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import meshoptimizer
import numpy as np

from freeavatar.errors import AvatarError

GLB_MAGIC = b"glTF"
CHUNK_JSON = 0x4E4F534A
CHUNK_BINARY = 0x004E4942
MAX_FILE_BYTES = 1 << 30
MAX_ELEMENTS = 4_000_000
"""Vertices or indices in one accessor; far above any face, far below what fills the memory."""

COMPONENT_TYPES: dict[int, type[np.generic]] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
NUM_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


class BrokenGltf(ValueError):
    """The file contradicts itself; `load_avatar` turns this into an AvatarError with the path."""


@dataclass
class GltfFile:
    """A parsed file; accessors are decoded on demand."""

    path: Path
    json: dict[str, Any]
    buffers: list[bytes | None]
    """None for the placeholder buffers that only meshopt-compressed views use."""
    _views: dict[int, memoryview] = field(default_factory=dict)

    def view(self, index: int) -> memoryview:
        """Bytes of one buffer view, decompressed."""
        if index not in self._views:
            view = item(self.json, "bufferViews", index)
            packed = view.get("extensions", {}).get("EXT_meshopt_compression")
            data = self._unpack(packed) if packed else self._slice(view)
            self._views[index] = memoryview(data)
        return self._views[index]

    def _slice(self, view: dict[str, Any]) -> memoryview:
        number, length = view["buffer"], view["byteLength"]
        offset = view.get("byteOffset", 0)
        if not 0 <= number < len(self.buffers):
            raise BrokenGltf(f"buffer {number} does not exist")
        data = self.buffers[number]
        if data is None:
            raise BrokenGltf(f"buffer {number} has no data")
        if offset < 0 or length < 0 or offset + length > len(data):
            raise BrokenGltf(f"a buffer view ends at byte {offset + length} of {len(data)}")
        return memoryview(data)[offset : offset + length]

    def _unpack(self, packed: dict[str, Any]) -> bytes:
        data = np.frombuffer(self._slice(packed), np.uint8)
        count, stride, mode = packed["count"], packed["byteStride"], packed["mode"]
        if not (0 < count <= 1 << 27 and 0 < stride <= 256 and count * stride <= MAX_FILE_BYTES):
            raise BrokenGltf(f"{count} compressed elements of {stride} bytes are declared")
        if not len(data):
            raise BrokenGltf("a compressed buffer view is empty")
        try:
            return _decompressed(data, count, stride, mode, packed.get("filter", "NONE"))
        except RuntimeError as error:
            raise BrokenGltf("its compressed data is damaged") from error

    def accessor(self, index: int) -> np.ndarray:
        """Elements x components; normalised integers become float32 in [-1, 1] or [0, 1]."""
        accessor = item(self.json, "accessors", index)
        count, components = accessor["count"], NUM_COMPONENTS[accessor["type"]]
        dtype = np.dtype(COMPONENT_TYPES[accessor["componentType"]])
        if not 0 <= count <= MAX_ELEMENTS:
            raise BrokenGltf(f"accessor {index} declares {count} elements")
        values = np.zeros((count, components), dtype)
        if "bufferView" in accessor:
            values = self._elements(accessor, count, components, dtype)
        if "sparse" in accessor:
            values = self._with_sparse(values.copy(), accessor["sparse"])
        if accessor.get("normalized") and dtype.kind in "iu":
            scaled = values.astype(np.float32) / np.float32(np.iinfo(dtype).max)
            values = np.maximum(scaled, np.float32(-1.0))
        return values

    def _elements(
        self, accessor: dict[str, Any], count: int, components: int, dtype: np.dtype
    ) -> np.ndarray:
        view_index = accessor["bufferView"]
        data = self.view(view_index)
        size = components * dtype.itemsize
        stride = self.json["bufferViews"][view_index].get("byteStride") or size
        offset = accessor.get("byteOffset", 0)
        end = offset + (count - 1) * stride + size if count else offset
        if offset < 0 or stride < size or end > len(data):
            raise BrokenGltf(f"an accessor reads to byte {end} of a view of {len(data)}")
        shape, strides = (count, components), (stride, dtype.itemsize)
        return np.ndarray(shape, dtype.newbyteorder("<"), data, offset, strides).astype(dtype)

    def _with_sparse(self, values: np.ndarray, sparse: dict[str, Any]) -> np.ndarray:
        count = sparse["count"]
        if not 0 <= count <= len(values):
            raise BrokenGltf(f"{count} sparse elements in an accessor of {len(values)}")
        index_dtype = np.dtype(COMPONENT_TYPES[sparse["indices"]["componentType"]])
        where = self._elements(sparse["indices"], count, 1, index_dtype)[:, 0].astype(np.int64)
        if count and (where.min() < 0 or where.max() >= len(values)):
            raise BrokenGltf(f"a sparse accessor writes element {where.max()} of {len(values)}")
        values[where] = self._elements(sparse["values"], count, values.shape[1], values.dtype)
        return values

    def image(self, index: int) -> bytes:
        """The encoded picture, as stored."""
        picture = item(self.json, "images", index)
        if "bufferView" in picture:
            return bytes(self.view(picture["bufferView"]))
        return read_uri(self.path, picture["uri"])


def item(parent: dict[str, Any], key: str, index: Any) -> dict[str, Any]:
    """Element of one of glTF's top-level lists; negative indices are errors, not Python's tail."""
    entries = parent.get(key, [])
    if not isinstance(index, int) or not 0 <= index < len(entries):
        raise BrokenGltf(f"{key}[{index}] does not exist (there are {len(entries)})")
    entry: dict[str, Any] = entries[index]
    return entry


def read_gltf(path: Path) -> GltfFile:
    """Parse a .glb, .vrm or .gltf file; AvatarError when it is none of them."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise AvatarError(f"{path} is larger than 1 GB; export the head without the scene.")
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise AvatarError(f"Cannot read the avatar {path}: {reason}.") from error
    if data[:4] == GLB_MAGIC:
        document, binary = _split_glb(data)
    elif data.lstrip()[:1] == b"{":
        document, binary = data, None
    else:
        raise AvatarError(
            f"{path} is not a glTF file (it starts with {data[:4]!r}); "
            "use a .glb, .vrm or .gltf file with morph targets."
        )
    parsed = json.loads(document, parse_float=_finite, parse_constant=_finite)
    if not isinstance(parsed, dict) or not isinstance(parsed.get("asset"), dict):
        raise BrokenGltf("the JSON part has no asset entry")
    return GltfFile(path, parsed, _buffers(path, parsed, binary))


def _finite(text: str) -> float:
    """JSON knows neither NaN nor Infinity, and a number as large as 1e999 would become one."""
    value = float(text)
    if not math.isfinite(value):
        raise BrokenGltf(f"the JSON part holds the number {text[:40]}")
    return value


def _split_glb(data: bytes) -> tuple[bytes, bytes | None]:
    if len(data) < 20:
        raise BrokenGltf(f"it ends after {len(data)} bytes")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise BrokenGltf(f"it is glTF version {version}, expected 2")
    if length > len(data):
        raise BrokenGltf(f"{length} bytes are declared but only {len(data)} are there")
    chunks: dict[int, bytes] = {}
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<II", data, position)
        position += 8
        if position + size > length:
            raise BrokenGltf(f"a chunk ends at byte {position + size} of {length}")
        chunks.setdefault(kind, data[position : position + size])
        position += size
    if CHUNK_JSON not in chunks:
        raise BrokenGltf("it has no JSON chunk")
    return chunks[CHUNK_JSON], chunks.get(CHUNK_BINARY)


def _buffers(path: Path, parsed: dict[str, Any], binary: bytes | None) -> list[bytes | None]:
    buffers: list[bytes | None] = []
    for number, entry in enumerate(parsed.get("buffers", [])):
        if "uri" in entry:
            data: bytes | None = read_uri(path, entry["uri"])
        elif number == 0 and binary is not None:
            data = binary
        else:
            data = None
        if data is not None and len(data) < entry["byteLength"]:
            raise BrokenGltf(f"buffer {number} has {len(data)} of {entry['byteLength']} bytes")
        buffers.append(data)
    return buffers


def read_uri(path: Path, uri: str) -> bytes:
    """Bytes behind a data URI or a file beside the glTF file; nothing is ever downloaded."""
    if uri.startswith("data:"):
        _, _, payload = uri.partition(",")
        return base64.b64decode(payload, validate=False)
    if "://" in uri:
        raise BrokenGltf(f"it refers to {uri[:60]!r}; only files beside it are read")
    target = (path.parent / unquote(uri)).resolve()
    if not target.is_relative_to(path.parent.resolve()):
        raise BrokenGltf(f"it refers to {uri[:60]!r}, which is outside its folder")
    try:
        return target.read_bytes()
    except OSError as error:
        raise BrokenGltf(f"its part {uri[:60]!r} cannot be read") from error


def _unfilter(values: np.ndarray, count: int, stride: int, name: str) -> np.ndarray:
    if name == "NONE":
        return values
    allowed = {"OCTAHEDRAL": (4, 8), "QUATERNION": (8,), "EXPONENTIAL": tuple(range(4, 257, 4))}
    if stride not in allowed.get(name, ()):
        raise BrokenGltf(f"unknown compression filter {name!r} with stride {stride}")
    decode = {
        "OCTAHEDRAL": meshoptimizer.decode_filter_oct,
        "QUATERNION": meshoptimizer.decode_filter_quat,
        "EXPONENTIAL": meshoptimizer.decode_filter_exp,
    }[name]
    return np.ascontiguousarray(decode(np.ascontiguousarray(values), count, stride))


def _decompressed(data: np.ndarray, count: int, stride: int, mode: str, kind: str) -> bytes:
    if mode == "ATTRIBUTES":
        values = meshoptimizer.decode_vertex_buffer(count, stride, data).view(np.uint8)
        return bytes(_unfilter(values, count, stride, kind).tobytes())
    decode = {
        "TRIANGLES": meshoptimizer.decode_index_buffer,
        "INDICES": meshoptimizer.decode_index_sequence,
    }.get(mode)
    if decode is None or stride not in (2, 4) or (mode == "TRIANGLES" and count % 3):
        raise BrokenGltf(f"unknown compression mode {mode!r} with stride {stride}")
    # The decoder always fills 32-bit integers when asked for 4 bytes; narrow afterwards.
    indices = decode(count, 4, data)
    return bytes(indices.astype(np.uint16 if stride == 2 else np.uint32).tobytes())
