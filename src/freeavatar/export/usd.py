"""<avatar>.usdc and <avatar>.usdz: the performing avatar as UsdSkel, for Blender, Maya, Houdini,
Omniverse and the viewers of Apple devices.

Blend shapes and a skeleton of head and eyes move; materials are UsdPreviewSurface. Sources: the
UsdSkel and UsdPreviewSurface specifications of OpenUSD. Needs the extra [usd].
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar, Material, Surface, gaze_angles, rotation
from freeavatar.errors import MissingExtra, OutputError
from freeavatar.export.glb_tracks import quaternions_from_rotations

JOINTS = ("root", "root/head")
MOVED_M = 1e-7
"""Smaller movements of a vertex are left out of a blend shape."""


def check_usd() -> None:
    """MissingExtra when the library is not installed."""
    if find_spec("pxr") is None:
        raise MissingExtra("USD export", "usd")


def textures_folder(avatar_name: str) -> str:
    """Where the pictures of a .usdc lie, beside it."""
    return f"{avatar_name}.textures"


def write_usdc(path: Path, avatar: Avatar, clip: AnimationClip) -> None:
    """A binary layer, and its pictures in a folder beside it."""
    check_usd()
    _write_stage(path, avatar, clip, path.parent / textures_folder(avatar.name))


def write_usdz(path: Path, avatar: Avatar, clip: AnimationClip) -> None:
    """One package with the pictures inside."""
    check_usd()
    from pxr import Sdf, UsdUtils

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".usdz-") as folder:
        layer = Path(folder) / f"{_identifier(avatar.name)}.usdc"
        _write_stage(layer, avatar, clip, Path(folder) / "textures")
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(path)):
            raise OutputError(f"{path} could not be packed. Write the format usdc instead.")


def _write_stage(path: Path, avatar: Avatar, clip: AnimationClip, textures: Path) -> None:
    if clip.rig.names != avatar.rig.names:
        raise ValueError(f"the clip is for rig {clip.rig.name!r}, not for {avatar.name!r}")
    from pxr import Kind, Sdf, Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    rate = round(clip.frame_rate_hz, 3)
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    codes = ((clip.times_s - clip.times_s[0]) * rate).tolist()
    stage.SetStartTimeCode(codes[0])
    stage.SetEndTimeCode(codes[-1])
    root = UsdSkel.Root.Define(stage, Sdf.Path(f"/{_identifier(avatar.name)}"))
    stage.SetDefaultPrim(root.GetPrim())
    Usd.ModelAPI(root.GetPrim()).SetKind(Kind.Tokens.component)
    names = _unique(avatar.morph_names)
    bones = _Bones.of(avatar)
    skeleton = _add_skeleton(stage, root.GetPath(), bones)
    animation = _add_animation(stage, root.GetPath(), avatar, clip, bones, names, codes)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets(
        [animation.GetPath()]
    )
    materials = _Materials(stage, root.GetPath(), textures)
    meshes = _unique([surface.name for surface in avatar.surfaces])
    extent: list[Any] = []
    for number, (surface, name) in enumerate(zip(avatar.surfaces, meshes, strict=True)):
        mesh = _add_mesh(stage, root.GetPath().AppendChild(name), surface, names)
        binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        joints, shares = bones.influences(avatar, number)
        binding.CreateJointIndicesPrimvar(False, joints.shape[1]).Set(joints.ravel().tolist())
        binding.CreateJointWeightsPrimvar(False, shares.shape[1]).Set(shares.ravel().tolist())
        materials.bind(mesh, surface.material)
        extent.append(surface.vertices)
    points = np.concatenate(extent)
    root.CreateExtentAttr(_extent(points))
    stage.GetRootLayer().Save()
    if not textures.exists():
        return
    if not any(textures.iterdir()):
        shutil.rmtree(textures)


@dataclass(frozen=True)
class _Bones:
    """Joints in world space at rest; all of them are aligned with the world."""

    names: tuple[str, ...]
    pivots: Float[np.ndarray, "joint 3"]
    parents: tuple[int, ...]

    @staticmethod
    def of(avatar: Avatar) -> _Bones:
        names, pivots, parents = list(JOINTS), [np.zeros(3), avatar.face.neck], [-1, 0]
        for eye in avatar.eyes:
            names.append(f"root/head/{eye.side}Eye")
            pivots.append(eye.pivot)
            parents.append(1)
        return _Bones(tuple(names), np.array(pivots, np.float64), tuple(parents))

    @property
    def offsets(self) -> Float[np.ndarray, "joint 3"]:
        """From the parent's pivot."""
        origins = np.array([self.pivots[p] if p >= 0 else np.zeros(3) for p in self.parents])
        return self.pivots - origins

    def influences(
        self, avatar: Avatar, number: int
    ) -> tuple[Int[np.ndarray, "vertex 2"], Float[np.ndarray, "vertex 2"]]:
        """For every vertex of a surface, two joints and their shares."""
        surface = avatar.surfaces[number]
        joints = np.tile([1, 0], (len(surface.vertices), 1))
        share = np.ones(len(surface.vertices), np.float32)
        if surface.head_share is not None:
            share = surface.head_share.astype(np.float32)
        for index, eye in enumerate(avatar.eyes):
            joints[eye.vertices[number], 0] = 2 + index
        return joints, np.stack([share, 1.0 - share], axis=1)


def _add_skeleton(stage: Any, above: Any, bones: _Bones) -> Any:
    from pxr import Gf, UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, above.AppendChild("Skeleton"))
    skeleton.CreateJointsAttr(Vt.TokenArray(bones.names))
    for attribute, places in (
        (skeleton.CreateBindTransformsAttr(), bones.pivots),
        (skeleton.CreateRestTransformsAttr(), bones.offsets),
    ):
        moved = [Gf.Matrix4d().SetTranslate(Gf.Vec3d(*map(float, place))) for place in places]
        attribute.Set(Vt.Matrix4dArray(moved))
    return skeleton


def _add_animation(
    stage: Any,
    above: Any,
    avatar: Avatar,
    clip: AnimationClip,
    bones: _Bones,
    names: Sequence[str],
    codes: Sequence[float],
) -> Any:
    from pxr import Gf, UsdSkel, Vt

    animation = UsdSkel.Animation.Define(stage, above.AppendChild("Animation"))
    animation.CreateJointsAttr(Vt.TokenArray(bones.names))
    animation.CreateTranslationsAttr(Vt.Vec3fArray.FromNumpy(bones.offsets.astype(np.float32)))
    animation.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1.0)] * len(bones.names)))
    turns = np.tile(np.eye(3), (len(bones.names), len(clip), 1, 1))
    turns[1] = [rotation(*head) for head in clip.head_rad]
    for index, eye in enumerate(avatar.eyes):
        turns[2 + index] = [rotation(*gaze_angles(avatar, eye, row)) for row in clip.values]
    quaternions = np.stack([quaternions_from_rotations(joint) for joint in turns], axis=1)
    rotations = animation.CreateRotationsAttr()
    weights = clip.values.astype(np.float32) @ avatar.bindings.T.astype(np.float32)
    if names:
        animation.CreateBlendShapesAttr(Vt.TokenArray(names))
    shown = animation.CreateBlendShapeWeightsAttr() if names else None
    for code, turned, row in zip(codes, quaternions, weights, strict=True):
        frame = [Gf.Quatf(float(w), float(x), float(y), float(z)) for x, y, z, w in turned]
        rotations.Set(Vt.QuatfArray(frame), code)
        if shown is not None:
            shown.Set(Vt.FloatArray.FromNumpy(row), code)
    return animation


def _add_mesh(stage: Any, where: Any, surface: Surface, names: Sequence[str]) -> Any:
    from pxr import Sdf, UsdGeom, UsdSkel, Vt

    mesh = UsdGeom.Mesh.Define(stage, where)
    vertices = np.ascontiguousarray(surface.vertices, np.float32)
    triangles = np.ascontiguousarray(surface.triangles, np.int32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.ravel()))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(_extent(vertices))
    mesh.CreateDoubleSidedAttr(surface.material.double_sided)
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(_vertex_normals(vertices, triangles)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    # USD counts v from the bottom of the picture, glTF from its top.
    uvs = (surface.uvs * [1.0, -1.0] + [0.0, 1.0]).astype(np.float32)
    coordinates = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar(
        "st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex
    )
    coordinates.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(uvs)))
    shapes, targets = [], []
    for morph, deltas in zip(surface.morphs, surface.deltas, strict=True):
        moved = np.flatnonzero(np.abs(deltas).max(axis=1) > MOVED_M)
        if not len(moved):
            continue
        shape = UsdSkel.BlendShape.Define(stage, where.AppendChild(names[morph]))
        shape.CreateOffsetsAttr(
            Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(deltas[moved], np.float32))
        )
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
        shapes.append(names[morph])
        targets.append(shape.GetPath())
    if shapes:
        binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateBlendShapesAttr(Vt.TokenArray(shapes))
        binding.CreateBlendShapeTargetsRel().SetTargets(targets)
    return mesh


class _Materials:
    """UsdPreviewSurface for every material; each picture is written once."""

    def __init__(self, stage: Any, above: Any, textures: Path) -> None:
        from pxr import UsdGeom

        self._stage = stage
        self._above = above.AppendChild("Materials")
        UsdGeom.Scope.Define(stage, self._above)
        self._textures = textures
        self._made: dict[int, Any] = {}
        self._names: set[str] = set()
        self._pictures: dict[tuple[int, bool], Path] = {}

    def bind(self, mesh: Any, material: Material) -> None:
        from pxr import UsdShade

        if id(material) not in self._made:
            self._made[id(material)] = self._make(material)
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(self._made[id(material)])

    def _make(self, material: Material) -> Any:
        from pxr import Gf, Sdf, UsdShade

        name = _identifier(material.name) or "material"
        while name in self._names:
            name += "_"
        self._names.add(name)
        made = UsdShade.Material.Define(self._stage, self._above.AppendChild(name))
        surface = UsdShade.Shader.Define(self._stage, made.GetPath().AppendChild("Surface"))
        surface.CreateIdAttr("UsdPreviewSurface")
        inputs = Sdf.ValueTypeNames
        surface.CreateInput("roughness", inputs.Float).Set(float(material.roughness))
        surface.CreateInput("metallic", inputs.Float).Set(0.0)
        red, green, blue, alpha = (float(part) for part in material.base_color)
        colour = surface.CreateInput(
            "emissiveColor" if material.emissive else "diffuseColor", inputs.Color3f
        )
        if material.emissive:
            surface.CreateInput("diffuseColor", inputs.Color3f).Set(Gf.Vec3f(0.0))
        texture = self._add_picture(made, name, material) if material.texture is not None else None
        if texture is None:
            colour.Set(Gf.Vec3f(red, green, blue))
        else:
            texture.CreateInput("scale", inputs.Float4).Set(Gf.Vec4f(red, green, blue, alpha))
            rgb = texture.CreateOutput("rgb", inputs.Float3)
            colour.ConnectToSource(rgb)
        if material.alpha_mode != "opaque":
            opacity = surface.CreateInput("opacity", inputs.Float)
            if texture is None:
                opacity.Set(alpha)
            else:
                opacity.ConnectToSource(texture.CreateOutput("a", inputs.Float))
            if material.alpha_mode == "mask":
                cutoff = surface.CreateInput("opacityThreshold", inputs.Float)
                cutoff.Set(float(material.alpha_cutoff))
        made.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", inputs.Token))
        return made

    def _add_picture(self, made: Any, name: str, material: Material) -> Any:
        from pxr import Sdf, UsdShade

        assert material.texture is not None
        # Skin is smooth: JPEG is a tenth of PNG. What is cut out by alpha needs PNG.
        opaque = material.alpha_mode == "opaque"
        key = (id(material.texture), opaque)
        if key not in self._pictures:
            self._pictures[key] = self._textures / f"{name}.{'jpg' if opaque else 'png'}"
            _write_picture(self._pictures[key], material.texture)
        file = self._pictures[key]
        reader = UsdShade.Shader.Define(self._stage, made.GetPath().AppendChild("Coordinates"))
        reader.CreateIdAttr("UsdPrimvarReader_float2")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
        result = reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
        texture = UsdShade.Shader.Define(self._stage, made.GetPath().AppendChild("Picture"))
        texture.CreateIdAttr("UsdUVTexture")
        relative = f"./{self._textures.name}/{file.name}"
        texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(Sdf.AssetPath(relative))
        texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(result)
        texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
        for axis in ("wrapS", "wrapT"):
            texture.CreateInput(axis, Sdf.ValueTypeNames.Token).Set("repeat")
        return texture


def _write_picture(path: Path, rgba: UInt8[np.ndarray, "height width 4"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        bgr = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR)
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    else:
        done, data = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    if not done:
        raise OutputError(f"The picture {path.name} of the avatar cannot be written.")
    path.write_bytes(data.tobytes())


def _vertex_normals(
    vertices: Float[np.ndarray, "vertex 3"], triangles: Int[np.ndarray, "triangle 3"]
) -> Float[np.ndarray, "vertex 3"]:
    """Area-weighted; vertices at one place, which only the texture cuts apart, share theirs."""
    corners = vertices[triangles].astype(np.float64)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    _, weld = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    sums = np.zeros((weld.max() + 1 if len(weld) else 0, 3))
    for corner in range(3):
        np.add.at(sums, weld.ravel()[triangles[:, corner]], faces)
    normals = sums[weld.ravel()]
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    return np.where(lengths > 0, normals / np.maximum(lengths, 1e-30), up).astype(np.float32)


def _extent(points: Float[np.ndarray, "vertex 3"]) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.array([points.min(0), points.max(0)], np.float32))


def _identifier(name: str) -> str:
    """A name that USD allows: letters, digits and underscores, no digit first."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def _unique(names: Sequence[str]) -> list[str]:
    unique: list[str] = []
    for name in names:
        plain, copy = _identifier(name), 2
        candidate = plain
        while candidate in unique or candidate in ("Skeleton", "Animation", "Materials"):
            candidate, copy = f"{plain}_{copy}", copy + 1
        unique.append(candidate)
    return unique
