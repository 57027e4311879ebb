"""BLOB payloads: base64 in bulk, and the zlib compression that a format ending in ``.z`` asks for.

Payloads are bytes here and nothing else; no XML, no events.
"""

from __future__ import annotations

import binascii
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import pybase64

__all__ = [
    "COMPRESSED",
    "Attachments",
    "Base64",
    "Incoming",
    "Payloads",
    "compress",
    "decode_base64",
    "decompress",
    "plain_format",
]

COMPRESSED: Final = ".z"
"""A format with this ending says that the payload is one zlib stream (protocol §4.1)."""

Attachments: TypeAlias = Callable[[int], bytes]
"""Takes that many bytes of the next attached BLOB; ValueError where there are none (§4.5)."""

_NO_BASE64: Final = "the payload is not base64"

Collected: TypeAlias = dict[int, bytes | None]
"""Payloads that were decoded while they came, by where in their element they stood; None where one
is no base64."""

# Bytes that are encoded at a time: 64 KiB of base64. A multiple of 3, or there would be padding.
_PIECE: Final = 48 * 1024

_WHITE_SPACE: Final = b" \t\r\n"

# How much memory is taken for a payload on its peer's word, at most, and what part of it must have
# come by then: so much for so little would be work that a peer need not pay for.
_MOST_EXPECTED: Final = 32 * 1024 * 1024
_EARNEST: Final = 16


class Base64:
    """Bytes that become one unbroken line of base64 on their way, piece by piece.

    Any other layout breaks a reference program (§4.2, §4.3).

    So nobody waits for the whole, and no memory is taken for it: encoding what is still in the
    processor's cache is faster than fetching what was encoded before. Its `len` is the line's.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return (len(self._data) + 2) // 3 * 4

    def pieces(self) -> Iterator[bytes]:
        """Encode it, a piece each time."""
        with memoryview(self._data) as data:
            for start in range(0, len(data), _PIECE):
                yield pybase64.b64encode(data[start : start + _PIECE])


def plain_format(suffix: str) -> str:
    """The format of a payload that has been decompressed: ``.fits`` for ``.fits.z``."""
    return suffix.removesuffix(COMPRESSED)


def decode_base64(payload: bytes | memoryview) -> bytes:
    """Decode strictly, but for white space, which may be anywhere.

    Raises:
        ValueError: the payload is not base64.
    """
    try:
        return pybase64.b64decode(payload, validate=True)
    except binascii.Error:
        pass
    try:
        return pybase64.b64decode(bytes(payload).translate(None, _WHITE_SPACE), validate=True)
    except binascii.Error:
        raise ValueError(_NO_BASE64) from None


class Incoming:
    """A payload that is decoded while it comes, so that its base64 need not be held.

    Args:
        size: how many bytes are expected; only a hint.
    """

    def __init__(self, size: int = 0) -> None:
        self._expected = min(size, _MOST_EXPECTED)
        self._decoded = io.BytesIO()
        self._left = b""  # less than four characters, white space among them or not
        self._padded = False
        self._faulty = False

    def take(self, text: memoryview) -> None:
        """Decode what comes next, however it is cut."""
        if self._faulty:
            return
        try:
            self._decode(self._left, text)
        except binascii.Error:
            clean = (self._left + text).translate(None, _WHITE_SPACE)
            try:
                self._decode(b"", clean)
            except binascii.Error:
                self._faulty = True
                self._decoded = io.BytesIO()

    def finish(self) -> bytes | None:
        """Return the payload, or None where it is no base64; nothing more is to come."""
        if self._faulty or self._left.strip(_WHITE_SPACE):
            return None
        self._decoded.truncate()
        return self._decoded.getvalue()

    def _decode(self, left: bytes, text: bytes | memoryview) -> None:
        """Decode what was left and the text, as far as there are four characters each time."""
        lead = -len(left) % 4
        end = len(text) - (len(text) - lead) % 4
        first = pybase64.b64decode(left + text[:lead], validate=True)
        data = pybase64.b64decode(text[lead:end], validate=True)
        for piece in (first, data):
            if piece and self._padded:
                raise binascii.Error("there is something after the end")
            self._padded = self._padded or len(piece) % 3 != 0
        self._decoded.write(first)
        self._decoded.write(data)
        self._left = bytes(text[end:])
        if self._decoded.tell() > self._expected // _EARNEST and self._expected:
            self._make_room()

    def _make_room(self) -> None:
        """Take memory for all that is expected: fetching it bit by bit is most of the cost."""
        before = self._decoded.getvalue()
        self._decoded = io.BytesIO(bytes(self._expected))
        self._decoded.write(before)
        self._expected = 0


def compress(data: bytes) -> bytes:
    """Compress to a zlib stream (RFC 1950)."""
    return zlib.compress(data)


def decompress(data: bytes, limit: int) -> bytes:
    """Decompress one zlib stream into at most `limit` bytes.

    Raises:
        ValueError: not a complete zlib stream, or one that holds more than `limit` bytes.
    """
    stream = zlib.decompressobj()
    try:
        # One byte over the limit tells a stream that is too long from one that just fits;
        # a max_length of 0 would mean no limit.
        plain = stream.decompress(data, limit + 1)
    except zlib.error:
        raise ValueError("the payload is not a zlib stream") from None
    if len(plain) > limit:
        raise ValueError(f"the payload decompresses to more than the {limit} bytes it claims")
    if not stream.eof:
        raise ValueError("the zlib stream is cut short")
    return plain


class Payloads:
    """Reads the payloads of BLOBs that a peer sends.

    Args:
        max_bytes: bound of the payloads of one element, decoded, in bytes.
        attachments: takes the bytes of an attached BLOB; without it such a BLOB is refused.

    Attributes:
        max_bytes: that bound.
        max_encoded: how long such payloads can be in the stream.
        collected: those of the element that is read that are decoded already.
    """

    def __init__(self, max_bytes: int, attachments: Attachments | None = None) -> None:
        self.max_bytes = max_bytes
        # Base64 makes 4 characters of 3 bytes, and some senders break the line after each 72.
        encoded = max_bytes * 4 // 3
        self.max_encoded = encoded + encoded // 32
        self.collected: Collected = {}
        self._attachments = attachments

    def attached(self, size: int, suffix: str, room: int) -> bytes:
        """Take a payload that was handed over beside the stream.

        A compressed one fills only the start of the `size` bytes that indiserver hands over.
        """
        if self._attachments is None:
            raise ValueError("a BLOB cannot be attached on this connection")
        self._check(size, room)
        data = self._attachments(size)
        return decompress(data, size) if suffix.endswith(COMPRESSED) else data

    def inline(
        self, buffer: bytes | bytearray, place: slice, size: int, suffix: str, room: int
    ) -> bytes:
        """Decode a payload that came in the stream; its own length counts, not its size (§4.1)."""
        data = self._decoded(buffer, place)
        if data and suffix.endswith(COMPRESSED):
            self._check(size, room)
            return decompress(data, size)
        self._check(len(data), room)
        return data

    def _decoded(self, buffer: bytes | bytearray, place: slice) -> bytes:
        if place.start not in self.collected:
            # A view that stayed alive would lock the buffer.
            with memoryview(buffer)[place] as text:
                return decode_base64(text)
        data = self.collected[place.start]
        if data is None:
            raise ValueError(_NO_BASE64)
        return data

    def _check(self, size: int, room: int) -> None:
        if size > room:
            raise ValueError(f"more than {self.max_bytes} bytes of BLOBs in one element")
