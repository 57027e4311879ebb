"""Payloads of BLOBs: base64 in bulk, and zlib where the format ends in ``.z``.

This module knows bytes only, no XML and no events.
"""

import binascii
import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias

import pybase64

from trindi.errors import RefusedError

COMPRESSED: Final = ".z"
"""A format with this ending says that the payload is one zlib stream (protocol §4.1)."""

MAX_BLOBS: Final = 64
"""Members of one vector of BLOBs: drivers have a few. Each one that comes is work for itself."""

TOO_MANY_BLOBS: Final = f"it has more than {MAX_BLOBS} BLOBs"

Loader: TypeAlias = Callable[[], bytes]
"""Returns a payload that takes long to make; ValueError where it cannot be made."""

Attachments: TypeAlias = Callable[[int], Loader]
"""Takes the next attached BLOB, and returns what reads this many bytes of it; ValueError where
there is none (§4.5)."""

Admit: TypeAlias = Callable[[type[Any], str, str, str, int], bool]
"""Asked before a payload is kept, and again as more of it comes: may the BLOBs of one element be
this large? It gets the class of the event, the device, the property, the member, and the bytes of
all payloads so far; of a compressed one, those that it claims to have. False: nobody wants it, and
it becomes empty. RefusedError: the element is refused."""

_NO_BASE64: Final = "the payload is not base64"

Collected: TypeAlias = dict[int, bytes | None]
"""Offset in an element → payload that was decoded while it arrived; None where it is no base64."""

# Bytes that are encoded at a time: 64 KiB of base64. A multiple of 3, so that none is padded.
_PIECE: Final = 48 * 1024

_WHITE_SPACE: Final = b" \t\r\n"

# A thread decompresses in small steps: zlib works without Python's lock, what is done with its
# results does not. Zlib copies what is left of each piece that it is given.
_ZLIB_INPUT: Final = 16 * 1024
_ZLIB_OUTPUT: Final = 64 * 1024


class Base64:
    """Bytes that are encoded piece by piece as they are sent; `len` is the length in base64.

    The base64 is one unbroken line: any other layout breaks a reference program (§4.2, §4.3). It is
    never held as a whole: encoding what is in the processor's cache is faster than fetching base64.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return (len(self._data) + 2) // 3 * 4

    def pieces(self) -> Iterator[bytes]:
        """Yield the base64 in pieces."""
        with memoryview(self._data) as data:
            for start in range(0, len(data), _PIECE):
                yield pybase64.b64encode(data[start : start + _PIECE])


def plain_format(suffix: str) -> str:
    """Return the format of the decompressed payload: ``.fits`` for ``.fits.z``."""
    return suffix.removesuffix(COMPRESSED)


def decode_base64(payload: bytes | memoryview) -> bytes:
    """Decode strictly, but for white space; ValueError where it is not base64."""
    try:
        return pybase64.b64decode(payload, validate=True)
    except binascii.Error:
        pass
    try:
        return pybase64.b64decode(bytes(payload).translate(None, _WHITE_SPACE), validate=True)
    except binascii.Error:
        raise ValueError(_NO_BASE64) from None


class Incoming:
    """A payload that is decoded while it arrives; nothing is kept of one that is not `wanted`."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._decoded = io.BytesIO()
        self._left = b""  # less than four characters, white space among them or not
        self._padded = False
        self._faulty = False

    def take(self, text: memoryview) -> None:
        if self._faulty or not self._wanted:
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

    @property
    def size(self) -> int:
        """Bytes that are decoded so far."""
        return self._decoded.tell()

    def finish(self) -> bytes | None:
        """Return the payload, or None where it is no base64."""
        if self._faulty or self._left.strip(_WHITE_SPACE):
            return None
        return self._decoded.getvalue()

    def _decode(self, left: bytes, text: bytes | memoryview) -> None:
        """Decode what was left and the text, four characters at a time."""
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


def compress(data: bytes) -> bytes:
    """Compress to a zlib stream (RFC 1950)."""
    return zlib.compress(data)


def decompress(data: bytes, limit: int) -> bytes:
    """Decompress one whole zlib stream into at most `limit` bytes; ValueError if it is not one."""
    plain = io.BytesIO()
    try:
        for piece in _inflated(data, min(limit + 1, _ZLIB_OUTPUT)):
            plain.write(piece)
            # Refused as soon as it is more, and before more is made of it.
            if plain.tell() > limit:
                raise ValueError(
                    f"the payload decompresses to more than the {limit} bytes it claims"
                )
    except zlib.error:
        raise ValueError("the payload is not a zlib stream") from None
    return plain.getvalue()


def _inflated(data: bytes, step: int) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    for start in range(0, len(data), _ZLIB_INPUT):
        left, piece = data[start : start + _ZLIB_INPUT], b""
        while left or len(piece) == step:
            piece = stream.decompress(left, step)
            yield piece
            if stream.eof:
                return
            left = stream.unconsumed_tail
    raise ValueError("the zlib stream is cut short")


class Payloads:
    """Reads the payloads of BLOBs that a peer sends."""

    def __init__(
        self, max_bytes: int, attachments: Attachments | None = None, admit: Admit | None = None
    ) -> None:
        self.max_bytes = max_bytes  # of one element, decoded
        # Base64 makes 4 characters of 3 bytes, and some senders break the line after each 72.
        encoded = max_bytes * 4 // 3
        self.max_encoded = encoded + encoded // 32
        self.collected: Collected = {}  # those of the present element that are decoded already
        self._attachments = attachments
        self._admit = admit
        self.has_gate = admit is not None

    def admit(
        self, cls: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> bool:
        """Return whether a payload is wanted; RefusedError where it is not taken."""
        if self._admit is None:
            return True
        if size > self.max_bytes:
            raise RefusedError(self._too_large)
        return self._admit(cls, devicename, vectorname, membername, size)

    def attached(self, about: tuple[int, str], room: int) -> Loader:
        size, suffix = about
        if self._attachments is None:
            raise ValueError("a BLOB cannot be attached on this connection")
        self._check(size, room)
        read = self._attachments(size)
        # A compressed one fills only the start of the bytes that indiserver attaches.
        return (lambda: decompress(read(), size)) if suffix.endswith(COMPRESSED) else read

    def inline(
        self, buffer: bytes | bytearray, place: slice, about: tuple[int, str], room: int
    ) -> bytes | Loader:
        """Decode a payload in the stream; its true length counts, not its size (§4.1)."""
        size, suffix = about
        data = self._decoded(buffer, place)
        if data and suffix.endswith(COMPRESSED):
            self._check(size, room)
            return partial(decompress, data, size)
        self._check(len(data), room)
        return data

    def _decoded(self, buffer: bytes | bytearray, place: slice) -> bytes:
        if place.start not in self.collected:
            # The buffer is locked while a view of it exists.
            with memoryview(buffer)[place] as text:
                return decode_base64(text)
        data = self.collected[place.start]
        if data is None:
            raise ValueError(_NO_BASE64)
        return data

    def _check(self, size: int, room: int) -> None:
        if size > room:
            raise ValueError(self._too_large)

    @property
    def _too_large(self) -> str:
        return f"more than {self.max_bytes} bytes of BLOBs in one element"
