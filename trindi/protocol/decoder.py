"""Bytes to events, sans-IO: incremental at any cut, bounded, and back in step after any fault.

The stream is not an XML document: it has many roots, XML declarations before each of them, and
junk between them (protocol §1). An element is first read in one pass as what INDI programs write
(`element_reader`). Where that fails, `framing` finds the end of the element, and an element that is
whole but not in the plain form is rewritten in it (`rewriter`) and read again. All of this is done
in steps that take a millisecond or so: a peer must not keep others waiting, whatever it sends.

Every bound is a named constant; an element beyond one is refused, and reading goes on after it.
"""

import re
from collections.abc import Generator
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from trindi.errors import ProtocolError, check_count
from trindi.protocol.blob_collector import Collector
from trindi.protocol.blobs import Admit, Attachments, Payloads
from trindi.protocol.element_reader import read, read_address, read_steps
from trindi.protocol.elements import ELEMENTS
from trindi.protocol.events import Event
from trindi.protocol.framing import THINGS, FramedElement, Framer
from trindi.protocol.markup import STEP_BYTES, Buffer, Steps, finish
from trindi.protocol.rewriter import rewrite
from trindi.protocol.spans import Span
from trindi.protocol.tag_reader import Malformed, Result, TooLarge
from trindi.protocol.unloaded import UnloadedEvent

MAX_ELEMENT_BYTES: Final = 1024 * 1024
"""One element without the payloads of BLOBs: the largest of real drivers stay under 100 KiB."""

MAX_BLOB_BYTES: Final = 1024 * 1024 * 1024
"""The payloads of one element, decoded: libindi counts lengths in 32-bit integers (§14)."""

MAX_IGNORED: Final = 1024
"""Comments, declarations, unknown elements and stray ``<`` in a row, without one element of INDI:
so many are an error, and each time so many more. libindi's drivers send one for each element."""

# Layout and junk longer than this are more than one span: they are not held without bound.
_MAX_TEXT_SPAN: Final = 64 * 1024

_NAME_AT: Final = re.compile(rb"<([A-Za-z_][A-Za-z0-9_]{0,63})")


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
        self._step = min(max_element_bytes, STEP_BYTES)
        check_count("max_blob_bytes", max_blob_bytes, 0)
        self._payloads = Payloads(max_blob_bytes, attachments, admit)
        self.offset = 0
        self.skipped = 0
        # Bytes of an element that is not complete yet; it starts with them.
        self._held = bytearray()
        self._framer = Framer(self._bound)
        self._collector = Collector(self._framer, self._payloads, max_element_bytes)
        self._ignored = 0  # things in a row that are no elements of INDI
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

    @property
    def keeps_payloads(self) -> bool:
        """Whether payloads are kept of an element that is not complete yet."""
        return self._collector.kept > 0

    def feed(self, data: Buffer) -> list[Event]:
        """Read the next bytes of the stream, however they are cut; return the complete events.

        Raises:
            ProtocolError: an element is malformed or too large. The `events` of the error were
                read before it; the bytes after it are kept, and ``feed(b"")`` goes on with them.
        """
        events: list[Event] = []
        items = self.items(data)
        for each in items:
            item = each.load() if isinstance(each, UnloadedEvent) else each
            if isinstance(item, ProtocolError):
                items.close()
                item.events = tuple(events)
                raise item
            if item is not None:
                events.append(item)
        return events

    def feed_all(self, data: Buffer) -> list[Event | ProtocolError]:
        """Read as `feed` does, but put each `ProtocolError` in its place among the events."""
        return [
            item.load() if isinstance(item, UnloadedEvent) else item
            for item in self.items(data)
            if item is not None
        ]

    def items(
        self, data: Buffer
    ) -> Generator[Event | ProtocolError | UnloadedEvent | None, None, None]:
        """Read as `feed_all` does, in steps that take a millisecond or so at the most.

        Yields each event and error once it is read, and None between steps without one. It is left
        to the caller to load what takes long. Feed nothing else before this has ended, or is
        closed: then the rest is kept.
        """
        if self._held:
            self._held += self._collector.resume(data, self._held)
        buffer = self._held or data
        framer, payloads = self._framer, self._payloads
        step = self._step
        stop, position = len(buffer), 0
        try:
            while True:
                start, found = position, None
                if not framer.begun:
                    start = buffer.find(b"<", position)
                    if start < 0:
                        position = stop
                        return
                    bound = start + step
                    found = read(buffer, start, bound if bound < stop else stop, payloads)
                offset = self.offset
                if found is None:
                    if not framer.begun and (end := self._pass_over(buffer, start)):
                        position = end
                        yield None
                        continue
                    found = yield from self._framed(buffer, start)
                    if found is None:
                        position = start
                        return
                position, event, wrong = found
                if event is not None:
                    self._ignored = 0
                    if type(event) is UnloadedEvent:
                        event.offset = offset + start
                    yield event
                elif wrong:
                    yield self._error(wrong, buffer, start, position, offset + start)
                else:
                    yield None
        finally:
            self._hold(buffer, position)
            if self._held:
                self._collector.collect(self._held)

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
            stop = min(len(buffer), start + self._step)
            found = read(buffer, start, stop, self._payloads)
        found = found or finish(self._framed(buffer, start))
        if found is None:
            return None
        end, event, wrong = found
        if event is not None:
            self._ignored = 0
        item: Any = self._error(wrong, buffer, start, end, self.offset + start) if wrong else event
        if type(item) is UnloadedEvent:
            item.offset = self.offset + start
            item = item.load()
        data = bytes(memoryview(buffer)[start:end])
        is_event = item is not None and not isinstance(item, ProtocolError)
        return Span(item, data, is_event and not self._is_rewritten)

    def _pass_over(self, buffer: Buffer, start: int) -> int:
        """Return where some things end that are no elements of INDI, or 0; this is only faster.

        The last one before an error is not among them.
        """
        left = MAX_IGNORED - 1 - self._ignored
        if not left or start + 1 == len(buffer):
            return 0
        for things, marks, is_named in THINGS:
            found = things.match(buffer, start)
            # One that fills the bound is too large, unless it has its end there.
            if found is None or found.end() - start >= self._max_markup:
                continue
            end = found.end()
            count = buffer.count(b"<", start, end) // marks
            if count > left:
                count, end = left, start
                for _ in range(left * marks):
                    end = buffer.find(b"<", end + 1)
            self._ignored += count
            self.skipped += count if is_named else 0
            return end
        return 0

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

    def _framed(self, buffer: Buffer, start: int) -> Steps[Result]:
        """Find the end of what starts at `start`, and read it; None where more bytes are needed."""
        taken = self._framer.taken
        while (frame := self._framer.advance(buffer, start)) is None:
            if not self._framer.has_more:
                return None
            yield
        event, wrong = None, self._collector.refusal
        if frame.fault:
            wrong = (TooLarge if frame.too_large else Malformed)(frame.fault)
        elif wrong:
            pass  # Its payloads were thrown away.
        elif frame.whole:
            event, wrong = yield from self._whole(buffer, start, frame)
        else:
            self.skipped += bool(frame.name)
            self._ignored += 1
            if self._ignored >= MAX_IGNORED:
                self._ignored = 0
                wrong = Malformed(f"it is one of {MAX_IGNORED} things in a row that are no INDI")
        self._collector.clear()
        self.offset += taken
        return frame.end, event, wrong

    def _whole(
        self, buffer: Buffer, start: int, frame: FramedElement
    ) -> Steps[tuple[Event | UnloadedEvent | None, str]]:
        payloads, markup = self._payloads, self._max_markup
        found = yield from read_steps(buffer, start, min(frame.end, start + markup), payloads)
        if found is None:
            data = bytes(memoryview(buffer)[start : frame.end])
            element = ELEMENTS[frame.name]
            try:
                rewriter = yield from rewrite(data, element, markup, payloads.collected)
            except (ParseError, ValueError) as error:
                return None, Malformed(error)
            payloads.collected = rewriter.collected
            self._is_rewritten = True
            form = rewriter.form
            found = yield from read_steps(form, 0, len(form), payloads)
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
            too_large=isinstance(reason, TooLarge),
        )
