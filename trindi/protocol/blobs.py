"""BLOB payloads: base64 in bulk, and the zlib compression that a format ending in ``.z`` asks for.

Payloads are bytes here and nothing else; no XML, no events.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import pybase64

__all__ = [
    "COMPRESSED",
    "Attachments",
    "Base64",
    "Payloads",
    "compress",
    "decode_base64",
    "decompress",
]

COMPRESSED: Final = ".z"
"""A format with this ending says that the payload is one zlib stream (protocol §4.1)."""

Attachments: TypeAlias = Callable[[int], bytes]
"""Takes that many bytes of the next attached BLOB; ValueError where there are none (§4.5)."""

# Bytes that are encoded at a time: 64 KiB of base64. A multiple of 3, or there would be padding.
_PIECE: Final = 48 * 1024

_WHITE_SPACE: Final = b" \t\r\n"


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
        raise ValueError("the payload is not base64") from None


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
    """

    def __init__(self, max_bytes: int, attachments: Attachments | None = None) -> None:
        self.max_bytes = max_bytes
        # Base64 makes 4 characters of 3 bytes, and some senders break the line after each 72.
        encoded = max_bytes * 4 // 3
        self.max_encoded = encoded + encoded // 32
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

    def inline(self, payload: memoryview, size: int, suffix: str, room: int) -> bytes:
        """Decode a payload that came in the stream; its own length counts, not its size (§4.1)."""
        data = decode_base64(payload)
        if data and suffix.endswith(COMPRESSED):
            self._check(size, room)
            return decompress(data, size)
        self._check(len(data), room)
        return data

    def _check(self, size: int, room: int) -> None:
        if size > room:
            raise ValueError(f"more than {self.max_bytes} bytes of BLOBs in one element")
