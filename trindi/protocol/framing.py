"""Where one element starts and ends in a stream of bytes that is not an XML document.

The framer knows just enough XML for that: quotes in tags, comments, declarations, and the names
that INDI has. It looks at every byte a bounded number of times, however the stream is cut, and its
answers depend on the bytes alone, never on the cuts. It does not look into an element.

How it recovers from a fault (protocol §9): a ``<`` inside a tag, or the start of a known element
inside another known one, means that the first was never finished; reading goes on at the second.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from trindi.protocol.elements import ELEMENTS
from trindi.protocol.markup import BLANK, IS, MAX_NAME_LENGTH, QUOTED, Buffer
from trindi.protocol.values import BLANKS

_NAME: Final = re.compile(rb"[^ \t\r\n/>]+")
_TAG_MARK: Final = re.compile(rb"[<>\"']")
_QUOTED_MARK: Final = {b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}
_ROOT_START: Final = re.compile(f"<(?:{'|'.join(sorted(ELEMENTS))})[ \t\r\n/>]".encode())
# An unknown element may have any XML name; Python's "<object at 0x7f…>" is no element.
_ANY_NAME: Final = "[^\0- =<>\"'/]++"
_WELL_FORMED: Final = re.compile(
    f"<{_ANY_NAME}(?:{BLANK}++{_ANY_NAME}{IS}{QUOTED})*+{BLANK}*+/?>".encode()
)
# How markup starts and ends. An XML declaration ends at any ">", as it does for libindi (§1.2).
_MARKUP: Final = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<!", b">"), (b"<?", b">"))
_LONGEST_MARKUP: Final = max(len(opening) for opening, _ in _MARKUP)


class FramedElement(NamedTuple):
    """A stretch of the stream whose end is found."""

    end: int
    name: str = ""  # "" for a comment, a declaration or junk
    fault: str = ""  # "" for a whole element, and for what may be passed over silently
    whole: bool = False  # a whole element with a known name


class Framer:
    """Finds the end of what starts at a ``<``; resumable at any byte.

    `limit` returns the bound in bytes of an element of a name, "" for anything else.
    """

    def __init__(self, limit: Callable[[str], int]) -> None:
        self._limit = limit
        self._reset()

    def _reset(self) -> None:
        self._step: Callable[[Buffer, int, int], FramedElement | None] = self._start
        self.begun = False  # an element is begun whose end is not found yet
        self._seen = 0  # bytes after the start that are looked at
        self._opening = 0  # offset of the last "<" among them that has no ">" yet
        self._name = ""
        self.body = 0  # offset of what follows the start tag, once that is known
        self.taken = 0  # bytes that were taken out of the buffer
        self._close = b""
        self._quote = b""

    def advance(self, buffer: Buffer, start: int) -> FramedElement | None:
        """Look for the end of what starts at `start`, from where the last call stopped.

        Where it returns None, give it the same bytes and more, with the same element at `start`.
        """
        self.begun = True
        while True:
            step = self._step
            limit = self._limit(self._name)
            bound = start + limit - self.taken
            frame = step(buffer, start, min(bound, len(buffer)))
            if frame is None and self._step == step:
                if len(buffer) < bound:
                    return None
                frame = self._faulty(bound, f"it is larger than {limit} bytes")
            if frame is not None:
                self._reset()
                return frame

    def remaining(self, held: int) -> int:
        """Return how many more bytes the element may have when `held` bytes of it are held."""
        return self._limit(self._name) - self.taken - held

    @property
    def name(self) -> str:
        """Name of the element, once its start tag is complete."""
        return self._name

    @property
    def opening(self) -> int:
        """Offset of the last ``<`` that has no ``>`` yet; 0 where there is none."""
        return self._opening

    def took_out(self, start: int, count: int) -> None:
        """Note that bytes of the body that it has seen were taken out of the buffer."""
        self._seen -= count
        self.taken += count
        if self._opening > start:
            self._opening -= count

    def skipped(self, count: int) -> None:
        """Note that bytes of text never came into the buffer."""
        self.taken += count

    # Each step looks at buffer[start + self._seen : stop]; it returns the frame, or sets the next
    # step, or notes in `_seen` how far it has looked.

    def _start(self, buffer: Buffer, start: int, stop: int) -> FramedElement | None:
        head = bytes(buffer[start : min(stop, start + _LONGEST_MARKUP)])
        self._seen = 1
        for opening, closing in _MARKUP:
            if head.startswith(opening):
                self._seen = len(opening)
                self._close = closing
                self._step = self._markup
                return None
            if opening.startswith(head):
                return None
        if not head[1:2].isalpha() and head[1:2] != b"_":
            return FramedElement(start + 1)
        self._step = self._tag
        return None

    def _markup(self, buffer: Buffer, start: int, stop: int) -> FramedElement | None:
        found = buffer.find(self._close, start + self._seen, stop)
        if found < 0:
            self._seen = max(self._seen, stop - start - len(self._close) + 1)
            return None
        if bytes(buffer[start : start + 9]).upper() == b"<!DOCTYPE":
            return FramedElement(found + 1, fault="document types and entities are refused")
        return FramedElement(found + len(self._close))

    def _tag(self, buffer: Buffer, start: int, stop: int) -> FramedElement | None:
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

    def _tag_end(self, buffer: Buffer, start: int, at: int) -> FramedElement | None:
        self._read_name(buffer, start, at)
        if len(self._name) > MAX_NAME_LENGTH:
            return FramedElement(at + 1, fault=f"a name of more than {MAX_NAME_LENGTH} characters")
        if self._name not in ELEMENTS and not _WELL_FORMED.match(buffer, start, at + 1):
            return FramedElement(at + 1)
        if buffer[at - 1] == ord("/"):
            return self._whole(at + 1)
        self._close = b"</" + self._name.encode("latin-1")
        self.body = at + 1 - start
        self._step = self._body
        return None

    def _body(self, buffer: Buffer, start: int, stop: int) -> FramedElement | None:
        known = self._name in ELEMENTS
        while True:
            before = start + self._seen
            at = buffer.find(b">", before, stop)
            last = buffer.rfind(b"<", before, at if at >= 0 else stop)
            if last >= 0:
                self._opening = last - start
            if at < 0:
                self._seen = stop - start
                return None
            self._seen = at + 1 - start
            opening = start + self._opening
            self._opening = 0
            if buffer.startswith(self._close, opening):
                if not buffer[opening + len(self._close) : at].strip(BLANKS.encode()):
                    return self._whole(at + 1)
            elif known and opening > start and _ROOT_START.match(buffer, opening, at + 1):
                return self._faulty(opening, "its end tag is missing")

    def _read_name(self, buffer: Buffer, start: int, stop: int) -> None:
        match = _NAME.match(buffer, start + 1, min(stop, start + MAX_NAME_LENGTH + 2))
        self._name = match[0].decode("latin-1") if match else ""

    def _whole(self, end: int) -> FramedElement:
        return FramedElement(end, self._name, whole=self._name in ELEMENTS)

    def _faulty(self, end: int, fault: str) -> FramedElement:
        """An unknown element is passed over silently, unless even its name is not found."""
        is_silent = self._name and self._name not in ELEMENTS
        return FramedElement(end, self._name, "" if is_silent else fault)
