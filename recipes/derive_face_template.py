"""Derives src/freeavatar/capture/models/face_template.csv, the rigid face that head pose fits.

Averages the landmark mesh over frontal neutral photographs (Face Research Lab London Set,
CC BY 4.0), makes it symmetric, and notes where the detectors put their points on it.
Only averages are stored. Usage: python recipes/derive_face_template.py webmorph.tar
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from freeavatar.capture.detect import Detection, FaceDetector
from freeavatar.capture.headpose import EYE_CORNERS, LIPS_INNER, TEMPLATE_FILE
from freeavatar.capture.landmarks import FaceMesh, region_from_detection, region_from_mesh

DETECTOR_POINTS = {
    "blazeface": ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"),
    "yunet": ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left"),
}
MESH_AT_POINT = {  # the mesh point that lends its depth to a detector's point
    "right_eye": 468,
    "left_eye": 473,
    "nose": 4,
    "mouth": 13,
    "right_ear": 234,
    "left_ear": 454,
    "mouth_right": 61,
    "mouth_left": 291,
}
MIRRORED = {"blazeface": [1, 0, 2, 3, 5, 4], "yunet": [1, 0, 2, 4, 3]}


def neutral_faces(tar_path: Path) -> Iterator[np.ndarray]:
    with tarfile.open(tar_path) as tar:
        for member in tar:
            if member.isfile() and "smiling" not in member.name:
                data = np.frombuffer(tar.extractfile(member).read(), np.uint8)
                yield cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def to_units(points: np.ndarray) -> tuple[float, np.ndarray]:
    """u in pixels and the mid-eye point of one mesh in character axes."""
    eyes = np.array([points[list(pair)].mean(axis=0) for pair in EYE_CORNERS])
    mid_eye = eyes.mean(axis=0)
    mouth = points[list(LIPS_INNER)].mean(axis=0)
    apart = np.linalg.norm(eyes[1] - eyes[0])
    return 0.5 * (apart + np.linalg.norm(mouth - mid_eye) / 1.1), mid_eye


def upright(points: np.ndarray) -> np.ndarray:
    """Axes with the eyes along X and depth as near to the camera's as that allows: people who
    look slightly up and down cancel out over many."""
    across = points[263] - points[33]
    x = across / np.linalg.norm(across)
    z = np.array([0.0, 0.0, 1.0])
    z = z - (z @ x) * x
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z])


def mirror_pairs(mean: np.ndarray) -> np.ndarray:
    """For each mesh point, the one on the other side of the face; points that touch while the
    mouth is closed may pair across the lips, which averages points that lie together anyway."""
    mirrored = mean * [-1, 1, 1]
    apart = np.linalg.norm(mirrored[:, None] - mean[None], axis=2)
    return linear_sum_assignment(apart + apart.T)[1]


def main() -> None:
    detector, network = FaceDetector(), FaceMesh()
    meshes: list[np.ndarray] = []
    marks: dict[str, list[np.ndarray]] = {"blazeface": [], "yunet": []}
    for picture in neutral_faces(Path(sys.argv[1])):
        found = detector.find_large(picture)
        if not found:
            continue
        mesh = network.read(picture, region_from_detection(found[0]))
        mesh = network.read(picture, region_from_mesh(mesh))
        points = mesh.points * [1, -1, -1]
        axes = upright(points)
        u, mid_eye = to_units(points)
        meshes.append((points - mid_eye) @ axes.T / u)
        for detection in [found[0], *detector.find_small(picture)[:1]]:
            marks[detection.source].append(in_template(detection, points, mid_eye, axes, u))
    mean = np.mean(meshes, axis=0)
    pairs = mirror_pairs(mean)
    apart = np.linalg.norm(mean - mean[pairs] * [-1, 1, 1], axis=1).max()
    print(f"left and right differ by at most {apart:.3f} u")
    mean = 0.5 * (mean + mean[pairs] * [-1, 1, 1])
    u, mid_eye = to_units(mean)
    rows = [(f"mesh_{i}", *point) for i, point in enumerate((mean - mid_eye) / u)]
    for source, names in DETECTOR_POINTS.items():
        points = np.mean(marks[source], axis=0)
        points = 0.5 * (points + points[MIRRORED[source]] * [-1, 1, 1])
        points = (points - mid_eye) / u
        rows += [(f"{source}_{n}", *p) for n, p in zip(names, points, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["point", "x", "y", "z"])
    writer.writerows([(name, *(f"{v:.5f}" for v in xyz)) for name, *xyz in rows])
    TEMPLATE_FILE.write_text(text.getvalue())
    print(f"{len(meshes)} faces, {len(rows)} points -> {TEMPLATE_FILE}")


def in_template(
    detection: Detection, mesh: np.ndarray, mid_eye: np.ndarray, axes: np.ndarray, u: float
) -> np.ndarray:
    """A detector's points in units of u, with depth lent by the mesh."""
    names = DETECTOR_POINTS[detection.source]
    depth = mesh[[MESH_AT_POINT[name] for name in names], 2]
    points = np.column_stack([detection.points * [1, -1], depth])
    return (points - mid_eye) @ axes.T / u


if __name__ == "__main__":
    main()
