"""Files of curves: written, read back, compared within 1e-4, on three rigs."""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import CurveFileError
from freeavatar.export.blender_addon import read_curves as addon_read
from freeavatar.export.controls_csv import write_controls
from freeavatar.export.curve_files import read_clip
from freeavatar.export.glb import write_glb
from freeavatar.export.json_curves import write_json
from freeavatar.export.livelink import write_livelink
from freeavatar.export.maya import write_maya
from freeavatar.export.npz import write_curves, write_embeddings
from freeavatar.export.unreal import write_curve_table
from freeavatar.rig import ARKIT, Control, RigSpec


def assert_same(back, clip, atol=1e-4):
    assert back.rig.names == clip.rig.names
    np.testing.assert_allclose(back.times_s, clip.times_s, atol=atol)
    np.testing.assert_allclose(back.values, clip.values, atol=atol)
    np.testing.assert_allclose(back.head_rad, clip.head_rad, atol=atol)


@pytest.mark.parametrize(("suffix", "write"), [("json", write_json), ("npz", write_curves)])
def test_json_and_npz_read_back_equal(tmp_path, clip, suffix, write):
    found = clip.found.copy()
    found[3:6] = False
    clip = replace(clip, found=found)
    path = tmp_path / f"a.curves.{suffix}"
    write(path, clip)
    back = read_clip(path)
    assert_same(back, clip, atol=1e-6)
    assert back.rig == clip.rig
    np.testing.assert_array_equal(back.found, found)


def test_a_glb_reads_back_equal(tmp_path, avatar, clip):
    path = tmp_path / "a.glb"
    if avatar.eyes and avatar.name == "elsa":
        # Opposite gaze controls pull one eye; only their difference can be read from it.
        still = [column for (_, way), column in avatar.gaze_columns.items() if way in ("In", "Up")]
        values = clip.values.copy()
        values[:, still] = 0
        clip = clip.with_values(values)
    write_glb(path, avatar, clip)
    assert_same(read_clip(path), clip)


def test_a_glb_without_an_animation_is_refused(toy_avatar_file):
    with pytest.raises(CurveFileError, match="no animation of morph targets"):
        read_clip(toy_avatar_file)


def test_livelink_and_controls_are_told_apart(tmp_path, arkit_clip):
    write_livelink(tmp_path / "a.csv", arkit_clip)
    write_controls(tmp_path / "b.csv", arkit_clip)
    assert_same(read_clip(tmp_path / "a.csv"), arkit_clip)
    back = read_clip(tmp_path / "b.csv")
    assert back.rig is ARKIT
    np.testing.assert_allclose(back.values, arkit_clip.values, atol=1e-6)


def test_controls_of_any_rig_are_read_with_its_names(tmp_path, clip):
    write_controls(tmp_path / "a.controls.csv", clip)
    back = read_clip(tmp_path / "a.controls.csv")
    assert back.rig.names == clip.rig.names or set(back.rig.names) == set(ARKIT.names)
    columns = [back.rig.index(name) for name in clip.rig.names]
    np.testing.assert_allclose(back.values[:, columns], clip.values, atol=1e-6)


def test_files_of_something_else_are_refused_in_one_sentence(tmp_path, rng):
    (tmp_path / "a.json").write_text('{"format": "songs"}')
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 cut")
    write_embeddings(tmp_path / "d.npz", np.zeros((0, 3)), [], np.zeros(0), np.zeros(0, bool))
    (tmp_path / "e.csv").write_text("a,b\n1,2\n")
    (tmp_path / "f.mp4").write_bytes(b"film")
    (tmp_path / "g.csv").write_text("time_s,found,a,a\n0,1,0,0\n")
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "none.csv"):
        with pytest.raises(CurveFileError) as told:
            read_clip(path)
        assert path.name in str(told.value)
        assert "\n" not in str(told.value)


def test_an_unreal_curve_table_has_times_across_and_a_row_per_curve(tmp_path, clip):
    write_curve_table(tmp_path / "a.csv", clip)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == ""
    times = np.array(rows[0][1:], float)
    np.testing.assert_allclose(times, clip.times_s, atol=1e-6)
    assert (np.diff(times) > 0).all()
    table = {row[0]: np.array(row[1:], float) for row in rows[1:]}
    assert list(table) == [*clip.rig.names, "HeadYaw", "HeadPitch", "HeadRoll"]
    for name, values in zip(clip.rig.names, clip.values.T, strict=True):
        np.testing.assert_allclose(table[name], values, atol=1e-6)
    np.testing.assert_allclose(table["HeadYaw"], -clip.head_rad[:, 0], atol=1e-6)


class StubCmds(types.ModuleType):
    """As much of maya.cmds as the script calls; remembers every key."""

    def __init__(self, targets: dict[str, list[str]]) -> None:
        super().__init__("maya.cmds")
        self.targets = targets
        self.keys: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self.set: dict[str, float] = {}

    def ls(self, *names, selection=False, dag=False, type=None):
        return [] if selection else list(self.targets)

    def listAttr(self, plug, multi):
        node, weight = plug.split(".")
        assert weight == "weight"
        assert multi
        return self.targets[node]

    def currentUnit(self, query, time):
        return "ntsc"

    def cutKey(self, node, attribute, clear):
        self.keys[node, attribute] = []

    def setKeyframe(self, node, attribute, time, value):
        self.keys[node, attribute].append((time, value))

    def keyTangent(self, node, attribute, inTangentType, outTangentType):
        assert inTangentType == outTangentType == "linear"

    def setAttr(self, plug, value):
        self.set[plug] = value


def run_in_maya(monkeypatch, text: str, targets: dict[str, list[str]]) -> StubCmds:
    cmds = StubCmds(targets)
    maya = types.ModuleType("maya")
    maya.cmds = cmds
    monkeypatch.setitem(sys.modules, "maya", maya)
    monkeypatch.setitem(sys.modules, "maya.cmds", cmds)
    exec(compile(text, "a.maya.py", "exec"), {"__name__": "__main__"})
    return cmds


def test_the_maya_script_keys_every_target_by_name(tmp_path, clip, monkeypatch, capsys):
    write_maya(tmp_path / "a.py", clip, 'odd """name\\.mov')
    text = (tmp_path / "a.py").read_text("utf-8")
    ast.parse(text)
    names = list(clip.rig.names)
    cmds = run_in_maya(monkeypatch, text, {"face": [*names, "other"], "teeth": ["ns:" + names[0]]})
    assert len(cmds.keys) == len(names) + 1
    for name, values in zip(names, clip.values.T, strict=True):
        times, keyed = np.array(cmds.keys["face", name]).T
        np.testing.assert_allclose(keyed, values, atol=1e-6)
        np.testing.assert_allclose((times - 1) / 30, clip.times_s, atol=1e-5)
    assert f"keyed {len(names)} of {len(names)} curves" in capsys.readouterr().out


def test_the_maya_script_turns_a_head_and_tells_what_it_misses(
    tmp_path, arkit_clip, monkeypatch, capsys
):
    write_maya(tmp_path / "a.py", arkit_clip)
    text = (tmp_path / "a.py").read_text("utf-8").replace('HEAD = ""', 'HEAD = "head"', 1)
    cmds = run_in_maya(monkeypatch, text, {"face": ["jawOpen"]})
    assert cmds.set == {"head.rotateOrder": 2}
    yaw = np.array(cmds.keys["head", "rotateY"])[:, 1]
    np.testing.assert_allclose(np.radians(yaw), arkit_clip.head_rad[:, 0], atol=1e-5)
    assert "mouthSmileLeft" in capsys.readouterr().out


def test_names_that_could_break_a_script_do_not(tmp_path, arkit_clip, monkeypatch):
    names = ('three """ quotes', "back\\slash", "ü {brace}", "it's")
    rig = RigSpec("odd", tuple(Control(name) for name in names))
    clip = replace(arkit_clip, rig=rig, values=arkit_clip.values[:, :4])
    write_maya(tmp_path / "a.py", clip)
    text = (tmp_path / "a.py").read_text("utf-8")
    cmds = run_in_maya(monkeypatch, text, {"face": list(names)})
    assert {attribute for _, attribute in cmds.keys} == set(names)


def test_the_blender_add_on_reads_all_three_tables(tmp_path, arkit_clip):
    write_json(tmp_path / "a.json", arkit_clip)
    write_controls(tmp_path / "a.controls.csv", arkit_clip)
    write_livelink(tmp_path / "livelink.csv", arkit_clip)
    for name in ("a.json", "a.controls.csv", "livelink.csv"):
        times_s, curves = addon_read(tmp_path / name)
        np.testing.assert_allclose(times_s, arkit_clip.times_s - arkit_clip.times_s[0], atol=1e-4)
        by_name = {key[0].lower() + key[1:]: values for key, values in curves.items()}
        for control, values in zip(ARKIT.names, arkit_clip.values.T, strict=True):
            np.testing.assert_allclose(by_name[control], values, atol=1e-5)


def test_the_add_on_needs_nothing_but_python_until_it_runs():
    import freeavatar.export.blender_addon as addon

    tree = ast.parse(Path(addon.__file__).read_text("utf-8"))
    imported = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else node.module.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= set(sys.stdlib_module_names)
    assert importlib.util.find_spec("freeavatar.export.blender_convert")
    assert addon.bl_info["blender"] >= (3, 6, 0)


def test_json_is_plain_for_other_programs(tmp_path, arkit_clip):
    write_json(tmp_path / "a.json", arkit_clip)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["format"] == "freeavatar curves"
    tables = {"time_s", "found", "confidence", "head_rad", "curves"}
    assert set(document) == {"format", "version", "rig"} | tables
    assert document["confidence"] == [1.0 if found else 0.0 for found in arkit_clip.found]
    assert {len(v) for v in document["curves"].values()} == {len(arkit_clip)}
