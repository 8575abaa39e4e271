"""Live Link Face over UDP, packet version 6: what Unreal Engine and its friends listen to.

    u8      packet version, 6
    string  device          (i32 number of bytes, then UTF-8; no zero at the end)
    string  subject
    i32 f32 frame, sub-frame of the time code
    i32 i32 frame rate: numerator, denominator
    u8      61
    f32[61] 52 shapes in ARKit's order (Left before Right everywhere, unlike the CSV), then yaw,
            pitch, roll of head, left eye, right eye in radians with the CSV's signs

All big-endian. Source: the layout that Unreal's AppleARKitLiveLinkSource reads.
"""

from __future__ import annotations

import struct
import time
import uuid

import numpy as np
from jaxtyping import Float

from freeavatar.animation import AnimationClip
from freeavatar.export.livelink import FILE_FROM_HEAD, FRAMES_PER_SECOND, eye_angles
from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame
from freeavatar.live.senders.udp import UdpSocket
from freeavatar.rig import ARKIT

PORT = 11111
VERSION = 6
NUM_VALUES = 61


class LiveLinkSender:
    """Shows up in Unreal as a Live Link subject with the given name."""

    def __init__(self, address: Address, subject: str = "freeavatar") -> None:
        self.name = f"livelink {address} (subject {subject})"
        self._socket = UdpSocket(address)
        self._subject = subject
        # Any text that stays the same while we run; the phone's is a UUID in capitals.
        self._device = str(uuid.uuid4()).upper()

    def send(self, frame: LiveFrame) -> int:
        packet = pack(self._device, self._subject, time_of_day_s(), livelink_values(frame))
        return self._socket.send([packet])

    def close(self) -> None:
        self._socket.close()


def pack(device: str, subject: str, time_code_s: float, values: Float[np.ndarray, " 61"]) -> bytes:
    """One packet; the time code counts sixtieths of a second, as the phone's does."""
    frames = time_code_s * FRAMES_PER_SECOND
    whole = int(frames)
    return b"".join(
        [
            struct.pack(">B", VERSION),
            _text(device),
            _text(subject),
            struct.pack(">if", whole, frames - whole),
            struct.pack(">ii", FRAMES_PER_SECOND, 1),
            struct.pack(">B61f", NUM_VALUES, *values.tolist()),
        ]
    )


def livelink_values(frame: LiveFrame) -> Float[np.ndarray, " 61"]:
    """Shapes and angles of one frame, in the packet's order and signs."""
    clip = AnimationClip(
        ARKIT,
        np.zeros(1),
        frame.arkit[None],
        np.array([frame.found]),
        frame.head_rad[None],
    )
    # Adding zero turns -0.0 into 0.0.
    return np.concatenate([frame.arkit, frame.head_rad * FILE_FROM_HEAD, eye_angles(clip)[0]]) + 0.0


def time_of_day_s() -> float:
    """Seconds since midnight on this computer's clock: what two recorders share."""
    now = time.localtime()
    fraction = time.time() % 1.0
    return now.tm_hour * 3600.0 + now.tm_min * 60.0 + now.tm_sec + fraction


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack(">i", len(raw)) + raw
