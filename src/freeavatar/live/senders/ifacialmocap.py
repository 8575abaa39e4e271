"""iFacialMocap's text over UDP: name-percent|...|=head#x,y,z,px,py,pz|rightEye#x,y,z|leftEye#x,y,z|

Source: ifacialmocap.com/for-developer. Angles are degrees about x (pitch), y (yaw) and z (roll) of
ARKit's face, which has our axes; the phone is asked for frames by a receiver, we send unasked, as
both would need the same port on one computer.
"""

from __future__ import annotations

import numpy as np

from freeavatar.export.livelink import GAZE_PITCH_RAD, GAZE_YAW_RAD
from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame
from freeavatar.live.senders.udp import UdpSocket
from freeavatar.rig import ARKIT, ARKIT_NAMES

PORT = 49983


class IFacialMocapSender:
    """One text of about a thousand bytes per frame."""

    def __init__(self, address: Address) -> None:
        self.name = f"ifacialmocap {address}"
        self._socket = UdpSocket(address)

    def send(self, frame: LiveFrame) -> int:
        return self._socket.send([text(frame).encode("ascii")])

    def close(self) -> None:
        self._socket.close()


def text(frame: LiveFrame) -> str:
    """One frame; the head's position is not known and stays 0."""
    percents = np.round(frame.arkit * 100.0).astype(int).tolist()
    shapes = "".join(f"{short_name(n)}-{p}|" for n, p in zip(ARKIT_NAMES, percents, strict=True))
    yaw, pitch, roll = np.degrees(frame.head_rad).tolist()
    right, left = (_eye(frame, side) for side in ("Right", "Left"))
    return f"{shapes}=head#{pitch:.4f},{yaw:.4f},{roll:.4f},0,0,0|rightEye#{right}|leftEye#{left}|"


def short_name(arkit_name: str) -> str:
    """eyeBlinkLeft -> eyeBlink_L; jawLeft and mouthLeft are movements, not sides, and stay."""
    if arkit_name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return arkit_name
    for side in ("Left", "Right"):
        if arkit_name.endswith(side):
            return f"{arkit_name.removesuffix(side)}_{side[0]}"
    return arkit_name


def _eye(frame: LiveFrame, side: str) -> str:
    """Pitch (down > 0) and yaw (to its left > 0) of an eyeball in degrees."""

    def look(direction: str) -> float:
        return float(frame.arkit[ARKIT.index(f"eyeLook{direction}{side}")])

    to_left = look("Out") - look("In") if side == "Left" else look("In") - look("Out")
    pitch = np.degrees(GAZE_PITCH_RAD) * (look("Down") - look("Up"))
    return f"{pitch:.4f},{np.degrees(GAZE_YAW_RAD) * to_left:.4f},0"
