"""freeavatar curves for Blender: one file that is an add-on, a script, and nothing else.

As an add-on: Edit > Preferences > Add-ons > Install from Disk, then File > Import > freeavatar
curves with the face selected. As a script, without installing anything:

    blender face.blend --python freeavatar_blender.py -- ada.curves.json [--save out.blend]

It keys the shape keys of the selected objects (of every mesh, when none is selected) by name, at
the real times of the input, from a .curves.json or any CSV with a time column (time_s or Live
Link's Timecode). It needs Blender 3.6 or later and nothing of the freeavatar package.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

bl_info = {
    "name": "freeavatar curves",
    "author": "The freeavatar developers",
    "version": (1, 0, 0),
    "blender": (3, 6, 0),
    "location": "File > Import > freeavatar curves (.json, .csv)",
    "description": "Keys shape keys by name from curves that freeavatar wrote",
    "category": "Import-Export",
}

NOT_CURVES = {"time_s", "timecode", "found", "blendshapecount"}


def read_curves(path: Path | str) -> tuple[list[float], dict[str, list[float]]]:
    """Times in seconds and {name: values} of a .curves.json, .controls.csv or livelink.csv."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        return document["time_s"], document["curves"]
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    header, rows = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    names = [name.strip().lower() for name in header]
    if "time_s" in names:
        column = names.index("time_s")
        times = [float(row[column]) for row in rows]
    elif "timecode" in names:
        column = names.index("timecode")
        times = [_seconds(row[column]) for row in rows]
    else:
        raise ValueError(f"{path.name} has neither a column time_s nor Timecode")
    curves = {
        name: [float(row[column]) for row in rows]
        for column, name in enumerate(header)
        if name.strip().lower() not in NOT_CURVES
    }
    return [time - times[0] for time in times], curves


def _seconds(timecode: str) -> float:
    """HH:MM:SS:FF.mmm with sixty frames to the second, as Live Link Face writes it."""
    hours, minutes, seconds, frames = timecode.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(frames) / 60


def apply_curves(
    objects: Sequence[Any],
    times_s: Sequence[float],
    curves: dict[str, list[float]],
    frames_per_second: float,
    first_frame: float = 1.0,
) -> list[str]:
    """Key the shape keys of these objects; the names of the curves that found one."""
    by_name = {_plain(name): values for name, values in curves.items()}
    frames = [first_frame + time_s * frames_per_second for time_s in times_s]
    used = set()
    for holder in objects:
        keys = getattr(holder.data, "shape_keys", None)
        if keys is None:
            continue
        for block in keys.key_blocks[1:]:
            values = by_name.get(_plain(block.name))
            if values is None:
                continue
            block.slider_min = min(0.0, *values)
            block.slider_max = max(1.0, *values)
            block.driver_remove("value")
            _key(keys, block, frames, values)
            used.add(_plain(block.name))
    return [name for name in curves if _plain(name) in used]


def _key(keys: Any, block: Any, frames: Sequence[float], values: Sequence[float]) -> None:
    """A linear curve with one key per value, in place of an older one."""
    block.keyframe_insert("value", frame=frames[0])
    data_path = block.path_from_id("value")
    curves = _curves_of(keys.animation_data.action)
    curve = next(curve for curve in curves if curve.data_path == data_path)
    points = curve.keyframe_points
    points.clear()
    # All at once: inserted one by one, n keys take n squared steps.
    points.add(len(values))
    spots = [number for spot in zip(frames, values, strict=True) for number in spot]
    points.foreach_set("co", spots)
    for point in points:
        point.interpolation = "LINEAR"
    curve.update()


def _curves_of(action: Any) -> Iterator[Any]:
    """F-curves of an action: in channel bags since Blender 4.4."""
    if hasattr(action, "layers") and len(action.layers):
        for layer in action.layers:
            for strip in layer.strips:
                for bag in strip.channelbags:
                    yield from bag.fcurves
    else:
        yield from action.fcurves


def _plain(name: str) -> str:
    """jawOpen, JawOpen and Face.jaw_open are one name."""
    return "".join(letter for letter in name.split(".")[-1].lower() if letter.isalnum())


def run(path: Path | str, objects: Sequence[Any], scene: Any) -> tuple[list[str], str]:
    """Apply a file to objects of a scene: the curves that found a key, a sentence for the user."""
    times_s, curves = read_curves(path)
    rate = scene.render.fps / scene.render.fps_base
    used = apply_curves(objects, times_s, curves, rate, scene.frame_start)
    if used:
        scene.frame_end = max(scene.frame_end, round(scene.frame_start + times_s[-1] * rate))
    return used, (
        f"{len(used)} of {len(curves)} curves found a shape key; {len(times_s)} frames each"
    )


def meshes(context: Any) -> list[Any]:
    """The selected objects with shape keys, or all of them."""
    chosen = [o for o in context.selected_objects if getattr(o.data, "shape_keys", None)]
    return chosen or [o for o in context.scene.objects if getattr(o.data, "shape_keys", None)]


_undo: list[Callable[[], object]] = []


def register() -> None:
    """Add the entry to File > Import."""
    import bpy
    from bpy_extras.io_utils import ImportHelper

    class ImportCurves(bpy.types.Operator, ImportHelper):
        """Key shape keys by name from curves that freeavatar wrote"""

        bl_idname = "import_anim.freeavatar_curves"
        bl_label = "Import freeavatar curves"
        bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
        filter_glob: bpy.props.StringProperty(default="*.json;*.csv", options={"HIDDEN"})

        def execute(self, context: Any) -> set[str]:
            try:
                used, sentence = run(self.filepath, meshes(context), context.scene)
            except (OSError, ValueError, KeyError) as error:
                self.report({"ERROR"}, f"These curves cannot be read: {error}")
                return {"CANCELLED"}
            self.report({"INFO"} if used else {"WARNING"}, sentence)
            return {"FINISHED"}

    def entry(menu: Any, context: Any) -> None:
        menu.layout.operator(ImportCurves.bl_idname, text="freeavatar curves (.json, .csv)")

    bpy.utils.register_class(ImportCurves)
    bpy.types.TOPBAR_MT_file_import.append(entry)
    _undo.append(lambda: bpy.types.TOPBAR_MT_file_import.remove(entry))
    _undo.append(lambda: bpy.utils.unregister_class(ImportCurves))


def unregister() -> None:
    """Take the entry away again."""
    while _undo:
        _undo.pop()()


def main(arguments: Sequence[str]) -> None:
    """What `blender --python this_file -- CURVES [--save FILE]` does."""
    import bpy

    _, sentence = run(arguments[0], meshes(bpy.context), bpy.context.scene)
    print(f"freeavatar: {sentence}")
    if len(arguments) == 3 and arguments[1] == "--save":
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(arguments[2]).resolve()))


if __name__ == "__main__":
    if "--" in sys.argv:
        main(sys.argv[sys.argv.index("--") + 1 :])
    else:
        register()
