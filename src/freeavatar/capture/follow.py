"""Keeps to one face from frame to frame: who is the actor, and where is it now.

Landmarks where the face was a moment ago; detectors when that fails, in more and more thorough
views; and for a moment nothing but the expectation, while the picture still agrees with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from freeavatar.capture.align import CropFrame, frame_from_pose
from freeavatar.capture.cascade import Cascade, Searches
from freeavatar.capture.coast import Look, glimpse, predicted
from freeavatar.capture.cuts import CutFinder
from freeavatar.capture.detect import Detection
from freeavatar.capture.headpose import HeadPose, fit_detection, fit_mesh
from freeavatar.capture.landmarks import FaceMesh, Region, region_from_detection, region_from_mesh
from freeavatar.capture.sighting import Sighting, between, distance, is_calm
from freeavatar.capture.steady import SteadyConfig
from freeavatar.capture.video import Frame
from freeavatar.errors import NoFaceFound

Actor = Literal["largest", "all"] | int
Crop = Literal["face", "whole"]

_COAST_LIKENESS = 0.5
"""A face behind a board or gone is less alike to what it looked like than this; a shaken, blurred,
half covered or turning one is more (0.55 to 0.95 on the drawn corruptions)."""
_COAST_CONFIDENCE = 0.35
"""Of a face that was only guessed to be where it was: below all that was detected."""
_STRAIGHT = 0.025
"""Sides of the crop between where a head is and where it was going. Drawn heads swerve by less than
0.015 between two readings, a laughing one by less than 0.016 in nine of ten; landmarks in the dark
jump by more."""
_UNLIKE = 20.0
"""Mean difference in grey levels of a face from itself a moment ago, when something came between;
a laughing, turning one differs by less than 18 within a tenth of a second."""
_LONGEST_LOOKOUTS = 4.0
"""While the actor is alone, bystanders are looked for less and less often, down to one of these."""
_SURE = 0.99
"""Mesh score of a face the right way up; on its head it gets up to 0.98."""
_TURNED_RAD = 0.6
"""From this roll on YuNet misses faces in the upright picture."""


@dataclass(frozen=True)
class TrackConfig:
    """Whom to follow, and when to believe."""

    actor: Actor = "largest"
    """Who is followed: the largest face of the first frame with faces, one by number (from 0;
    `freeavatar animate --list-actors` shows them), or all, with a folder of results for each."""
    crop: Crop = "face"
    """whole: every picture is a face already (drawings, prepared crops); nothing is looked for
    and its middle square is used."""
    detector_floor: float = 0.5
    """Answers of the detectors below this are not looked at."""
    min_score: float = 0.5
    """Mesh score below which the face counts as not seen by the mesh."""
    min_detector_score: float = 0.75
    """What a detector must say of a face that the mesh cannot read, to count as found."""
    lookout_s: float = 1.0
    """How often to look for bystanders while all is well."""
    patience_s: float = 0.7
    """After a loss this long a face is taken for the actor wherever it appears."""
    coast_s: float = 1.0
    """A face that nothing reads any more, but that still looks alike, is followed this long."""
    thorough_s: float = 0.2
    """First pause between thorough searches (turned, brightened and enlarged views) while nobody is
    found; each vain search doubles it, up to 1.6 s."""
    gap_s: float = 0.13
    """While the head hardly moves, landmarks are read this far apart and the head is placed between
    them; 0 reads them in every frame. Live reads every frame it gets."""
    steady: SteadyConfig = field(default_factory=SteadyConfig)

    def eager(self) -> TrackConfig:
        """For a take in which nobody was found: drawn and blurred faces are believed sooner."""
        return replace(self, detector_floor=0.25, min_detector_score=0.35, min_score=0.25)


@dataclass(frozen=True)
class Anchor:
    """One actor of several: where and when it is first seen (capture/actors.py)."""

    time_s: float
    frame: CropFrame


@dataclass(frozen=True, eq=False)
class _Candidate:
    detection: Detection
    pose: HeadPose
    frame: CropFrame


def open_networks() -> None:
    """Load what capture looks with; otherwise the first take does it. They stay loaded."""
    Cascade()
    FaceMesh()


class Follower:
    """Keeps to one face from frame to frame: mesh first, detectors when the mesh loses it."""

    def __init__(self, config: TrackConfig, anchor: Anchor | None = None) -> None:
        self._config = config
        self._anchor = anchor
        self._cascade = Cascade(config.detector_floor)
        self._network = FaceMesh()
        self._cuts = CutFinder()
        self.shot = 0
        """Counts up at every loss, cut and jump."""
        self.num_cuts = 0
        self._last: Sighting | None = None
        self._last_picture: np.ndarray | None = None
        """In which the last sighting was read."""
        self._reads: deque[tuple[float, CropFrame]] = deque(maxlen=6)
        """When and where the face was read last, not only placed."""
        self._before: CropFrame | None = None
        """One frame before the last sighting, for the direction of its movement."""
        self._last_s = 0.0
        """When the last sighting was read, not only guessed."""
        self._tracking = False
        self._bystanders: list[CropFrame] = []
        self._looked_out_s = 0.0
        self._lookout_s = config.lookout_s
        self._searches = Searches(config.thorough_s)

    def look(self, frame: Frame) -> Sighting | None:
        """The actor in this frame, None when it is not seen."""
        return self.look_after(frame, self.is_cut(frame))

    def is_cut(self, frame: Frame) -> bool:
        """Whether a new shot begins; to be asked once for every frame, in order."""
        return self._cuts.is_cut(frame.rgb)

    def look_after(self, frame: Frame, cut: bool) -> Sighting | None:
        """`look`, where it is known already whether a new shot begins."""
        if cut:
            self._forget()
        if self._anchor is not None and frame.time_s < self._anchor.time_s - 1e-6:
            return None
        sighting = self._follow(frame) if self._tracking else None
        if sighting is None:
            sighting = self._search(frame) or self._coast(frame)
            if sighting is None or not self._tracking or self._jumped(sighting):
                self.shot += 1
        elif frame.time_s - self._looked_out_s >= self._lookout_s:
            self._look_out(frame, self._candidates(frame.rgb), sighting)
        self._remember(frame, sighting)
        if sighting is not None and sighting.look is None:
            self._reads.append((frame.time_s, sighting.frame))
        return sighting

    def stride(self, frames: Sequence[Frame]) -> list[Sighting] | None:
        """The actor in frames without a cut, read in the last one alone and placed between.

        None, and nothing remembered, where that is not safe: the head moved, or the mesh is lost.
        """
        before = self._last
        if not self._tracking or before is None or before.confidence < self._config.min_score:
            return None
        after = self._follow(frames[-1])
        if after is None or not is_calm(before, after):
            return None
        if not self._went_straight(frames[-1].time_s, after.frame):
            return None
        start_s, length_s = self._last_s, frames[-1].time_s - self._last_s
        sightings = [
            between(before, after, (frame.time_s - start_s) / length_s) for frame in frames[:-1]
        ]
        sightings.append(after)
        if not self._all_alike(frames, sightings):
            return None
        if frames[-1].time_s - self._looked_out_s >= self._lookout_s:
            self._look_out(frames[-1], self._candidates(frames[-1].rgb), after)
        for frame, sighting in zip(frames, sightings, strict=True):
            self._remember(frame, sighting)
        self._reads.append((frames[-1].time_s, after.frame))
        return sightings

    def _went_straight(self, time_s: float, place: CropFrame) -> bool:
        """Whether the head went on as before, as far as is known: landmarks that tremble do not,
        and are calmed only when they are read in every frame (`SteadyConfig.most_sigma_side`)."""
        stride_s = time_s - self._last_s
        earlier = [
            (then_s, there)
            for then_s, there in self._reads
            if 0.5 * stride_s <= self._last_s - then_s <= 1.5 * stride_s
        ]
        if not earlier or self._last is None:
            return True
        then_s, there = earlier[0]
        share = stride_s / (self._last_s - then_s)
        last_px = self._last.frame.center_px
        expected_px = last_px + share * (last_px - there.center_px)
        return float(np.linalg.norm(place.center_px - expected_px)) <= _STRAIGHT * place.side_px

    def _all_alike(self, frames: Sequence[Frame], sightings: Sequence[Sighting]) -> bool:
        """Whether every face between two readings looks like one of the two: no hand, no flash."""
        assert self._last is not None
        assert self._last_picture is not None
        before = glimpse(self._last_picture, self._last.frame)
        *between, after = [
            glimpse(frame.rgb, sighting.frame)
            for frame, sighting in zip(frames, sightings, strict=True)
        ]
        return all(
            min(np.abs(one - before).mean(), np.abs(one - after).mean()) < _UNLIKE
            for one in between
        )

    def _forget(self) -> None:
        """A new shot: what is known of the old one says nothing."""
        self.shot += 1
        self.num_cuts += 1
        self._bystanders = []
        self._tracking = False
        self._last_s = -np.inf
        self._before = None
        self._reads.clear()
        self._searches.begin_anew()

    def _remember(self, frame: Frame, sighting: Sighting | None) -> None:
        self._before = self._last.frame if self._tracking and self._last is not None else None
        self._tracking = sighting is not None
        if sighting is None:
            return
        self._last = sighting
        if sighting.look is None:
            self._last_picture = frame.rgb
            self._last_s = frame.time_s
            self._searches.found()

    def _follow(self, frame: Frame) -> Sighting | None:
        """The mesh where the face was one frame ago."""
        assert self._last is not None
        sighting = self._read_mesh(frame.rgb, self._last.region)
        if sighting is None or distance(sighting.frame, self._last.frame) > self._reach(frame):
            return None
        return sighting

    def _search(self, frame: Frame) -> Sighting | None:
        """The best answer to who the actor is now; thorough, but not in every frame."""
        sighting = self._identify(frame, self._candidates(frame.rgb))
        if sighting is not None:
            return sighting
        if self._last is not None and abs(self._last.frame.roll_rad) > _TURNED_RAD:
            roll_deg = float(np.degrees(self._last.frame.roll_rad))
            found = self._cascade.turned(frame.rgb, roll_deg)
            sighting = self._identify(frame, _distinct(found))
        if sighting is None and self._searches.due(frame.time_s):
            for found in self._cascade.thorough(frame.rgb):
                sighting = self._identify(frame, _distinct(found))
                if sighting is not None:
                    return sighting
        return sighting

    def _identify(self, frame: Frame, candidates: list[_Candidate]) -> Sighting | None:
        """Which of the faces is the actor; None when it is not among them."""
        if not candidates:
            return None
        if self._last is None:
            if self._anchor is not None:
                return self._anchored(frame, candidates, self._anchor.frame)
            return self._choose_actor(frame, candidates)
        strangers = self._without_bystanders(candidates, frame)
        last = self._last.frame
        strangers.sort(key=lambda candidate: distance(candidate.frame, last))
        patient = frame.time_s - self._last_s >= self._config.patience_s
        for candidate in strangers:
            if patient or distance(candidate.frame, last) <= self._reach(frame):
                sighting = self._read(frame.rgb, candidate)
                if sighting is not None:
                    return sighting
        return None

    def _coast(self, frame: Frame) -> Sighting | None:
        """The actor where it should be by now, as long as something there looks like it."""
        last = self._last
        if last is None or self._last_picture is None or not self._tracking:
            return None
        if frame.time_s - self._last_s > self._config.coast_s:
            return None
        expected = predicted(last.frame, self._before)
        look = last.look or Look.at(self._last_picture, last.frame)
        place, likeness = look.find(frame.rgb, expected)
        if likeness < _COAST_LIKENESS:
            return None
        moved_px = place.center_px - last.frame.center_px
        pose = replace(last.pose, mid_eye_px=last.pose.mid_eye_px + moved_px)
        region = replace(last.region, center_px=last.region.center_px + moved_px)
        return Sighting(pose, place, _COAST_CONFIDENCE * likeness, region, look)

    def _anchored(
        self, frame: Frame, candidates: list[_Candidate], place: CropFrame
    ) -> Sighting | None:
        """The face at the anchor; everybody else is a bystander."""
        nearest = min(candidates, key=lambda candidate: distance(candidate.frame, place))
        if distance(nearest.frame, place) > 0.5:
            return None
        sighting = self._read(frame.rgb, nearest)
        if sighting is not None:
            self._look_out(frame, candidates, sighting)
        return sighting

    def _choose_actor(self, frame: Frame, candidates: list[_Candidate]) -> Sighting | None:
        """First frame with faces: the largest, or the one that was asked for."""
        readable = [
            (candidate, sighting)
            for candidate in candidates
            if (sighting := self._read(frame.rgb, candidate)) is not None
        ]
        if not readable:
            return None
        actor = self._config.actor
        if not isinstance(actor, int):
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

    def _candidates(self, picture: np.ndarray) -> list[_Candidate]:
        """Faces that either detector sees."""
        return _distinct(self._cascade.quick(picture))

    def _read(self, picture: np.ndarray, candidate: _Candidate) -> Sighting | None:
        """The mesh on a detected face, or the detector's own points where the mesh fails."""
        region = region_from_detection(candidate.detection)
        sighting = self._read_mesh(picture, region)
        if sighting is not None and distance(sighting.frame, candidate.frame) >= 0.4:
            sighting = None
        if sighting is None or sighting.confidence < _SURE:
            sighting = self._read_turned(picture, region) or sighting
        if sighting is not None:
            # The mesh places itself better than the detector did: half a pixel on a 150 px face.
            return self._read_mesh(picture, sighting.region) or sighting
        score = candidate.detection.score
        if score < self._config.min_detector_score:
            return None
        return Sighting(candidate.pose, candidate.frame, 0.5 * score, region)

    def _read_turned(self, picture: np.ndarray, region: Region) -> Sighting | None:
        """The face that stands on its head: detectors take it for an upright one, and so does the
        mesh, but not with full certainty."""
        turned = replace(region, roll_rad=region.roll_rad + np.pi)
        sighting = self._read_mesh(picture, turned)
        if sighting is None or sighting.confidence < _SURE:
            return None
        away = np.linalg.norm(sighting.frame.center_px - region.center_px)
        return sighting if away < 0.5 * sighting.frame.side_px else None

    def _read_mesh(self, picture: np.ndarray, region: Region) -> Sighting | None:
        mesh = self._network.read(picture, region)
        if mesh.score < self._config.min_score:
            return None
        pose = fit_mesh(mesh)
        return Sighting(pose, frame_from_pose(pose), mesh.score, region_from_mesh(mesh))

    def _look_out(self, frame: Frame, candidates: list[_Candidate], actor: Sighting) -> None:
        """Remember who else is there, so that nobody is taken for the actor after a loss."""
        self._looked_out_s = frame.time_s
        self._bystanders = [
            candidate.frame
            for candidate in candidates
            if distance(candidate.frame, actor.frame) > 0.4
        ]
        # Nobody there: nobody will be there so soon.
        longer_s = min(2.0 * self._lookout_s, _LONGEST_LOOKOUTS * self._config.lookout_s)
        self._lookout_s = self._config.lookout_s if self._bystanders else longer_s

    def _without_bystanders(self, candidates: list[_Candidate], frame: Frame) -> list[_Candidate]:
        """Faces that are not a bystander's; bystanders are followed while the actor is away."""
        remaining = list(candidates)
        for i, bystander in enumerate(self._bystanders):
            if not remaining:
                break
            nearest = min(remaining, key=lambda face: distance(face.frame, bystander))
            if distance(nearest.frame, bystander) <= 0.5:
                self._bystanders[i] = nearest.frame
                remaining.remove(nearest)
        return remaining

    def _reach(self, frame: Frame) -> float:
        """How far, in crop sides, the actor can have come since it was last seen."""
        return min(1.5, 0.35 + 2.0 * max(0.0, frame.time_s - self._last_s - 1.0 / 30.0))

    def _jumped(self, sighting: Sighting) -> bool:
        return self._last is not None and distance(sighting.frame, self._last.frame) > 0.35


def _distinct(found: Sequence[Detection]) -> list[_Candidate]:
    """Every face once, as the first detector to see it says."""
    faces: list[_Candidate] = []
    for detection in found:
        pose = fit_detection(detection)
        place = frame_from_pose(pose)
        if all(
            detection.source == face.detection.source or distance(place, face.frame) > 0.3
            for face in faces
        ):
            faces.append(_Candidate(detection, pose, place))
    return faces
