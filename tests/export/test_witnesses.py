"""Every format, for three rigs, opened by a program that we did not write. All of them slow.

three.js and three-vrm in Chromium, and gltf-validator: `npm install` in tests/witness (or name
another folder in FREEAVATAR_WITNESS), and Chromium (CHROMIUM names its program). Blender: the
program or Python that freeavatar.export.blender finds; BLENDER names another.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from freeavatar.avatars.avatar import gaze_angles, pose, rotation
from freeavatar.avatars.catalog import resolve
from freeavatar.avatars.gltf_scene import rotation_from_quaternion
from freeavatar.errors import FreeAvatarError
from freeavatar.export import blender_addon
from freeavatar.export.blender import find_blender, write_with_blender
from freeavatar.export.controls_csv import write_controls
from freeavatar.export.glb import write_glb
from freeavatar.export.json_curves import write_json
from freeavatar.export.vrm import write_vrm
from freeavatar.export.vrma import write_preset_vrma, write_vrma
from freeavatar.mapping.profiles import LOOKS, weights

pytestmark = pytest.mark.slow

WITNESS = Path(__file__).resolve().parents[1] / "witness"
AVATARS = Path(__file__).resolve().parents[3] / "shared" / "data" / "avatars"
FRAMES = (3, 11, 27)
"""Three moments at which values are compared."""


@pytest.fixture(scope="module")
def node_folder() -> Path:
    folder = Path(os.environ.get("FREEAVATAR_WITNESS", WITNESS))
    if not shutil.which("node") or not (folder / "node_modules/gltf-validator").is_dir():
        pytest.skip("node or its packages are missing: npm install in tests/witness")
    return folder


@pytest.fixture
def browser(node_folder, tmp_path):
    """Calls a function of page.js in Chromium and returns what it says."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("Chromium is missing")

    def play(call: str, *arguments: object, picture: Path | None = None):
        files = {a.name: str(a) for a in arguments if isinstance(a, Path)}
        given = [f"/{a.name}" if isinstance(a, Path) else a for a in arguments]
        request = {"call": call, "arguments": given, "files": files}
        if picture is not None:
            request["picture"] = str(picture)
        (tmp_path / "request.json").write_text(json.dumps(request))
        done = subprocess.run(
            ["node", "play.mjs", str(tmp_path / "request.json")],
            cwd=node_folder,
            capture_output=True,
            text=True,
            env=os.environ | {"CHROMIUM": chromium},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return play


@pytest.fixture
def blender(tmp_path):
    """Runs a script in Blender; the script's `result` is returned."""
    try:
        command = find_blender()
    except FreeAvatarError as error:
        pytest.skip(str(error))

    def run(code: str, *arguments: object):
        script, answer = tmp_path / "script.py", tmp_path / "answer.json"
        start = "import json, sys\nimport bpy\ngiven = sys.argv[sys.argv.index('--') + 1:]\n"
        end = "\nopen(given[-1], 'w').write(json.dumps(result))\n"
        script.write_text(start + code + end)
        words = [*command, str(script), "--", *(str(a) for a in arguments), str(answer)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert answer.exists(), (done.stdout + done.stderr)[-3000:]
        return json.loads(answer.read_text())

    return run


SHAPE_KEYS = """
def curves_of(action):
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves

def shape_keys():
    # Names of all shape keys, and for each that moves its key frames: [frame, value].
    names, keyed = set(), {}
    for keys in bpy.data.shape_keys:
        names |= {block.name for block in keys.key_blocks[1:]}
        if keys.animation_data and keys.animation_data.action:
            for curve in curves_of(keys.animation_data.action):
                if not curve.data_path.startswith("key_blocks["):
                    continue  # one action may move bones as well
                name = curve.data_path.split('"')[1]
                keyed[name] = [list(point.co) for point in curve.keyframe_points]
    return {"names": sorted(names), "keyed": keyed}

def empty(rate):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = rate
"""


def validate(folder: Path, path: Path) -> dict:
    script = (
        "const v=require('gltf-validator'),fs=require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(r=>console.log(JSON.stringify(r.issues)))"
    )
    done = subprocess.run(
        ["node", "-e", script, str(path)], cwd=folder, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def morphs_of(avatar, clip, frame: int) -> dict[str, float]:
    row = avatar.bindings @ clip.values[frame]
    return dict(zip(avatar.morph_names, row.tolist(), strict=True))


def assert_near(said: dict, expected: dict, atol: float = 1e-4) -> None:
    """Values by name; what is expected must all be there."""
    assert set(expected) <= set(said), set(expected) - set(said)
    for name, value in expected.items():
        assert said[name] == pytest.approx(value, abs=atol), name


def turn(quaternion) -> np.ndarray:
    return rotation_from_quaternion(np.array(quaternion))


def test_gltf_validator_finds_no_error(node_folder, tmp_path, avatar, clip, arkit_performance):
    write_glb(tmp_path / "a.glb", avatar, clip)
    write_vrm(tmp_path / "a.vrm", avatar)
    write_vrma(tmp_path / "a.vrma", avatar, clip)
    write_preset_vrma(tmp_path / "presets.vrma", arkit_performance)
    for name in ("a.glb", "a.vrm", "a.vrma", "presets.vrma"):
        issues = validate(node_folder, tmp_path / name)
        assert issues["numErrors"] == 0, (name, issues["messages"][:5])


def test_three_js_plays_the_glb(browser, tmp_path, avatar, clip):
    write_glb(tmp_path / "a.glb", avatar, clip)
    frames = browser("playGlb", tmp_path / "a.glb", [float(clip.times_s[f]) for f in FRAMES])
    for frame, said in zip(FRAMES, frames, strict=True):
        assert_near(said["influences"], morphs_of(avatar, clip, frame))
        head = "Head" if avatar.name != "toy" else "freeavatar_head"
        expected = rotation(*clip.head_rad[frame])
        np.testing.assert_allclose(turn(said["turns"][head]), expected, atol=1e-4)


def test_three_vrm_plays_the_vrma_on_the_vrm(browser, tmp_path, avatar, clip):
    write_vrm(tmp_path / "a.vrm", avatar)
    write_vrma(tmp_path / "a.vrma", avatar, clip)
    times_s = [float(clip.times_s[f]) for f in FRAMES]
    said = browser("playVrm", tmp_path / "a.vrm", tmp_path / "a.vrma", times_s, 256)
    assert said["version"] == "1"
    assert len(said["bones"]) == 15 + len(avatar.eyes)
    for frame, seen in zip(FRAMES, said["frames"], strict=True):
        controls = dict(zip(avatar.rig.names, clip.values[frame].tolist(), strict=True))
        assert_near(seen["expressions"], controls)
        assert_near(seen["influences"], morphs_of(avatar, clip, frame))
        head = turn(seen["turns"]["head"])
        np.testing.assert_allclose(head, rotation(*clip.head_rad[frame]), atol=1e-4)
        if avatar.eyes:
            row = clip.values[frame]
            gaze = np.mean([gaze_angles(avatar, eye, row) for eye in avatar.eyes], axis=0)
            for eye in ("leftEye", "rightEye"):
                expected = head @ rotation(*gaze)
                np.testing.assert_allclose(turn(seen["turns"][eye]), expected, atol=1e-3)


def test_three_vrm_plays_presets_on_any_vrm(browser, tmp_path, avatar, arkit_performance):
    write_vrm(tmp_path / "a.vrm", avatar)
    write_preset_vrma(tmp_path / "presets.vrma", arkit_performance)
    times_s = [float(arkit_performance.times_s[f]) for f in FRAMES]
    said = browser("playVrm", tmp_path / "a.vrm", tmp_path / "presets.vrma", times_s, 256)
    names, values = weights("vrm1", arkit_performance.values)
    for frame, seen in zip(FRAMES, said["frames"], strict=True):
        expected = {
            name: float(value)
            for name, value in zip(names, values[frame], strict=True)
            if name not in LOOKS and name in seen["expressions"]
        }
        assert len(expected) >= 5
        assert_near(seen["expressions"], expected)


@pytest.fixture(params=["godette/Godette_vrm_v4.vrm", "valid/White_M_3.glb"])
def foreign(request, performed):
    """Characters of other makers: a whole VRM 0 figure, and a head with bones."""
    source = AVATARS / request.param
    if not source.exists():
        pytest.skip(f"the avatar is not there: {source}")
    avatar = resolve(source)
    return avatar, performed(avatar.rig)


def test_three_vrm_plays_characters_of_other_makers(browser, node_folder, tmp_path, foreign):
    avatar, clip = foreign
    write_vrm(tmp_path / "a.vrm", avatar)
    write_vrma(tmp_path / "a.vrma", avatar, clip)
    assert validate(node_folder, tmp_path / "a.vrm")["numErrors"] == 0
    times_s = [float(clip.times_s[f]) for f in FRAMES]
    said = browser("playVrm", tmp_path / "a.vrm", tmp_path / "a.vrma", times_s, 256)
    for frame, seen in zip(FRAMES, said["frames"], strict=True):
        controls = dict(zip(avatar.rig.names, clip.values[frame].tolist(), strict=True))
        assert_near(seen["expressions"], {n: v for n, v in controls.items() if n not in LOOKS})


def test_blender_opens_the_glb_with_every_key(blender, tmp_path, avatar, clip):
    write_glb(tmp_path / "a.glb", avatar, clip)
    code = "empty(30)\nbpy.ops.import_scene.gltf(filepath=given[0])\nresult = shape_keys()"
    assert_keys_are(blender(SHAPE_KEYS + code, tmp_path / "a.glb"), avatar, clip)


def test_blender_converts_characters_of_other_makers(blender, tmp_path, foreign):
    avatar, clip = foreign
    write_with_blender(tmp_path / "a.fbx", avatar, clip)
    code = "empty(30)\nbpy.ops.import_scene.fbx(filepath=given[0])\nresult = shape_keys()"
    said = blender(SHAPE_KEYS + code, tmp_path / "a.fbx")
    assert len(said["names"]) >= len(set(avatar.morph_names)) * 0.9
    assert max(len(keys) for keys in said["keyed"].values()) == len(clip)


def test_blender_opens_the_fbx_with_every_key(blender, tmp_path, avatar, clip):
    write_with_blender(tmp_path / "a.fbx", avatar, clip)
    code = "empty(30)\nbpy.ops.import_scene.fbx(filepath=given[0])\nresult = shape_keys()"
    said = blender(SHAPE_KEYS + code, tmp_path / "a.fbx")
    # FBX holds percent as float32.
    assert_keys_are(said, avatar, clip, atol=1e-3)


def assert_keys_are(said: dict, avatar, clip, atol: float = 1e-4) -> None:
    """Every morph is a shape key, and those that move have a key in every frame."""
    morphs = clip.values @ avatar.bindings.T
    assert set(said["names"]) == set(avatar.morph_names)
    moving = {n for n, c in zip(avatar.morph_names, morphs.T, strict=True) if np.ptp(c) > 1e-4}
    assert moving <= set(said["keyed"])
    for name in moving:
        keys = np.array(said["keyed"][name])
        assert len(keys) == len(clip)
        np.testing.assert_allclose((keys[:, 0] - keys[0, 0]) / 30, clip.times_s, atol=1e-4)
        expected = morphs[:, avatar.morph_names.index(name)]
        np.testing.assert_allclose(keys[:, 1], expected, atol=atol, err_msg=name)


def test_blender_opens_the_alembic_with_every_vertex(blender, tmp_path, avatar, clip):
    write_with_blender(tmp_path / "a.abc", avatar, clip)
    code = """
empty(30)
bpy.ops.wm.alembic_import(filepath=given[0])
result = []
for frame in json.loads(given[1]):
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    box = []
    for thing in bpy.context.scene.objects:
        if thing.type == "MESH":
            seen = thing.evaluated_get(graph)
            box += [list(seen.matrix_world @ v.co) for v in seen.data.vertices]
    low = [min(p[axis] for p in box) for axis in range(3)]
    high = [max(p[axis] for p in box) for axis in range(3)]
    result.append([low, high])
"""
    said = blender(SHAPE_KEYS + code, tmp_path / "a.abc", json.dumps(list(FRAMES)))
    for frame, (low, high) in zip(FRAMES, np.array(said), strict=True):
        points = np.concatenate(pose(avatar, clip.values[frame], clip.head_rad[frame]))
        # Blender's Z is up: (x, y, z) of ours is (x, -z, y) of Blender's.
        ours = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)
        # The head turns about the file's bone and `pose` about the neck: nearly the same place.
        np.testing.assert_allclose(low, ours.min(0), atol=5e-3)
        np.testing.assert_allclose(high, ours.max(0), atol=5e-3)


@pytest.mark.parametrize("suffix", ["usdc", "usdz"])
def test_blender_opens_the_usd_with_every_key(blender, tmp_path, avatar, clip, suffix):
    usd = pytest.importorskip("freeavatar.export.usd")
    pytest.importorskip("pxr")
    path = tmp_path / f"a.{suffix}"
    (usd.write_usdc if suffix == "usdc" else usd.write_usdz)(path, avatar, clip)
    code = """
empty(30)
bpy.ops.wm.usd_import(filepath=given[0])
result = shape_keys()
result["bones"] = [b.name for o in bpy.data.objects if o.type == "ARMATURE" for b in o.data.bones]
result["pictures"] = len([i for i in bpy.data.images if i.size[0] > 0])
"""
    said = blender(SHAPE_KEYS + code, path)
    plain = {name: name.replace("-", "_") for name in avatar.morph_names}
    moved = {
        plain[avatar.morph_names[morph]]
        for surface in avatar.surfaces
        for morph, deltas in zip(surface.morphs, surface.deltas, strict=True)
        if np.abs(deltas).max() > usd.MOVED_M
    }
    assert set(said["names"]) == moved
    assert len(said["bones"]) == 2 + len(avatar.eyes)
    assert said["pictures"] == len(
        {id(s.material.texture) for s in avatar.surfaces if s.material.texture is not None}
    )
    morphs = clip.values @ avatar.bindings.T
    for name, column in zip(avatar.morph_names, morphs.T, strict=True):
        if plain[name] in moved and np.ptp(column) > 1e-4:
            keys = np.array(said["keyed"][plain[name]])
            assert len(keys) == len(clip)
            np.testing.assert_allclose(keys[:, 1], column, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("table", ["json", "csv"])
def test_our_add_on_keys_shapes_in_blender_by_name(blender, tmp_path, avatar, clip, table):
    """Applied to the avatar's own file, imported without an animation, as add-on and as script."""
    curves = tmp_path / f"a.{table}"
    (write_json if table == "json" else write_controls)(curves, clip)
    code = """
empty(30)
sys.path.insert(0, given[2])
import blender_addon
blender_addon.register()
bpy.ops.import_scene.gltf(filepath=given[0])
operator = bpy.ops.import_anim.freeavatar_curves(filepath=given[1])
result = shape_keys()
result["said"] = list(operator)
result["frame_end"] = bpy.context.scene.frame_end
blender_addon.run(given[1], blender_addon.meshes(bpy.context), bpy.context.scene)
result["again"] = shape_keys()["keyed"] == result["keyed"]
blender_addon.unregister()
"""
    folder = Path(blender_addon.__file__).parent
    said = blender(SHAPE_KEYS + code, avatar.source, curves, folder)
    assert said["said"] == ["FINISHED"]
    assert said["again"]
    controls = {name for name in avatar.rig.names if name in avatar.morph_names}
    assert set(said["keyed"]) == controls
    for name in controls:
        keys = np.array(said["keyed"][name])
        assert len(keys) == len(clip)
        np.testing.assert_allclose((keys[:, 0] - keys[0, 0]) / 30, clip.times_s, atol=1e-4)
        expected = clip.values[:, avatar.rig.index(name)]
        np.testing.assert_allclose(keys[:, 1], expected, atol=1e-5)
