"""Triangles to samples on the CPU (numba): projection, vertex normals, z-buffer with triangle ids.

Everything here is single-threaded, releases the GIL, and gives the same bytes on every run.
Coverage is decided with integers (1/256 of a sample), so neighbouring triangles neither overlap
nor leave gaps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from freeavatar.avatars.textures import sample_alpha

SUBPIXELS = 256
_BITS = 8
_HALF = SUBPIXELS // 2
_FAR_OFF = 1.0e6
"""Screen coordinates are clamped here, so that edge functions cannot overflow."""


class Mesh(NamedTuple):
    """All surfaces of an avatar in one set of arrays, posed for one frame."""

    vertices: np.ndarray
    triangles: np.ndarray
    triangle_material: np.ndarray
    attributes: np.ndarray
    """Per vertex, side by side for the cache: position, normal, u, v, openness (float32)."""


class Projection(NamedTuple):
    """Where the vertices are on the sample grid."""

    xy: np.ndarray
    """In 1/256 samples, int32."""
    nearness: np.ndarray
    """Linear over the screen and larger when nearer; 0 or less is behind the camera."""
    inverse_w: np.ndarray
    """1/depth for a perspective camera, 1 for a parallel one."""


# Columns of Mesh.attributes.
NORMAL, UV, OPENNESS, NUM_ATTRIBUTES = 3, 6, 8, 9


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def vertex_attributes(vertices, triangles, weld, num_welded, uvs, openness):  # type: ignore[no-untyped-def]
    """Mesh.attributes with area-weighted normals; vertices of one weld number share theirs."""
    sums = np.zeros((num_welded, 3), np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx = uy * vz - uz * vy
        ny = uz * vx - ux * vz
        nz = ux * vy - uy * vx
        for k in range(3):
            w = weld[triangles[t, k]]
            sums[w, 0] += nx
            sums[w, 1] += ny
            sums[w, 2] += nz
    attributes = np.empty((vertices.shape[0], NUM_ATTRIBUTES), np.float32)
    for i in range(vertices.shape[0]):
        w = weld[i]
        x, y, z = sums[w, 0], sums[w, 1], sums[w, 2]
        length = np.sqrt(x * x + y * y + z * z)
        scale = np.float32(1.0) / length if length > 1e-20 else np.float32(0.0)
        for k in range(3):
            attributes[i, k] = vertices[i, k]
            attributes[i, NORMAL + k] = sums[w, k] * scale
        attributes[i, UV] = uvs[i, 0]
        attributes[i, UV + 1] = uvs[i, 1]
        attributes[i, OPENNESS] = openness[i]
    return attributes


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def project_perspective(vertices, view, focal, center_x, center_y, near):  # type: ignore[no-untyped-def]
    """view is the 3x4 matrix camera_from_world (camera looks along -Z); focal in samples."""
    num = vertices.shape[0]
    xy = np.empty((num, 2), np.int32)
    inverse_w = np.empty(num, np.float32)
    for i in range(num):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        cx = view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3]
        cy = view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3]
        depth = -(view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3])
        if depth < near:
            inverse_w[i] = 0.0
            xy[i, 0] = 0
            xy[i, 1] = 0
            continue
        inverse = 1.0 / depth
        inverse_w[i] = inverse
        sx = min(max(center_x + focal * cx * inverse, -_FAR_OFF), _FAR_OFF)
        sy = min(max(center_y - focal * cy * inverse, -_FAR_OFF), _FAR_OFF)
        xy[i, 0] = np.int32(np.floor(sx * SUBPIXELS + 0.5))
        xy[i, 1] = np.int32(np.floor(sy * SUBPIXELS + 0.5))
    return xy, inverse_w


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def project_parallel(vertices, matrix):  # type: ignore[no-untyped-def]
    """matrix (3x4) gives sample x, sample y, nearness."""
    num = vertices.shape[0]
    xy = np.empty((num, 2), np.int32)
    nearness = np.empty(num, np.float32)
    for i in range(num):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        sx = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
        sy = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
        nearness[i] = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        sx = min(max(sx, -_FAR_OFF), _FAR_OFF)
        sy = min(max(sy, -_FAR_OFF), _FAR_OFF)
        xy[i, 0] = np.int32(np.floor(sx * SUBPIXELS + 0.5))
        xy[i, 1] = np.int32(np.floor(sy * SUBPIXELS + 0.5))
    return xy, nearness


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def edge_bias(dx, dy):  # type: ignore[no-untyped-def]
    """Top-left rule: a sample exactly on an edge belongs to one of the two triangles only."""
    return 0 if dy < 0 or (dy == 0 and dx > 0) else -1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def sample_box(ax, ay, bx, by, cx, cy, width, height):  # type: ignore[no-untyped-def]
    """First and last column and row of the samples that a triangle may cover."""
    left = max((min(ax, bx, cx) + _HALF - 1) >> _BITS, 0)
    right = min((max(ax, bx, cx) - _HALF) >> _BITS, width - 1)
    top = max((min(ay, by, cy) + _HALF - 1) >> _BITS, 0)
    bottom = min((max(ay, by, cy) - _HALF) >> _BITS, height - 1)
    return left, right, top, bottom


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def row_ends(edge, step, first, last):  # type: ignore[no-untyped-def]
    """Narrow a row to where edge + x * step may be 0 or more; a sample too many does no harm."""
    if step > 0:
        first = max(first, np.int64(-edge / step) - 1)
    elif step < 0:
        last = min(last, np.int64(edge / -step) + 1)
    elif edge < 0:
        last = first - 1
    return first, last


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _alpha_at(inverse_w, attributes, texels, levels, m, a, b, c, edge_a, edge_b, edge_c):  # type: ignore[no-untyped-def]
    """Texture alpha at a sample with these edge values."""
    share_a = np.float32(edge_a) * inverse_w[a]
    share_b = np.float32(edge_b) * inverse_w[b]
    share_c = np.float32(edge_c) * inverse_w[c]
    total = max(share_a + share_b + share_c, np.float32(1e-20))
    u = share_a * attributes[a, UV] + share_b * attributes[b, UV] + share_c * attributes[c, UV]
    v = share_a * attributes[a, UV + 1] + share_b * attributes[b, UV + 1]
    v += share_c * attributes[c, UV + 1]
    return sample_alpha(texels, levels, m, u / total, v / total)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def draw_ids(projection, mesh, chosen, both_sides, cutoffs, textures, alphas, ids, depths):  # type: ignore[no-untyped-def]
    """Write the nearest triangle and its nearness to every sample.

    `cutoffs` per material: below 0 draws everything, otherwise only where alpha reaches it.
    """
    # Arrays are taken out of their tuples once: counting references in the loop costs more
    # than the loop.
    height, width = ids.shape
    triangles, triangle_material, attributes = (
        mesh.triangles,
        mesh.triangle_material,
        mesh.attributes,
    )
    xy, nearness, inverse_w = projection.xy, projection.nearness, projection.inverse_w
    texels, levels = textures.texels, textures.levels
    for k in range(chosen.shape[0]):
        t = chosen[k]
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = np.int64(xy[a, 0]), np.int64(xy[a, 1])
        bx, by = np.int64(xy[b, 0]), np.int64(xy[b, 1])
        cx, cy = np.int64(xy[c, 0]), np.int64(xy[c, 1])
        left, right, top, bottom = sample_box(ax, ay, bx, by, cx, cy, width, height)
        if left > right or top > bottom:
            continue
        m = triangle_material[t]
        cutoff = cutoffs[m]
        if cutoff > alphas[m] or nearness[a] <= 0 or nearness[b] <= 0 or nearness[c] <= 0:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # The screen's y points down: triangles that face the camera have a negative area.
        if area == 0 or (area > 0 and not both_sides[m]):
            continue
        if area < 0:
            area = -area
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
        px, py = left * SUBPIXELS + _HALF, top * SUBPIXELS + _HALF
        row_a = (cx - bx) * (py - by) - (cy - by) * (px - bx) + edge_bias(cx - bx, cy - by)
        row_b = (ax - cx) * (py - cy) - (ay - cy) * (px - cx) + edge_bias(ax - cx, ay - cy)
        row_c = (bx - ax) * (py - ay) - (by - ay) * (px - ax) + edge_bias(bx - ax, by - ay)
        step_ax, step_ay = -(cy - by) * SUBPIXELS, (cx - bx) * SUBPIXELS
        step_bx, step_by = -(ay - cy) * SUBPIXELS, (ax - cx) * SUBPIXELS
        step_cx, step_cy = -(by - ay) * SUBPIXELS, (bx - ax) * SUBPIXELS
        scale = np.float32(1.0) / np.float32(area)
        near_a, near_b, near_c = nearness[a] * scale, nearness[b] * scale, nearness[c] * scale
        for y in range(top, bottom + 1):
            first, last = 0, right - left
            if last >= 8:  # solving for the row's ends costs as much as a few samples
                first, last = row_ends(row_a, step_ax, first, last)
                first, last = row_ends(row_b, step_bx, first, last)
                first, last = row_ends(row_c, step_cx, first, last)
            edge_a = row_a + first * step_ax
            edge_b = row_b + first * step_bx
            edge_c = row_c + first * step_cx
            for x in range(left + first, left + last + 1):
                if (edge_a | edge_b | edge_c) >= 0:
                    near = (
                        np.float32(edge_a) * near_a
                        + np.float32(edge_b) * near_b
                        + np.float32(edge_c) * near_c
                    )
                    if near > depths[y, x] and (
                        cutoff < 0
                        or alphas[m]
                        * _alpha_at(
                            inverse_w,
                            attributes,
                            texels,
                            levels,
                            m,
                            a,
                            b,
                            c,
                            edge_a,
                            edge_b,
                            edge_c,
                        )
                        >= cutoff
                    ):
                        depths[y, x] = near
                        ids[y, x] = t
                edge_a += step_ax
                edge_b += step_bx
                edge_c += step_cx
            row_a += step_ay
            row_b += step_by
            row_c += step_cy
