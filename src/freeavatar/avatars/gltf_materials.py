"""Materials and textures of a glTF file, reduced to what the rasterizer draws."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from freeavatar.avatars.avatar import Material, MaterialKind
from freeavatar.avatars.gltf_buffers import BrokenGltf, GltfFile, item

MAX_TEXTURE = 2048
"""Larger textures are shrunk: a face is never drawn at more than 1024 pixels."""

PALETTE_SIZE = 64
"""Side of the texture that stands for vertex colours."""

# The first word found in the material's or mesh's name decides; order matters ("eyelash" before
# "eye", "teeth" before "tongue": meshes that hold both are drawn as teeth). The wet inside of the
# mouth is drawn like the tongue.
KIND_WORDS: tuple[tuple[str, MaterialKind], ...] = (
    ("lash", "lash"),
    ("brow", "brow"),
    ("cornea", "cornea"),
    ("eyewet", "cornea"),
    ("teeth", "teeth"),
    ("tooth", "teeth"),
    ("tongue", "tongue"),
    ("gum", "tongue"),
    ("mouth", "tongue"),
    ("hair", "hair"),
    ("wig", "hair"),
    ("beard", "hair"),
    ("gland", "skin"),
    ("lid", "skin"),
    ("sclera", "eye"),
    ("iris", "eye"),
    ("pupil", "eye"),
    ("eye", "eye"),
    ("skin", "skin"),
    ("face", "skin"),
    ("head", "skin"),
    ("body", "skin"),
)


def kind_of(*names: str) -> MaterialKind:
    """What a surface is, read from the names of its mesh and material, the first name first."""
    for name in names:
        lowered = re.sub(r"[^a-z]", "", name.lower())
        for word, kind in KIND_WORDS:
            if word in lowered:
                return kind
    return "other"


def read_materials(file: GltfFile) -> list[Material]:
    """All materials of the file, their kind guessed from their own names."""
    textures: dict[int, UInt8[np.ndarray, "height width 4"]] = {}
    return [
        _material(file, entry, number, textures)
        for number, entry in enumerate(file.json.get("materials", []))
    ]


def default_material(name: str) -> Material:
    """For primitives without a material: light grey."""
    return Material(name, kind_of(name), np.array([0.8, 0.8, 0.8, 1.0], np.float32))


def for_mesh(material: Material, mesh_name: str) -> Material:
    """The material with the kind that the mesh's name tells, when it tells one."""
    kind = kind_of(mesh_name)
    # A mesh called "Face" or "Body" may hold eyes and lashes as further materials.
    if kind == "other" or (kind == "skin" and material.kind != "other"):
        return material
    return replace(material, kind=kind)


def _material(
    file: GltfFile,
    entry: dict[str, Any],
    number: int,
    textures: dict[int, UInt8[np.ndarray, "height width 4"]],
) -> Material:
    name = str(entry.get("name", f"material_{number}"))
    metallic = entry.get("pbrMetallicRoughness", {})
    extensions = entry.get("extensions", {})
    mode = str(entry.get("alphaMode", "OPAQUE")).lower()
    if mode not in ("opaque", "mask", "blend"):
        raise BrokenGltf(f"material {name!r} has alpha mode {mode!r}")
    texture = None
    if "baseColorTexture" in metallic:
        index = metallic["baseColorTexture"]["index"]
        if index not in textures:
            textures[index] = _texture(file, index)
        texture = textures[index]
    return Material(
        name=name,
        kind=kind_of(name),
        base_color=_color(metallic.get("baseColorFactor", (1, 1, 1, 1))),
        texture=texture,
        alpha_mode=mode,  # type: ignore[arg-type]
        alpha_cutoff=float(entry.get("alphaCutoff", 0.5)),
        double_sided=bool(entry.get("doubleSided", False)),
        roughness=float(np.clip(metallic.get("roughnessFactor", 1.0), 0.0, 1.0)),
        emissive="KHR_materials_unlit" in extensions or "VRMC_materials_mtoon" in extensions,
    )


def _color(values: Any) -> Float[np.ndarray, "4"]:
    color = np.array(values, np.float32).reshape(4)
    if not np.isfinite(color).all():
        raise BrokenGltf("a material has an infinite colour")
    return np.clip(color, 0.0, 1.0)


def _texture(file: GltfFile, index: int) -> UInt8[np.ndarray, "height width 4"]:
    entry = item(file.json, "textures", index)
    source = entry.get("source")
    for extension in ("EXT_texture_webp", "EXT_texture_avif"):
        source = entry.get("extensions", {}).get(extension, {}).get("source", source)
    if source is None:
        raise BrokenGltf(f"texture {index} has no picture that we read (PNG, JPEG or WebP)")
    data = np.frombuffer(file.image(source), np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    except cv2.error:
        picture = None  # broken headers raise, broken pictures return None: same meaning
    if picture is None:
        raise BrokenGltf(f"the picture of texture {index} is not a readable PNG, JPEG or WebP")
    return _shrunk(_rgba(picture))


def _rgba(picture: np.ndarray) -> UInt8[np.ndarray, "height width 4"]:
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGBA)
    if picture.shape[2] == 3:
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGBA)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)


def _shrunk(
    picture: UInt8[np.ndarray, "height width 4"],
) -> UInt8[np.ndarray, "height width 4"]:
    largest = max(picture.shape[:2])
    if largest <= MAX_TEXTURE:
        return picture
    scale = MAX_TEXTURE / largest
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def bake_vertex_colors(
    colors: Float[np.ndarray, "vertex 4"],
) -> tuple[UInt8[np.ndarray, "size size 4"], Float[np.ndarray, "vertex 2"]]:
    """A small texture and coordinates that show linear vertex colours (RGBA).

    The texture spans the two main directions in which the colours differ, so that interpolating
    coordinates between vertices is interpolating colours.
    """
    centre = colors.mean(axis=0)
    _, _, directions = np.linalg.svd(colors - centre, full_matrices=False)
    directions = np.vstack([directions, np.zeros((2, 4))])[:2]
    along = (colors - centre) @ directions.T
    # One texel of margin on each side keeps bilinear sampling between texel centres.
    low, span = along.min(axis=0), np.ptp(along, axis=0) + 1e-6
    steps = (np.arange(PALETTE_SIZE) - 0.5) / (PALETTE_SIZE - 2)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1) * span + low  # u along columns
    linear = np.clip(centre + grid @ directions, 0.0, 1.0)
    rgb = linear[..., :3]
    srgb = np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb ** (1 / 2.4) - 0.055)
    texture = np.round(np.concatenate([srgb, linear[..., 3:]], axis=-1) * 255).astype(np.uint8)
    uvs = ((along - low) / span * (PALETTE_SIZE - 2) + 1) / PALETTE_SIZE
    return texture, uvs.astype(np.float32)
