"""Bytes to events, sans-IO: incremental at any split, bounded, and never lost for long.

The stream is not an XML document: it has many roots, XML declarations before each of them, and
junk in between (protocol §1). So `framing` first finds where one element starts and ends, and the
decoder reads it as a whole. There are two readers of one grammar:

* `_plain` reads what INDI programs write (a vector, its members, their text) in one pass over the
  bytes. BLOB payloads are cut out here, and decoded in bulk.
* whatever is not of that plain form goes to defusedxml, which reads any XML, refuses document
  types and entities, and says what is wrong with the rest.

Both hand the same pieces to `reading.build`. Every bound is a named constant; what is over one is
refused and dropped, and reading goes on.

This is the only importer of defusedxml. It knows no sockets, no tasks and no logging.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import DefusedXMLParser

from trindi.errors import ProtocolError
from trindi.protocol.events import ELEMENTS, Element, Event
from trindi.protocol.framing import Framer
from trindi.protocol.reading import (
    Attachments,
    BLOBReader,
    Member,
    Tag,
    build,
    check_attributes,
    read_tag,
    to_text,
)

__all__ = ["MAX_BLOB_BYTES", "MAX_DEPTH", "MAX_ELEMENT_BYTES", "Attachments", "Decoder"]

MAX_ELEMENT_BYTES: Final = 1024 * 1024
"""One element without BLOBs: the largest vectors of real drivers stay under 100 KiB."""

MAX_BLOB_BYTES: Final = 1024 * 1024 * 1024
"""The payloads of one BLOB element, decoded: libindi counts lengths in 32-bit integers (§14)."""

MAX_DEPTH: Final = 2
"""A vector and its members (§1.1)."""

# A longer tag is left to the other reader, so that looking for its end stays cheap.
_MAX_PLAIN_TAG: Final = 8192

_PAYLOAD: Final = re.compile(
    rb"""(<oneBLOB\b(?:[^<>"'/]++|/(?!>)|"[^"<]*+"|'[^'<]*+')*+>)([^<]*+)"""
)


class _Pieces:
    """What defusedxml finds in one element: its tag, its members, its own text."""

    def __init__(self) -> None:
        self.root = Tag("", {})
        self.members: list[Member] = []
        self.content = ""
        self._depth = 0
        self._tag = self.root
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        self._tag = check_attributes(Tag(name, attributes))
        if self._depth == 1:
            self.root = self._tag
        self._text.clear()

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _name: str) -> None:
        self._depth -= 1
        if self._depth:
            self.members.append(Member(self._tag, "".join(self._text)))
        else:
            self.content = "".join(self._text)
        self._text.clear()

    def close(self) -> None:
        """Nothing is left to do at the end of the element."""


def _read_xml(text: str) -> _Pieces:
    """Read one element with defusedxml.

    Raises:
        ParseError: it is not XML.
        ValueError: it is not INDI, or it is what defusedxml refuses.
    """
    if "\0" in text:
        raise ValueError("there is a NUL byte in it")
    pieces = _Pieces()
    parser = DefusedXMLParser(target=pieces, forbid_dtd=True)
    # Entities are resolved later, by the rules of INDI; a bare "&" is no fault there (§9).
    # The whole element goes in at once and is closed, so that expat has nothing to defer.
    parser.feed(_CONTROL.sub(" ", text).replace("&", "&amp;"))
    parser.close()
    return pieces


_CONTROL: Final = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


class Decoder:
    """Turns the bytes of one peer into events.

    Args:
        max_element_bytes: bound of one element without BLOB payloads, in bytes.
        max_blob_bytes: bound of the payloads of one BLOB element, decoded, in bytes.
        attachments: takes the bytes of an attached BLOB; without it such a BLOB is refused.

    Attributes:
        offset: bytes of the stream that are done with.
        skipped: how many elements of unknown name were passed over.
    """

    def __init__(
        self,
        *,
        max_element_bytes: int = MAX_ELEMENT_BYTES,
        max_blob_bytes: int = MAX_BLOB_BYTES,
        attachments: Attachments | None = None,
    ) -> None:
        # Base64 makes 4 characters of 3 bytes, and some senders break the line after each 72.
        encoded = max_blob_bytes * 4 // 3
        blob_bound = max_element_bytes + encoded + encoded // 32
        self._bounds = {
            name: blob_bound if element.member == "oneBLOB" else max_element_bytes
            for name, element in ELEMENTS.items()
        }
        self._other_bound = max_element_bytes
        self._blobs = BLOBReader(max_blob_bytes, attachments)
        self.offset = 0
        self.skipped = 0
        # What no whole element has been made of yet; an element that was begun is at its start.
        self._held = bytearray()
        self._framer = Framer(self._bound)

    @property
    def held(self) -> int:
        """Bytes of an element that is not complete yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes of the stream, however they are cut.

        Returns:
            The events that are now complete, in order.

        Raises:
            ProtocolError: an element is malformed or too large. Its `events` are those read from
                these bytes before it; the rest of the bytes is kept, and ``feed(b"")`` goes on
                with the next element.
        """
        buffer: bytes | bytearray = data
        if self._held:
            self._held += data
            buffer = self._held
        events: list[Event] = []
        position = 0
        while True:
            position, item = self._next(buffer, position)
            if item is None or isinstance(item, ProtocolError):
                break
            events.append(item)
        self.offset += position
        if buffer is self._held:
            del self._held[:position]
        else:
            self._held += memoryview(buffer)[position:]
        if item is not None:
            item.events = tuple(events)
            raise item
        return events

    def feed_all(self, data: bytes) -> list[Event | ProtocolError]:
        """Read as `feed` does, but put each `ProtocolError` in its place among the events."""
        items: list[Event | ProtocolError] = []
        while True:
            try:
                items += self.feed(data)
            except ProtocolError as error:
                items += error.events
                items.append(error)
                data = b""
            else:
                return items

    def _bound(self, name: str) -> int:
        return self._bounds.get(name, self._other_bound)

    def _next(
        self, buffer: bytes | bytearray, position: int
    ) -> tuple[int, Event | ProtocolError | None]:
        """Return what comes next and where it ends, or None and where the rest begins."""
        framer = self._framer
        while True:
            if not framer.begun:
                start = buffer.find(b"<", position)
                if start < 0:
                    return len(buffer), None
                position = start
                found = self._plain(buffer, position, len(buffer))
                if found is not None:
                    return found
            frame = framer.advance(buffer, position)
            if frame is None:
                return position, None
            if frame.whole:
                return frame.end, self._whole(buffer, position, frame.end, frame.name)
            if frame.fault:
                return frame.end, self._error(frame.fault, position, frame.name)
            if frame.name:
                self.skipped += 1
            position = frame.end

    def _error(
        self, reason: str, position: int, name: str, attributes: Mapping[str, str] | None = None
    ) -> ProtocolError:
        attributes = attributes or {}
        return ProtocolError(
            reason,
            element=name or None,
            offset=self.offset + position,
            devicename=attributes.get("device"),
            vectorname=attributes.get("name"),
        )

    # The plain form --------------------------------------------------------------------------

    def _plain(
        self, buffer: bytes | bytearray, start: int, stop: int
    ) -> tuple[int, Event | ProtocolError] | None:
        """Read an element of the plain form and its end; None where it is not one, or not whole."""
        at = buffer.find(b">", start, start + _MAX_PLAIN_TAG) + 1
        tag = read_tag(bytes(buffer[start:at]))
        element = ELEMENTS.get(tag.name) if tag else None
        if tag is None or element is None:
            return None
        members: list[Member] = []
        content = b""
        if not tag.closed:
            close = b"</%b>" % tag.name.encode()
            while True:
                opening = buffer.find(b"<", at, stop)
                if buffer.startswith(close, opening, stop):
                    break
                member = opening >= 0 and _plain_member(buffer, at, opening, stop, element)
                if not member:
                    return None
                members.append(member[0])
                at = member[1]
            content = bytes(buffer[at:opening])
            at = opening + len(close)
        if at - start > self._bound(element.xml):
            return None
        return at, self._build(element, tag, members, content, start)

    # Any other form --------------------------------------------------------------------------

    def _whole(
        self, buffer: bytes | bytearray, start: int, stop: int, name: str
    ) -> Event | ProtocolError:
        """Read a frame: in the plain form after all, now that all of it is here, or as XML."""
        found = self._plain(buffer, start, stop)
        if found is not None:
            return found[1]
        data = bytes(memoryview(buffer)[start:stop])
        payloads: list[bytes] = []

        def cut(match: re.Match[bytes]) -> bytes:
            payloads.append(match[2])
            return b"%b%d" % (match[1], len(payloads) - 1)

        element = ELEMENTS[name]
        if element.member == "oneBLOB":
            data = _PAYLOAD.sub(cut, data)
        try:
            pieces = _read_xml(to_text(data))
            members = [_with_payload(member, element, payloads) for member in pieces.members]
        except (ParseError, ValueError) as error:
            return self._error(str(error), start, name)
        return self._build(element, pieces.root, members, pieces.content, start)

    def _build(
        self, element: Element, tag: Tag, members: list[Member], content: bytes | str, start: int
    ) -> Event | ProtocolError:
        try:
            return build(element, tag, members, content, self._blobs)
        except ValueError as error:
            return self._error(str(error), start, element.xml, tag.attributes)
        finally:
            for member in members:
                if isinstance(member.content, memoryview):
                    member.content.release()


def _plain_member(
    buffer: bytes | bytearray, at: int, opening: int, stop: int, element: Element
) -> tuple[Member, int] | None:
    """Read the member that starts at `opening`, and where it ends."""
    if at != opening and buffer[at:opening].strip():
        return None
    content_start = buffer.find(b">", opening, min(stop, opening + _MAX_PLAIN_TAG)) + 1
    tag = read_tag(bytes(buffer[opening:content_start]))
    if tag is None or tag.name != element.member:
        return None
    if tag.closed:
        return Member(tag, b""), content_start
    content_end = buffer.find(b"<", content_start, stop)
    close = b"</%b>" % tag.name.encode()
    if not buffer.startswith(close, content_end, stop) or content_end < 0:
        return None
    # The view is released as soon as the event is made; a BLOB is not copied for it.
    return Member(tag, memoryview(buffer)[content_start:content_end]), content_end + len(close)


def _with_payload(member: Member, element: Element, payloads: list[bytes]) -> Member:
    """Put back the payload that was cut out, and check that the member belongs to the vector."""
    if member.tag.name != element.member:
        raise ValueError(f"a <{member.tag.name[:40]}> does not belong in it")
    if not payloads or member.tag.name != "oneBLOB" or not member.content:
        return member
    return Member(member.tag, payloads[int(str(member.content).strip())])
