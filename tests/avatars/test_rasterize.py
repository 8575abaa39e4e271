"""Pictures of a few triangles against rays, and the laws of light, seams and mirrors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars.avatar import Avatar, FaceFrame, Material, Surface, pose
from freeavatar.avatars.scene import (
    Camera,
    DirectionalLight,
    Lights,
    portrait_camera,
    prepare,
    render,
)
from freeavatar.avatars.sheet import contact_sheet, write_sheet
from freeavatar.errors import OutputError
from freeavatar.rig import Control, RigSpec

FRONT = Camera(np.array([0.0, 0.0, 1.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]), 0.6)
BLACK = (0.0, 0.0, 0.0)
# Exactly representable in sRGB bytes: nothing is lost on the way through linear light.
PAINTS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255))


def surface(
    vertices: np.ndarray,
    triangles: np.ndarray | list,
    color: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    **looks: object,
) -> Surface:
    material = Material("paint", "other", np.array(color, np.float32), double_sided=True)
    return Surface(
        "part",
        np.asarray(vertices, np.float32),
        np.asarray(triangles, np.int32),
        np.zeros((len(vertices), 2), np.float32),
        replace(material, **looks),
        np.zeros(0, np.int64),
        np.zeros((0, len(vertices), 3), np.float32),
    )


def quad(z: float, half: float = 0.2, **looks: object) -> Surface:
    corners = [(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)]
    return surface(np.array(corners), [(0, 1, 2), (0, 2, 3)], **looks)


def draw(surfaces: Sequence[Surface], camera: Camera = FRONT, size: int = 32, **options: object):
    options = {"background": BLACK, "samples": 1, "shadow_size": 0, **options}
    posed = [s.vertices for s in surfaces]
    return render(prepare(surfaces), posed, camera, width=size, height=size, **options)


def traced(triangles: np.ndarray, camera: Camera, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest triangle on the ray of every pixel (-1 for none), and how clear the case is."""
    backward = camera.position - camera.target
    backward = backward / np.linalg.norm(backward)
    right = np.cross(camera.up, backward)
    right /= np.linalg.norm(right)
    up = np.cross(backward, right)
    reach = np.tan(camera.fov_y_rad / 2)
    nearest, clear = np.full((size, size), -1), np.full((size, size), np.inf)
    for y in range(size):
        for x in range(size):
            ray = right * ((x + 0.5) / size * 2 - 1) * reach
            ray = ray - up * ((y + 0.5) / size * 2 - 1) * reach - backward
            best = np.inf
            for t, (a, b, c) in enumerate(triangles):
                # camera + distance * ray = a + u (b - a) + v (c - a)
                distance, u, v = np.linalg.solve(
                    np.stack([ray, a - b, a - c], 1), a - camera.position
                )
                clear[y, x] = min(clear[y, x], abs(u), abs(v), abs(1 - u - v))
                if min(u, v, 1 - u - v) > 0 and distance > 0:
                    clear[y, x] = min(clear[y, x], abs(distance - best))
                    if distance < best:
                        best, nearest[y, x] = distance, t
    return nearest, clear


def test_every_pixel_shows_the_triangle_that_its_ray_meets_first():
    rng = np.random.default_rng(3)
    corners = rng.uniform(-0.35, 0.35, (6, 3, 3))
    camera = Camera(np.array([0.3, 0.2, 0.9]), np.zeros(3), np.array([0.1, 1.0, 0.0]), 0.7)
    parts = [
        surface(c, [(0, 1, 2)], (*(np.array(p) / 255), 1.0), emissive=True)
        for c, p in zip(corners, PAINTS, strict=True)
    ]
    picture = draw(parts, camera, 24).rgb
    nearest, clear = traced(corners, camera, 24)
    expected = np.array([*PAINTS, BLACK])[nearest]
    sure = clear > 0.02
    assert sure.sum() > 300
    assert len(np.unique(nearest[sure])) >= 5
    np.testing.assert_allclose(picture[sure], expected[sure], atol=1)


def test_an_unlit_surface_shows_its_texture_as_painted_and_the_right_way_up():
    texture = np.zeros((2, 2, 4), np.uint8)
    texture[..., 3] = 255
    texture[0, 0, :3], texture[0, 1, :3] = (250, 120, 10), (20, 130, 240)
    texture[1, 0, :3], texture[1, 1, :3] = (70, 200, 60), (128, 128, 128)
    # Texel centres lie a quarter of the picture from its edges.
    uvs = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    part = replace(quad(0.0, np.tan(0.3), emissive=True, texture=texture), uvs=uvs)
    rgb = draw([part], size=64).rgb
    for row, y in enumerate((16, 47)):
        for column, x in enumerate((16, 47)):
            np.testing.assert_allclose(rgb[y, x], texture[row, column, :3], atol=6)


def test_half_clear_paint_mixes_light_and_leaves_no_seam_between_triangles():
    wall = quad(-0.1, 0.5, color=(0.0, 0.0, 0.0, 1.0), emissive=True)
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-0.25, 0.25, 6), np.linspace(-0.25, 0.25, 6))
    inner = (np.abs(x) < 0.24) & (np.abs(y) < 0.24)
    grid = np.stack([x, y, np.zeros_like(x)], -1)
    grid[inner, :2] += rng.uniform(-0.03, 0.03, (inner.sum(), 2))
    index = np.arange(36).reshape(6, 6)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    veil = surface(
        grid.reshape(-1, 3), triangles, (0.5, 0.5, 0.5, 0.4), emissive=True, alpha_mode="blend"
    )
    middle = draw([wall, veil], size=64).rgb[16:48, 16:48]
    # 0.4 * 0.5 = 0.2 in linear light is 124 in sRGB.
    np.testing.assert_allclose(middle, 124, atol=1)


def test_masked_texels_are_holes():
    texture = np.full((8, 8, 4), 255, np.uint8)
    texture[:, :4, 3] = 0
    uvs = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    part = quad(0.0, np.tan(0.3), emissive=True, texture=texture, alpha_mode="mask")
    alpha = draw([replace(part, uvs=uvs)], size=32).alpha
    assert (alpha[:, 2:14] == 0).all()
    assert (alpha[:, 18:30] == 255).all()


def test_single_sided_surfaces_are_seen_from_their_front_only():
    behind = replace(FRONT, position=np.array([0.0, 0.0, -1.0]))
    part = quad(0.0, double_sided=False)
    assert draw([part]).alpha.any()
    assert not draw([part], behind).alpha.any()


def test_what_blocks_the_key_light_throws_a_shadow():
    floor, blocker = quad(0.0, 0.3), quad(0.25, 0.08)
    light = DirectionalLight((0.6, 0.0, 1.0), (1.0, 1.0, 1.0))
    lights = Lights(light, DirectionalLight((0.0, 0.0, 1.0), BLACK), BLACK, (0.02, 0.02, 0.02))
    bare = draw([floor, blocker], size=64, lights=lights).rgb.astype(int)
    shaded = draw([floor, blocker], size=64, lights=lights, shadow_size=256).rgb.astype(int)
    darker = bare.sum(2) - shaded.sum(2) > 100
    # The light comes from the right, so the shadow lies to the left: at x = -0.15, half a
    # picture is 0.31.
    assert darker[32, 32 - 16]
    assert not darker[32, 32 + 26]
    assert not darker[4, 4]


def test_a_seam_in_the_texture_does_not_show():
    x, y = np.meshgrid(np.linspace(-0.2, 0.2, 9), np.linspace(-0.2, 0.2, 9))
    points = np.stack([x, y, 0.1 - 2 * x**2 - 2 * y**2], -1).reshape(-1, 3)
    index = np.arange(81).reshape(9, 9)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    whole = surface(points, triangles)
    split = surface(points[triangles].reshape(-1, 3), np.arange(triangles.size).reshape(-1, 3))
    np.testing.assert_allclose(
        draw([split], size=48).rgb.astype(int), draw([whole], size=48).rgb, atol=1
    )


def symmetric_avatar() -> Avatar:
    """A bulging sheet with a smile on either side; the mesh is its own mirror picture."""
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, 17), np.linspace(-0.1, 0.1, 21))
    points = np.stack([x, y, 0.05 - 5 * x**2 - 2 * y**2], -1).reshape(-1, 3)
    index = np.arange(x.size).reshape(x.shape)
    triangles = []
    for row in range(20):
        for column in range(16):
            a, b = index[row, column], index[row, column + 1]
            d, c = index[row + 1, column], index[row + 1, column + 1]
            # The diagonals turn round at the midline, like everything else.
            triangles += [(a, b, c), (a, c, d)] if column < 8 else [(a, b, d), (b, c, d)]
    left = np.exp(-((points[:, 0] - 0.03) ** 2 + (points[:, 1] + 0.03) ** 2) / 3e-4)
    right = np.exp(-((points[:, 0] + 0.03) ** 2 + (points[:, 1] + 0.03) ** 2) / 3e-4)
    deltas = np.stack([left[:, None] * (0.006, 0.01, 0.01), right[:, None] * (-0.006, 0.01, 0.01)])
    sheet = surface(points, triangles, (0.8, 0.6, 0.5, 1.0), kind="skin")
    sheet = replace(sheet, morphs=np.arange(2), deltas=deltas.astype(np.float32))
    names = ("mouthSmileLeft", "mouthSmileRight")
    rig = RigSpec("two smiles", (Control(names[0], mirror=names[1]), Control(names[1])))
    face = FaceFrame(
        *(np.array(p, np.float32) for p in ((0.03, 0.04, 0), (-0.03, 0.04, 0), (0, -0.03, 0))),
        np.array((0, -0.06, -0.06), np.float32),
    )
    return Avatar("sheet", rig, (sheet,), names, np.eye(2, dtype=np.float32), (), face, None)


def test_mirrored_controls_give_the_mirrored_picture():
    avatar = symmetric_avatar()
    prepared, camera = prepare(avatar), portrait_camera(avatar.face, margin=0.6)
    middle = DirectionalLight((0.0, 0.6, 0.8), (0.8, 0.8, 0.8))
    lights = Lights(middle, replace(middle, to_light=(0.0, -0.2, 1.0)))
    smiles = [
        render(prepared, pose(avatar, np.array(c, np.float32)), camera, lights, 64, 64).rgb
        for c in ((1, 0), (0, 1), (0, 0))
    ]
    difference = np.abs(smiles[0][:, ::-1].astype(int) - smiles[1])
    assert np.percentile(difference, 99.5) <= 6
    # The character's left is on the right of the picture.
    changed = np.abs(smiles[0].astype(int) - smiles[2]).sum(2)
    assert changed[:, 32:].sum() > 20 * changed[:, :32].sum()


def test_the_same_scene_gives_the_same_bytes_in_any_thread():
    avatar = symmetric_avatar()
    prepared, camera = prepare(avatar), portrait_camera(avatar.face)
    posed = pose(avatar, avatar.rig.rest)

    def once(_: int) -> bytes:
        return render(prepared, posed, camera, width=48, height=48).rgb.tobytes()

    with ThreadPoolExecutor(2) as pool:
        pictures = list(pool.map(once, range(6)))
    assert len(set(pictures)) == 1


def test_a_lit_face_is_darker_where_the_key_light_does_not_reach():
    avatar = symmetric_avatar()
    key = DirectionalLight((1.0, 0.0, 0.4), (1.0, 1.0, 1.0))
    lights = Lights(key, DirectionalLight((0.0, 0.0, 1.0), BLACK), (0.05,) * 3, (0.05,) * 3)
    picture = render(
        prepare(avatar),
        pose(avatar, avatar.rig.rest),
        portrait_camera(avatar.face, margin=0.6),
        lights,
        64,
        64,
        BLACK,
    )
    brightness = np.where(picture.alpha == 255, picture.rgb.sum(2), 0)
    assert brightness[:, 32:].sum() > 1.5 * brightness[:, :32].sum()


def test_pictures_that_do_not_fit_are_refused():
    part = quad(0.0)
    with pytest.raises(ValueError, match="background"):
        draw([part], background=np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="posed vertices"):
        render(prepare([part]), [part.vertices[:3]], FRONT, width=8, height=8)


def test_the_contact_sheet_shows_each_control_alone(tmp_path):
    avatar = symmetric_avatar()
    sheet = contact_sheet(avatar, cell=64, columns=2)
    tall = sheet.shape[0] // 2
    cells = [sheet[:64, :64], sheet[:64, 64:], sheet[tall : tall + 64, :64]]
    for shown in cells[1:]:
        assert (shown != cells[0]).any()
    write_sheet(tmp_path / "sheet.png", avatar)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    with pytest.raises(OutputError, match=r"in \.png or \.jpg"):
        write_sheet(tmp_path / "nowhere" / "sheet.png", avatar)
