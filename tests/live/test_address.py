from __future__ import annotations

import pytest

from freeavatar.errors import UsageError
from freeavatar.live.address import Address, parse_address, resolve
from freeavatar.live.protocols import PROTOCOLS, open_senders, parse_target


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_stays_on_this_computer_unless_told(name):
    protocol, address = parse_target(name)
    assert protocol == name
    assert address == Address("127.0.0.1", PROTOCOLS[name].port)
    assert address.is_loopback


def test_ports_are_those_the_programs_listen_on():
    ports = {name: wire.port for name, wire in PROTOCOLS.items()}
    assert ports == {
        "vmc": 39539,
        "livelink": 11111,
        "vrchat": 9000,
        "ifacialmocap": 49983,
        "websocket": 8765,
    }


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ("", "127.0.0.1", 9),
        ("39540", "127.0.0.1", 39540),
        ("192.168.1.5", "192.168.1.5", 9),
        ("192.168.1.5:77", "192.168.1.5", 77),
        ("studio-pc:77", "studio-pc", 77),
        ("[::1]:77", "::1", 77),
        ("[::1]", "::1", 9),
    ],
)
def test_hosts_and_ports(given, host, port):
    assert parse_address(given, "vmc", 9) == Address(host, port)


@pytest.mark.parametrize(
    "given", ["host:", "host:0", "host:70000", "a:b:c", "99999", "a b", "[::1"]
)
def test_what_is_no_address_is_told(given):
    with pytest.raises(UsageError, match="--send vmc"):
        parse_address(given, "vmc", 9)


def test_other_hosts_are_not_loopback():
    assert not Address("192.168.1.5", 1).is_loopback
    assert not Address("0.0.0.0", 1).is_loopback
    assert Address("localhost", 1).is_loopback
    assert Address("::1", 1).is_loopback


def test_an_unknown_host_is_told():
    with pytest.raises(UsageError, match="not known"):
        resolve(Address("no-such-host.invalid", 1))


def test_an_unknown_protocol_suggests_one():
    with pytest.raises(UsageError, match="Did you mean vmc"):
        parse_target("vmcc:1")


def test_the_same_target_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        open_senders(["vmc", "vmc:39539"])
