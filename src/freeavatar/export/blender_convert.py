"""Runs inside Blender: GLB in, FBX or Alembic out. Arguments: GLB, result, frames per second."""

import sys
from pathlib import Path
from typing import Any


def convert(glb: Path, result: Path, frame_rate_hz: float) -> None:
    """Load the GLB into an empty scene and write it in the format of the result's suffix."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    # Blender has whole frames per second and a divisor.
    scene.render.fps = max(1, round(frame_rate_hz))
    scene.render.fps_base = scene.render.fps / frame_rate_hz
    bpy.ops.import_scene.gltf(filepath=str(glb))
    first, last = _frames(bpy)
    scene.frame_start, scene.frame_end = first, last
    if result.suffix.lower() == ".fbx":
        bpy.ops.export_scene.fbx(
            filepath=str(result),
            use_selection=False,
            add_leaf_bones=False,
            bake_anim=True,
            bake_anim_use_all_actions=False,
            bake_anim_use_nla_strips=False,
            bake_anim_simplify_factor=0.0,
            path_mode="COPY",
            embed_textures=True,
        )
    else:
        bpy.ops.wm.alembic_export(
            filepath=str(result),
            start=first,
            end=last,
            uvs=True,
            normals=True,
            as_background_job=False,
        )


def _frames(bpy: Any) -> tuple[int, int]:
    """First and last frame of everything that moves."""
    ranges = [tuple(action.frame_range) for action in bpy.data.actions]
    if not ranges:
        return 0, 0
    return round(min(low for low, _ in ranges)), round(max(high for _, high in ranges))


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    convert(Path(given[0]), Path(given[1]), float(given[2]))
