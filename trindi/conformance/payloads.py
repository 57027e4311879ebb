"""The rules of BLOBs as they stand on the wire: their size, their format and their base64.

An event holds the bytes that were meant; only the element shows whether other programs would find
the same ones (protocol §4). This module knows one member at a time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trindi.protocol import decompress
from trindi.protocol.blobs import decode_base64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi.conformance.wire import Raw, RawMember

__all__ = ["BLOB_CHECKS"]

_SIZE: Final = re.compile(r"[0-9]{1,18}")
_LINE: Final = 72
"""Characters of a line that libindi's reader expects where ``enclen`` is given (§4.2)."""


def _data(member: RawMember) -> bytes | None:
    """Return what the base64 holds; None where it is none."""
    try:
        return decode_base64(member.content)
    except ValueError:
        return None


def _size(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        place = f"{raw.place}.{member.attributes.get('name', '')}"
        text = member.attributes.get("size", "")
        if not _SIZE.fullmatch(text):
            yield f"{place} has the size {text[:40]!r}"
        elif member.content.strip():
            yield from _true_size(place, member, int(text))


def _true_size(place: str, member: RawMember, size: int) -> Iterator[str]:
    suffix, data = member.attributes.get("format", ""), _data(member)
    # What fpack has compressed says how large it was before (§4.1).
    if data is None or suffix.endswith(".fz"):
        return
    if suffix.endswith(".z"):
        try:
            data = decompress(data, size)
        except ValueError as error:
            yield f"{place} of {size} bytes: {error}"
            return
    if len(data) != size:
        yield f"{place} says size {size}, and has {len(data)} bytes"


def _format(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        suffix = member.attributes.get("format")
        if suffix is None or len(suffix) < 2:
            yield f"{raw.place}.{member.attributes.get('name', '')} has the format {suffix or ''!r}"


def _base64(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        if _data(member) is None:
            yield f"{raw.place}.{member.attributes.get('name', '')} is not base64"


def _layout(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        fault = _layout_fault(member)
        if fault:
            yield f"{raw.place}.{member.attributes.get('name', '')} {fault}"


def _layout_fault(member: RawMember) -> str:
    """Say what a reference program would stumble over, or ""."""
    if member.attributes.get("attached", "").lower() == "true":
        return "is attached, where nothing can be"
    lines = member.content.split()
    enclen = member.attributes.get("enclen")
    if enclen is None:
        return f"is {len(lines)} lines without enclen" if len(lines) > 1 else ""
    length = sum(map(len, lines))
    if enclen != str(length):
        return f"has enclen {enclen[:40]}, and {length} characters"
    lengths = [len(line) for line in lines]
    wrapped = set(lengths[:-1]) <= {_LINE} and max(lengths, default=0) <= _LINE
    return "" if wrapped else f"has enclen, and its lines are not of {_LINE} characters"


BLOB_CHECKS: Final[tuple[tuple[str, Callable[[Raw], Iterator[str]]], ...]] = (
    ("blob-size", _size),
    ("blob-format", _format),
    ("blob-base64", _base64),
    ("blob-layout", _layout),
)
"""The rules, and what yields how an element breaks them."""
