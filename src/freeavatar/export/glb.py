"""<avatar>.glb: the avatar's own file, untouched, with the performance added as an animation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.gltf_buffers import GltfFile, read_gltf, read_uri
from freeavatar.avatars.gltf_writer import pack_glb
from freeavatar.errors import AvatarError, OutputError
from freeavatar.export.glb_tracks import Track, performance_tracks

FLOAT = 5126
ACCESSOR_TYPES = {"weights": "SCALAR", "rotation": "VEC4", "translation": "VEC3"}
MESHOPT = "EXT_meshopt_compression"
MAX_BYTES = 2**32 - 1
"""A GLB container counts its bytes in 32 bits."""


def write_glb(
    path: Path,
    avatar: Avatar,
    clip: AnimationClip,
    name: str = "performance",
    unpack: bool = False,
) -> None:
    """Copy the avatar's file and add an animation of morph weights, eyes and head.

    Meshes, textures, bones, expressions and compressed parts stay as they are, unless `unpack`
    asks for plain data; animations that the file had follow after the new one. Key frames are at
    the clip's own times.
    """
    if not avatar.source:
        raise AvatarError(f"{avatar.name} was not loaded from a file, so no GLB can be written.")
    file = read_gltf(Path(avatar.source))
    document = copy.deepcopy(file.json)
    tracks = performance_tracks(file, document, avatar, clip)
    repair_bounds(file, document)
    binary = BinaryChunk(file, document)
    if unpack:
        binary.unpack(file)
    add_animation(document, binary, name, clip.times_s, tracks)
    document["buffers"][0]["byteLength"] = len(binary.data)
    if len(binary.data) > MAX_BYTES - 2**24:
        raise OutputError(
            f"{path} would be larger than 4 GB, which GLB cannot hold. Cut the take into parts."
        )
    path.write_bytes(pack_glb(document, bytes(binary.data)))


def repair_bounds(file: GltfFile, document: dict[str, Any]) -> None:
    """Right bounds for accessors that declare wrong ones, which the format's validator refuses.

    Some exporters write 0 for the bounds of morph targets. Compressed views are made by tools
    that get this right, and are left packed.
    """
    views = document.get("bufferViews", [])
    for index, entry in enumerate(document.get("accessors", [])):
        packed = "bufferView" in entry and "extensions" in views[entry["bufferView"]]
        if entry["componentType"] != FLOAT or "min" not in entry or packed:
            continue
        values = file.accessor(index)
        for bound, actual in (("min", values.min(axis=0)), ("max", values.max(axis=0))):
            if not np.array_equal(np.array(entry[bound], np.float32), actual):
                entry[bound] = [float(value) for value in actual]


def add_animation(
    document: dict[str, Any],
    binary: BinaryChunk,
    name: str,
    times_s: Float[np.ndarray, " frame"],
    tracks: Sequence[Track],
) -> None:
    # glTF has no time before zero.
    times = (times_s - min(0.0, float(times_s[0]))).astype(np.float32)
    bounds = {"min": [float(times[0])], "max": [float(times[-1])]}
    key_times = binary.accessor(times, "SCALAR", bounds)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    stored: dict[bytes, int] = {}
    for track in tracks:
        values = np.ascontiguousarray(track.values, np.float32)
        # Teeth, lashes and brows often repeat the face's weights: equal curves are stored once.
        key = track.path.encode() + values.tobytes()
        if key not in stored:
            output = binary.accessor(values, ACCESSOR_TYPES[track.path])
            samplers.append({"input": key_times, "output": output, "interpolation": "LINEAR"})
            stored[key] = len(samplers) - 1
        target = {"node": track.node, "path": track.path}
        channels.append({"sampler": stored[key], "target": target})
    if channels:
        # First, because viewers play the first animation of a file.
        ours = {"name": name, "samplers": samplers, "channels": channels}
        document["animations"] = [ours, *document.get("animations", [])]


def forget_extension(document: dict[str, Any], name: str) -> None:
    """No longer say that an extension is used."""
    for key in ("extensionsUsed", "extensionsRequired"):
        kept = [used for used in document.get(key, []) if used != name]
        if kept:
            document[key] = kept
        else:
            document.pop(key, None)


class BinaryChunk:
    """The one binary chunk of the new file: what the old buffers held, then what is added."""

    def __init__(self, file: GltfFile, document: dict[str, Any]) -> None:
        self._document = document
        self.data = bytearray()
        document.setdefault("bufferViews", [])
        document.setdefault("accessors", [])
        buffers: list[dict[str, Any]] = document.setdefault("buffers", [])
        if not buffers:
            buffers.append({"byteLength": 0})
        elif "uri" in buffers[0] or any(data is not None for data in file.buffers[1:]):
            self._gather(file, buffers)
        else:
            self._extend((file.buffers[0] or b"")[: buffers[0]["byteLength"]])
        for image in document.get("images", []):
            if "uri" in image and not image["uri"].startswith("data:"):
                self._embed(file, image)

    def accessor(
        self, values: np.ndarray, kind: str, bounds: dict[str, list[float]] | None = None
    ) -> int:
        """Index of a new float accessor."""
        count = values.size if kind == "SCALAR" else len(values)
        view = self._view(np.ascontiguousarray(values, np.float32).tobytes())
        entry = {"bufferView": view, "componentType": FLOAT, "count": count, "type": kind}
        self._document["accessors"].append(entry | (bounds or {}))
        return len(self._document["accessors"]) - 1

    def unpack(self, file: GltfFile) -> None:
        """Plain data in place of meshopt-compressed views, for programs that cannot read those."""
        for index, view in enumerate(self._document["bufferViews"]):
            packed = view.get("extensions", {}).pop(MESHOPT, None)
            if packed is None:
                continue
            data = bytes(file.view(index))
            view |= {"buffer": 0, "byteOffset": self._extend(data), "byteLength": len(data)}
            if not view["extensions"]:
                del view["extensions"]
        # The placeholder buffers that only compressed views used come last.
        del self._document["buffers"][1:]
        forget_extension(self._document, MESHOPT)

    def _view(self, data: bytes) -> int:
        entry = {"buffer": 0, "byteOffset": self._extend(data), "byteLength": len(data)}
        self._document["bufferViews"].append(entry)
        return len(self._document["bufferViews"]) - 1

    def _extend(self, data: bytes) -> int:
        """Where the data starts; every part starts at a multiple of four."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        start = len(self.data)
        self.data.extend(data)
        return start

    def _gather(self, file: GltfFile, buffers: list[dict[str, Any]]) -> None:
        """Join the parts of a .gltf into buffer 0; placeholders without data stay buffers."""
        kept: list[dict[str, Any]] = [{"byteLength": 0}]
        moved: dict[int, tuple[int, int]] = {}
        for number, (entry, data) in enumerate(zip(buffers, file.buffers, strict=True)):
            if data is None:
                moved[number] = (len(kept), 0)
                kept.append(entry)
            else:
                moved[number] = (0, self._extend(data[: entry["byteLength"]]))
        buffers[:] = kept
        for view in self._document["bufferViews"]:
            packed = view.get("extensions", {}).get(MESHOPT)
            for reference in (view, packed) if packed else (view,):
                buffer, start = moved[reference["buffer"]]
                reference["buffer"] = buffer
                reference["byteOffset"] = reference.get("byteOffset", 0) + start

    def _embed(self, file: GltfFile, image: dict[str, Any]) -> None:
        """A picture beside the .gltf becomes part of the new file."""
        data = read_uri(file.path, image.pop("uri"))
        image["bufferView"] = self._view(data)
        if "mimeType" not in image:
            image["mimeType"] = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
