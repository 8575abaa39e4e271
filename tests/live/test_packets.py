"""Bytes on the wire: read by clients that we did not write, or laid out by hand."""

from __future__ import annotations

import os
import random
import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.live.address import Address
from freeavatar.live.protocols import SendOptions, open_senders
from freeavatar.live.senders.ifacialmocap import short_name, text
from freeavatar.live.senders.livelink import livelink_values, pack
from freeavatar.live.senders.osc import MAX_BUNDLE_BYTES, FloatMessages, bundles, message
from freeavatar.live.senders.udp import UdpSocket
from freeavatar.live.senders.vmc import VmcSender, unity_quaternion
from freeavatar.mapping.profiles import find_profile
from freeavatar.motion.calibrate import rotation_from_head
from freeavatar.rig import ARKIT, ARKIT_NAMES

osc_bundle = pytest.importorskip("pythonosc.osc_bundle", reason="needs python-osc")


def osc_messages(packet: bytes) -> list[tuple[str, list]]:
    """What python-osc reads in a bundle."""
    bundle = osc_bundle.OscBundle(packet)
    return [
        (bundle.content(i).address, bundle.content(i).params) for i in range(bundle.num_contents)
    ]


def received(listener, sender, frame) -> list[bytes]:
    num = sender.send(frame)
    packets = [listener.recv(65535) for _ in range(num)]
    sender.close()
    return packets


# --- OSC ---------------------------------------------------------------------------------------


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.integers(-(2**31), 2**31 - 1),
    st.floats(width=32, allow_nan=False),
    st.booleans(),
)
def test_python_osc_reads_what_we_write(word, whole, real, yes):
    (read,) = osc_messages(bundles([message("/a/b", yes, word, whole, real)])[0])
    assert read == ("/a/b", [yes, word, whole, real])


def test_bundles_keep_the_order_and_fit_a_packet():
    messages = FloatMessages.named("/x", [f"name{i}" for i in range(200)]).with_values(
        [i / 200 for i in range(200)]
    )
    packed = bundles(messages)
    assert len(packed) > 1
    assert max(map(len, packed)) <= MAX_BUNDLE_BYTES
    names = [params[0] for packet in packed for _, params in osc_messages(packet)]
    assert names == [f"name{i}" for i in range(200)]


# --- VMC ---------------------------------------------------------------------------------------


def test_a_vmc_receiver_gets_the_face_then_apply(listener, live_frame):
    port = listener.getsockname()[1]
    (sender,) = open_senders([f"vmc:{port}"])
    (packet,) = received(listener, sender, live_frame(eyeBlinkLeft=0.8, jawOpen=0.5))
    read = osc_messages(packet)
    blends = {params[0]: params[1] for address, params in read if address == "/VMC/Ext/Blend/Val"}
    assert blends["Blink_L"] == pytest.approx(0.8)
    assert blends["A"] > 0.3
    assert set(blends) == set(find_profile("vrm0").names)
    assert read[-1] == ("/VMC/Ext/Blend/Apply", [])
    (bone,) = [params for address, params in read if address == "/VMC/Ext/Bone/Pos"]
    assert bone == ["Head", 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("names", "blink"), [("vrm1", "blinkLeft"), ("arkit", "eyeBlinkLeft")])
def test_vmc_names_follow_the_option(listener, live_frame, names, blink):
    port = listener.getsockname()[1]
    (sender,) = open_senders([f"vmc:{port}"], SendOptions(names=names))
    packets = received(listener, sender, live_frame(eyeBlinkLeft=0.8))
    assert max(map(len, packets)) <= MAX_BUNDLE_BYTES
    read = [params for packet in packets for _, params in osc_messages(packet)]
    assert [blink, pytest.approx(0.8)] in read


def test_the_head_turns_as_seen_in_unitys_mirrored_space():
    head = np.array([0.4, -0.3, 0.2])
    x, y, z, w = unity_quaternion(head)
    turned = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    mirror = np.diag([-1.0, 1.0, 1.0])
    ours = rotation_from_head(head[None])[0]
    np.testing.assert_allclose(turned, mirror @ ours @ mirror, atol=1e-12)


# --- VRChat ------------------------------------------------------------------------------------


def test_a_vrchat_receiver_gets_v2_parameters(listener, live_frame):
    port = listener.getsockname()[1]
    (sender,) = open_senders([f"vrchat:{port}"])
    packets = received(listener, sender, live_frame(jawOpen=0.5))
    read = {address: params[0] for packet in packets for address, params in osc_messages(packet)}
    assert max(map(len, packets)) <= MAX_BUNDLE_BYTES
    assert read["/avatar/parameters/v2/JawOpen"] == pytest.approx(0.5)
    # The same under the name that avatars from templates have.
    assert read["/avatar/parameters/FT/v2/JawOpen"] == pytest.approx(0.5)
    assert read["/avatar/parameters/ExpressionTrackingActive"] is True
    assert len(read) == 2 * len(find_profile("vrchat").names) + 3


# --- Live Link ---------------------------------------------------------------------------------

# As a phone called "me" with device "D-1" would send it at 1.25 sixtieths after midnight.
BY_HAND = bytes.fromhex(
    "06"  # version
    "00000003"
    "442d31"  # 3 bytes, D-1
    "00000002"
    "6d65"  # 2 bytes, me
    "00000001"
    "3e800000"  # frame 1, sub-frame 0.25
    "0000003c"
    "00000001"  # 60 / 1
    "3d"  # 61 values
    "3f000000"  # EyeBlinkLeft 0.5
    + 14 * "00000000"
    + "3f800000"  # JawLeft 1: column 15, before JawRight
    + 36 * "00000000"  # to TongueOut
    + "be800000"
    "3e000000"
    "00000000"  # head: yaw -0.25 (0.25 to its left), pitch 0.125 down
     + 6 * "00000000"
)


def test_a_live_link_packet_is_the_bytes_laid_out_by_hand(live_frame):
    frame = live_frame(head=(0.25, 0.125, 0.0), eyeBlinkLeft=0.5, jawLeft=1.0)
    assert pack("D-1", "me", 1.25 / 60, livelink_values(frame)) == BY_HAND


def test_a_live_link_packet_has_the_length_that_unreal_accepts(listener, live_frame):
    port = listener.getsockname()[1]
    (sender,) = open_senders([f"livelink:{port}"], SendOptions(subject="Ada"))
    (packet,) = received(listener, sender, live_frame(tongueOut=0.25))
    assert 264 <= len(packet) <= 774
    device = struct.unpack_from(">i", packet, 1)[0]
    start = 5 + device
    assert packet[start : start + 7] == b"\0\0\0\3Ada"
    frame, sub, rate, denominator, count = struct.unpack_from(">ifiiB", packet, start + 7)
    assert 0 <= frame < 24 * 3600 * 60
    assert 0 <= sub < 1
    assert (rate, denominator, count) == (60, 1, 61)
    values = struct.unpack_from(">61f", packet, start + 24)
    assert len(packet) == start + 24 + 244
    assert values[51] == 0.25


def test_gaze_reaches_the_eye_angles(live_frame):
    frame = live_frame(eyeLookInLeft=1.0, eyeLookOutRight=1.0, eyeLookDownLeft=0.5)
    left_yaw, left_pitch, _, right_yaw, _, _ = livelink_values(frame)[55:]
    assert left_yaw == pytest.approx(np.radians(28))
    assert right_yaw == pytest.approx(np.radians(28))
    assert left_pitch == pytest.approx(np.radians(11))


# --- iFacialMocap ------------------------------------------------------------------------------


def test_ifacialmocap_text_reads_back(listener, live_frame):
    port = listener.getsockname()[1]
    (sender,) = open_senders([f"ifacialmocap:{port}"])
    frame = live_frame(head=(0.1, 0.2, 0.3), eyeBlinkLeft=0.504, mouthLeft=1.0, eyeLookInRight=1.0)
    (packet,) = received(listener, sender, frame)
    shapes, angles = packet.decode().split("=")
    values = dict(item.rsplit("-", 1) for item in shapes.split("|") if item)
    assert len(values) == 52
    assert values["eyeBlink_L"] == "50"
    assert values["mouthLeft"] == "100"
    parts = {
        name: list(map(float, rest.split(",")))
        for name, _, rest in (item.partition("#") for item in angles.split("|") if item)
    }
    np.testing.assert_allclose(np.radians(parts["head"][:3]), [0.2, 0.1, 0.3], atol=1e-5)
    # The right eye looks in, towards its left.
    assert parts["rightEye"] == [0.0, 28.0, 0.0]
    assert parts["leftEye"] == [0.0, 0.0, 0.0]


def test_every_arkit_name_has_its_own_short_name():
    short = {short_name(name) for name in ARKIT_NAMES}
    assert len(short) == 52
    assert {"mouthSmile_R", "browInnerUp", "jawLeft", "mouthUpperUp_L"} <= short


def test_ifacialmocap_fits_a_packet(live_frame):
    frame = live_frame(head=(-3.14159, -1.5, -3.14159), **dict.fromkeys(ARKIT.names, 1.0))
    assert len(text(frame)) < 1400


# --- nobody there ------------------------------------------------------------------------------


def test_a_receiver_that_is_not_there_is_no_error(listener, live_frame):
    port = listener.getsockname()[1]
    listener.close()
    sender = VmcSender(Address("127.0.0.1", port), find_profile("vrm0"))
    for number in range(20):
        assert sender.send(live_frame(number)) >= 0
    sender.close()


# --- strangers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["vmc", "livelink", "vrchat", "ifacialmocap"])
def test_a_thousand_packets_of_noise_change_nothing(listener, live_frame, protocol):
    (sender,) = open_senders([f"{protocol}:{listener.getsockname()[1]}"])
    frame = live_frame(jawOpen=0.5)

    def packets() -> list[bytes]:
        # Only the values of Live Link: its packets tell the time of day.
        part = slice(-244, None) if protocol == "livelink" else slice(None)
        return [listener.recv(65535)[part] for _ in range(sender.send(frame))]

    calm = packets()
    num = sender.send(frame)
    places = {listener.recvfrom(65535)[1] for _ in range(num)}
    # The port that packets leave from is nobody's but this computer's.
    ((host, port),) = places
    assert host == "127.0.0.1"
    noise = random.Random(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(1000):
            stranger.sendto(noise.randbytes(noise.randrange(1, 400)), (host, port))
    assert packets() == calm
    sender.close()


@pytest.mark.skipif(not os.path.exists("/proc/net/udp"), reason="needs Linux")
def test_the_port_that_packets_leave_from_is_on_loopback(listener):
    socket_ = UdpSocket(Address("127.0.0.1", listener.getsockname()[1]))
    with open("/proc/net/udp") as table:
        places = [line.split()[1] for line in table.readlines()[1:]]
    assert f"0100007F:{socket_.port:04X}" in places
    socket_.close()
