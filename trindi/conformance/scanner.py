"""Reads a peer's bytes as elements as they were written, each with its event.

An event has defaults for attributes that the peer left out, and numbers where the peer wrote text.
A checker needs what was written, so each event comes with the attributes and members of its
element, unparsed. Bytes outside of elements are kept too. This module judges nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from trindi.errors import ProtocolError
from trindi.protocol import ELEMENT_OF, Decoder, Event, newBLOBVector, setBLOBVector
from trindi.protocol.markup import (
    ATTRIBUTES,
    BLANK,
    HEAD,
    IS,
    NAME,
    QUOTED,
    attribute_text,
    text_of,
)

__all__ = ["Observation", "RawElement", "RawMember", "Scanner"]

_ATTRIBUTE: Final = re.compile(f"({NAME}){IS}({QUOTED})".encode())
_MEMBER: Final = re.compile(f"<({NAME})({ATTRIBUTES}){BLANK}*+(?:/>|>([^<]*+))".encode())
# Every element ends with such a mark, so no piece has the ends of two.
_PIECE: Final = re.compile(rb"[^>]*+(?:>|\Z)")
# Allowed between elements: libindi writes a declaration before each (§1.4).
_MISC: Final = re.compile(rb"<\?.*?>|<!--.*?-->", re.DOTALL)
_MAX_JUNK: Final = 64 * 1024


class RawMember(NamedTuple):
    """A member as written: its tag, its attributes, and the bytes between its tags."""

    tag: str
    attributes: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The content as text; "" if it is not text."""
        try:
            return text_of(self.content)
        except ValueError:
            return ""


class RawElement(NamedTuple):
    """An element as written.

    Attributes:
        name: the name of the element.
        attributes: the attributes; of a repeated one, the first.
        repeated: names of attributes that occur more than once in one tag.
        members: the members.
        data: all bytes of the element.
    """

    name: str
    attributes: dict[str, str]
    repeated: tuple[str, ...]
    members: tuple[RawMember, ...]
    data: bytes

    @property
    def address(self) -> str:
        """Device and property, or what there is of them, for people."""
        device, name = self.attributes.get("device", ""), self.attributes.get("name", "")
        return ".".join(filter(None, (device, name))) or self.name


class Observation(NamedTuple):
    """One element or stretch of other bytes that a peer has sent.

    Attributes:
        raw: the element as written, or None if there is none.
        item: the event or error that the decoder made of it; None for an unknown element or junk.
        junk: bytes before the element, or instead of it, that belong to no element.
        when: the time of arrival.
    """

    raw: RawElement | None
    item: Event | ProtocolError | None
    junk: str
    when: datetime

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.junk) + (len(self.raw.data) if self.raw else 0)

    def without_payload(self) -> Observation:
        """Return a copy without raw bytes, raw members and the data of BLOBs."""
        item = self.item
        if isinstance(item, (newBLOBVector, setBLOBVector)):
            item = replace(item, members=dict.fromkeys(item, b""))
        raw = self.raw and self.raw._replace(data=b"", members=())
        return self._replace(raw=raw, item=item)


class Scanner:
    """Decodes a stream, and keeps the bytes that each event was made of."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._kept = bytearray()
        self._base = 0
        self._items: list[Event | ProtocolError] = []

    def feed(self, data: bytes) -> list[Observation]:
        """Read the next bytes of the stream, however they are cut; return what is complete."""
        found: list[Observation] = []
        for piece in _PIECE.findall(data):
            self._kept += piece
            self._items += self._decoder.feed_all(piece)
            if piece.endswith(b">") or len(self._kept) - self._decoder.held > _MAX_JUNK:
                found += self.rest()
        return found

    def rest(self) -> list[Observation]:
        """Return what is complete, though it may be junk that goes on."""
        done = bytes(self._kept[: self._decoder.offset - self._base])
        del self._kept[: len(done)]
        self._base += len(done)
        items, self._items = self._items, []
        return _observations(done, items)


def _observations(data: bytes, items: list[Event | ProtocolError]) -> list[Observation]:
    when = datetime.now(UTC)
    found = []
    for item in items:
        start = _start(data, item)
        found.append(Observation(_read(data[start:]), item, _junk(data[:start]), when))
        # Should there be another one in the same bytes, the junk has been told of.
        data = data[start:]
    if not items and (junk := _junk(data)):
        head = HEAD.search(_MISC.sub(b"", data))
        raw = RawElement(head[1].decode(), {}, (), (), data) if head else None
        found.append(Observation(raw, None, "" if raw else junk, when))
    return found


def _start(data: bytes, item: Event | ProtocolError) -> int:
    name = item.element if isinstance(item, ProtocolError) else ELEMENT_OF[type(item)].xml
    return max(data.rfind(f"<{name}".encode()), 0) if name else len(data)


def _junk(data: bytes) -> str:
    return _MISC.sub(b"", data).decode(errors="replace").strip()


def _read(data: bytes) -> RawElement | None:
    """Read an element as far as it has the plain form; None if its tag cannot be read."""
    head = HEAD.match(data)
    if head is None:
        return None
    attributes, repeated = _attributes(head[0])
    members = []
    for found in _MEMBER.finditer(data, head.end()):
        of_member, repeated_in_member = _attributes(found[2])
        members.append(RawMember(found[1].decode(), of_member, found[3] or b""))
        repeated += repeated_in_member
    return RawElement(head[1].decode(), attributes, tuple(repeated), tuple(members), data)


def _attributes(data: bytes) -> tuple[dict[str, str], list[str]]:
    """Return the attributes of a tag, and the names of those that are repeated."""
    attributes: dict[str, str] = {}
    repeated = []
    for name, value in _ATTRIBUTE.findall(data):
        if name.decode() in attributes:
            repeated.append(name.decode())
        attributes.setdefault(name.decode(), _text(value[1:-1]))
    return attributes, repeated


def _text(value: bytes) -> str:
    """Read an attribute's value; a NUL byte in it is a fault that the decoder reports."""
    try:
        return attribute_text(value)
    except ValueError:
        return ""
