"""From samples to colours (numba): one small light model for skin, eyes, teeth and hair.

Key light with soft shadow, fill light, sky and ground. Light passes a little into skin: the
edge of shade is soft and warm. Colours are linear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from freeavatar.avatars.rasterize import NORMAL, NUM_ATTRIBUTES, OPENNESS, SUBPIXELS, UV
from freeavatar.avatars.textures import linear_from_srgb_table, sample_color

_LINEAR = linear_from_srgb_table()
_LINEAR_TOP = np.float32(len(_LINEAR) - 1)


KINDS = ("skin", "eye", "cornea", "teeth", "tongue", "hair", "lash", "brow", "other")
_CORNEA = KINDS.index("cornea")
# Per kind: how far light wraps around the surface (red, green, blue); strength of the highlight;
# its sharpness as a number of squarings (5: cosine to the power 32); how much of the darkness of
# closed-in places is believed (baked on a still face, it must not stick to an eye that turns);
# whether closed-in places redden, because flesh is lit by its own reflection.
_WRAP, _GLOSS, _SQUARINGS, _OCCLUSION, _FLESH = 0, 3, 4, 5, 6
_KIND_TABLE = np.array(
    [
        (0.42, 0.24, 0.18, 0.045, 4, 0.9, 1),
        (0.25, 0.22, 0.22, 0.75, 8, 0.75, 0),
        (0.0, 0.0, 0.0, 0.9, 8, 0.2, 0),
        (0.35, 0.3, 0.25, 0.25, 6, 0.7, 0),
        (0.45, 0.25, 0.2, 0.15, 5, 0.75, 1),
        (0.35, 0.35, 0.35, 0.07, 4, 0.8, 0),
        (0.5, 0.5, 0.5, 0.0, 3, 0.3, 0),
        (0.35, 0.35, 0.35, 0.02, 3, 0.3, 0),
        (0.12, 0.12, 0.12, 0.03, 4, 0.9, 0),
    ],
    np.float32,
)
_WRAP_SCALE = 1.0 / (1.0 + _KIND_TABLE[:, _WRAP : _WRAP + 3])


class Looks(NamedTuple):
    """Per material, in the order of the avatar's surfaces."""

    kind: np.ndarray
    colors: np.ndarray
    """Linear RGBA, float32."""
    unlit: np.ndarray


# Rows of the table of lights: x, y, z or red, green, blue.
KEY_DIRECTION, KEY_COLOR, FILL_DIRECTION, FILL_COLOR, SKY, GROUND, EYE = range(7)
NUM_LIGHT_ROWS = 7


class LightRig(NamedTuple):
    """The lights of one picture, as arrays (linear colours times intensity)."""

    table: np.ndarray
    shadow_matrix: np.ndarray
    """World to shadow map, 3 x 4, in texels; z is nearness, bias included."""
    shadow_depths: np.ndarray
    """Nearness map seen from the key light; 1x1 for no shadow."""
    shadow_offset: float
    """Lookups start this far above the surface, or it would shade itself."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def key_visibility(depths, m, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the key light that arrives: 16 comparisons, weighted so that steps do not show."""
    size = depths.shape[0]
    one = np.float32(1.0)
    if size < 8:
        return one
    sx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3] - np.float32(0.5)
    sy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3] - np.float32(0.5)
    near = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
    if sx < 1 or sy < 1 or sx >= size - 3 or sy >= size - 3:
        return one
    x0, y0 = np.int64(sx), np.int64(sy)
    fx, fy = sx - np.float32(x0), sy - np.float32(y0)
    total = np.float32(0.0)
    for j in range(4):
        row = np.float32(0.0)
        if depths[y0 - 1 + j, x0 - 1] <= near:
            row += one - fx
        if depths[y0 - 1 + j, x0] <= near:
            row += one
        if depths[y0 - 1 + j, x0 + 1] <= near:
            row += one
        if depths[y0 - 1 + j, x0 + 2] <= near:
            row += fx
        if j == 0:
            row *= one - fy
        elif j == 3:
            row *= fy
        total += row
    return total * np.float32(1.0 / 9.0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _linear(value):  # type: ignore[no-untyped-def]
    return _LINEAR[np.int64(value * _LINEAR_TOP + np.float32(0.5))]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _before_roll_off(value):  # type: ignore[no-untyped-def]
    """What `resolve` turns back into `value`, so that unlit colours come out as painted."""
    if value <= np.float32(0.7):
        return value
    return np.float32(0.4) + np.float32(0.09) / max(np.float32(1.0) - value, np.float32(0.002))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def interpolate(xy, inverse_w, attributes, a, b, c, x, y, out):  # type: ignore[no-untyped-def]
    """Attributes at a sample's centre into `out`; the triangle's area in 1/256 samples, twice."""
    px, py = x * SUBPIXELS + SUBPIXELS // 2, y * SUBPIXELS + SUBPIXELS // 2
    ax, ay = np.int64(xy[a, 0]), np.int64(xy[a, 1])
    bx, by = np.int64(xy[b, 0]), np.int64(xy[b, 1])
    cx, cy = np.int64(xy[c, 0]), np.int64(xy[c, 1])
    edge_a = np.float32((cx - bx) * (py - by) - (cy - by) * (px - bx))
    edge_b = np.float32((ax - cx) * (py - cy) - (ay - cy) * (px - cx))
    edge_c = np.float32((bx - ax) * (py - ay) - (by - ay) * (px - ax))
    share_a, share_b = edge_a * inverse_w[a], edge_b * inverse_w[b]
    share_c = edge_c * inverse_w[c]
    scale = np.float32(1.0) / (share_a + share_b + share_c)
    share_a, share_b, share_c = share_a * scale, share_b * scale, share_c * scale
    for k in range(NUM_ATTRIBUTES):
        out[k] = (
            share_a * attributes[a, k] + share_b * attributes[b, k] + share_c * attributes[c, k]
        )
    return edge_a + edge_b + edge_c


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def surface_color(attributes, a, b, c, at, area, texels, levels, m, color, samples_per_pixel):  # type: ignore[no-untyped-def]
    """Linear colour and alpha of the material, from the mip level that fits the triangle."""
    bu, bv = attributes[b, UV] - attributes[a, UV], attributes[b, UV + 1] - attributes[a, UV + 1]
    cu, cv = attributes[c, UV] - attributes[a, UV], attributes[c, UV + 1] - attributes[a, UV + 1]
    texels_in_it = abs(bu * cv - bv * cu) * np.float32(levels[m, 0, 1] * levels[m, 0, 2])
    pixels = max(abs(area), np.float32(1.0)) * np.float32(1.0 / (SUBPIXELS * SUBPIXELS))
    red, green, blue, alpha = sample_color(
        texels, levels, m, at[UV], at[UV + 1], texels_in_it * samples_per_pixel / pixels
    )
    return (
        _linear(red) * color[m, 0],
        _linear(green) * color[m, 1],
        _linear(blue) * color[m, 2],
        alpha * color[m, 3],
    )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def light(table, matrix, depths, offset, kind, at, from_behind, out):  # type: ignore[no-untyped-def]
    """Light that the surface scatters (out[0:3]) and the highlight on top of it (out[3:6])."""
    one, zero = np.float32(1.0), np.float32(0.0)
    nx, ny, nz = at[NORMAL], at[NORMAL + 1], at[NORMAL + 2]
    scale = one / max(np.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-6))
    if from_behind:
        scale = -scale
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    vx, vy, vz = table[EYE, 0] - at[0], table[EYE, 1] - at[1], table[EYE, 2] - at[2]
    scale = one / np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * scale, vy * scale, vz * scale
    opened = one - _KIND_TABLE[kind, _OCCLUSION] * (one - at[OPENNESS])
    red_opened = np.sqrt(opened) if _KIND_TABLE[kind, _FLESH] > 0 else opened
    up = np.float32(0.5) + np.float32(0.5) * ny
    out[0] = (table[GROUND, 0] + (table[SKY, 0] - table[GROUND, 0]) * up) * red_opened
    out[1] = (table[GROUND, 1] + (table[SKY, 1] - table[GROUND, 1]) * up) * opened
    out[2] = (table[GROUND, 2] + (table[SKY, 2] - table[GROUND, 2]) * up) * opened
    out[3] = out[4] = out[5] = zero
    grazing = one - max(nx * vx + ny * vy + nz * vz, zero)
    grazing = grazing * grazing * grazing * grazing
    gloss = _KIND_TABLE[kind, _GLOSS] * (one + np.float32(3.0) * grazing)
    for which in range(2):
        row = KEY_DIRECTION if which == 0 else FILL_DIRECTION
        dx, dy, dz = table[row, 0], table[row, 1], table[row, 2]
        facing = nx * dx + ny * dy + nz * dz
        if facing <= np.float32(-0.45):
            continue
        arriving = opened
        if which == 0:
            # What is inside the mouth stays dark even where the shadow map is too coarse.
            arriving = min(np.float32(0.25) + opened * np.float32(1.5), one) * key_visibility(
                depths, matrix, at[0] + nx * offset, at[1] + ny * offset, at[2] + nz * offset
            )
        for k in range(3):
            wrapped = (facing + _KIND_TABLE[kind, _WRAP + k]) * _WRAP_SCALE[kind, k]
            out[k] += table[row + 1, k] * arriving * max(wrapped, zero)
        if facing <= zero or gloss <= zero or arriving <= zero:
            continue
        hx, hy, hz = dx + vx, dy + vy, dz + vz
        half = nx * hx + ny * hy + nz * hz
        half /= np.sqrt(hx * hx + hy * hy + hz * hz) + np.float32(1e-6)
        if half > np.float32(0.5):
            for _ in range(np.int64(_KIND_TABLE[kind, _SQUARINGS])):
                half *= half
            for k in range(3):
                out[3 + k] += table[row + 1, k] * gloss * arriving * half


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def shade(  # type: ignore[no-untyped-def]
    xy, inverse_w, triangles, triangle_material, attributes, texels, levels, kinds, colors, unlit,
    table, matrix, depths, offset, t, x, y, samples_per_pixel, at, lit, out,
):  # fmt: skip
    """Linear RGB times alpha, and alpha, of triangle t at one sample, into `out`.

    `at` and `lit` are workspace.
    """
    a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    m = triangle_material[t]
    area = interpolate(xy, inverse_w, attributes, a, b, c, x, y, at)
    red, green, blue, alpha = surface_color(
        attributes, a, b, c, at, area, texels, levels, m, colors, samples_per_pixel
    )
    if unlit[m]:
        out[0] = _before_roll_off(red) * alpha
        out[1] = _before_roll_off(green) * alpha
        out[2] = _before_roll_off(blue) * alpha
        out[3] = alpha
        return
    light(table, matrix, depths, offset, kinds[m], at, area > 0, lit)
    if kinds[m] == _CORNEA:
        # The cornea is clear: only its highlight covers what is behind.
        out[0], out[1], out[2] = lit[3], lit[4], lit[5]
        out[3] = min(max(lit[3], lit[4], lit[5]), np.float32(1.0))
        return
    out[0] = (red * lit[0] + lit[3]) * alpha
    out[1] = (green * lit[1] + lit[4]) * alpha
    out[2] = (blue * lit[2] + lit[5]) * alpha
    out[3] = alpha


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def shade_fragments(projection, mesh, textures, looks, lights, fragments, per_pixel):  # type: ignore[no-untyped-def]
    """RGB times alpha, and alpha, of every fragment (triangle, sample column, sample row).

    The only place that compiles the light model: it is most of the compiler's work.
    """
    xy, inverse_w = projection.xy, projection.inverse_w
    triangles, triangle_material = mesh.triangles, mesh.triangle_material
    attributes, texels, levels = mesh.attributes, textures.texels, textures.levels
    kinds, colors, unlit = looks.kind, looks.colors, looks.unlit
    table, matrix, shadow = lights.table, lights.shadow_matrix, lights.shadow_depths
    offset = np.float32(lights.shadow_offset)
    at, lit = np.zeros(NUM_ATTRIBUTES, np.float32), np.zeros(6, np.float32)
    shaded = np.empty((fragments.shape[0], 4), np.float32)
    for i in range(fragments.shape[0]):
        t, x, y = fragments[i, 0], np.int64(fragments[i, 1]), np.int64(fragments[i, 2])
        shade(
            xy, inverse_w, triangles, triangle_material, attributes, texels, levels, kinds, colors,
            unlit, table, matrix, shadow, offset, t, x, y, per_pixel, at, lit, shaded[i],
        )  # fmt: skip
    return shaded
