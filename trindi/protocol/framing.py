"""Where one element starts and ends in a stream of bytes that is not an XML document.

The framer knows just enough XML for that: quotes in tags, comments, declarations, and the names
that INDI has. It looks at every byte a bounded number of times, however the stream is cut, and its
answers depend on the bytes alone, never on the cuts. It does not look into an element.

How it recovers from a fault (protocol §9): a ``<`` inside a tag, or the start of a known element
inside any element, means that the first was never finished; reading goes on at the second. Each
call looks at a bounded number of bytes.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from trindi.protocol.elements import ELEMENTS
from trindi.protocol.markup import (
    ANY_NAME,
    BLANK,
    IS,
    MAX_ATTRIBUTES,
    MAX_NAME_LENGTH,
    NAME,
    QUOTED,
    STEP_BYTES,
    Buffer,
)
from trindi.protocol.values import BLANKS

_NAME: Final = re.compile(rb"[^ \t\r\n/>]+")
_TAG_MARK: Final = re.compile(rb"[<>\"']")
_IN_TAG: Final = re.compile(rb"""(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*""")
_QUOTED_MARK: Final = {b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}
_FIRST: Final = "".join(sorted({name[0] for name in ELEMENTS}))
_KNOWN: Final = f"(?=[{_FIRST}])(?:{'|'.join(sorted(ELEMENTS))})"
# What may end an element: an end tag, or the start of a known one.
_START_MARK: Final = f"{_KNOWN}(?:[ \t\r\n/][^<>]*+)?"
_END_MARK: Final = re.compile(f"<(?:/[^<>]*+|{_START_MARK})>".encode())


@cache
def _end_mark(name: str) -> re.Pattern[bytes]:
    """Return what finds it for a known element, past the end tags of its members."""
    return re.compile(f"<(?:/{name}{BLANK}*+|{_START_MARK})>".encode())


_WELL_FORMED: Final = re.compile(
    f"<{ANY_NAME}(?:{BLANK}++{ANY_NAME}{IS}{QUOTED}){{0,{MAX_ATTRIBUTES}}}{BLANK}*+/?>".encode()
)
# What is no element of INDI, as it is found below, only faster: stray "<", end tags, declarations
# and comments, up to 64 in a row; unknown elements without content, or with no whole start tag; and
# one unknown element with text. None has a "<" that is not counted here.
_UNKNOWN: Final = f"(?!{_KNOWN}[ \t\r\n/><])[A-Za-z_][A-Za-z0-9_]{{0,63}}+"
_FEW: Final = f"(?:{BLANK}++{NAME}{IS}{QUOTED}){{0,8}}{BLANK}*+"
_COMMENT: Final = "!--[^<>]*?-->"
_JUNK: Final = f"<(?:(?=[^A-Za-z_!?])|[?][^<>]*+>|{_COMMENT}|!(?!--|[dD[])[^<>]*+>)"
_EMPTY: Final = f"<{_UNKNOWN}(?:{_FEW}/>|(?![A-Za-z0-9_])[^<>\"']*+(?=<))"
_TEXT: Final = f"<({_UNKNOWN}){_FEW}>[^<]*+</\\1{BLANK}*+>"
THINGS: Final = (
    # With how many "<" each has, and whether it has a name.
    (re.compile(f"(?:{_JUNK}[^<]*+){{1,64}}".encode()), 1, False),
    (re.compile(f"(?:{_EMPTY}[^<]*+){{1,64}}".encode()), 1, True),
    (re.compile(_TEXT.encode()), 2, True),
)
# How markup starts and ends. An XML declaration ends at any ">", as it does for libindi (§1.2).
_MARKUP: Final = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<!", b">"), (b"<?", b">"))
_MARKS: Final = (b"", b"!", b"?")  # what follows the "<", if it has come
_LONGEST_MARKUP: Final = max(len(opening) for opening, _ in _MARKUP)


class FramedElement(NamedTuple):
    """A stretch of the stream whose end is found."""

    end: int
    name: str = ""  # "" for a comment, a declaration or junk
    fault: str = ""  # "" for a whole element, and for what may be passed over silently
    whole: bool = False  # a whole element with a known name
    too_large: bool = False  # the fault of one whose start tag is whole


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
        self.has_more = False  # not all bytes are looked at yet
        self._seen = 0  # bytes after the start that are looked at
        self._opening = 0  # offset of the last "<" among them that has no ">" yet
        self._name = ""
        self.body = 0  # offset of what follows the start tag, once that is known
        self.taken = 0  # bytes that were taken out of the buffer
        self._close = b""
        self._quote = b""

    def advance(self, buffer: Buffer, start: int) -> FramedElement | None:
        """Look for the end of what starts at `start`, from where the last call stopped.

        Where it returns None, give it the same bytes again if it `has_more` of them to look at, and
        otherwise the same and more, with the same element at `start`.
        """
        self.begun = True
        while True:
            step = self._step
            limit = self._limit(self._name)
            bound = start + limit - self.taken
            last = min(bound, len(buffer))
            stop = min(last, start + self._seen + STEP_BYTES)
            frame = step(buffer, start, stop)
            if frame is None and self._step == step:
                self.has_more = stop < last
                if self.has_more or len(buffer) < bound or step == self._start:
                    return None
                frame = self._faulty(bound, f"it is larger than {limit} bytes")
                frame = frame._replace(too_large=self.body > 0)
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
        head = bytes(buffer[start : start + _LONGEST_MARKUP])
        self._seen = 1
        for opening, closing in _MARKUP if head[1:2] in _MARKS else ():
            if head.startswith(opening):
                self._seen = len(opening)
                self._close = closing
                self._step = self._markup
                return None
            if opening.startswith(head):
                return None
        if not (head[1:2].isalpha() or head[1:2] == b"_"):
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
            if not self._quote:
                # Most quotes are closed: they are passed over together.
                whole = _IN_TAG.match(buffer, start + self._seen, stop)
                self._seen = whole.end() - start if whole else self._seen
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
        before = start + self._seen
        self._seen = stop - start
        if self._opening:
            # A tag was cut, unless another one begins before its end.
            at = buffer.find(b">", before, stop)
            last = buffer.rfind(b"<", before, at if at >= 0 else stop)
            opening = last if last >= 0 else start + self._opening
            self._opening = opening - start if at < 0 else 0
            if at < 0:
                return None
            before = at + 1
            if frame := self._end(buffer, start, opening, before):
                return frame
        end_mark = _end_mark(self._name) if self._name in ELEMENTS else _END_MARK
        while mark := end_mark.search(buffer, before, stop):
            before = mark.end()
            if frame := self._end(buffer, start, mark.start(), before):
                return frame
        last = buffer.rfind(b"<", before, stop)
        if last >= 0 and buffer.find(b">", last, stop) < 0:
            self._opening = last - start
        return None

    def _end(self, buffer: Buffer, start: int, opening: int, end: int) -> FramedElement | None:
        """Return the frame if a tag ends it, or ends it before its time."""
        if buffer.startswith(self._close, opening):
            if not buffer[opening + len(self._close) : end - 1].strip(BLANKS.encode()):
                return self._whole(end)
        elif buffer[opening + 1] != ord("/") and _END_MARK.match(buffer, opening, end):
            return FramedElement(opening, self._name, "its end tag is missing")
        return None

    def _read_name(self, buffer: Buffer, start: int, stop: int) -> None:
        match = _NAME.match(buffer, start + 1, min(stop, start + MAX_NAME_LENGTH + 2))
        self._name = match[0].decode("latin-1") if match else ""

    def _whole(self, end: int) -> FramedElement:
        return FramedElement(end, self._name, whole=self._name in ELEMENTS)

    def _faulty(self, end: int, fault: str) -> FramedElement:
        """An unknown element is passed over silently, unless even its name is not found."""
        is_silent = self._name and self._name not in ELEMENTS
        return FramedElement(end, self._name, "" if is_silent else fault)
