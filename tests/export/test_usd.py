"""USD: OpenUSD's validators find nothing, and its own skinning poses vertices as `pose` does."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import pose
from freeavatar.avatars.catalog import resolve
from freeavatar.errors import MissingExtra
from freeavatar.export import usd
from freeavatar.export.registry import choose_formats

needs_usd = pytest.mark.skipif(
    importlib.util.find_spec("pxr") is None, reason="usd-core (the extra [usd]) is missing"
)


def problems(path) -> list[str]:
    from pxr import Usd, UsdValidation

    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    return [str(error.GetMessage()) for error in context.Validate(Usd.Stage.Open(str(path)))]


@needs_usd
@pytest.mark.parametrize("suffix", ["usdc", "usdz"])
def test_the_validators_of_usd_find_nothing(tmp_path, avatar, clip, suffix):
    path = tmp_path / f"{avatar.name}.{suffix}"
    (usd.write_usdc if suffix == "usdc" else usd.write_usdz)(path, avatar, clip)
    assert problems(path) == []
    beside = {item.name for item in tmp_path.iterdir()} - {path.name}
    textured = any(s.material.texture is not None for s in avatar.surfaces)
    assert beside == ({f"{avatar.name}.textures"} if suffix == "usdc" and textured else set())


@needs_usd
def test_usd_itself_poses_the_vertices_as_we_do(tmp_path, avatar, clip):
    from pxr import Usd, UsdGeom, UsdSkel

    path = tmp_path / "a.usdc"
    usd.write_usdc(path, avatar, clip)
    stage = Usd.Stage.Open(str(path))
    root = UsdSkel.Root(stage.GetDefaultPrim())
    assert UsdSkel.BakeSkinning(root)
    meshes = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    assert len(meshes) == len(avatar.surfaces)
    for frame in (0, 11, 30):
        expected = pose(avatar, clip.values[frame], clip.head_rad[frame])
        for mesh, vertices in zip(meshes, expected, strict=True):
            points = np.array(UsdGeom.Mesh(mesh).GetPointsAttr().Get(float(frame)))
            np.testing.assert_allclose(points, vertices, atol=1e-5)


@needs_usd
def test_time_codes_are_frames_at_the_rate_of_the_take(tmp_path, avatar, clip):
    from pxr import Usd, UsdSkel

    path = tmp_path / "a.usdc"
    usd.write_usdc(path, avatar, clip)
    stage = Usd.Stage.Open(str(path))
    animation = UsdSkel.Animation(
        stage.GetPrimAtPath(stage.GetDefaultPrim().GetPath().AppendChild("Animation"))
    )
    weights = animation.GetBlendShapeWeightsAttr()
    codes = np.array(weights.GetTimeSamples())
    assert stage.GetTimeCodesPerSecond() == pytest.approx(30.0)
    np.testing.assert_allclose(codes / 30.0, clip.times_s, atol=1e-6)
    values = np.array([weights.Get(code) for code in codes])
    np.testing.assert_allclose(values, clip.values @ avatar.bindings.T, atol=1e-6)


@needs_usd
def test_pictures_and_shaders_are_found_from_the_layer(tmp_path):
    from pxr import Ar, Usd, UsdShade

    avatar = resolve("ada")
    still = AnimationClip(
        avatar.rig, np.zeros(1), avatar.rig.rest[None], np.ones(1, bool), np.zeros((1, 3))
    )
    path = tmp_path / "ada.usdz"
    usd.write_usdz(path, avatar, still)
    stage = Usd.Stage.Open(str(path))
    shaders = [UsdShade.Shader(prim) for prim in stage.Traverse() if prim.IsA(UsdShade.Shader)]
    kinds = [shader.GetIdAttr().Get() for shader in shaders]
    assert kinds.count("UsdPreviewSurface") == len({id(s.material) for s in avatar.surfaces})
    pictures = [s.GetInput("file").Get() for s in shaders if s.GetIdAttr().Get() == "UsdUVTexture"]
    assert pictures
    for picture in pictures:
        assert picture.resolvedPath
        assert Ar.GetResolver().OpenAsset(Ar.ResolvedPath(picture.resolvedPath)).GetSize() > 100


def test_without_the_extra_it_is_said_before_any_work(monkeypatch):
    monkeypatch.setattr(usd, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"freeavatar\[usd\]"):
        choose_formats(["usdz"])
    assert choose_formats(["glb"])
