"""Where one element starts and ends in a stream of bytes that is not an XML document.

The framer knows just enough XML for that: quotes in tags, comments, declarations, and which names
INDI has. It looks at every byte a bounded number of times, however the stream is cut, and its
answers depend on the bytes alone, never on the cuts. What is inside an element is not its business.

How it finds back after a fault (protocol §9): a ``<`` inside a tag, or the start of a known element
inside another known one, means that the first was never finished; reading goes on at the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from trindi.protocol.events import ELEMENTS

__all__ = ["MAX_NAME_LENGTH", "Frame", "Framer"]

MAX_NAME_LENGTH: Final = 256
"""Characters of a tag; a longer wrong one crashes indiserver (§9)."""

_NAME: Final = re.compile(rb"[^\s/>]+")
_TAG_MARK: Final = re.compile(rb"[<>\"']")
_QUOTED_MARK: Final = {b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}
_ROOT_START: Final = re.compile(
    rb"<(?:" + "|".join(sorted(ELEMENTS, reverse=True)).encode() + rb")[\s/>]"
)


class Frame(NamedTuple):
    """A stretch of the stream that has been understood as far as its end.

    Attributes:
        end: index of the first byte after it.
        name: name of the element, or "" where it is none (a comment, a declaration, junk).
        fault: why it is not a whole element, or "" where it is one or may be passed over silently.
        whole: it is an element of a known name with both its ends.
    """

    end: int
    name: str = ""
    fault: str = ""
    whole: bool = False


class Framer:
    """Finds the end of what starts at a ``<``; resumable at any byte.

    Args:
        limit: gives the bound in bytes of an element of some name ("" for anything else).
    """

    def __init__(self, limit: Callable[[str], int]) -> None:
        self._limit = limit
        self._begin()

    @property
    def begun(self) -> bool:
        """Whether a search was left unfinished for want of bytes."""
        return self._seen > 0

    def _begin(self) -> None:
        self._step: Callable[[bytes | bytearray, int, int], Frame | None] = self._start
        self._seen = 0  # bytes after the start that need not be looked at again
        self._name = ""
        self._close = b""
        self._quote = b""

    def advance(self, buffer: bytes | bytearray, start: int) -> Frame | None:
        """Look for the end of what starts at `start`, going on where the last call left off.

        Returns:
            The frame, or None where more bytes are needed; then the next call must be given the
            same bytes and more, the same element at `start`.
        """
        while True:
            step = self._step
            bound = start + self._limit(self._name)
            frame = step(buffer, start, min(bound, len(buffer)))
            if frame is None and self._step is step:
                if len(buffer) < bound:
                    return None
                frame = self._faulty(bound, f"it is larger than {bound - start} bytes")
            if frame is not None:
                self._begin()
                return frame

    # Each step looks at buffer[start + self._seen : stop]; it returns the frame, or sets the next
    # step, or else notes in `_seen` how far it came.

    def _start(self, buffer: bytes | bytearray, start: int, stop: int) -> Frame | None:
        head = bytes(buffer[start : min(stop, start + 4)])
        self._seen = 1
        if head == b"<!--":
            self._seen = 4
            self._close = b"-->"
            self._step = self._markup
        elif b"<!--".startswith(head):
            return None
        elif head[1:2] in (b"!", b"?"):
            self._close = b">"
            self._step = self._markup
        elif head[1:2].isalpha() or head[1:2] == b"_":
            self._step = self._tag
        else:
            return Frame(start + 1)
        return None

    def _markup(self, buffer: bytes | bytearray, start: int, stop: int) -> Frame | None:
        found = buffer.find(self._close, start + self._seen, stop)
        if found < 0:
            self._seen = max(self._seen, stop - start - len(self._close) + 1)
            return None
        if bytes(buffer[start : start + 9]).upper() == b"<!DOCTYPE":
            return Frame(found + 1, fault="document types and entities are refused")
        return Frame(found + len(self._close))

    def _tag(self, buffer: bytes | bytearray, start: int, stop: int) -> Frame | None:
        while True:
            mark = _QUOTED_MARK.get(self._quote, _TAG_MARK)
            match = mark.search(buffer, start + self._seen, stop)
            if match is None:
                self._seen = stop - start
                return None
            found, at = match[0], match.start()
            self._seen = match.end() - start
            if found == b"<":
                self._read_name(buffer, start, at)
                return self._faulty(at, "its start tag is not finished")
            if found == b">":
                return self._tag_end(buffer, start, at)
            self._quote = b"" if self._quote else found

    def _tag_end(self, buffer: bytes | bytearray, start: int, at: int) -> Frame | None:
        self._read_name(buffer, start, at)
        if len(self._name) > MAX_NAME_LENGTH:
            return Frame(at + 1, fault=f"a name of more than {MAX_NAME_LENGTH} characters")
        if buffer[at - 1] == ord("/"):
            return self._whole(at + 1)
        self._close = b"</" + self._name.encode("latin-1")
        self._step = self._body
        return None

    def _body(self, buffer: bytes | bytearray, start: int, stop: int) -> Frame | None:
        known = self._name in ELEMENTS
        while True:
            before = start + self._seen
            at = buffer.find(b">", before, stop)
            if at < 0:
                # The "<" that belongs to the next ">" may be among the bytes passed over.
                last = buffer.rfind(b"<", before, stop)
                self._seen = (stop if last < 0 else last) - start
                return None
            opening = buffer.rfind(b"<", before, at)
            self._seen = at + 1 - start
            if opening < 0:
                continue
            if buffer.startswith(self._close, opening):
                if not buffer[opening + len(self._close) : at].strip():
                    return self._whole(at + 1)
            elif known and _ROOT_START.match(buffer, opening, at + 1):
                return self._faulty(opening, "its end tag is missing")

    def _read_name(self, buffer: bytes | bytearray, start: int, stop: int) -> None:
        match = _NAME.match(buffer, start + 1, min(stop, start + MAX_NAME_LENGTH + 2))
        self._name = match[0].decode("latin-1") if match else ""

    def _whole(self, end: int) -> Frame:
        return Frame(end, self._name, whole=self._name in ELEMENTS)

    def _faulty(self, end: int, fault: str) -> Frame:
        """An unknown name is passed over silently, unless it is too large to be known as such."""
        return Frame(end, self._name, fault if self._name in ELEMENTS or not self._name else "")
