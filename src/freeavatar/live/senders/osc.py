"""Open Sound Control 1.0: messages of texts, booleans and numbers, in bundles that fit a packet.

Source: the OSC 1.0 specification. Strings end in at least one zero and fill up to four bytes,
numbers are big-endian, a bundle is "#bundle", a time tag and sized messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

MAX_BUNDLE_BYTES = 1400
"""Larger packets would be split by Ethernet, and are then lost whole when a part is."""
_START = b"#bundle\0" + struct.pack(">Q", 1)
"""Time tag 1: at once."""


def message(address: str, *arguments: str | bool | int | float) -> bytes:
    """One OSC message; true and false are tags without data."""
    tags, data = ",", b""
    for argument in arguments:
        if isinstance(argument, str):
            tags += "s"
            data += _text(argument)
        elif isinstance(argument, bool):
            tags += "T" if argument else "F"
        elif isinstance(argument, int):
            tags += "i"
            data += struct.pack(">i", argument)
        else:
            tags += "f"
            data += struct.pack(">f", argument)
    return _text(address) + _text(tags) + data


class FloatMessages:
    """Messages whose last argument is a float and all else stays the same from frame to frame."""

    def __init__(self, heads: Sequence[bytes]) -> None:
        self._heads = heads

    @staticmethod
    def named(address: str, names: Sequence[str]) -> FloatMessages:
        """address name value, for every name."""
        return FloatMessages([_text(address) + _text(",sf") + _text(name) for name in names])

    @staticmethod
    def at(addresses: Sequence[str]) -> FloatMessages:
        """address value, for every address."""
        return FloatMessages([_text(address) + _text(",f") for address in addresses])

    def with_values(self, values: Sequence[float]) -> list[bytes]:
        """One message per value."""
        return [head + struct.pack(">f", v) for head, v in zip(self._heads, values, strict=True)]


def bundles(messages: Iterable[bytes], most_bytes: int = MAX_BUNDLE_BYTES) -> list[bytes]:
    """The messages in their order, in bundles; one larger than a bundle may be goes alone."""
    packed: list[bytes] = []
    bundle = _START
    for content in messages:
        if len(bundle) + 4 + len(content) > most_bytes and bundle != _START:
            packed.append(bundle)
            bundle = _START
        bundle += struct.pack(">i", len(content)) + content
    return [*packed, bundle]


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return raw + b"\0" * (4 - len(raw) % 4)
