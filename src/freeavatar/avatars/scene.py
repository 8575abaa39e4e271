"""Pictures of avatars: camera, lights, background in; RGB out. The front of the rasterizer.

`prepare` does the work that every picture of one avatar shares; `render` draws one picture.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from freeavatar.avatars import compositing, rasterize, shading
from freeavatar.avatars.avatar import FaceFrame
from freeavatar.avatars.prepared import (
    PreparedAvatar,
    face_unit,
    posed_mesh,
    prepare,
    shadow_map,
)

__all__ = [
    "STUDIO",
    "Background",
    "Camera",
    "DirectionalLight",
    "Lights",
    "Picture",
    "PreparedAvatar",
    "face_unit",
    "portrait_camera",
    "prepare",
    "render",
]

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; `fov_y_rad` spans the picture's height."""

    position: Float[np.ndarray, "3"]
    target: Float[np.ndarray, "3"]
    up: Float[np.ndarray, "3"]
    fov_y_rad: float


@dataclass(frozen=True)
class DirectionalLight:
    """Light from far away; `to_light` points from the face to it, colour is linear RGB."""

    to_light: tuple[float, float, float]
    color: Rgb


@dataclass(frozen=True)
class Lights:
    """Key light (the one that throws the shadow), fill, and what comes from above and below."""

    key: DirectionalLight = DirectionalLight((-0.45, 0.6, 0.8), (0.76, 0.72, 0.66))
    fill: DirectionalLight = DirectionalLight((0.8, 0.1, 0.6), (0.24, 0.26, 0.30))
    sky: Rgb = (0.38, 0.40, 0.43)
    ground: Rgb = (0.23, 0.20, 0.18)
    exposure: float = 1.0


Background = Rgb | tuple[Rgb, Rgb] | UInt8[np.ndarray, "height width 3"]
"""sRGB in [0, 1]: one colour, a gradient from top to bottom, or a picture of the same size."""
STUDIO: tuple[Rgb, Rgb] = ((0.62, 0.65, 0.70), (0.40, 0.42, 0.46))


@dataclass(frozen=True)
class Picture:
    """A drawn picture and how much of each pixel the avatar covers."""

    rgb: UInt8[np.ndarray, "height width 3"]
    alpha: UInt8[np.ndarray, "height width"]


def render(
    prepared: PreparedAvatar,
    posed_vertices: Sequence[Float[np.ndarray, "_ 3"]],
    camera: Camera,
    lights: Lights | None = None,
    width: int = 512,
    height: int = 512,
    background: Background = STUDIO,
    *,
    samples: int = 2,
    shadow_size: int = 320,
    colors: Float32[np.ndarray, "material 4"] | None = None,
) -> Picture:
    """Draw one picture.

    `samples` x `samples` per pixel; `shadow_size` is the shadow map's side, 0 for no shadow,
    smaller is softer and faster; `colors` replaces the materials' base colours (linear RGBA).
    """
    lights = lights or Lights()
    mesh = posed_mesh(prepared, posed_vertices)
    projection = _project(mesh, camera, width, height, samples)
    light_rig = _light_rig(prepared, mesh, camera, lights, shadow_size)
    colors = prepared.colors if colors is None else np.ascontiguousarray(colors, np.float32)
    looks = shading.Looks(prepared.kinds, colors, prepared.unlit)
    ids, depths, chosen, pixels = _scratch(height * samples, width * samples)
    rasterize.draw_ids(
        projection,
        mesh,
        _drawing_order(prepared, projection),
        prepared.both_sides,
        prepared.cutoffs,
        prepared.textures,
        np.ascontiguousarray(colors[:, 3]),
        ids,
        depths,
    )
    per_pixel = np.float32(samples * samples)
    scenery = (projection, mesh, prepared.textures, looks, light_rig)
    fragments = compositing.pick_fragments(ids, depths, mesh.triangle_material, samples, chosen)
    shaded = shading.shade_fragments(*scenery, fragments, per_pixel)
    compositing.spread(shaded, chosen, pixels)
    if len(prepared.blended):
        corner_nearness = projection.nearness[prepared.triangles[prepared.blended]]
        order = prepared.blended[np.argsort(corner_nearness.sum(1), kind="stable")]
        fragments = compositing.see_through_fragments(
            projection, mesh, prepared.both_sides, order, ids, depths
        )
        shaded = shading.shade_fragments(*scenery, fragments, per_pixel)
        compositing.blend(fragments, shaded, pixels)
    rgb = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8)
    compositing.resolve(
        pixels,
        samples,
        np.float32(lights.exposure),
        _background(background, width, height),
        rgb,
        alpha,
    )
    return Picture(rgb, alpha)


def _drawing_order(
    prepared: PreparedAvatar, projection: rasterize.Projection
) -> Int[np.ndarray, "triangle"]:
    """Solid surfaces, then those with holes, nearest first: hidden holes are never looked up."""
    nearness = projection.nearness[prepared.triangles[prepared.tested]].sum(1)
    return np.concatenate([prepared.solid, prepared.tested[np.argsort(-nearness, kind="stable")]])


_buffers = threading.local()


def _scratch(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sample buffers: triangle ids and nearness, cleared; chosen fragments and pixels, not.

    Kept per thread, because fresh memory for every picture costs more than drawing it.
    """
    if getattr(_buffers, "size", None) != (height, width):
        _buffers.size = (height, width)
        _buffers.ids = np.empty((height, width), np.int32)
        _buffers.depths = np.empty((height, width), np.float32)
        _buffers.chosen = np.empty((height, width), np.int32)
        _buffers.pixels = np.empty((height, width, 4), np.float32)
    _buffers.ids.fill(-1)
    _buffers.depths.fill(0.0)
    return _buffers.ids, _buffers.depths, _buffers.chosen, _buffers.pixels


def _project(
    mesh: rasterize.Mesh, camera: Camera, width: int, height: int, samples: int
) -> rasterize.Projection:
    backward = camera.position - camera.target
    distance = float(np.linalg.norm(backward))
    backward = backward / distance
    right = np.cross(camera.up, backward)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(backward, right), backward])
    view = np.concatenate([axes, -(axes @ camera.position)[:, None]], 1)
    focal = height * samples / (2.0 * np.tan(camera.fov_y_rad / 2.0))
    xy, inverse_w = rasterize.project_perspective(
        mesh.vertices,
        view.astype(np.float32),
        np.float32(focal),
        np.float32(width * samples / 2.0),
        np.float32(height * samples / 2.0),
        np.float32(distance * 0.02),
    )
    return rasterize.Projection(xy, inverse_w, inverse_w)


def _light_rig(
    prepared: PreparedAvatar,
    mesh: rasterize.Mesh,
    camera: Camera,
    lights: Lights,
    shadow_size: int,
) -> shading.LightRig:
    depths, matrix = shadow_map(prepared, mesh, np.array(lights.key.to_light), shadow_size)
    texel = 1.0 / float(np.linalg.norm(matrix[0, :3])) if shadow_size else 0.0
    table = np.empty((shading.NUM_LIGHT_ROWS, 3), np.float32)
    table[shading.KEY_DIRECTION] = _unit(lights.key.to_light)
    table[shading.KEY_COLOR] = lights.key.color
    table[shading.FILL_DIRECTION] = _unit(lights.fill.to_light)
    table[shading.FILL_COLOR] = lights.fill.color
    table[shading.SKY] = lights.sky
    table[shading.GROUND] = lights.ground
    table[shading.EYE] = camera.position
    matrix[2, 3] += 1.2 * texel
    return shading.LightRig(table, matrix, depths, float(1.6 * texel))


def _unit(vector: tuple[float, float, float]) -> Float32[np.ndarray, "3"]:
    array = np.asarray(vector, np.float64)
    return (array / np.linalg.norm(array)).astype(np.float32)


def _background(
    background: Background, width: int, height: int
) -> UInt8[np.ndarray, "height width 3"]:
    if isinstance(background, np.ndarray):
        if background.shape != (height, width, 3):
            raise ValueError(f"background is {background.shape}, the picture {(height, width, 3)}")
        return background
    ends = np.atleast_2d(np.array(background, np.float32))
    share = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    column = (ends[0] * (1.0 - share) + ends[-1] * share) * 255.0 + 0.5
    rows = np.clip(column, 0.0, 255.0).astype(np.uint8)[:, None]
    return np.ascontiguousarray(np.broadcast_to(rows, (height, width, 3)))


def portrait_camera(
    face: FaceFrame,
    *,
    yaw_rad: float = 0.0,
    pitch_rad: float = 0.0,
    fov_y_rad: float = 0.35,
    margin: float = 1.0,
) -> Camera:
    """A camera that frames head and neck; yaw > 0 looks from the character's left, pitch > 0
    from above, `margin` above 1 steps back."""
    eyes = (face.left_eye + face.right_eye) / 2.0
    unit = face_unit(face)
    target = eyes + np.array([0.0, -0.3 * unit, -0.4 * unit])
    # A head from chin to crown is about four units high, hair and neck included five.
    distance = margin * 2.7 * unit / np.tan(fov_y_rad / 2.0)
    outward = np.array(
        [
            np.sin(yaw_rad) * np.cos(pitch_rad),
            np.sin(pitch_rad),
            np.cos(yaw_rad) * np.cos(pitch_rad),
        ]
    )
    return Camera(target + outward * distance, target, np.array([0.0, 1.0, 0.0]), fov_y_rad)
