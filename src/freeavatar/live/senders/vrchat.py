"""VRChat avatar parameters over OSC: /avatar/parameters/v2/JawOpen and their like.

Source: docs.vrchat.com (OSC as input controller) and VRCFaceTracking's Unified Expressions, whose
"v2" names avatars with face tracking listen to. VRChat ignores parameters an avatar does not have.
"""

from __future__ import annotations

from freeavatar.live.address import Address
from freeavatar.live.frame import LiveFrame
from freeavatar.live.senders.osc import FloatMessages, bundles
from freeavatar.live.senders.udp import UdpSocket
from freeavatar.mapping.profiles import Profile

PORT = 9000


class VrchatSender:
    """Every parameter in every frame: a lost packet is made good by the next."""

    def __init__(self, address: Address, profile: Profile) -> None:
        self.name = f"vrchat {address} ({profile.name})"
        self._socket = UdpSocket(address)
        self._profile = profile
        self._parameters = FloatMessages.at([f"/avatar/parameters/{n}" for n in profile.names])

    def send(self, frame: LiveFrame) -> int:
        return self._socket.send(self.packets(frame))

    def packets(self, frame: LiveFrame) -> list[bytes]:
        values = self._profile.weights(frame.arkit).tolist()
        return bundles(self._parameters.with_values(values))

    def close(self) -> None:
        self._socket.close()
