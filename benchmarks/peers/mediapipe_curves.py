"""Runs mediapipe's FaceLandmarker over videos and writes what it says, one .npz a video.

A program of its own, in an environment of its own (.venv-peers): it imports nothing of freeavatar.

    python mediapipe_curves.py --model face_landmarker.task --out FOLDER [--repeats N] VIDEO...
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision


def landmarker(model: Path) -> vision.FaceLandmarker:
    """VIDEO mode follows the face from frame to frame, as our tracker does."""
    options = vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=1,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    return vision.FaceLandmarker.create_from_options(options)


def watch(model: Path, video: Path) -> dict[str, np.ndarray]:
    """Scores, found, head matrices and seconds used for every frame of one video."""
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    net = landmarker(model)
    loaded_s = time.perf_counter()
    capture = cv2.VideoCapture(str(video))
    rate_hz = capture.get(cv2.CAP_PROP_FPS) or 30.0
    names: list[str] = []
    scores, found, matrices = [], [], []
    watching_s = 0.0
    while True:
        good, bgr = capture.read()
        if not good:
            break
        before_s = time.perf_counter()
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)
        result = net.detect_for_video(picture, round(1000 * len(scores) / rate_hz))
        watching_s += time.perf_counter() - before_s
        seen = bool(result.face_blendshapes)
        if seen:
            names = [category.category_name for category in result.face_blendshapes[0]]
            scores.append([category.score for category in result.face_blendshapes[0]])
            matrices.append(result.facial_transformation_matrixes[0][:3, :3])
        else:
            scores.append([0.0] * 52)
            matrices.append(np.eye(3))
        found.append(seen)
    ended_s, ended_cpu_s = time.perf_counter(), time.process_time()
    net.close()
    return {
        "names": np.array(names),
        "scores": np.array(scores, np.float32),
        "found": np.array(found, bool),
        "rotations": np.array(matrices, np.float32),
        "load_s": np.array(loaded_s - started_s),
        "run_s": np.array(ended_s - loaded_s),
        "without_decode_s": np.array(watching_s),
        "cpu_s": np.array(ended_cpu_s - started_cpu_s),
    }


def peak_mb() -> float | None:
    """The most memory this process ever used; None where the system does not tell it this way."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=1, help="for timing; the last one is kept")
    parser.add_argument("videos", type=Path, nargs="+")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for video in asked.videos:
        for _ in range(asked.repeats):
            answer = watch(asked.model, video)
            timing = {key: float(answer[key]) for key in answer if key.endswith("_s")}
            timing["peak_mb"] = peak_mb()
            timing |= {"frames": len(answer["found"]), "found": int(answer["found"].sum())}
            print(json.dumps({"video": video.name, **timing}), flush=True)
        np.savez_compressed(asked.out / f"{video.stem}.npz", **answer)


if __name__ == "__main__":
    main()
