"""Virtual Motion Capture protocol: expressions and head of a VRM character over OSC.

Source: protocol.vmc.info, the performer's messages. Space is Unity's: left-handed, +Y up, the
character looks along +Z and its left is -X, so quaternions of ours change the signs of y and z.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame
from freeavatar.live.senders.osc import FloatMessages, bundles, message
from freeavatar.live.senders.udp import UdpSocket
from freeavatar.mapping.profiles import Profile

PORT = 39539


class VmcSender:
    """Names follow the profile: vrm0 unless the user asked for vrm1, arkit or a map."""

    def __init__(self, address: Address, profile: Profile) -> None:
        self.name = f"vmc {address} ({profile.name})"
        self._socket = UdpSocket(address)
        self._profile = profile
        self._blends = FloatMessages.named("/VMC/Ext/Blend/Val", profile.names)

    def send(self, frame: LiveFrame) -> int:
        return self._socket.send(self.packets(frame))

    def packets(self, frame: LiveFrame) -> list[bytes]:
        """Bundles; Apply comes last, for it makes the values before it count."""
        turn = unity_quaternion(frame.head_rad)
        return bundles(
            [
                message("/VMC/Ext/OK", 1),
                message("/VMC/Ext/T", frame.time_s),
                # Position 0: receivers keep the bone where the model has it.
                message("/VMC/Ext/Bone/Pos", "Head", 0.0, 0.0, 0.0, *turn.tolist()),
                *self._blends.with_values(self._profile.weights(frame.arkit).tolist()),
                message("/VMC/Ext/Blend/Apply"),
            ]
        )

    def close(self) -> None:
        self._socket.close()


def unity_quaternion(head_rad: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 4"]:
    """(x, y, z, w) in Unity's space of R = Ry(yaw) @ Rx(pitch) @ Rz(roll) in ours."""
    (cy, cx, cz), (sy, sx, sz) = np.cos(head_rad / 2.0), np.sin(head_rad / 2.0)
    x = cy * sx * cz + sy * cx * sz
    y = sy * cx * cz - cy * sx * sz
    z = cy * cx * sz - sy * sx * cz
    w = cy * cx * cz + sy * sx * sz
    return np.array([x, -y, -z, w])
