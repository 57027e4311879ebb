"""Bytes to events, sans-IO: incremental at any split, bounded, and never lost for long.

The stream is not an XML document: it has many roots, XML declarations before each of them, and
junk in between (protocol §1). So an element is first read in one pass as what INDI programs write
(`reading`). Where that fails, `framing` finds where the element starts and ends, at any split, and
what is whole but of no plain form goes to defusedxml: it reads any XML, refuses document types and
entities, and says what is wrong with the rest. What it finds is written out in the plain form, so
that there is only one reading of a name or a value.

Every bound is a named constant; what is over one is refused and dropped, and reading goes on.
This is the only importer of defusedxml. It knows no sockets, no tasks and no logging.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import DefusedXMLParser

from trindi.errors import ProtocolError
from trindi.protocol.blobs import Payloads
from trindi.protocol.events import ELEMENTS
from trindi.protocol.framing import Frame, Framer
from trindi.protocol.reading import Malformed, read, read_address
from trindi.protocol.syntax import NAME

if TYPE_CHECKING:
    from trindi.protocol.blobs import Attachments
    from trindi.protocol.events import Element, Event

__all__ = ["MAX_BLOB_BYTES", "MAX_DEPTH", "MAX_ELEMENT_BYTES", "Decoder"]

MAX_ELEMENT_BYTES: Final = 1024 * 1024
"""One element without the payloads of BLOBs: the largest of real drivers stay under 100 KiB."""

MAX_BLOB_BYTES: Final = 1024 * 1024 * 1024
"""The payloads of one element, decoded: libindi counts lengths in 32-bit integers (§14)."""

MAX_DEPTH: Final = 2
"""A vector and its members (§1.1)."""

# Characters that no XML parser takes, but NUL, which shall be an error (§9).
_CONTROL: Final = bytes([*range(1, 9), 11, 12, *range(14, 32), 127])
_PAYLOAD: Final = re.compile(
    rb"""(<oneBLOB(?=[\s>])(?:[^<>"'/]++|/(?!>)|"[^"<]*+"|'[^'<]*+')*+>)([^<]*+)"""
)
_NAME: Final = re.compile(NAME)
_NAME_AT: Final = re.compile(rb"<([A-Za-z_][A-Za-z0-9_]{0,63})")


class _Plain:
    """Writes in the plain form what defusedxml finds in one element.

    The bytes of the element are Latin-1 characters here, so that they come out as they went in.

    Args:
        element: what it is by its name.
        payloads: those that were cut out, by what stands in their place.
    """

    def __init__(self, element: Element, payloads: dict[str, bytes]) -> None:
        self._element = element
        self._payloads = payloads
        self._depth = 0
        self._text: list[str] = []
        self.parts: list[bytes] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        if self._depth > 1 and name != self._element.member:
            raise ValueError(f"a <{name[:40]}> does not belong in it")
        tag = "<" + name
        for attribute, value in attributes.items():
            if not _NAME.fullmatch(attribute):
                raise ValueError(f"{attribute[:40]!r} is no name of an attribute")
            tag += f""" {attribute}="{value.replace('"', "&quot;")}\""""
        self.parts.append(f"{tag}>".encode("latin-1"))
        self._text.clear()

    def start_ns(self, prefix: str, _uri: str) -> None:
        raise ValueError(f"there are no namespaces such as {prefix[:40]!r} in INDI")

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        # Text beside members says nothing.
        if self._depth or not self._element.member:
            self.parts.append(self._content("".join(self._text)))
        self.parts.append(f"</{name}>".encode())
        self._text.clear()

    def _content(self, text: str) -> bytes:
        if self._element.member != "oneBLOB":
            return text.replace("<", "&lt;").encode("latin-1")
        try:
            return self._payloads[text.strip()]
        except KeyError:
            raise ValueError("there is markup in a payload") from None


def _to_plain(data: bytes, element: Element, max_markup: int) -> bytes:
    """Write any element in the plain form.

    Raises:
        ParseError: it is not XML.
        ValueError: it is not INDI, or it is what defusedxml refuses.
    """
    payloads = {"": b""}

    def cut(match: re.Match[bytes]) -> bytes:
        mark = f"[{len(payloads)}]"
        payloads[mark] = match[2]
        return match[1] + mark.encode()

    size = len(data)
    if element.member == "oneBLOB":
        data = _PAYLOAD.sub(cut, data)
    if size - sum(map(len, payloads.values())) > max_markup:
        raise ValueError(f"it is larger than {max_markup} bytes beside its payloads")
    plain = _Plain(element, payloads)
    parser = DefusedXMLParser(target=plain, forbid_dtd=True)
    # References are resolved later, by the rules of INDI; a bare "&" is no fault there (§9).
    # The whole element goes in at once and is closed, so that expat has nothing to defer.
    parser.feed(data.translate(None, _CONTROL).replace(b"&", b"&amp;").decode("latin-1"))
    parser.close()
    return b"".join(plain.parts)


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
        self._max_markup = max_element_bytes
        self._payloads = Payloads(max_blob_bytes, attachments)
        self.offset = 0
        self.skipped = 0
        # What no whole element has been made of yet; an element that was begun is at its start.
        self._held = bytearray()
        self._framer = Framer(self._bound)

    @property
    def held(self) -> int:
        """Bytes of an element that is not complete yet."""
        return len(self._held)

    def feed(self, data: bytes | bytearray) -> list[Event]:
        """Read the next bytes of the stream, however they are cut.

        Returns:
            The events that are now complete, in order.

        Raises:
            ProtocolError: an element is malformed or too large. Its `events` are those read from
                these bytes before it; the rest of the bytes is kept, and ``feed(b"")`` goes on
                with the next element.
        """
        if self._held:
            self._held += data
        buffer = self._held or data
        framer, markup, payloads = self._framer, self._max_markup, self._payloads
        stop, position = len(buffer), 0
        events: list[Event] = []
        error = None
        while error is None:
            found: tuple[int, Event | str | None] | None = None
            if framer.begun:
                start = position
            else:
                start = buffer.find(b"<", position)
                if start < 0:
                    position = stop
                    break
                bound = start + markup
                found = read(buffer, start, bound if bound < stop else stop, payloads)
            found = found or self._framed(buffer, start)
            if found is None:
                position = start
                break
            position, item = found
            if isinstance(item, str):
                error = self._error(item, buffer, start, position)
            elif item is not None:
                events.append(item)
        self.offset += position
        if self._held:
            del self._held[:position]
        else:
            self._held += memoryview(buffer)[position:]
        if error is not None:
            error.events = tuple(events)
            raise error
        return events

    def feed_all(self, data: bytes | bytearray) -> list[Event | ProtocolError]:
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
        element = ELEMENTS.get(name)
        has_payloads = element is not None and element.member == "oneBLOB"
        return self._max_markup + (self._payloads.max_encoded if has_payloads else 0)

    def _framed(
        self, buffer: bytes | bytearray, start: int
    ) -> tuple[int, Event | str | None] | None:
        """Find the end of what starts at `start`, and read that.

        Returns:
            Where it ends, and its event, what is wrong with it, or None where it is to be passed
            over; None where more bytes are needed.
        """
        frame = self._framer.advance(buffer, start)
        if frame is None:
            return None
        if frame.whole:
            return frame.end, self._whole(buffer, start, frame)
        if frame.name and not frame.fault:
            self.skipped += 1
        return frame.end, Malformed(frame.fault) if frame.fault else None

    def _whole(self, buffer: bytes | bytearray, start: int, frame: Frame) -> Event | str:
        """Read a frame, now that all of it is here: in the plain form after all, or as XML."""
        found = read(buffer, start, min(frame.end, start + self._max_markup), self._payloads)
        if found is None:
            data = bytes(memoryview(buffer)[start : frame.end])
            try:
                plain = _to_plain(data, ELEMENTS[frame.name], self._max_markup)
            except (ParseError, ValueError) as error:
                return Malformed(error)
            found = read(plain, 0, len(plain), self._payloads)
            assert found is not None, "it is in the plain form now"
        return found[1]

    def _error(self, reason: str, buffer: bytes | bytearray, start: int, end: int) -> ProtocolError:
        name = _NAME_AT.match(buffer, start, end)
        address = read_address(buffer, start, end)
        return ProtocolError(
            reason,
            element=name[1].decode() if name else None,
            offset=self.offset + start,
            devicename=address.get("device"),
            vectorname=address.get("name"),
            malformed=isinstance(reason, Malformed),
        )
