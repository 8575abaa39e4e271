"""A head that turns to profile and back: followed all the way, and right again at once."""

from __future__ import annotations

import numpy as np
import pytest

from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import pose
from freeavatar.avatars.scene import portrait_camera, prepare, render
from freeavatar.capture.track import TrackedFrame, track_actor
from freeavatar.capture.video import Frame

RATE_HZ = 15.0
FAR_DEG = 80.0
READABLE_DEG = 65.0
"""Up to here landmarks are read; beyond, a drawn head is placed by the detectors."""


@pytest.fixture(scope="module")
def yaw_deg() -> np.ndarray:
    """There and back in 2.7 s."""
    there = FAR_DEG * np.sin(np.linspace(0.0, np.pi / 2, 21))
    return np.concatenate([there, there[-2::-1]])


@pytest.fixture(scope="module")
def pictures(yaw_deg) -> list[np.ndarray]:
    """The way back shows the pictures of the way there again."""
    avatar = catalog.resolve("ada")
    prepared, camera = prepare(avatar), portrait_camera(avatar.face, margin=1.2)
    there = []
    for yaw_rad in np.radians(yaw_deg[:21]):
        posed = pose(avatar, avatar.rig.rest.copy(), (float(yaw_rad), 0.0, 0.0))
        there.append(render(prepared, posed, camera, width=240, height=240).rgb)
    return [*there, *there[-2::-1]]


@pytest.fixture(scope="module", params=["to its left", "to its right"])
def turned(request, yaw_deg, pictures) -> tuple[np.ndarray, list[TrackedFrame]]:
    """True yaw in degrees, and what tracking says."""
    mirrored = request.param == "to its right"
    shown = [np.ascontiguousarray(p[:, ::-1]) if mirrored else p for p in pictures]
    frames = [Frame(i, i / RATE_HZ, picture) for i, picture in enumerate(shown)]
    return (-yaw_deg if mirrored else yaw_deg), list(track_actor(frames))


def test_a_head_in_profile_is_never_lost_and_its_turn_is_told(turned):
    yaw_deg, tracked = turned
    assert all(t.found for t in tracked)
    assert {t.shot for t in tracked} == {0}
    told_deg = np.degrees([t.head_rad for t in tracked])
    assert np.abs(told_deg[:, 0] - yaw_deg).max() < 15.0
    assert np.abs(told_deg[:, 1:]).max() < 12.0


def test_a_head_that_comes_back_is_right_again_within_five_frames(turned):
    yaw_deg, tracked = turned
    back = 20 + int(np.argmax(np.abs(yaw_deg[20:]) <= READABLE_DEG))
    assert len(tracked) - (back + 5) >= 5
    for i in range(back + 5, len(tracked)):
        assert tracked[i].confidence > 0.95
        assert abs(np.degrees(tracked[i].head_rad[0]) - yaw_deg[i]) < 7.0
        # The same picture was seen on the way there.
        before = tracked[len(tracked) - 1 - i]
        side = before.box[2] - before.box[0]
        np.testing.assert_allclose(tracked[i].box, before.box, atol=0.05 * side)
