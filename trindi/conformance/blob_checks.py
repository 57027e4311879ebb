"""The rules of BLOBs as written: size, format and base64 of each member.

An event holds the decoded bytes; only the element shows whether other programs would decode the
same (protocol §4). The checks have the form of those in `element_checks`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trindi.conformance.element_checks import ElementCheck, each_member
from trindi.protocol import Kind, decode_base64, decompress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.conformance.scanner import RawMember

__all__ = ["BLOB_CHECKS"]

_SIZE: Final = re.compile(r"[0-9]{1,18}")
_LINE: Final = 72
"""Characters of a line that libindi's reader expects with ``enclen`` (§4.2)."""


def _decoded(member: RawMember) -> bytes | None:
    try:
        return decode_base64(member.content)
    except ValueError:
        return None


@each_member
def _size(member: RawMember) -> Iterator[str]:
    text = member.attributes.get("size", "")
    if not _SIZE.fullmatch(text):
        yield f"has the size {text[:40]!r}"
        return
    suffix, data, size = member.attributes.get("format", ""), _decoded(member), int(text)
    # With fpack (.fz), the size is the one before compression (§4.1).
    if not member.content.strip() or data is None or suffix.endswith(".fz"):
        return
    if suffix.endswith(".z"):
        try:
            data = decompress(data, size)
        except ValueError as error:
            yield f"of {size} bytes: {error}"
            return
    if len(data) != size:
        yield f"says size {size}, and has {len(data)} bytes"


@each_member
def _format(member: RawMember) -> Iterator[str]:
    suffix = member.attributes.get("format", "")
    if len(suffix) < 2:
        yield f"has the format {suffix!r}"


@each_member
def _base64(member: RawMember) -> Iterator[str]:
    if _decoded(member) is None:
        yield "is not base64"


@each_member
def _layout(member: RawMember) -> Iterator[str]:
    lines, enclen = member.content.split(), member.attributes.get("enclen")
    lengths = [len(line) for line in lines]
    if member.attributes.get("attached", "").lower() == "true":
        yield "is attached, but came without a descriptor"
    elif enclen is None:
        if len(lines) > 1:
            yield f"is {len(lines)} lines without enclen"
    elif enclen != str(sum(lengths)):
        yield f"has enclen {enclen[:40]}, and {sum(lengths)} characters"
    elif set(lengths[:-1]) - {_LINE} or max(lengths, default=0) > _LINE:
        yield f"has enclen, and its lines are not of {_LINE} characters"


BLOB_CHECKS: Final = (
    ElementCheck("blob-size", _size, "set", Kind.BLOB),
    ElementCheck("blob-format", _format, "set", Kind.BLOB),
    ElementCheck("blob-base64", _base64, "set", Kind.BLOB),
    ElementCheck("blob-layout", _layout, "set", Kind.BLOB),
)
"""The check of each rule for a report of BLOBs."""
