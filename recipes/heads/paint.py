"""Paints the pictures of a head: skin, eyes, lashes, mouth. Skin is painted in canonical
coordinates (anatomy.py), so one set of strokes fits every shape."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from heads.anatomy import Anatomy
from heads.anny import AnnyData
from heads.canvas import Canvas, smoothstep
from heads.look import Colour, Look

MOUTH_Y = 6.615
EYE_X, EYE_Y = 0.308, 7.284


def png(picture: np.ndarray) -> bytes:
    """RGB or RGBA in [0, 1] as a PNG file."""
    return _encode(picture, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def jpeg(picture: np.ndarray, quality: int = 88) -> bytes:
    return _encode(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(picture: np.ndarray, kind: str, options: list[int]) -> bytes:
    eight = (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    order = cv2.COLOR_RGBA2BGRA if eight.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(kind, cv2.cvtColor(eight, order), options)
    assert done
    return data.tobytes()


def tint(picture: np.ndarray, colour: Colour, amount: np.ndarray | float) -> np.ndarray:
    """The picture moved towards a colour by an amount per texel."""
    weight = np.clip(np.asarray(amount, np.float32), 0.0, 1.0)
    if weight.ndim == 2:
        weight = weight[..., None]
    return picture + (np.asarray(colour, np.float32) - picture) * weight


def hairline_height(turn_deg: np.ndarray) -> np.ndarray:
    """Canonical height at which hair begins, around the head."""
    angle = [0, 20, 38, 52, 62, 72, 80, 88, 100, 112, 128, 150, 180]
    height = [7.97, 8.00, 7.92, 7.76, 7.50, 7.10, 7.02, 7.25, 7.28, 6.98, 6.72, 6.62, 6.60]
    return np.interp(np.abs(turn_deg), angle, height)


def scalp(canvas: Canvas, look: Look, softness: float = 0.08) -> np.ndarray:
    """Where hair grows, in [0, 1]."""
    rng = np.random.default_rng(look.seed + 1)
    front = np.clip(1.0 - np.abs(canvas.turn_deg) / 80.0, 0.0, 1.0)
    edge = hairline_height(canvas.turn_deg) + look.hairline * front
    height = canvas.points[..., 1] - edge + 0.025 * canvas.noise(rng, 14)
    return smoothstep(-softness, softness, height) * (1.0 - smoothstep(0.2, 0.6, canvas.ear))


def skin(canvas: Canvas, look: Look) -> np.ndarray:
    """The skin texture, RGB in [0, 1]."""
    rng = np.random.default_rng(look.seed)
    picture = np.empty((canvas.size, canvas.size, 3), np.float32)
    picture[:] = look.skin
    dark = np.array(look.skin, np.float32) * (0.62, 0.50, 0.48)
    if not look.flat:
        mottle = 0.5 * canvas.noise(rng, 60) + 0.35 * canvas.noise(rng, 12)
        picture *= (1.0 + 0.022 * mottle)[..., None]
        picture *= (1.0 + 0.018 * canvas.noise(rng, 2.5))[..., None]
    picture = _flush(canvas, look, picture, rng)
    picture = tint(picture, tuple(dark), 0.9 * smoothstep(0.05, 0.6, canvas.hollow))
    picture = _eye_surround(canvas, look, picture, tuple(dark))
    picture = _lips(canvas, look, picture, rng)
    if look.wrinkles > 0:
        lines = canvas.strokes(_age_lines(), 4.0, 3.0)
        picture = tint(picture, tuple(dark), 0.62 * look.wrinkles * lines)
    if look.freckles > 0:
        picture = tint(picture, tuple(dark * 0.95), look.freckles * _freckles(canvas, rng))
    if look.stripes is not None:
        picture = tint(picture, look.stripes, _stripes(canvas))
    picture = _facial_hair(canvas, look, picture, rng)
    if look.hair_style != "bald":
        under = tuple(0.55 * np.array(look.hair) + 0.12 * np.array(look.skin))
        picture = tint(picture, under, 0.93 * scalp(canvas, look))
    return _brows(canvas, look, picture, rng)


def _flush(canvas: Canvas, look: Look, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blood near the surface: cheeks, nose, ears, chin."""
    x, y, z = np.moveaxis(canvas.points, -1, 0)
    cheek = np.exp(-(((np.abs(x) - 0.46) / 0.2) ** 2 + ((y - 6.95) / 0.2) ** 2)) * (z > 0.6)
    nose = np.exp(-((x / 0.13) ** 2 + ((y - 6.9) / 0.12) ** 2)) * (z > 1.3)
    chin = np.exp(-((x / 0.16) ** 2 + ((y - 6.32) / 0.1) ** 2)) * (z > 1.0)
    amount = cheek + 0.6 * nose + 0.35 * chin + 0.7 * smoothstep(0.3, 0.9, canvas.ear)
    if not look.flat:
        amount = amount * (1.0 + 0.25 * canvas.noise(rng, 20))
    return tint(picture, look.blush, look.blush_amount * amount)


def _eye_surround(canvas: Canvas, look: Look, picture: np.ndarray, dark: Colour) -> np.ndarray:
    x, y, z = np.moveaxis(canvas.points, -1, 0)
    ex, ey = (np.abs(x) - EYE_X) / 0.23, (y - EYE_Y) / 0.13
    ring = np.exp(-((np.hypot(ex, ey) - 0.75) ** 2) / 0.12) * (z > 0.9)
    picture = tint(picture, dark, 0.22 * ring)
    under = np.exp(-(((np.abs(x) - 0.29) / 0.16) ** 2 + ((y - 7.13) / 0.05) ** 2)) * (z > 0.9)
    picture = tint(picture, dark, (0.10 + 0.25 * look.wrinkles) * under)
    margin = smoothstep(0.35, 0.9, canvas.eyelid)
    return tint(picture, tuple(0.6 * np.array(dark) + 0.4 * np.array(look.blush)), 0.5 * margin)


def _lips(canvas: Canvas, look: Look, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # Folds below the lip share texels with it.
    shape = smoothstep(0.42, 0.68, canvas.lip) * smoothstep(6.478, 6.505, canvas.points[..., 1])
    colour = np.array(look.lips, np.float32)
    picture = tint(picture, look.lips, look.lip_amount * shape)
    if not look.flat:
        x = canvas.points[..., 0]
        folds = np.sin(x * 260 + 2.0 * canvas.noise(rng, 6)) * 0.5 + canvas.noise(rng, 3) * 0.35
        picture *= (1.0 + 0.045 * folds * shape)[..., None]
    line = np.exp(-(((canvas.points[..., 1] - MOUTH_Y) / 0.022) ** 2)) * shape
    return tint(picture, tuple(colour * 0.45), 0.35 * line)


def _age_lines() -> list[np.ndarray]:
    lines = []
    for height in (7.72, 7.81, 7.90):
        x = np.linspace(-0.4, 0.4, 24)
        lines.append(np.stack([x, height + 0.02 * np.cos(x * 9) - 0.12 * x * x], axis=1))
    for side in (-1.0, 1.0):
        t = np.linspace(0, 1, 14)
        fold = np.stack([side * (0.17 + 0.17 * t**0.8), 6.86 - 0.32 * t], axis=1)
        lines.append(fold)
        for angle in (-0.35, 0.0, 0.35):
            reach = 0.16 * t
            foot = np.stack(
                [side * (0.53 + reach * np.cos(angle)), 7.27 + reach * np.sin(angle)], axis=1
            )
            lines.append(foot)
        frown = np.stack([side * (0.055 + 0.01 * t), 7.42 + 0.13 * t], axis=1)
        lines.append(frown)
        bag = np.stack([side * (0.17 + 0.26 * t), 7.12 - 0.05 * np.sin(np.pi * t)], axis=1)
        lines.append(bag)
    return lines


def _freckles(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    layer = np.zeros((canvas.size, canvas.size), np.uint8)
    places = rng.normal(0, 1, (260, 2)) * [0.26, 0.09] + [0.0, 7.0]
    for column, row in canvas.texel_of(places):
        radius = rng.uniform(0.6, 2.3) * canvas.size / 1024
        centre = (int(column * 16), int(row * 16))
        shade = int(rng.integers(90, 235))
        cv2.circle(layer, centre, int(radius * 16), shade, -1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(layer, (0, 0), 0.8).astype(np.float32) / 255.0


def _stripes(canvas: Canvas) -> np.ndarray:
    x, y, z = np.moveaxis(canvas.points, -1, 0)
    wave = np.sin(11.0 * (z + 0.35 * y) + 3.0 * np.abs(x))
    where = smoothstep(0.35, 0.75, np.abs(x)) * (1 - smoothstep(0.95, 1.35, z))
    crown = smoothstep(7.75, 8.1, y)
    return smoothstep(0.25, 0.6, wave) * np.clip(where + crown, 0, 1) * 0.85


def beard_mask(canvas: Canvas, look: Look) -> np.ndarray:
    """Where facial hair grows for the look's beard style, in [0, 1]."""
    x, y, z = np.moveaxis(canvas.points, -1, 0)
    x = np.abs(x)
    free = 1.0 - smoothstep(0.25, 0.5, canvas.lip)
    top = np.interp(x, [0, 0.2, 0.35, 0.55, 0.8], [6.78, 6.76, 6.62, 6.85, 7.15])
    moustache = (
        smoothstep(0.0, 0.05, 6.805 - 0.35 * x - y)
        * smoothstep(0.0, 0.06, y - 6.60 + 0.35 * np.maximum(x - 0.2, 0))
        * (1 - smoothstep(0.27, 0.33, x))
        * (z > 1.2)
    )
    under = smoothstep(-0.04, 0.08, top - y) * smoothstep(5.9, 6.2, y + 0.25 * (z - 0.6))
    jaw = under * smoothstep(0.30, 0.55, z) * (1 - smoothstep(0.2, 0.5, canvas.ear))
    chin = jaw * (1 - smoothstep(0.22, 0.32, x)) * smoothstep(0.9, 1.1, z) * (y < 6.56)
    mask = {
        "none": np.zeros_like(x),
        "moustache": moustache,
        "goatee": np.maximum(chin, moustache),
        "stubble": np.maximum(jaw, moustache),
        "full": np.maximum(jaw, moustache),
    }[look.beard]
    return mask * free


def _facial_hair(
    canvas: Canvas, look: Look, picture: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    if look.beard == "none":
        return picture
    mask = beard_mask(canvas, look)
    grain = np.clip(0.75 + 0.55 * canvas.noise(rng, 2.2), 0.0, 1.2)
    strength = 0.38 if look.beard == "stubble" else 0.9
    shade = 0.9 if look.flat else 1.0
    return tint(picture, tuple(shade * np.array(look.brows)), strength * mask * grain)


def _brows(canvas: Canvas, look: Look, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if look.brow_width <= 0:
        return picture
    t = np.linspace(0.0, 1.0, 40)
    x = 0.115 + 0.42 * t
    lift = 7.445 + look.brow_height + 0.065 * np.sin(np.pi * t * 0.85)
    half = look.brow_width * np.interp(
        t, [0, 0.15, 0.5, 0.85, 1], [0.018, 0.032, 0.030, 0.016, 0.003]
    )
    solid, hairs = [], []
    for side in (-1.0, 1.0):
        solid.append(
            np.concatenate(
                [np.stack([side * x, lift + half], 1), np.stack([side * x, lift - half], 1)[::-1]]
            )
        )
        for _ in range(150 if not look.flat else 0):
            i = int(rng.integers(0, 40))
            root = np.array([x[i], lift[i] + half[i] * rng.uniform(-1.0, 0.6)])
            lean = np.interp(t[i], [0, 0.25, 1], [1.35, 0.75, -0.15]) + rng.normal(0, 0.15)
            tip = root + 0.042 * (1.1 - 0.4 * t[i]) * np.array([np.cos(lean), np.sin(lean)])
            hairs.append(np.array([root, tip]) * [side, 1])
    body = np.zeros((canvas.size, canvas.size), np.uint8)
    for outline in solid:
        cv2.fillPoly(body, [canvas.texel_of(outline).astype(np.int32)[:, None]], 255, cv2.LINE_AA)
    soft = cv2.GaussianBlur(body, (0, 0), (1.0 if look.flat else 3.0) * canvas.size / 1024)
    cover = soft.astype(np.float32) / 255.0
    if look.flat:
        return tint(picture, look.brows, cover)
    picture = tint(picture, look.brows, 0.62 * cover)
    return tint(picture, tuple(0.85 * np.array(look.brows)), 0.9 * canvas.strokes(hairs, 1.0))


@lru_cache(maxsize=64)
def eye(look: Look, size: int = 256) -> np.ndarray:
    """An eyeball seen along its axis; the picture's rim is the back of the ball."""
    rng = np.random.default_rng(look.seed + 2)
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32)
    px, py = (xx + 0.5) / size * 2 - 1, (yy + 0.5) / size * 2 - 1
    polar = np.hypot(px, py) * 180.0
    angle = np.arctan2(py, px)
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = look.sclera
    picture = tint(picture, (0.80, 0.52, 0.48), 0.5 * smoothstep(52, 95, polar))
    rim = 27.5 * look.iris_size
    iris = np.array(look.iris, np.float32)
    rays = sum(
        rng.normal() * np.cos(k * angle + rng.uniform(0, 6.28)) / np.sqrt(k)
        for k in range(6, 40, 3)
    )
    shade = 1.0 + (0.0 if look.flat else 0.16) * rays + 0.45 * smoothstep(0.75, 0.2, polar / rim)
    shade = shade * (1.0 + 0.25 * (py > 0) * smoothstep(0, 0.1, py))
    coloured = np.clip(iris * shade[..., None], 0, 1)
    ring = smoothstep(0.80, 1.0, polar / rim)
    coloured = coloured * (1 - 0.65 * ring[..., None])
    inside = smoothstep(rim + 1.2, rim - 1.2, polar)[..., None]
    picture = picture * (1 - inside) + coloured * inside
    if look.pupil == "slit":
        hole = np.hypot(px * 180 / 3.2, py * 180 / (rim * 0.9))
        pupil = smoothstep(1.15, 0.85, hole)
    else:
        pupil = smoothstep(0.46, 0.40, polar / rim)
    picture = tint(picture, (0.015, 0.012, 0.012), pupil)
    for gx, gy, width, strength in ((-0.38, -0.42, 0.20, 0.95), (0.40, 0.42, 0.13, 0.35)):
        spot = np.hypot(px * 180 / rim - gx, py * 180 / rim - gy)
        picture = tint(picture, (1, 1, 1), strength * smoothstep(width, width * 0.55, spot))
    return picture


def lashes(look: Look, size: int = 256) -> np.ndarray:
    """Lash strips, RGBA: the upper lid above, the lower below, roots in the middle."""
    rng = np.random.default_rng(look.seed + 3)
    alpha = np.zeros((size // 2, size), np.uint8)
    middle = size // 4
    for upper, count in ((True, 46), (False, 26)):
        reach = middle * (0.75 if upper else 0.42) * min(look.lash_amount, 1.25)
        for root in np.linspace(0.03, 0.97, count) * size:
            lean = (root / size - 0.35) * 26 + rng.normal(0, 2)
            length = reach * rng.uniform(0.65, 1.0) * (0.55 + 0.45 * min(1.0, root / size * 2))
            sign = -1 if upper else 1
            tip = (int((root + lean) * 16), int((middle + sign * length) * 16))
            start = (int(root * 16), int((middle - sign * 2) * 16))
            cv2.line(alpha, start, tip, 235 if upper else 120, 2 if upper else 1, cv2.LINE_AA, 4)
    rows = np.arange(size // 2)
    upper, lower = (middle - rows) / middle / 0.75, (rows - middle) / middle / 0.42
    fade = np.clip(1.15 - np.where(rows < middle, upper, lower), 0.0, 1.0) ** 0.6
    alpha = (alpha * fade[:, None]).astype(np.uint8)
    edge = int(middle * 0.16)
    alpha[middle - edge : middle] = np.maximum(alpha[middle - edge : middle], 200)
    picture = np.zeros((*alpha.shape, 4), np.float32)
    picture[..., :3] = 0.5 * np.array(look.brows)
    picture[..., 3] = alpha / 255.0 * min(1.0, look.lash_amount)
    return picture


def teeth(look: Look, size: int = 256) -> np.ndarray:
    """A row of teeth along U; gum above (V = 0), edges below."""
    yy, xx = np.mgrid[0 : size // 2, 0:size].astype(np.float32)
    u, v = (xx + 0.5) / size, (yy + 0.5) / (size // 2)
    borders = 0.5 + np.cumsum([0.0, 0.052, 0.045, 0.046, 0.042, 0.042, 0.06, 0.06])
    away = np.abs(u - 0.5)
    edge = np.min([np.abs(away - (b - 0.5)) for b in borders], axis=0)
    ivory = np.array([0.96, 0.94, 0.88], np.float32) * (1 - 0.08 * look.wrinkles)
    picture = np.empty((*u.shape, 3), np.float32)
    picture[:] = ivory
    # Molars are seen from inside, across the tongue: they belong to the dark of the mouth.
    picture = tint(picture, (0.30, 0.13, 0.12), 0.92 * smoothstep(0.10, 0.27, away))
    picture = tint(picture, (0.45, 0.33, 0.26), 0.65 * np.exp(-((edge / 0.0035) ** 2)))
    gum_line = 0.36 + 0.10 * np.exp(-((edge / 0.014) ** 2))
    gum = smoothstep(gum_line + 0.03, gum_line - 0.03, v)
    return tint(picture, (0.66, 0.30, 0.31), gum)


def tongue(size: int = 64) -> np.ndarray:
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32) / size
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = (0.84, 0.44, 0.45)
    picture = tint(picture, (0.50, 0.20, 0.22), 0.5 * np.exp(-(((xx - 0.5) / 0.05) ** 2)))
    return tint(picture, (0.25, 0.07, 0.08), 0.7 * smoothstep(0.45, 1.0, yy))


def mouth_inside(size: int = 32) -> np.ndarray:
    """From the lips (first row) to the throat."""
    depth = np.linspace(0, 1, size, dtype=np.float32)[:, None].repeat(4, axis=1)
    picture = np.empty((size, 4, 3), np.float32)
    picture[:] = (0.46, 0.19, 0.18)
    return tint(picture, (0.05, 0.01, 0.012), smoothstep(0.0, 0.45, depth))


@lru_cache(maxsize=4)
def canvas_for(data: AnnyData, size: int) -> Canvas:
    return Canvas(Anatomy(data), size)
