"""Hair made from nothing: layered helmets that follow the skull and then fall, with strands cut
into their edges by alpha; beards are shells on the skin that move with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import cKDTree

from heads.anatomy import Anatomy
from heads.canvas import Canvas, smoothstep
from heads.look import Look
from heads.paint import beard_mask, hairline_height
from heads.shape import METRES, Shape

COLUMNS, ROWS = 72, 26
CROWN_ARC = 1.4 * np.pi / 2


@dataclass(frozen=True)
class Style:
    """Lengths in decimetres."""

    top: float
    """Thickness on the crown."""
    side: float
    end: float
    """Thickness where the hair ends."""
    bump: float = 0.0
    bump_grain: int = 10
    """Bumps around the head."""
    frizz: float = 0.0
    """Unevenness from vertex to vertex."""
    fall_to: float | None = None
    """Height to which hair falls at the sides and behind; None ends it at the hairline."""
    fall_from_deg: float = 66.0
    """Hair in front of this angle ends at the hairline."""
    fringe_to: float | None = None
    fringe: float = 0.10
    """Raggedness of the ends, as a share of the length."""
    wave: float = 0.0
    sweep: float = 0.0
    """Extra height over the forehead."""


STYLES = {
    "buzz": Style(0.03, 0.025, 0.012, fringe=0.05),
    "short": Style(0.16, 0.09, 0.02, bump=0.025, fringe=0.08),
    "swept": Style(0.20, 0.08, 0.02, bump=0.02, sweep=0.12, fringe=0.06),
    "bob": Style(0.15, 0.17, 0.20, fall_to=6.25, fringe_to=7.66, fringe=0.05),
    "long": Style(0.14, 0.15, 0.16, fall_to=5.62, wave=0.05, fringe=0.12, fall_from_deg=60.0),
    "curly": Style(0.40, 0.32, 0.12, bump=0.035, bump_grain=20, frizz=0.045, fringe=0.10),
    "bun": Style(0.06, 0.05, 0.018, fringe=0.05),
    "mohawk": Style(0.03, 0.02, 0.012, fringe=0.05),
}


@dataclass(frozen=True)
class HairSurface:
    """Vertices in metres; `source` names the skin vertices to move with, None stays still."""

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray
    picture: np.ndarray
    source: np.ndarray | None = None


def hair(anatomy: Anatomy, shape: Shape, look: Look) -> list[HairSurface]:
    """The hair of a head, from the inner layer to the outer."""
    if look.hair_style == "bald":
        return []
    style = STYLES[look.hair_style]
    surfaces = []
    for layer, share in enumerate((0.55, 1.0)):
        vertices, uvs = _helmet(anatomy, shape, look, style, share)
        surfaces.append(
            HairSurface(
                "Hair", vertices, grid(ROWS, COLUMNS + 1), uvs, _strands(look, style, layer)
            )
        )
    if look.hair_style == "bun":
        surfaces.append(_bun(anatomy, shape, look))
    if look.hair_style == "mohawk":
        surfaces.append(_crest(anatomy, shape, look))
    return surfaces


def beard(anatomy: Anatomy, shape: Shape, look: Look, canvas: Canvas) -> HairSurface | None:
    """A full beard or moustache, a shell over the skin; stubble is only painted."""
    if look.beard in ("none", "stubble"):
        return None
    part = anatomy.skin
    texel = np.clip((part.uvs * canvas.size).astype(int), 0, canvas.size - 1)
    mask = beard_mask(canvas, look)
    grows = cv2.GaussianBlur(mask, (0, 0), 6.0)[texel[:, 1], texel[:, 0]]
    used = (grows[part.triangles] > 0.02).any(axis=1)
    kept, triangles = np.unique(part.triangles[used], return_inverse=True)
    source = part.source[kept]
    normals = vertex_normals(shape.vertices, anatomy.skin.source[anatomy.skin.triangles])[source]
    rng = np.random.default_rng(look.seed + 5)
    low = np.clip((6.5 - anatomy.rest[source, 1]) / 0.4, 0.0, 1.0)
    length = (0.015 + 0.075 * low + 0.02 * rng.random(len(source))) * METRES
    vertices = shape.vertices[source] + normals * (length * grows[kept])[:, None]
    vertices[:, 1] -= 0.3 * length * grows[kept]
    size = 512
    cover = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
    picture = _streaks(look, size, size, rng, 1.6, 10)
    ragged = cover + 0.22 * _noise(rng, size, size, 1.5, 8)
    picture[..., :3] *= np.array(look.brows) / np.maximum(np.array(look.hair), 0.02)
    picture[..., 3] = smoothstep(0.35, 0.65, ragged) * (cover > 0.05)
    return HairSurface("Beard", vertices, triangles.reshape(-1, 3), part.uvs[kept], picture, source)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals, weighted by area."""
    faces = np.cross(
        vertices[triangles[:, 1]] - vertices[triangles[:, 0]],
        vertices[triangles[:, 2]] - vertices[triangles[:, 0]],
    )
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-15, normals / np.maximum(length, 1e-15), [0.0, 0.0, 1.0])


def skull(anatomy: Anatomy, shape: Shape, turn_deg: np.ndarray, height: np.ndarray) -> tuple:
    """Points and outward directions of the person's skull at canonical angles and heights."""
    source = np.unique(anatomy.skin.source)
    rest = anatomy.rest[source]
    keep = (anatomy.ear[source] < 0.2) & (rest[:, 1] > 5.8)
    keep &= np.hypot(rest[:, 0], rest[:, 2] - 0.25) > 0.45 * (rest[:, 1] < 8.0)
    source, rest = source[keep], rest[keep]
    turn = np.degrees(np.arctan2(rest[:, 0], rest[:, 2] - 0.25))
    normals = vertex_normals(shape.vertices, anatomy.skin.source[anatomy.skin.triangles])
    values = np.concatenate([shape.vertices[source], normals[source]], axis=1)
    known = _unrolled(np.radians(turn), _arc(rest))
    query = _unrolled(np.radians(turn_deg), height)
    found = LinearNDInterpolator(known, values)(query)
    lost = np.isnan(found).any(axis=-1)
    if lost.any():
        found[lost] = NearestNDInterpolator(known, values)(query[lost])
    normal = found[..., 3:]
    return found[..., :3], normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _unrolled(turn_rad: np.ndarray, arc: np.ndarray) -> np.ndarray:
    """The skull as a flat map around its crown, which has neither pole nor seam."""
    away = CROWN_ARC - arc
    return np.stack([away * np.sin(turn_rad), away * np.cos(turn_rad)], axis=-1)


def _arc(points: np.ndarray) -> np.ndarray:
    rise = points[:, 1] - 7.0
    out = np.hypot(points[:, 0], points[:, 2] - 0.25)
    return np.where(rise > 0, 1.4 * np.arctan2(rise, out), rise)


def arc_of_height(anatomy: Anatomy, turn_deg: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Arc of the points of the base skull at canonical angles and heights."""
    source = np.unique(anatomy.skin.source)
    rest = anatomy.rest[source]
    rest = rest[(anatomy.ear[source] < 0.2) & (rest[:, 1] > 6.9)]
    turn = np.arctan2(rest[:, 0], rest[:, 2] - 0.25)
    out = np.hypot(rest[:, 0], rest[:, 2] - 0.25)
    key = np.stack([np.sin(turn), np.cos(turn), 2.0 * rest[:, 1]], axis=1)
    angle = np.radians(turn_deg)
    distance, near = cKDTree(key).query(
        np.stack([np.sin(angle), np.cos(angle), 2.0 * np.maximum(height, 7.0)], axis=1), k=6
    )
    weight = 1.0 / (distance + 0.02)
    radius = (out[near] * weight).sum(axis=1) / weight.sum(axis=1)
    rise = height - 7.0
    return np.where(rise > 0, 1.4 * np.arctan2(rise, radius), rise)


def _helmet(
    anatomy: Anatomy, shape: Shape, look: Look, style: Style, share: float
) -> tuple[np.ndarray, np.ndarray]:
    turn = np.linspace(-180.0, 180.0, COLUMNS + 1)
    front = np.clip(1.0 - np.abs(turn) / 80.0, 0.0, 1.0)
    line = hairline_height(turn) + look.hairline * front
    end = line.copy()
    if style.fall_to is not None:
        falls = smoothstep(style.fall_from_deg - 8, style.fall_from_deg + 16, np.abs(turn))
        end = line + falls * np.minimum(style.fall_to - line, 0.0)
    if style.fringe_to is not None:
        end = np.where(np.abs(turn) < 48, style.fringe_to, end)
    bottom = arc_of_height(anatomy, turn, end - 0.04)
    s = np.linspace(0.0, 1.0, ROWS)[:, None]
    arc = CROWN_ARC * 0.99 + s * (bottom - CROWN_ARC * 0.99)
    points, normals = skull(anatomy, shape, np.broadcast_to(turn, arc.shape), arc)
    above = np.clip((arc - arc_of_height(anatomy, turn, line)) / 0.55, 0.0, 1.0)
    ended = np.clip((arc - bottom) / 0.35, 0.0, 1.0)
    thick = _thickness(style, turn, arc, np.minimum(above, ended), s)
    rng = np.random.default_rng(look.seed + 7)
    bumps = style.bump * _around(rng, 8, style.bump_grain) + style.frizz * _around(rng, 22, 64)
    bumps *= smoothstep(0.0, 0.25, s) * smoothstep(0.0, 0.5, ended)
    thick = np.maximum(thick + bumps, 0.012) * share
    vertices = points + normals * (thick * METRES)[..., None]
    vertices = _fall(vertices, points, arc, style, turn)
    uvs = np.stack(np.broadcast_arrays((turn + 180.0) / 360.0, s), axis=-1)
    return vertices.reshape(-1, 3), uvs.reshape(-1, 2)


def _thickness(
    style: Style, turn: np.ndarray, arc: np.ndarray, inside: np.ndarray, s: np.ndarray
) -> np.ndarray:
    """Height of the hair over the skull; `inside` is 0 at its edge and 1 well within."""
    thick = style.side + (style.top - style.side) * smoothstep(0.5, 1.6, arc)
    # Combed back over the forehead, hanging loose where it falls.
    loose = np.abs(turn) >= (0.0 if style.fringe_to is not None else style.fall_from_deg - 8)
    thin = np.where(loose, style.end, np.minimum(style.end, 0.02))
    thick = thin + (thick - thin) * inside**0.6
    crest = smoothstep(0.0, 0.8, 1 - np.abs(turn) / 95) * smoothstep(0.0, 0.35, s)
    thick = thick + style.sweep * crest * smoothstep(0.0, 0.8, inside)
    if style.fall_to is not None:
        over_ear = np.exp(-(((np.abs(turn) - 90) / 20) ** 2) - ((arc - 0.15) / 0.4) ** 2)
        thick = thick + 0.09 * over_ear
    return thick


def _around(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Smooth noise over the helmet that closes behind."""
    noise = cv2.resize(
        rng.standard_normal((rows, columns)).astype(np.float32),
        (COLUMNS + 1, ROWS),
        interpolation=cv2.INTER_CUBIC,
    )
    noise[:, -1] = noise[:, 0]
    return noise


def _fall(
    vertices: np.ndarray,
    points: np.ndarray,
    arc: np.ndarray,
    style: Style,
    turn: np.ndarray,
) -> np.ndarray:
    """Below its widest place hair hangs instead of following the neck."""
    if style.fall_to is None and style.fringe_to is None:
        return vertices
    result = vertices.copy()
    axis = np.array([0.0, 0.0, points[..., 2].mean()])
    around = np.radians(turn)
    reach = np.zeros(len(turn))
    for row in range(ROWS):
        out = result[row] - axis
        radius = np.hypot(out[:, 0], out[:, 2])
        reach = np.maximum(reach * 0.992, radius)
        hangs = arc[row] < 0.35
        sway = 1.0 + style.wave * np.sin(arc[row] * 7.0 + 3 * np.sin(2 * around))
        scale = np.where(hangs, reach * sway / np.maximum(radius, 1e-6), 1.0)
        result[row, :, 0] = axis[0] + out[:, 0] * scale
        result[row, :, 2] = axis[2] + out[:, 2] * scale
    return result


def grid(rows: int, columns: int) -> np.ndarray:
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    first = np.stack([a.ravel(), d.ravel(), c.ravel()], axis=1)
    return np.concatenate([first, np.stack([a.ravel(), c.ravel(), b.ravel()], axis=1)])


def _noise(
    rng: np.random.Generator, width: int, height: int, across: float, along: float
) -> np.ndarray:
    cells = (max(2, round(width / across)), max(2, round(height / along)))
    coarse = rng.standard_normal(cells[::-1]).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _streaks(
    look: Look, width: int, height: int, rng: np.random.Generator, across: float, along: float
) -> np.ndarray:
    """Strands of the look's hair colour running down the picture, RGBA."""
    fine = _noise(rng, width, height, across, along)
    broad = _noise(rng, width, height, across * 8, along * 3)
    shade = 1.0 + (0.10 if look.flat else 0.26) * fine + 0.15 * broad
    picture = np.ones((height, width, 4), np.float32)
    picture[..., :3] = np.clip(np.array(look.hair) * shade[..., None], 0, 1)
    return picture


def _strands(look: Look, style: Style, layer: int) -> np.ndarray:
    """The picture of one helmet layer: U around the head, V from the crown down."""
    rng = np.random.default_rng(look.seed + 11 + layer)
    width, height = 512, 256
    picture = _streaks(look, width, height, rng, 2.0, 40)
    v = (np.arange(height)[:, None] + 0.5) / height
    curl = look.hair_style == "curly"
    if curl:
        knots = np.sin(2.5 * _noise(rng, width, height, 5, 9)) + 0.5 * _noise(
            rng, width, height, 2, 3
        )
        picture[..., :3] *= (1 + 0.45 * np.clip(knots, -1, 1.6))[..., None]
    picture[..., :3] *= (0.62 if layer == 0 else 1.0) * (1.0 - 0.18 * v[..., None])
    ragged = 0.5 + 0.5 * _noise(rng, width, height, 2.5, 60)
    turn = np.abs((np.arange(width) + 0.5) / width - 0.5) * 360.0
    fringe = np.where(turn < style.fall_from_deg - 6, 0.55, 1.0) * style.fringe
    edge = 1.0 - fringe * (0.35 + 0.65 * np.clip(ragged, 0, 1.6))
    picture[..., 3] = smoothstep(0.015, -0.015, v - edge)
    return picture


def _ball(num: int = 18) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, num), np.linspace(0, 2 * np.pi, 2 * num + 1), indexing="ij"
    )
    points = np.stack(
        [np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)], axis=-1
    )
    uvs = np.stack([around / (2 * np.pi), polar / np.pi], axis=-1)
    return points.reshape(-1, 3), grid(num, 2 * num + 1), uvs.reshape(-1, 2)


def _bun(anatomy: Anatomy, shape: Shape, look: Look) -> HairSurface:
    points, triangles, uvs = _ball()
    place, out = skull(anatomy, shape, np.array([180.0]), np.array([1.35]))
    centre = place[0] + out[0] * 0.26 * METRES
    ripple = 1.0 + 0.05 * np.sin(uvs[:, :1] * 2 * np.pi * 5 + uvs[:, 1:] * 9)
    vertices = centre + points * ripple * (0.40, 0.36, 0.38) * METRES
    rng = np.random.default_rng(look.seed + 17)
    picture = _streaks(look, 256, 128, rng, 3.0, 30)
    return HairSurface("Hair", vertices, triangles, uvs, picture)


def _crest(anatomy: Anatomy, shape: Shape, look: Look) -> HairSurface:
    """A fan of spikes along the middle of the skull, from forehead to nape."""
    num, rows = 40, 5
    arc_front = arc_of_height(anatomy, np.zeros(1), np.array([7.95]))[0]
    arc_back = arc_of_height(anatomy, np.zeros(1), np.array([6.9]))[0]
    path = np.linspace(0, 1, num)
    over = arc_front + path * (2 * CROWN_ARC - arc_front - arc_back)
    behind = over > CROWN_ARC
    arc = np.where(behind, 2 * CROWN_ARC - over, over)
    place, out = skull(anatomy, shape, np.where(behind, 180.0, 0.0), arc)
    height = 0.55 * np.sin(np.pi * (0.12 + 0.8 * path)) ** 0.7 * (0.85 + 0.15 * np.cos(path * 90))
    vertices, uvs = [], []
    for lean in (-1.0, 1.0):
        for row in range(rows):
            t = row / (rows - 1)
            spread = lean * 0.13 * (1 - t) * np.sin(np.pi * (0.1 + 0.85 * path))
            offset = out * (height * t * METRES)[:, None] + [0, 0, 0]
            vertices.append(place + offset + np.stack([spread * METRES, path * 0, path * 0], 1))
            uvs.append(np.stack([path, np.full(num, 1 - t)], axis=1))
    side = grid(rows, num)
    triangles = np.concatenate([side, side[:, ::-1] + rows * num])
    rng = np.random.default_rng(look.seed + 19)
    picture = _streaks(look, 256, 128, rng, 2.0, 60)
    ends = 0.16 * np.clip(0.5 + 0.5 * _noise(rng, 256, 128, 5, 200), 0, 1.5)
    v = (np.arange(128)[:, None] + 0.5) / 128
    picture[..., 3] = v > ends
    return HairSurface("Hair", np.concatenate(vertices), triangles, np.concatenate(uvs), picture)
