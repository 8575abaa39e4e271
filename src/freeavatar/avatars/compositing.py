"""Which fragments to shade, and from shaded fragments to sRGB pixels (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit

from freeavatar.avatars.rasterize import SUBPIXELS, edge_bias, sample_box
from freeavatar.avatars.textures import linear_from_srgb_table

_LINEAR_FROM_BYTE = linear_from_srgb_table(256)


def _srgb_table() -> np.ndarray:
    """sRGB bytes for the square root of linear light in 4096 steps (dark tones need the finer)."""
    linear = np.linspace(0.0, 1.0, 4096) ** 2
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255.0 + 0.5).astype(np.uint8)


_SRGB = _srgb_table()


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def longer(fragments):  # type: ignore[no-untyped-def]
    """The same list with room for twice as many."""
    grown = np.empty((2 * fragments.shape[0], 3), np.int32)
    # Copying by slice takes the compiler seconds.
    for i in range(fragments.shape[0]):
        for k in range(3):
            grown[i, k] = fragments[i, k]
    return grown


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def pick_fragments(ids, depths, triangle_material, samples, chosen):  # type: ignore[no-untyped-def]
    """One fragment for all samples of a pixel that lie on one surface.

    Writes the number of its fragment, or -1, to every sample of `chosen`.
    """
    height, width = ids.shape
    fragments = np.empty((max(height * width // (2 * samples * samples), 64), 3), np.int32)
    count = 0
    for top in range(0, height, samples):
        for left in range(0, width, samples):
            for j in range(top, top + samples):
                for i in range(left, left + samples):
                    chosen[j, i] = -1
            for j in range(top, top + samples):
                for i in range(left, left + samples):
                    t = ids[j, i]
                    if t < 0 or chosen[j, i] >= 0:
                        continue
                    if count == fragments.shape[0]:
                        fragments = longer(fragments)
                    fragments[count, 0], fragments[count, 1], fragments[count, 2] = t, i, j
                    near = depths[j, i]
                    for jj in range(j, top + samples):
                        for ii in range(left, left + samples):
                            other = ids[jj, ii]
                            if other < 0 or triangle_material[other] != triangle_material[t]:
                                continue
                            # 1 % of depth: a nose in front of a cheek is two surfaces.
                            if abs(depths[jj, ii] - near) < np.float32(0.01) * near:
                                chosen[jj, ii] = count
                    chosen[j, i] = count
                    count += 1
    return fragments[:count]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def spread(shaded, chosen, pixels):  # type: ignore[no-untyped-def]
    """Give every sample the colour of its fragment; what the z-buffer kept is opaque."""
    height, width = chosen.shape
    for y in range(height):
        for x in range(width):
            i = chosen[y, x]
            if i < 0:
                pixels[y, x, 0] = pixels[y, x, 1] = pixels[y, x, 2] = pixels[y, x, 3] = 0.0
                continue
            scale = np.float32(1.0) / max(shaded[i, 3], np.float32(1e-3))
            for k in range(3):
                pixels[y, x, k] = shaded[i, k] * scale
            pixels[y, x, 3] = 1.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def see_through_fragments(projection, mesh, both_sides, order, ids, depths):  # type: ignore[no-untyped-def]
    """Fragments of these triangles in front of what is opaque, in the order of the triangles."""
    height, width = depths.shape
    xy, nearness = projection.xy, projection.nearness
    triangles, triangle_material = mesh.triangles, mesh.triangle_material
    fragments = np.empty((1024, 3), np.int32)
    count = 0
    for k in range(order.shape[0]):
        t = order[k]
        m = triangle_material[t]
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = np.int64(xy[a, 0]), np.int64(xy[a, 1])
        bx, by = np.int64(xy[b, 0]), np.int64(xy[b, 1])
        cx, cy = np.int64(xy[c, 0]), np.int64(xy[c, 1])
        left, right, top, bottom = sample_box(ax, ay, bx, by, cx, cy, width, height)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if left > right or top > bottom or area == 0 or (area > 0 and not both_sides[m]):
            continue
        if nearness[a] <= 0 or nearness[b] <= 0 or nearness[c] <= 0:
            continue
        if area < 0:
            b, c = c, b
            bx, by, cx, cy, area = cx, cy, bx, by, -area
        scale = np.float32(1.0) / np.float32(area)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x * SUBPIXELS + SUBPIXELS // 2, y * SUBPIXELS + SUBPIXELS // 2
                edge_a = (cx - bx) * (py - by) - (cy - by) * (px - bx)
                edge_b = (ax - cx) * (py - cy) - (ay - cy) * (px - cx)
                edge_c = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
                if (
                    edge_a + edge_bias(cx - bx, cy - by) < 0
                    or edge_b + edge_bias(ax - cx, ay - cy) < 0
                    or edge_c + edge_bias(bx - ax, by - ay) < 0
                ):
                    continue
                near = scale * (
                    np.float32(edge_a) * nearness[a]
                    + np.float32(edge_b) * nearness[b]
                    + np.float32(edge_c) * nearness[c]
                )
                if near < depths[y, x] or ids[y, x] == t:
                    continue
                if count == fragments.shape[0]:
                    fragments = longer(fragments)
                fragments[count, 0], fragments[count, 1], fragments[count, 2] = t, x, y
                count += 1
    return fragments[:count]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def blend(fragments, shaded, pixels):  # type: ignore[no-untyped-def]
    """Lay fragments over the samples they belong to, one after another."""
    for i in range(fragments.shape[0]):
        x, y = fragments[i, 1], fragments[i, 2]
        keep = np.float32(1.0) - shaded[i, 3]
        for channel in range(4):
            pixels[y, x, channel] = pixels[y, x, channel] * keep + shaded[i, channel]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def resolve(pixels, samples, exposure, background, rgb, alpha):  # type: ignore[no-untyped-def]
    """Average the samples of every pixel over the background and write sRGB bytes.

    Bright light rolls off instead of clipping. `exposure` is for the avatar alone.
    """
    height, width = alpha.shape
    share = np.float32(1.0 / (samples * samples))
    one = np.float32(1.0)
    for y in range(height):
        for x in range(width):
            covered = np.float32(0.0)
            for j in range(samples):
                for i in range(samples):
                    covered += pixels[y * samples + j, x * samples + i, 3]
            if covered <= 0:
                alpha[y, x] = 0
                for k in range(3):
                    rgb[y, x, k] = background[y, x, k]
                continue
            covered = min(covered * share, one)
            alpha[y, x] = np.uint8(covered * np.float32(255.0) + np.float32(0.5))
            for k in range(3):
                total = np.float32(0.0)
                for j in range(samples):
                    for i in range(samples):
                        total += pixels[y * samples + j, x * samples + i, k]
                value = total * share * exposure / covered
                if value > np.float32(0.7):
                    value = one - np.float32(0.09) / (value - np.float32(0.4))
                value *= covered
                if covered < one:
                    value += _LINEAR_FROM_BYTE[background[y, x, k]] * (one - covered)
                value = min(max(value, np.float32(0.0)), one)
                rgb[y, x, k] = _SRGB[
                    np.int64(np.sqrt(value) * np.float32(4095.0) + np.float32(0.5))
                ]
