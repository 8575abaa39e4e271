"""Follows one actor through a take: a face crop, head rotation and confidence for every frame.

The end of capture: what comes out is all that the later steps ever see of the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, UInt8

from freeavatar.capture.align import CropFrame, frame_from_pose
from freeavatar.capture.detect import Detection, FaceDetector
from freeavatar.capture.headpose import HeadPose, fit_detection, fit_mesh
from freeavatar.capture.landmarks import FaceMesh, Region, region_from_detection, region_from_mesh
from freeavatar.capture.steady import Placed, Steadier, SteadyConfig, crop_patch, patch_around
from freeavatar.capture.video import Frame
from freeavatar.errors import NoFaceFound

_CUT_CORRELATION = 0.4
"""Thumbnails of neighbouring frames of one shot correlate above 0.9, those across a cut below."""


@dataclass(frozen=True)
class TrackConfig:
    """Whom to follow, and when to believe."""

    actor: int | None = None
    """Which face of the first frame with faces, counted from picture left from 0; None: largest."""
    min_score: float = 0.5
    """Mesh score below which the face counts as not seen by the mesh."""
    min_detector_score: float = 0.75
    """What a detector must say of a face that the mesh cannot read, to count as found."""
    lookout_s: float = 1.0
    """How often to look for bystanders while all is well."""
    patience_s: float = 0.7
    """After a loss this long a face is taken for the actor wherever it appears."""
    steady: SteadyConfig = field(default_factory=SteadyConfig)


@dataclass(frozen=True)
class TrackedFrame:
    """What capture knows of one frame."""

    index: int
    time_s: float
    found: bool
    confidence: float
    """Mesh score; half the detector's score where the mesh failed; 0 when lost."""
    crop: UInt8[np.ndarray, "112 112 3"] | None
    head_rad: Float[np.ndarray, "3"]
    """Yaw, pitch, roll; zeros when lost."""
    box: Float[np.ndarray, "4"] | None
    """Left, top, right, bottom of the crop's upright square in the picture."""


@dataclass(frozen=True)
class LostInterval:
    """From the first frame without the actor to the first with it again."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class _Sighting:
    pose: HeadPose
    frame: CropFrame
    confidence: float
    region: Region
    """Where to look for the mesh in the next frame."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    detection: Detection
    pose: HeadPose
    frame: CropFrame


def track_actor(
    frames: Iterable[Frame], config: TrackConfig | None = None
) -> Iterator[TrackedFrame]:
    """One TrackedFrame per frame, in order, a few frames late; bounded memory."""
    config = config or TrackConfig()
    follower = Follower(config)
    steadier = Steadier(config.steady)
    seen: dict[int, _Sighting | None] = {}
    for frame in frames:
        sighting = follower.look(frame)
        seen[frame.index] = sighting
        place = None if sighting is None else sighting.frame
        patch = None if sighting is None else patch_around(frame.rgb, sighting.frame)
        placed = Placed(frame.index, frame.time_s, place, patch, follower.shot)
        for ready, steady in steadier.push(placed):
            yield _tracked(ready, steady, seen.pop(ready.index))
    for ready, steady in steadier.flush():
        yield _tracked(ready, steady, seen.pop(ready.index))


def lost_intervals(
    found: Sequence[bool] | Bool[np.ndarray, "frame"],
    times_s: Sequence[float] | Float[np.ndarray, "frame"],
) -> list[LostInterval]:
    """All stretches without the actor; the last may reach one frame beyond the last time."""
    times = list(map(float, times_s))
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    ends = [*times[1:], times[-1] + step_s] if times else []
    intervals: list[LostInterval] = []
    for seen, start_s, end_s in zip(found, times, ends, strict=True):
        if seen:
            continue
        if intervals and intervals[-1].end_s == start_s:
            intervals[-1] = LostInterval(intervals[-1].start_s, end_s)
        else:
            intervals.append(LostInterval(start_s, end_s))
    return intervals


def _tracked(placed: Placed, steady: CropFrame | None, sighting: _Sighting | None) -> TrackedFrame:
    if steady is None or sighting is None or placed.patch is None:
        return TrackedFrame(placed.index, placed.time_s, False, 0.0, None, np.zeros(3), None)
    half = steady.side_px / 2.0
    return TrackedFrame(
        placed.index,
        placed.time_s,
        True,
        sighting.confidence,
        crop_patch(placed.patch, steady),
        sighting.pose.head_rad,
        np.concatenate([steady.center_px - half, steady.center_px + half]),
    )


class Follower:
    """Keeps to one face from frame to frame: mesh first, detectors when the mesh loses it."""

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._detector = FaceDetector()
        self._network = FaceMesh()
        self.shot = 0
        """Counts up at every loss, cut and jump."""
        self._last: _Sighting | None = None
        self._last_s = 0.0
        self._tracking = False
        self._bystanders: list[CropFrame] = []
        self._looked_out_s = 0.0
        self._thumbnail: np.ndarray | None = None

    def look(self, frame: Frame) -> _Sighting | None:
        """The actor in this frame, None when it is not seen."""
        if self._is_cut(frame.rgb):
            self.shot += 1
            self._bystanders = []
            self._tracking = False
            self._last_s = -np.inf
        sighting = self._follow(frame) if self._tracking else None
        if sighting is None:
            sighting = self._search(frame)
            if sighting is None or not self._tracking or self._jumped(sighting):
                self.shot += 1
        elif frame.time_s - self._looked_out_s >= self._config.lookout_s:
            self._look_out(frame, self._candidates(frame), sighting)
        self._tracking = sighting is not None
        if sighting is not None:
            self._last, self._last_s = sighting, frame.time_s
        return sighting

    def _follow(self, frame: Frame) -> _Sighting | None:
        """The mesh where the face was one frame ago."""
        assert self._last is not None
        sighting = self._read_mesh(frame.rgb, self._last.region)
        if sighting is None or _distance(sighting.frame, self._last.frame) > self._reach(frame):
            return None
        return sighting

    def _search(self, frame: Frame) -> _Sighting | None:
        """The detectors' best answer to who the actor is now."""
        candidates = self._candidates(frame)
        if not candidates:
            return None
        if self._last is None:
            return self._choose_actor(frame, candidates)
        strangers = self._without_bystanders(candidates, frame)
        last = self._last.frame
        strangers.sort(key=lambda candidate: _distance(candidate.frame, last))
        patient = frame.time_s - self._last_s >= self._config.patience_s
        for candidate in strangers:
            if patient or _distance(candidate.frame, last) <= self._reach(frame):
                sighting = self._read(frame.rgb, candidate)
                if sighting is not None:
                    return sighting
        return None

    def _choose_actor(self, frame: Frame, candidates: list[_Candidate]) -> _Sighting | None:
        """First frame with faces: the largest, or the one that was asked for."""
        readable = [
            (candidate, sighting)
            for candidate in candidates
            if (sighting := self._read(frame.rgb, candidate)) is not None
        ]
        if not readable:
            return None
        actor = self._config.actor
        if actor is None:
            chosen = max(readable, key=lambda pair: pair[1].frame.side_px)[1]
        elif actor < len(readable):
            readable.sort(key=lambda pair: pair[1].frame.center_px[0])
            chosen = readable[actor][1]
        else:
            raise NoFaceFound(
                f"There is no actor {actor}: the first frame with faces ({frame.time_s:.1f} s) "
                f"shows {len(readable)}, counted from 0 at the left. Choose a smaller number."
            )
        self._look_out(frame, candidates, chosen)
        return chosen

    def _candidates(self, frame: Frame) -> list[_Candidate]:
        """Faces that either detector sees."""
        large = self._detector.find_large(frame.rgb)
        faces = [_Candidate(d, p, frame_from_pose(p)) for d in large for p in [fit_detection(d)]]
        for detection in self._detector.find_small(frame.rgb):
            pose = fit_detection(detection)
            place = frame_from_pose(pose)
            if all(_distance(place, face.frame) > 0.3 for face in faces):
                faces.append(_Candidate(detection, pose, place))
        return faces

    def _read(self, picture: np.ndarray, candidate: _Candidate) -> _Sighting | None:
        """The mesh on a detected face, or the detector's own points where the mesh fails."""
        region = region_from_detection(candidate.detection)
        sighting = self._read_mesh(picture, region)
        if sighting is not None and _distance(sighting.frame, candidate.frame) < 0.4:
            # The mesh places itself better than the detector did: half a pixel on a 150 px face.
            return self._read_mesh(picture, sighting.region) or sighting
        score = candidate.detection.score
        if score < self._config.min_detector_score:
            return None
        return _Sighting(candidate.pose, candidate.frame, 0.5 * score, region)

    def _read_mesh(self, picture: np.ndarray, region: Region) -> _Sighting | None:
        mesh = self._network.read(picture, region)
        if mesh.score < self._config.min_score:
            return None
        pose = fit_mesh(mesh)
        return _Sighting(pose, frame_from_pose(pose), mesh.score, region_from_mesh(mesh))

    def _look_out(self, frame: Frame, candidates: list[_Candidate], actor: _Sighting) -> None:
        """Remember who else is there, so that nobody is taken for the actor after a loss."""
        self._looked_out_s = frame.time_s
        self._bystanders = [
            candidate.frame
            for candidate in candidates
            if _distance(candidate.frame, actor.frame) > 0.4
        ]

    def _without_bystanders(self, candidates: list[_Candidate], frame: Frame) -> list[_Candidate]:
        """Faces that are not a bystander's; bystanders are followed while the actor is away."""
        remaining = list(candidates)
        for i, bystander in enumerate(self._bystanders):
            if not remaining:
                break
            nearest = min(remaining, key=lambda face: _distance(face.frame, bystander))
            if _distance(nearest.frame, bystander) <= 0.5:
                self._bystanders[i] = nearest.frame
                remaining.remove(nearest)
        return remaining

    def _reach(self, frame: Frame) -> float:
        """How far, in crop sides, the actor can have come since it was last seen."""
        return min(1.5, 0.35 + 2.0 * max(0.0, frame.time_s - self._last_s - 1.0 / 30.0))

    def _jumped(self, sighting: _Sighting) -> bool:
        return self._last is not None and _distance(sighting.frame, self._last.frame) > 0.35

    def _is_cut(self, picture: UInt8[np.ndarray, "height width 3"]) -> bool:
        """A new shot, from a coarse look at the whole picture."""
        height, width = picture.shape[:2]
        rows = np.linspace(0, height - 1, 36).astype(int)
        columns = np.linspace(0, width - 1, 64).astype(int)
        thumbnail = picture[rows[:, None], columns].astype(np.float32).ravel()
        thumbnail = thumbnail - thumbnail.mean()
        before, self._thumbnail = self._thumbnail, thumbnail
        if before is None or before.shape != thumbnail.shape:
            return False
        # 2 grey levels of variance: a black screen is no picture to compare with.
        strength = np.sqrt((thumbnail @ thumbnail) * (before @ before)) + 4.0 * len(thumbnail)
        return bool(thumbnail @ before / strength < _CUT_CORRELATION)


def _distance(one: CropFrame, other: CropFrame) -> float:
    """How different two places of a face are: shift in sides of the larger, or log of the sizes."""
    shift = np.linalg.norm(one.center_px - other.center_px) / max(one.side_px, other.side_px)
    return float(max(shift, abs(np.log(one.side_px / other.side_px)) / 2.0))
