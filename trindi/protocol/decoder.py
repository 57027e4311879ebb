"""Bytes to events, sans-IO: incremental at any cut, bounded, and back in step after any fault.

The stream is not an XML document: it has many roots, XML declarations before each of them, and
junk between them (protocol §1). An element is first read in one pass as what INDI programs write
(`element_reader`). Where that fails, `framing` finds the end of the element, and an element that is
whole but not in the plain form goes to defusedxml, which reads any XML, refuses document types and
entities, and names faults. The result is rewritten in the plain form and read again, so that a name
or a value is read in one place only.

Every bound is a named constant; an element beyond one is refused, and reading goes on after it.
"""

import re
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import DefusedXMLParser

from trindi.errors import ProtocolError, check_count
from trindi.protocol.blob_collector import PAYLOAD_TAG, Collector, too_much_markup
from trindi.protocol.blobs import Admit, Attachments, Collected, Payloads
from trindi.protocol.element_reader import Malformed, Result, read, read_address
from trindi.protocol.elements import ELEMENTS, Element
from trindi.protocol.events import Event
from trindi.protocol.framing import FramedElement, Framer
from trindi.protocol.markup import NAME, Buffer
from trindi.protocol.spans import Span
from trindi.protocol.unloaded import UnloadedEvent

MAX_ELEMENT_BYTES: Final = 1024 * 1024
"""One element without the payloads of BLOBs: the largest of real drivers stay under 100 KiB."""

MAX_BLOB_BYTES: Final = 1024 * 1024 * 1024
"""The payloads of one element, decoded: libindi counts lengths in 32-bit integers (§14)."""

MAX_DEPTH: Final = 2
"""A vector and its members (§1.1)."""

# Layout and junk longer than this are more than one span: they are not held without bound.
_MAX_TEXT_SPAN: Final = 64 * 1024

# Characters that no XML parser takes, without NUL, which is an error (§9).
_CONTROL: Final = bytes([*range(1, 9), 11, 12, *range(14, 32), 127])
_PAYLOAD: Final = re.compile(b"(" + PAYLOAD_TAG + b")([^<]*+)")
_NAME: Final = re.compile(NAME)
_NAME_AT: Final = re.compile(rb"<([A-Za-z_][A-Za-z0-9_]{0,63})")


class _Rewriter:
    """Rewrites one element in the plain form: the target of an XML parser.

    The bytes of the element are Latin-1 characters here, so that they come out as they went in.
    Its `payloads` are by placeholder, those that are `collected` by offset: first by that in the
    element, at the end by that in the plain `form`.
    """

    def __init__(
        self, element: Element, payloads: dict[str, re.Match[bytes]], collected: Collected
    ) -> None:
        self._element = element
        self._payloads = payloads
        self._decoded = collected
        self._depth = 0
        self._text: list[str] = []
        self.form = bytearray()
        self.collected: Collected = {}

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
        self.form += f"{tag}>".encode("latin-1")
        self._text.clear()

    def start_ns(self, prefix: str, _uri: str) -> None:
        raise ValueError(f"there are no namespaces such as {prefix[:40]!r} in INDI")

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        # Text beside members has no meaning.
        if self._depth or not self._element.member:
            self._content("".join(self._text))
        self.form += f"</{name}>".encode()
        self._text.clear()

    def _content(self, text: str) -> None:
        if not self._element.has_blobs:
            self.form += text.replace("<", "&lt;").encode("latin-1")
            return
        if not (mark := text.strip()):
            return
        # Each only once: repetition would take more memory than the bounds allow.
        payload = self._payloads.pop(mark, None)
        if payload is None:
            raise ValueError("there is markup in a payload")
        place = payload.start(2)
        if place in self._decoded:
            self.collected[len(self.form)] = self._decoded[place]
        else:
            self.form += payload[2]


def _rewrite(data: bytes, element: Element, max_markup: int, collected: Collected) -> _Rewriter:
    """Rewrite any element; ParseError where it is no XML, ValueError where it is no INDI."""
    payloads: dict[str, re.Match[bytes]] = {}

    def cut(match: re.Match[bytes]) -> bytes:
        mark = f"[{len(payloads) + 1}]"
        payloads[mark] = match
        return match[1] + mark.encode()

    size = len(data)
    if element.has_blobs:
        data = _PAYLOAD.sub(cut, data)
    if size - sum(match.end(2) - match.start(2) for match in payloads.values()) > max_markup:
        raise ValueError(too_much_markup(max_markup))
    rewriter = _Rewriter(element, payloads, collected)
    parser = DefusedXMLParser(target=rewriter, forbid_dtd=True)
    # References are resolved later, by the rules of INDI; a bare "&" is no fault there (§9).
    # The whole element goes in at once and is closed, so that expat has nothing to defer.
    parser.feed(data.translate(None, _CONTROL).replace(b"&", b"&amp;").decode("latin-1"))
    parser.close()
    return rewriter


class Decoder:
    """Turns the bytes of one peer into events.

    Args:
        max_element_bytes: bound of one element without BLOB payloads.
        max_blob_bytes: bound of the payloads of one BLOB element, decoded.
        attachments: takes attached BLOBs; without it such a BLOB is refused.
        admit: is asked before payloads are kept, and as they come; without it all are.

    Attributes:
        offset: bytes of the stream that are read completely.
        skipped: how many elements of unknown name were passed over.
    """

    def __init__(
        self,
        *,
        max_element_bytes: int = MAX_ELEMENT_BYTES,
        max_blob_bytes: int = MAX_BLOB_BYTES,
        attachments: Attachments | None = None,
        admit: Admit | None = None,
    ) -> None:
        self._max_markup = check_count("max_element_bytes", max_element_bytes, 1)
        check_count("max_blob_bytes", max_blob_bytes, 0)
        self._payloads = Payloads(max_blob_bytes, attachments, admit)
        self.offset = 0
        self.skipped = 0
        # Bytes of an element that is not complete yet; it starts with them.
        self._held = bytearray()
        self._framer = Framer(self._bound)
        self._collector = Collector(self._framer, self._payloads, max_element_bytes)
        # For spans only: text between elements that may go on, and whether the last element was
        # rewritten.
        self._text = bytearray()
        self._is_rewritten = False

    @property
    def held(self) -> int:
        """Bytes of an element that is not complete yet."""
        return len(self._held) + self._framer.taken

    @property
    def kept(self) -> int:
        """Bytes of memory that it takes: payloads are decoded as they come."""
        return len(self._held) + self._collector.kept

    def feed(self, data: Buffer) -> list[Event]:
        """Read the next bytes of the stream, however they are cut; return the complete events.

        Raises:
            ProtocolError: an element is malformed or too large. The `events` of the error were
                read before it; the bytes after it are kept, and ``feed(b"")`` goes on with them.
        """
        return self._feed(data, load=True)

    def _feed(self, data: Buffer, *, load: bool) -> list[Any]:
        if self._held:
            self._held += self._collector.resume(data, self._held)
        buffer = self._held or data
        framer, markup, payloads = self._framer, self._max_markup, self._payloads
        stop, position = len(buffer), 0
        events: list[Any] = []
        error = None
        while error is None:
            start, found = position, None
            if not framer.begun:
                start = buffer.find(b"<", position)
                if start < 0:
                    position = stop
                    break
                bound = start + markup
                found = read(buffer, start, bound if bound < stop else stop, payloads)
            offset = self.offset
            if found is None:
                found = self._framed(buffer, start)
                if found is None:
                    position = start
                    break
            position, item, wrong = found
            if wrong:
                error = self._error(wrong, buffer, start, position, offset + start)
            elif type(item) is UnloadedEvent:
                item.offset = offset + start
                loaded = item.load() if load else item
                if isinstance(loaded, ProtocolError):
                    error = loaded
                else:
                    events.append(loaded)
            elif item is not None:
                events.append(item)
        self._hold(buffer, position)
        if self._held:
            self._collector.collect(self._held)
        if error is not None:
            error.events = tuple(events)
            raise error
        return events

    def feed_all(self, data: Buffer) -> list[Event | ProtocolError]:
        """Read as `feed` does, but put each `ProtocolError` in its place among the events."""
        return self._feed_all(data, load=True)

    def feed_unloaded(self, data: Buffer) -> list[Event | ProtocolError | UnloadedEvent]:
        """Read as `feed_all` does, but leave it to the caller to load what takes long."""
        return self._feed_all(data, load=False)

    def _feed_all(self, data: Buffer, *, load: bool) -> list[Any]:
        items: list[Any] = []
        while True:
            try:
                return items + self._feed(data, load=load)
            except ProtocolError as error:
                items += (*error.events, error)
                data = b""

    def feed_spans(self, data: Buffer) -> list[Span]:
        """Read as `feed_all` does, and return what is read with its bytes, payloads included.

        All spans together are the stream, and where they end never depends on the cuts: each
        element, comment and declaration is a span, and so is the text between two of them (or more
        than one, if it is longer than 64 KiB), which is returned once the next one has begun. Feed
        a decoder either with this method or with the others.
        """
        if self._held:
            self._held += data
        buffer, position = self._held or data, 0
        spans: list[Span] = []
        while True:
            start = position
            if not self._framer.begun:
                start = buffer.find(b"<", position)
                end = len(buffer) if start < 0 else start
                self._text += memoryview(buffer)[position:end]
                spans += self._text_spans(start >= 0)
                position = end
                if start < 0:
                    break
            span = self._next_span(buffer, start)
            if span is None:
                break
            position += len(span.data)
            spans.append(span)
        self._hold(buffer, position)
        return spans

    def finish(self) -> list[Span]:
        """Return the last spans of a stream that has ended; an unfinished element is an error."""
        spans = self._text_spans(True)
        if self._held:
            data = bytes(self._held)
            error = self._error(Malformed("it is cut short"), data, 0, len(data), self.offset)
            spans.append(Span(error, data))
            self._hold(self._held, len(data))
        return spans

    def _text_spans(self, is_whole: bool) -> list[Span]:
        spans: list[Span] = []
        while len(self._text) >= _MAX_TEXT_SPAN or (is_whole and self._text):
            spans.append(Span(None, bytes(self._text[:_MAX_TEXT_SPAN])))
            del self._text[:_MAX_TEXT_SPAN]
        return spans

    def _next_span(self, buffer: Buffer, start: int) -> Span | None:
        self._is_rewritten = False
        found = None
        if not self._framer.begun:
            stop = min(len(buffer), start + self._max_markup)
            found = read(buffer, start, stop, self._payloads)
        found = found or self._framed(buffer, start)
        if found is None:
            return None
        end, event, wrong = found
        item: Any = self._error(wrong, buffer, start, end, self.offset + start) if wrong else event
        if type(item) is UnloadedEvent:
            item.offset = self.offset + start
            item = item.load()
        data = bytes(memoryview(buffer)[start:end])
        is_event = item is not None and not isinstance(item, ProtocolError)
        return Span(item, data, is_event and not self._is_rewritten)

    def _hold(self, buffer: Buffer, position: int) -> None:
        self.offset += position
        if self._held:
            del self._held[:position]
        elif position < len(buffer):
            self._held += memoryview(buffer)[position:]

    def _bound(self, name: str) -> int:
        element = ELEMENTS.get(name)
        has_blobs = element is not None and element.has_blobs
        return self._max_markup + (self._payloads.max_encoded if has_blobs else 0)

    def _framed(self, buffer: Buffer, start: int) -> Result:
        """Find the end of what starts at `start`, and read it; None where more bytes are needed."""
        taken = self._framer.taken
        frame = self._framer.advance(buffer, start)
        if frame is None:
            return None
        event, wrong = None, self._collector.refusal
        if frame.fault:
            wrong = Malformed(frame.fault)
        elif wrong:
            pass  # Its payloads were thrown away.
        elif frame.whole:
            event, wrong = self._whole(buffer, start, frame)
        elif frame.name:
            self.skipped += 1
        self._collector.clear()
        self.offset += taken
        return frame.end, event, wrong

    def _whole(
        self, buffer: Buffer, start: int, frame: FramedElement
    ) -> tuple[Event | UnloadedEvent | None, str]:
        payloads, markup = self._payloads, self._max_markup
        found = read(buffer, start, min(frame.end, start + markup), payloads)
        if found is None:
            data = bytes(memoryview(buffer)[start : frame.end])
            try:
                rewriter = _rewrite(data, ELEMENTS[frame.name], markup, payloads.collected)
            except (ParseError, ValueError) as error:
                return None, Malformed(error)
            payloads.collected = rewriter.collected
            self._is_rewritten = True
            found = read(rewriter.form, 0, len(rewriter.form), payloads)
            assert found is not None, "it is in the plain form now"
        return found[1:]

    @staticmethod
    def _error(reason: str, buffer: Buffer, start: int, end: int, offset: int) -> ProtocolError:
        name = _NAME_AT.match(buffer, start, end)
        address = read_address(buffer, start, end)
        return ProtocolError(
            reason,
            element=name[1].decode() if name else None,
            offset=offset,
            devicename=address.get("device"),
            vectorname=address.get("name"),
            malformed=isinstance(reason, Malformed),
        )
