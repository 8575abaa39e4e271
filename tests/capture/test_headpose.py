"""Head pose against the template itself, seen from poses that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeavatar.capture.detect import Detection
from freeavatar.capture.headpose import (
    HeadPose,
    face_template,
    fit_detection,
    fit_mesh,
    head_from_rotation,
    rotation_from_head,
)
from freeavatar.capture.landmarks import Mesh

angles = st.tuples(st.floats(-1.0, 1.0), st.floats(-0.8, 0.8), st.floats(-3.0, 3.0))
LOWER_LIP_AND_CHIN = [14, 17, 18, 87, 152, 148, 176, 200, 199, 175, 317, 377, 400, 61, 291]
BROWS = [46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334, 336]


def mesh_at(pose: HeadPose, face: np.ndarray) -> Mesh:
    depth = -(face @ pose.rotation.T)[:, 2] * pose.scale_px
    return Mesh(np.column_stack([pose.project(face), depth]), 1.0)


@settings(deadline=None)
@given(angles)
def test_head_angles_survive_the_way_to_a_rotation_and_back(head_rad):
    np.testing.assert_allclose(
        head_from_rotation(rotation_from_head(head_rad)), head_rad, atol=1e-9
    )


def test_positive_yaw_looks_left_positive_pitch_down_and_positive_roll_leans_right():
    forward, left = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    assert (rotation_from_head((0.3, 0.0, 0.0)) @ forward)[0] > 0.2
    assert (rotation_from_head((0.0, 0.3, 0.0)) @ forward)[1] < -0.2
    # The left ear rises when the head leans to the right shoulder.
    assert (rotation_from_head((0.0, 0.0, 0.3)) @ left)[1] > 0.2


@settings(max_examples=30, deadline=None)
@given(angles, st.floats(20.0, 500.0), st.floats(-100.0, 2000.0))
def test_a_posed_template_gives_back_its_pose(head_rad, scale_px, x):
    pose = HeadPose(rotation_from_head(head_rad), scale_px, np.array([x, 77.0]))
    fitted = fit_mesh(mesh_at(pose, face_template().mesh))
    np.testing.assert_allclose(fitted.rotation, pose.rotation, atol=1e-6)
    assert fitted.scale_px == pytest.approx(scale_px, rel=1e-6)
    np.testing.assert_allclose(fitted.mid_eye_px, pose.mid_eye_px, atol=1e-4)


@pytest.mark.parametrize(
    ("moved", "shift"), [(LOWER_LIP_AND_CHIN, (0.0, -0.6, -0.1)), (BROWS, (0.0, 0.2, 0.0))]
)
def test_an_open_jaw_and_raised_brows_leave_the_pose_as_it_was(moved, shift):
    face = face_template().mesh.copy()
    face[moved] += shift
    pose = HeadPose(rotation_from_head((0.5, 0.2, -0.3)), 60.0, np.array([300.0, 200.0]))
    fitted = fit_mesh(mesh_at(pose, face))
    np.testing.assert_allclose(fitted.head_rad, pose.head_rad, atol=1e-6)
    assert fitted.scale_px == pytest.approx(60.0, rel=1e-6)


@pytest.mark.parametrize("source", ["blazeface", "yunet"])
@settings(max_examples=8, deadline=None)
@given(
    head_rad=st.tuples(st.floats(-0.7, 0.7), st.floats(-0.4, 0.4), st.floats(-3.0, 3.0)),
    scale_px=st.floats(8.0, 300.0),
)
def test_detector_points_alone_give_nearly_the_same_place(source, head_rad, scale_px):
    template = face_template()
    shape = template.blazeface if source == "blazeface" else template.yunet
    pose = HeadPose(rotation_from_head(head_rad), scale_px, np.array([500.0, 400.0]))
    found = Detection(np.zeros(4), pose.project(shape), 0.9, source)
    fitted = fit_detection(found)
    assert fitted.scale_px == pytest.approx(scale_px, rel=0.05)
    np.testing.assert_allclose(fitted.mid_eye_px, pose.mid_eye_px, atol=0.05 * scale_px)
    np.testing.assert_allclose(fitted.rotation, pose.rotation, atol=0.15)


def test_the_template_is_symmetric_and_measured_in_u():
    eyes = face_template().mesh[[33, 133, 362, 263]]
    mid_eye, mouth = eyes.mean(axis=0), face_template().mesh[[13, 14]].mean(axis=0)
    apart = np.linalg.norm(eyes[2:].mean(axis=0) - eyes[:2].mean(axis=0))
    np.testing.assert_allclose(mid_eye, 0.0, atol=1e-4)
    assert 0.5 * (apart + np.linalg.norm(mouth) / 1.1) == pytest.approx(1.0, abs=1e-3)
    assert mouth[0] == pytest.approx(0.0, abs=1e-4)
