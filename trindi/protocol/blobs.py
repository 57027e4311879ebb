"""BLOB payloads: base64 in bulk, and the zlib compression that a format ending in ``.z`` asks for.

Payloads are bytes here and nothing else; no XML, no events.
"""

from __future__ import annotations

import binascii
import zlib
from typing import Final

import pybase64

__all__ = ["COMPRESSED", "compress", "decode_base64", "decompress", "encode_base64"]

# A format with this ending says that the payload is one zlib stream (protocol §4.1).
COMPRESSED: Final = ".z"

_WHITE_SPACE: Final = b" \t\r\n"


def encode_base64(data: bytes) -> bytes:
    """Encode to one unbroken line: any other layout breaks a reference program (§4.2, §4.3)."""
    return pybase64.b64encode(data)


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
