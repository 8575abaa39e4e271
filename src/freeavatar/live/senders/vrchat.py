"""VRChat avatar parameters over OSC: /avatar/parameters/v2/JawOpen and their like.

Source: docs.vrchat.com (OSC as input controller) and VRCFaceTracking's Unified Expressions, whose
"v2" names avatars with face tracking listen to. VRChat ignores parameters an avatar does not have.
"""

from __future__ import annotations

from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame
from freeavatar.live.senders.osc import FloatMessages, bundles, message
from freeavatar.live.senders.udp import UdpSocket
from freeavatar.mapping.profiles import Profile

PORT = 9000
PLACE = "/avatar/parameters/"
TEMPLATES = "FT/"
"""Before the names in the templates that many avatars are made with."""
ACTIVE = ("EyeTrackingActive", "LipTrackingActive", "ExpressionTrackingActive")
"""Avatars leave their own blinking and lip movements while these are true."""


class VrchatSender:
    """Every parameter in every frame: a lost packet is made good by the next."""

    def __init__(self, address: Address, profile: Profile) -> None:
        self.name = f"vrchat {address} ({profile.name})"
        self._socket = UdpSocket(address)
        self._profile = profile
        v2 = [name for name in profile.names if name.startswith("v2/")]
        self._parameters = FloatMessages.at([f"{PLACE}{name}" for name in profile.names])
        self._in_templates = FloatMessages.at([f"{PLACE}{TEMPLATES}{name}" for name in v2])
        self._v2_columns = [profile.names.index(name) for name in v2]
        self._active = [message(PLACE + name, True) for name in ACTIVE]

    def send(self, frame: LiveFrame) -> int:
        return self._socket.send(self.packets(frame))

    def packets(self, frame: LiveFrame) -> list[bytes]:
        values = self._profile.weights(frame.arkit).tolist()
        return bundles(
            [
                *self._active,
                *self._parameters.with_values(values),
                *self._in_templates.with_values([values[c] for c in self._v2_columns]),
            ]
        )

    def close(self) -> None:
        self._socket.close()
