"""<avatar>.maya.py: a script for Maya's editor that keys blend shape targets by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from freeavatar.animation import AnimationClip

_SCRIPT = '''\
# -*- coding: utf-8 -*-
"""Keys blend shapes by name, written by freeavatar from {source}. Maya 2022 or later.

Select the meshes and press Run in the Script Editor (a Python tab). Without a selection every
blendShape node of the scene is searched. Targets whose names match a curve get one key per
picture of the input, at its real time. A joint named in HEAD is turned as well.
"""

import json
import math

from maya import cmds

HEAD = ""  # for example "Head"; empty leaves the head alone
FIRST_FRAME = 1.0  # Maya frame of the first picture

TIMES_S = json.loads("""
{times_s}
""")
HEAD_RAD = json.loads("""
{head_rad}
""")  # yaw, pitch, roll; R = Ry(yaw) Rx(pitch) Rz(roll)
CURVES = json.loads(r"""
{curves}
""")


def blend_shapes():
    """Nodes that deform the selected meshes, or all when nothing is selected."""
    meshes = cmds.ls(selection=True, dag=True, type="mesh") or []
    if not meshes:
        return cmds.ls(type="blendShape") or []
    nodes = []
    for mesh in meshes:
        for node in cmds.ls(cmds.listHistory(mesh) or [], type="blendShape") or []:
            if node not in nodes:
                nodes.append(node)
    return nodes


def frames():
    """Maya frames of the pictures, whatever the rate of the scene."""
    per_second = cmds.currentUnit(query=True, time=True)
    named = {{"game": 15, "film": 24, "pal": 25, "ntsc": 30, "show": 48, "palf": 50, "ntscf": 60}}
    rate = named.get(per_second)
    if rate is None:
        rate = float(per_second.replace("fps", "").replace("df", ""))
    return [FIRST_FRAME + time_s * rate for time_s in TIMES_S]


def key(node, attribute, times, values):
    cmds.cutKey(node, attribute=attribute, clear=True)
    for time, value in zip(times, values):
        cmds.setKeyframe(node, attribute=attribute, time=time, value=value)
    cmds.keyTangent(node, attribute=attribute, inTangentType="linear", outTangentType="linear")


def run():
    times = frames()
    keyed = set()
    for node in blend_shapes():
        for target in cmds.listAttr(node + ".weight", multi=True) or []:
            # Names from a referenced or imported file carry a namespace or the mesh's name.
            name = target.split(":")[-1].split(".")[-1]
            if name in CURVES:
                key(node, target, times, CURVES[name])
                keyed.add(name)
    if HEAD:
        cmds.setAttr(HEAD + ".rotateOrder", 2)  # zxy: roll first, then pitch, then yaw
        for attribute, axis in (("rotateY", 0), ("rotateX", 1), ("rotateZ", 2)):
            angles = [math.degrees(row[axis]) for row in HEAD_RAD]
            key(HEAD, attribute, times, angles)
    missing = sorted(set(CURVES) - keyed)
    print("freeavatar: keyed {{}} of {{}} curves at {{}} frames".format(
        len(keyed), len(CURVES), len(times)))
    if missing:
        print("freeavatar: no target is called " + ", ".join(missing))
    return keyed


run()
'''


def write_maya(path: Path, clip: AnimationClip, source: str = "a recording") -> None:
    """Python 3 for Maya; the numbers are JSON inside it, so that no length of take is too deep
    for its parser."""
    curves = {
        name: _rounded(values) for name, values in zip(clip.rig.names, clip.values.T, strict=True)
    }
    # JSON in ASCII has no triple quotes of its own: quotes inside names are escaped.
    text = _SCRIPT.format(
        source=_plain(source),
        times_s=json.dumps(_rounded(clip.times_s)),
        head_rad=json.dumps([_rounded(row) for row in clip.head_rad]),
        curves=",\n".join(json.dumps({name: row})[1:-1] for name, row in curves.items()).join(
            ("{\n", "\n}")
        ),
    )
    path.write_text(text, "utf-8")


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) + 0.0 for value in values]


def _plain(source: str) -> str:
    """A file name that cannot end the docstring it stands in."""
    return source.encode("ascii", "replace").decode().replace("\\", "/").replace('"', "'")
