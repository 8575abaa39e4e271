"""The one port that we listen on: what clients get, and what strangers cannot do."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from freeavatar.errors import UsageError
from freeavatar.live.address import Address
from freeavatar.live.senders.websocket import MAX_CLIENTS, MAX_IN_FLIGHT, WebsocketSender
from freeavatar.rig import ARKIT

pytest.importorskip("websockets", reason="needs the extra [live]")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


@pytest.fixture
def server(no_thread_left) -> Iterator[tuple[WebsocketSender, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sender = WebsocketSender(Address("127.0.0.1", port), "ada", ARKIT.names)
    yield sender, port
    sender.close()


@pytest.fixture
def client(server, wait_for) -> Iterator[Callable]:
    """client(query, **options) joins: its connection and the hello; all are closed at the end."""
    sender, port = server
    with ExitStack() as connections:

        def join(query: str = "", **options):
            known = sender.num_clients
            place = f"ws://127.0.0.1:{port}/{query}"
            connection = connections.enter_context(connect(place, compression=None, **options))
            hello = json.loads(connection.recv(20.0))
            wait_for(lambda: sender.num_clients > known)
            return connection, hello

        yield join


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


def test_a_client_learns_the_names_and_gets_binary_frames(server, client, live_frame):
    connection, hello = client()
    assert hello["avatar"] == "ada"
    assert tuple(hello["controls"]) == ARKIT.names
    frame = live_frame(7, head=(0.1, 0.2, 0.3), jawOpen=0.5)
    assert server[0].send(frame) == 1
    packet = connection.recv(20.0)
    number, time_s, found, *head = struct.unpack_from("<IdB3x3f", packet)
    assert (number, time_s, found) == (7, frame.time_s, 1)
    np.testing.assert_allclose(head, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(np.frombuffer(packet, "<f4", offset=28), frame.controls)


def test_json_on_demand(server, client, live_frame):
    connection, hello = client("?format=json")
    assert hello["format"] == "json"
    server[0].send(live_frame(7, jawOpen=0.5))
    frame = json.loads(connection.recv(20.0))
    assert frame["number"] == 7
    assert frame["controls"][ARKIT.index("jawOpen")] == 0.5


def test_two_frames_at_most_are_on_their_way(server, client, live_frame, wait_for):
    connection, _ = client()
    sent = [server[0].send(live_frame(number)) for number in range(10)]
    assert sum(sent) == MAX_IN_FLIGHT
    connection.send("1")
    wait_for(lambda: server[0].send(live_frame(10)) == 1)
    numbers = [struct.unpack_from("<I", connection.recv(20.0))[0] for _ in range(3)]
    assert numbers == [0, 1, 10]


def test_a_client_that_never_reads_does_not_hold_up_another(server, client, live_frame, wait_for):
    client()
    lively, _ = client()
    for number in range(100):
        # Its answer to the frame before may still be on its way.
        frame = live_frame(number)
        wait_for(lambda: server[0].send(frame) > 0)  # noqa: B023
        assert struct.unpack_from("<I", lively.recv(20.0))[0] == number
        lively.send(str(number))


def test_a_vanished_client_is_forgotten(server, live_frame, wait_for):
    sender, port = server
    stranger = socket.create_connection(("127.0.0.1", port), timeout=20.0)
    stranger.sendall(HANDSHAKE)
    wait_for(lambda: sender.num_clients == 1)
    # As when its computer loses power: no goodbye of any kind.
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stranger.close()
    wait_for(lambda: sender.send(live_frame(0)) == 0 and sender.num_clients == 0)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1x"]
)
def test_pages_of_other_sites_are_refused(server, client, origin):
    with pytest.raises(InvalidStatus):
        client(origin=origin)


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://127.0.0.1", "https://[::1]:8"])
def test_pages_of_this_computer_are_welcome(server, client, origin):
    connection, _ = client(origin=origin)
    assert connection.response.status_code == 101


def test_an_unknown_format_is_refused(server, client):
    with pytest.raises(InvalidStatus):
        client("?format=xml")


@pytest.mark.parametrize("said", ["x", "-1", "1" * 11, "", b"\x01", "9" * 65])
def test_anything_but_a_number_ends_the_connection(server, client, said):
    connection, _ = client()
    connection.send(said)
    with pytest.raises(ConnectionClosed):
        connection.recv(20.0)


def test_there_is_room_for_so_many_clients(server, client):
    for _ in range(MAX_CLIENTS):
        client()
    with pytest.raises(InvalidStatus):
        client()


def test_a_thousand_packets_of_noise_change_nothing(server, client, live_frame, wait_for):
    sender, port = server
    witness, _ = client()
    noise = random.Random(0)
    starts = [b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\x00" * 8, b"POST /?format=%\r\n\r\n"]
    for _ in range(700):
        with socket.create_connection(("127.0.0.1", port), timeout=20.0) as stranger:
            stranger.sendall(noise.choice(starts) + noise.randbytes(noise.randrange(1, 200)))
    for _ in range(60):
        # Shakes hands first, then five frames of noise where frames should be.
        with socket.create_connection(("127.0.0.1", port), timeout=20.0) as stranger:
            stranger.sendall(HANDSHAKE)
            stranger.recv(4096)
            for _ in range(5):
                try:
                    stranger.sendall(noise.randbytes(noise.randrange(1, 200)))
                except OSError:
                    break
    frame = live_frame(1, jawOpen=0.5)
    assert sender.send(frame) >= 1
    packet = witness.recv(20.0)
    np.testing.assert_array_equal(np.frombuffer(packet, "<f4", offset=28), frame.controls)
    # The strangers are gone; the witness is still there.
    wait_for(lambda: sender.num_clients == 1)


def test_a_port_that_is_taken_is_told(no_thread_left):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="Another program may use the port"):
            WebsocketSender(Address("127.0.0.1", taken.getsockname()[1]), "ada", ("a",))


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="needs Linux")
def test_the_server_listens_on_loopback_alone(server):
    with open("/proc/net/tcp") as table:
        local = [line.split()[1] for line in table.readlines()[1:]]
    assert next(place for place in local if place.endswith(f":{server[1]:04X}")).startswith(
        "0100007F"
    )
    with open("/proc/net/tcp6") as table:
        assert f":{server[1]:04X}" not in {line.split()[1][-5:] for line in table.readlines()[1:]}
