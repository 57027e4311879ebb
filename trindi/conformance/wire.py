"""What a peer writes, element by element, as it stands on the wire and as it is understood.

An event has defaults for what a peer left out, and numbers where it wrote texts. A checker has to
see what was written, so each event comes with the attributes and members of its element as they
stand. What is no element is kept, too. This module judges nothing.
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

__all__ = ["Raw", "RawMember", "Scanner", "Seen"]

_ATTRIBUTE: Final = re.compile(f"({NAME}){IS}({QUOTED})".encode())
_MEMBER: Final = re.compile(f"<({NAME})({ATTRIBUTES}){BLANK}*+(?:/>|>([^<]*+))".encode())
# Every element ends with such a mark, so no piece has the ends of two.
_PIECE: Final = re.compile(rb"[^>]*+(?:>|\Z)")
# What may stand between elements: libindi writes a declaration before each (§1.4).
_MISC: Final = re.compile(rb"<\?.*?>|<!--.*?-->", re.DOTALL)
# How much junk is waited for to end.
_MAX_JUNK: Final = 64 * 1024


class RawMember(NamedTuple):
    """A member as it stands: its tag, its attributes, and the bytes between its tags."""

    tag: str
    attributes: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """Its content as text; "" where it is none."""
        try:
            return text_of(self.content)
        except ValueError:
            return ""


class Raw(NamedTuple):
    """An element as it stands.

    Attributes:
        name: its name.
        attributes: by their names; the first one of a name.
        repeated: names of attributes that are there more than once, in it or in its members.
        members: its members.
        data: all of its bytes.
    """

    name: str
    attributes: dict[str, str]
    repeated: tuple[str, ...]
    members: tuple[RawMember, ...]
    data: bytes

    @property
    def place(self) -> str:
        """What it is about, for people."""
        device, name = self.attributes.get("device", ""), self.attributes.get("name", "")
        return ".".join(filter(None, (device, name))) or self.name


class Seen(NamedTuple):
    """One thing that a peer has written.

    Attributes:
        raw: the element as it stands, or None where nothing that stands there is one.
        item: how it is understood: None for an element that INDI does not have, and for junk.
        junk: what stands before it, or instead of it, and belongs to no element.
        when: when it came.
    """

    raw: Raw | None
    item: Event | ProtocolError | None
    junk: str
    when: datetime

    @property
    def size(self) -> int:
        """How many bytes it had."""
        return len(self.junk) + (len(self.raw.data) if self.raw else 0)

    def without_payload(self) -> Seen:
        """Return what is left without bytes and members as they stand, and without BLOBs."""
        item = self.item
        if isinstance(item, (newBLOBVector, setBLOBVector)):
            item = replace(item, members=dict.fromkeys(item, b""))
        raw = self.raw and self.raw._replace(data=b"", members=())
        return self._replace(raw=raw, item=item)


class Scanner:
    """Reads a stream as a `Decoder` does, and keeps the bytes that each event was made of."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._kept = bytearray()
        self._base = 0
        self._items: list[Event | ProtocolError] = []

    def feed(self, data: bytes) -> list[Seen]:
        """Read the next bytes of the stream, however they are cut; return what is complete."""
        found: list[Seen] = []
        for piece in _PIECE.findall(data):
            self._kept += piece
            self._items += self._decoder.feed_all(piece)
            if piece.endswith(b">") or len(self._kept) - self._decoder.held > _MAX_JUNK:
                found += self.rest()
        return found

    def rest(self) -> list[Seen]:
        """Return what is complete, though it may be junk that goes on."""
        done = bytes(self._kept[: self._decoder.offset - self._base])
        del self._kept[: len(done)]
        self._base += len(done)
        items, self._items = self._items, []
        return _seen(done, items)


def _seen(data: bytes, items: list[Event | ProtocolError]) -> list[Seen]:
    """Tell what these bytes are: events, faults, an unknown element, or junk."""
    when = datetime.now(UTC)
    found = []
    for item in items:
        start = _start(data, item)
        found.append(Seen(_read(data[start:]), item, _junk(data[:start]), when))
        # Should there be another one in the same bytes, the junk has been told of.
        data = data[start:]
    if not items and (junk := _junk(data)):
        head = HEAD.search(_MISC.sub(b"", data))
        raw = Raw(head[1].decode(), {}, (), (), data) if head else None
        found.append(Seen(raw, None, "" if raw else junk, when))
    return found


def _start(data: bytes, item: Event | ProtocolError) -> int:
    name = item.element if isinstance(item, ProtocolError) else ELEMENT_OF[type(item)].xml
    return max(data.rfind(f"<{name}".encode()), 0) if name else len(data)


def _junk(data: bytes) -> str:
    return _MISC.sub(b"", data).decode(errors="replace").strip()


def _read(data: bytes) -> Raw | None:
    """Read an element in the plain form, or as far as it has it; None where its tag has not."""
    head = HEAD.match(data)
    if head is None:
        return None
    attributes, repeated = _attributes(head[0])
    members = []
    for found in _MEMBER.finditer(data, head.end()):
        about, again = _attributes(found[2])
        members.append(RawMember(found[1].decode(), about, found[3] or b""))
        repeated += again
    return Raw(head[1].decode(), attributes, tuple(repeated), tuple(members), data)


def _attributes(data: bytes) -> tuple[dict[str, str], list[str]]:
    """Return the attributes of a tag, and the names of those that are there again."""
    attributes: dict[str, str] = {}
    repeated = []
    for name, value in _ATTRIBUTE.findall(data):
        if name.decode() in attributes:
            repeated.append(name.decode())
        attributes.setdefault(name.decode(), _text(value[1:-1]))
    return attributes, repeated


def _text(value: bytes) -> str:
    """Read an attribute's value; a NUL byte in it is a fault that the decoder tells of."""
    try:
        return attribute_text(value)
    except ValueError:
        return ""
