"""The rules of BLOBs as written: size, format and base64 of each member.

An event holds the decoded bytes; only the element shows whether other programs would decode the
same (protocol §4). Each check takes the element and yields its faults as text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trindi.protocol import decode_base64, decompress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi.conformance.scanner import RawElement, RawMember

__all__ = ["BLOB_CHECKS"]

_SIZE: Final = re.compile(r"[0-9]{1,18}")
_LINE: Final = 72
"""Characters of a line that libindi's reader expects with ``enclen`` (§4.2)."""


def _decoded(member: RawMember) -> bytes | None:
    try:
        return decode_base64(member.content)
    except ValueError:
        return None


def _size_fault(member: RawMember) -> str:
    text = member.attributes.get("size", "")
    if not _SIZE.fullmatch(text):
        return f" has the size {text[:40]!r}"
    suffix, data, size = member.attributes.get("format", ""), _decoded(member), int(text)
    # With fpack (.fz), the size is the one before compression (§4.1).
    if not member.content.strip() or data is None or suffix.endswith(".fz"):
        return ""
    if suffix.endswith(".z"):
        try:
            data = decompress(data, size)
        except ValueError as error:
            return f" of {size} bytes: {error}"
    return f" says size {size}, and has {len(data)} bytes" if len(data) != size else ""


def _format_fault(member: RawMember) -> str:
    suffix = member.attributes.get("format", "")
    return f" has the format {suffix!r}" if len(suffix) < 2 else ""


def _base64_fault(member: RawMember) -> str:
    return " is not base64" if _decoded(member) is None else ""


def _layout_fault(member: RawMember) -> str:
    """Describe a layout that a reference program cannot read, or return ""."""
    if member.attributes.get("attached", "").lower() == "true":
        return " is attached, but came without a descriptor"
    lines = member.content.split()
    enclen = member.attributes.get("enclen")
    if enclen is None:
        return f" is {len(lines)} lines without enclen" if len(lines) > 1 else ""
    length = sum(map(len, lines))
    if enclen != str(length):
        return f" has enclen {enclen[:40]}, and {length} characters"
    lengths = [len(line) for line in lines]
    wrapped = set(lengths[:-1]) <= {_LINE} and max(lengths, default=0) <= _LINE
    return "" if wrapped else f" has enclen, and its lines are not of {_LINE} characters"


def _each(fault_of: Callable[[RawMember], str]) -> Callable[[RawElement], Iterator[str]]:
    """Return a check of an element that applies one of its members."""

    def check(raw: RawElement) -> Iterator[str]:
        for member in raw.members:
            if fault := fault_of(member):
                yield f"{raw.address}.{member.attributes.get('name', '')}{fault}"

    return check


BLOB_CHECKS: Final = (
    ("blob-size", _each(_size_fault)),
    ("blob-format", _each(_format_fault)),
    ("blob-base64", _each(_base64_fault)),
    ("blob-layout", _each(_layout_fault)),
)
"""The rules of ``setBLOBVector``, each with a check that yields the faults of an element."""
