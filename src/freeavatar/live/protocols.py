"""What can be sent to: names, ports, and how `--send NAME[:HOST[:PORT]]` becomes a sender."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freeavatar.errors import UsageError
from freeavatar.live.address import Address, parse_address
from freeavatar.live.senders import ifacialmocap, livelink, vmc, vrchat, websocket
from freeavatar.live.senders.sender import Sender
from freeavatar.mapping.profiles import Profile, find_profile
from freeavatar.rig import ARKIT, RigSpec


@dataclass(frozen=True)
class SendOptions:
    """What senders need to know besides the address."""

    avatar: str = "arkit"
    rig: RigSpec = ARKIT
    """Of LiveFrame.controls."""
    names: str = "vrm0"
    """Profile of the VMC names."""
    mapping: Profile | None = None
    """The user's own map, in place of the profiles of vmc and vrchat."""
    subject: str = "freeavatar"
    """Live Link's name of the source."""
    origins: tuple[str, ...] = ()
    """Pages of other computers that may connect to the WebSocket."""


@dataclass(frozen=True)
class Wire:
    """One protocol."""

    port: int
    does: str
    make: Callable[[Address, SendOptions], Sender]


PROTOCOLS: dict[str, Wire] = {
    "vmc": Wire(
        vmc.PORT,
        "VRM characters: VSeeFace, VMagicMirror, Warudo, Unity (EVMC4U), Blender",
        lambda at, o: vmc.VmcSender(at, o.mapping or find_profile(o.names)),
    ),
    "livelink": Wire(
        livelink.PORT,
        "Unreal Engine and MetaHuman, as the Live Link Face app",
        lambda at, o: livelink.LiveLinkSender(at, o.subject),
    ),
    "vrchat": Wire(
        vrchat.PORT,
        "VRChat avatars with face tracking parameters (v2)",
        lambda at, o: vrchat.VrchatSender(at, o.mapping or find_profile("vrchat")),
    ),
    "ifacialmocap": Wire(
        ifacialmocap.PORT,
        "programs that read the iFacialMocap app",
        lambda at, o: ifacialmocap.IFacialMocapSender(at),
    ),
    "websocket": Wire(
        websocket.PORT,
        "web pages and your own programs: the avatar's own controls",
        lambda at, o: websocket.WebsocketSender(at, o.avatar, o.rig.names, o.origins),
    ),
}


def parse_target(given: str) -> tuple[str, Address]:
    """Protocol and address of one --send; UsageError when there is no such protocol."""
    name, _, rest = given.partition(":")
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(PROTOCOLS)}."
        raise UsageError(f"--send {given}: there is no protocol {name!r}. {hint}")
    return name, parse_address(rest, name, PROTOCOLS[name].port)


def open_senders(targets: Sequence[str], options: SendOptions | None = None) -> list[Sender]:
    """All senders; when one cannot be opened the others are closed again."""
    options = options or SendOptions()
    parsed = [parse_target(target) for target in targets]
    for number, target in enumerate(parsed):
        if target in parsed[:number]:
            raise UsageError(f"--send {targets[number]} is given twice.")
    senders: list[Sender] = []
    try:
        for name, address in parsed:
            senders.append(PROTOCOLS[name].make(address, options))
    except BaseException:
        for sender in senders:
            sender.close()
        raise
    return senders
