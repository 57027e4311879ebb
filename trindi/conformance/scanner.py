"""Reads a peer's bytes as elements as they were written, each with its event.

An event has defaults for attributes that the peer left out, and numbers where the peer wrote text.
A checker needs what was written, so each event comes with the attributes and members of its
element, unparsed. Bytes outside of elements are kept too. This module judges nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from trindi.protocol import Decoder, Event, Span, markup, newBLOBVector, setBLOBVector
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.errors import ProtocolError

_ATTRIBUTE: Final = re.compile(f"({markup.NAME}){markup.IS}({markup.QUOTED})".encode())
_MEMBER: Final = re.compile(
    f"<({markup.NAME})({markup.ATTRIBUTES}){markup.BLANK}*+(?:/>|>([^<]*+))".encode()
)
# Declarations, which libindi writes before each element (§1.4), and comments are no junk.
_IGNORED: Final = (b"<?", b"<!--")
_MAX_JUNK: Final = 64 * 1024


class RawMember(NamedTuple):
    """A member as written: its tag, its attributes, and the bytes between its tags."""

    tag: str
    attributes: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The content as text; "" if it is not text."""
        return _read_text(markup.text_of, self.content)


class RawElement(NamedTuple):
    """An element as written, with all its bytes."""

    name: str
    attributes: dict[str, str]  # Of a repeated one, the first.
    repeated: tuple[str, ...]  # Names of attributes that occur more than once in one tag.
    members: tuple[RawMember, ...]
    data: bytes

    @property
    def address(self) -> str:
        """Device and property, or what there is of them, for people."""
        device, name = self.attributes.get("device", ""), self.attributes.get("name", "")
        return join_names(*filter(None, (device, name))) or self.name


class Observation(NamedTuple):
    """One element that a peer has sent, or junk between elements."""

    raw: RawElement | None  # None for junk, or if the tag cannot be read.
    item: Event | ProtocolError | None  # None for an unknown element, or junk.
    junk: str
    when: datetime
    size: int  # The number of bytes, but those of BLOBs that are not kept.

    def without_payload(self) -> Observation:
        """Return a copy without raw bytes, raw members and the data of BLOBs."""
        item, size = self.item, self.size
        if isinstance(item, (newBLOBVector, setBLOBVector)):
            item, size = replace(item, members=dict.fromkeys(item, b"")), 0
        raw = self.raw and self.raw._replace(data=b"", members=())
        return self._replace(raw=raw, item=item, size=size)


class Scanner:
    def __init__(self) -> None:
        self._decoder = Decoder()
        self._junk = bytearray()

    def feed(self, data: bytes) -> list[Observation]:
        """Read the next bytes of the stream, however they are cut; return what is complete."""
        return self._observations(self._decoder.feed_spans(data))

    def finish(self) -> list[Observation]:
        """Return what the end of the stream completes; ignore an unfinished element."""
        junk = [span for span in self._decoder.finish() if span.item is None]
        return self._observations(junk) + self._take_junk(datetime.now(UTC))

    def _observations(self, spans: list[Span]) -> list[Observation]:
        when = datetime.now(UTC)
        found: list[Observation] = []
        for span in spans:
            raw = _read(span.data)
            if raw is None and span.item is None:
                if not span.data.startswith(_IGNORED):
                    self._junk += span.data
                if len(self._junk) < _MAX_JUNK:
                    continue
            found += self._take_junk(when)
            if raw is not None or span.item is not None:
                found.append(Observation(raw, span.item, "", when, len(span.data)))
        return found

    def _take_junk(self, when: datetime) -> list[Observation]:
        junk = self._junk.decode(errors="replace").strip()
        self._junk.clear()
        return [Observation(None, None, junk, when, len(junk))] if junk else []


def _read(data: bytes) -> RawElement | None:
    """Read an element as far as it has the plain form; None if its tag cannot be read."""
    head = markup.HEAD.match(data)
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
        attributes.setdefault(name.decode(), _read_text(markup.attribute_text, value[1:-1]))
    return attributes, repeated


def _read_text(read: Callable[[bytes], str], data: bytes) -> str:
    """Read text; return "" if there is a NUL byte in it, which the decoder reports."""
    try:
        return read(data)
    except ValueError:
        return ""
