"""Builds heads of any identity from the ICT-FaceKit model: actors for training pictures.

The model file is not part of the product; recipes name it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from freeavatar.avatars.arkit import arkit_map
from freeavatar.avatars.avatar import Avatar, Eye, Material, MaterialKind, Surface
from freeavatar.avatars.blendshapes import build_rig
from freeavatar.avatars.eyes import sphere_centre
from freeavatar.avatars.face import find_face
from freeavatar.avatars.ict_paint import IctLook, paint_back, paint_eye, paint_face
from freeavatar.errors import DataError

NUM_IDENTITY_SHAPES = 100
METRES_PER_UNIT = 0.01
IRIS_SHARE = 0.44
"""Iris radius over eyeball radius, by eye: the model's eyeballs are larger than real ones."""

# PupilDilate and the *Raiser doubles of cheekSquint are no ARKit controls.
UNUSED_EXPRESSIONS = ("PupilDilate_L", "PupilDilate_R", "cheekRaiser_L", "cheekRaiser_R")


@dataclass(frozen=True)
class _Part:
    """One material of the model that we draw."""

    name: str
    kind: MaterialKind
    roughness: float


# The iris lies under the sclera, and the fluid, blend and occlusion meshes are effects for film
# renderers: left out; the iris is painted on the sclera.
PARTS = (
    _Part("M_Face", "skin", 0.6),
    _Part("M_BackHead", "skin", 0.7),
    _Part("M_GumsTongue", "tongue", 0.4),
    _Part("M_Teeth", "teeth", 0.3),
    _Part("M_ScleraLeft", "eye", 0.15),
    _Part("M_ScleraRight", "eye", 0.15),
    _Part("M_EyeLashes", "lash", 0.9),
)
GUMS_COLOR = (0.46, 0.14, 0.14, 1.0)
TEETH_COLOR = (0.80, 0.76, 0.66, 1.0)
LASH_ALPHA = 0.35
"""The lashes are closed strips: opaque ones look like black ribbons."""


@dataclass(frozen=True)
class _Model:
    """The arrays of the model file, in metres and with glTF texture coordinates."""

    neutral: Float[np.ndarray, "vertex 3"]
    shapes: Float[np.ndarray, "100 vertex 3"]
    expressions: Float[np.ndarray, "expression vertex 3"]
    expression_names: tuple[str, ...]
    triangles: Int[np.ndarray, "triangle 3"]
    uvs: Float[np.ndarray, "coordinate 2"]
    uv_triangles: Int[np.ndarray, "triangle 3"]
    triangle_materials: Int[np.ndarray, "triangle"]
    material_names: tuple[str, ...]
    landmarks: Int[np.ndarray, "68"]


def load_ict(
    npz_path: Path | str,
    identity: Float[np.ndarray, "100"],
    name: str,
    look: IctLook | None = None,
) -> Avatar:
    """A head with these identity weights (standard normal in the model's population)."""
    if np.shape(identity) != (NUM_IDENTITY_SHAPES,):
        raise ValueError(
            f"identity needs {NUM_IDENTITY_SHAPES} weights, got shape {np.shape(identity)}"
        )
    model = _read_model(Path(npz_path))
    look = look or IctLook()
    weights = np.asarray(identity, np.float32)
    rest = model.neutral + np.tensordot(weights, model.shapes, axes=1)
    surfaces = tuple(_surface(model, part, rest, look) for part in PARTS)
    eyes = tuple(
        Eye(side, None, _centre(surfaces, f"M_Sclera{side.capitalize()}"), _ball(surfaces, side))
        for side in ("left", "right")
    )
    rig, bindings = build_rig("ict", model.expression_names, eyes)
    mapping = arkit_map(rig.names)
    assert mapping is not None
    return Avatar(
        name=name,
        rig=rig,
        surfaces=surfaces,
        morph_names=model.expression_names,
        bindings=bindings,
        eyes=eyes,
        face=find_face(surfaces, eyes, bindings @ mapping, None),
        arkit_to_rig=mapping,
        licence="MIT, ICT-FaceKit, (c) 2020 USC Institute for Creative Technologies",
        source=str(npz_path),
    )


@lru_cache(maxsize=1)
def _read_model(path: Path) -> _Model:
    landmarks_path = path.with_name("vertex_indices.json")
    try:
        landmarks = json.loads(landmarks_path.read_text())["idx_to_landmark_verts"]
        with np.load(path) as arrays:
            loaded = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"Cannot read the ICT-FaceKit model {path} with {landmarks_path.name} beside it: "
            f"{error}."
        ) from error
    names = [str(name) for name in loaded["expr_names"]]
    kept = [i for i, name in enumerate(names) if name not in UNUSED_EXPRESSIONS]
    # Charts lie side by side (u of the back of the head is 1 to 2) and v points up.
    uvs = loaded["uv"] * np.array([1, -1], np.float32)
    return _Model(
        neutral=loaded["neutral"].astype(np.float32) * METRES_PER_UNIT,
        shapes=loaded["ident"].astype(np.float32) * METRES_PER_UNIT,
        expressions=loaded["expr"][kept].astype(np.float32) * METRES_PER_UNIT,
        expression_names=tuple(names[i] for i in kept),
        triangles=loaded["tri_v"],
        uvs=np.mod(uvs, 1.0).astype(np.float32),
        uv_triangles=loaded["tri_uv"],
        triangle_materials=loaded["tri_mat"],
        material_names=tuple(str(name) for name in loaded["materials"]),
        landmarks=np.array(landmarks, np.int64),
    )


def _surface(
    model: _Model, part: _Part, rest: Float[np.ndarray, "vertex 3"], look: IctLook
) -> Surface:
    chosen = model.triangle_materials == model.material_names.index(part.name)
    # A vertex on a seam of the texture becomes one vertex for each coordinate.
    num_uvs = len(model.uvs)
    corners = model.triangles[chosen].astype(np.int64) * num_uvs + model.uv_triangles[chosen]
    pairs, compact = np.unique(corners, return_inverse=True)
    vertices, uvs = rest[pairs // num_uvs], model.uvs[pairs % num_uvs]
    deltas = model.expressions[:, pairs // num_uvs]
    if part.kind == "eye":
        # The eyeballs move by turning; seen from the front, they carry one round texture.
        deltas = np.zeros_like(deltas)
        centre = sphere_centre(vertices)
        radius = float(np.median(np.linalg.norm(vertices - centre, axis=1)))
        uvs = 0.5 + 0.5 * (vertices - centre)[:, :2] / radius * np.array([1, -1])
    morphs = np.flatnonzero(deltas.any(axis=(1, 2)))
    return Surface(
        name=part.name,
        vertices=vertices.astype(np.float32),
        triangles=compact.reshape(-1, 3).astype(np.int32),
        uvs=uvs.astype(np.float32),
        material=_material(model, part, look),
        morphs=morphs,
        deltas=deltas[morphs].astype(np.float32),
    )


def _material(model: _Model, part: _Part, look: IctLook) -> Material:
    white = np.ones(4, np.float32)
    opaque = Material(part.name, part.kind, white, roughness=part.roughness, double_sided=True)
    match part.name:
        case "M_Face":
            return replace(opaque, texture=paint_face(look, _landmark_uvs(model)))
        case "M_BackHead":
            return replace(opaque, texture=paint_back(look))
        case "M_ScleraLeft" | "M_ScleraRight":
            return replace(opaque, texture=paint_eye(look, IRIS_SHARE))
        case "M_GumsTongue":
            return replace(opaque, base_color=np.array(GUMS_COLOR, np.float32))
        case "M_Teeth":
            return replace(opaque, base_color=np.array(TEETH_COLOR, np.float32))
    lash = np.array([*(value**2.2 for value in look.lashes), LASH_ALPHA], np.float32)
    return replace(opaque, base_color=lash, alpha_mode="blend")


def _landmark_uvs(model: _Model) -> Float[np.ndarray, "68 2"]:
    face = model.triangle_materials == model.material_names.index("M_Face")
    by_vertex = np.zeros((len(model.neutral), 2), np.float32)
    by_vertex[model.triangles[face]] = model.uvs[model.uv_triangles[face]]
    return by_vertex[model.landmarks]


def _centre(surfaces: tuple[Surface, ...], name: str) -> Float[np.ndarray, "3"]:
    ball = next(surface for surface in surfaces if surface.name == name)
    return sphere_centre(ball.vertices).astype(np.float32)


def _ball(surfaces: tuple[Surface, ...], side: str) -> tuple[Int[np.ndarray, "_"], ...]:
    name = f"M_Sclera{side.capitalize()}"
    return tuple(
        np.arange(len(surface.vertices) if surface.name == name else 0) for surface in surfaces
    )
