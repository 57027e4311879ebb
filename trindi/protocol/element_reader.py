"""One whole element in the plain form, as bytes, to its event.

The plain form is what INDI programs write: a start tag, then members with nothing but text in them,
or text, then the end tag. The decoder rewrites all other XML into this form first, so that a name
or a value is read in one place only. Each row of the table of elements has one reader, made once.

Most tags that a peer sends it has sent before, but for a time: start tags without their times, and
attributes of members, are remembered with their meaning. This module knows no streams and no XML
parser. An element that is long is read in steps (`read_steps`).
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

from trindi.errors import RefusedError
from trindi.protocol.attributes import Attributes, blob_details
from trindi.protocol.blobs import MAX_BLOBS, TOO_MANY_BLOBS, Loader, Payloads
from trindi.protocol.elements import ELEMENTS, Element
from trindi.protocol.markup import (
    ATTRIBUTES,
    BLANK,
    HEAD,
    LONG_HEAD,
    STEP_BYTES,
    Buffer,
    Steps,
    attributes_steps,
    finish,
    read_attributes,
)
from trindi.protocol.tag_reader import (
    MAX_REMEMBERED_LENGTH,
    Malformed,
    Reader,
    Result,
    StartTag,
    Values,
    remember,
)
from trindi.protocol.unloaded import UnloadedEvent
from trindi.protocol.values import parse_timestamp
from trindi.protocol.vector_reader import VectorReader

Rest: TypeAlias = Callable[[Buffer, int, int, StartTag, Payloads], Result]

_from_iso_format: Final = datetime.fromisoformat


class _BLOBReader(Reader):
    """Reads a vector of BLOBs; only the base64 decoder looks at their payloads."""

    def __init__(self, element: Element) -> None:
        super().__init__(element)
        self._start = re.compile(f"{BLANK}*+<oneBLOB({ATTRIBUTES}){BLANK}*+(/?)>".encode())
        self._end = re.compile(f"{BLANK}*+</{element.xml}>".encode())

    def rest(self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads) -> Result:
        return finish(self.rest_steps(buffer, at, stop, tag, payloads))

    def rest_steps(
        self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads
    ) -> Steps[Result]:
        last = min(len(buffer), stop + payloads.max_encoded)
        texts: list[tuple[bytes, slice]] = []
        while found := self._start.match(buffer, at, min(stop, last)):
            start = end = at = found.end()
            if not found[2]:
                end = buffer.find(b"<", start, last)
                if not buffer.startswith(b"</oneBLOB>", end, last):
                    return None
                at = end + len(b"</oneBLOB>")
                stop += end - start
            texts.append((found[1], slice(start, end)))
            if not len(texts) % MAX_BLOBS:
                yield
        found = self._end.match(buffer, at, min(stop, last))
        if found is None:
            return None
        values, timestamp = tag
        if not isinstance(values, list):
            return found.end(), None, values
        if len(texts) > MAX_BLOBS:
            return found.end(), None, Malformed(TOO_MANY_BLOBS)
        values = values.copy()
        values[self._index["timestamp"]] = timestamp
        members = values[self._index["members"]] = {}
        sizeformat = values[self._index["sizeformat"]] = {}
        try:
            loaders = yield from self._read_members(buffer, texts, payloads, values)
        except (ValueError, RefusedError) as error:
            return found.end(), None, str(error)
        event = self._make(*values)
        if not loaders:
            return found.end(), event, ""
        size = sum(map(len, members.values())) + sum(sizeformat[name].size for name in loaders)
        return found.end(), UnloadedEvent(event, loaders, size), ""

    def _read_members(
        self, buffer: Buffer, texts: list[tuple[bytes, slice]], payloads: Payloads, values: Any
    ) -> Steps[dict[str, Loader]]:
        """Put members and sizeformat into the values; return what loads those that take long."""
        devicename, vectorname, members, sizeformat = [
            values[self._index[field]]
            for field in ("devicename", "vectorname", "members", "sizeformat")
        ]
        loaders: dict[str, Loader] = {}
        size = 0
        for tag, text in texts:
            attributes = yield from attributes_steps(tag)
            name = attributes.get("name")
            if not name:
                raise ValueError("a <oneBLOB> has no name")
            try:
                about, attached = blob_details(attributes)
                room = payloads.max_bytes - size
                data: bytes | Loader
                if attached:
                    data = payloads.attached(about, room)
                else:
                    data = payloads.inline(buffer, text, about, room)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            loaders.pop(name, None)
            size += len(data) if isinstance(data, bytes) else about.size
            wanted = payloads.admit(self._element.cls, devicename, vectorname, name, size)
            members[name] = data if wanted and isinstance(data, bytes) else b""
            sizeformat[name] = about
            if wanted and not isinstance(data, bytes):
                loaders[name] = data
        return loaders


def _reader(element: Element) -> Reader:
    vector = _BLOBReader if element.has_blobs else VectorReader
    return vector(element) if element.kind else Reader(element)


class _Readers(dict[bytes, Reader]):
    """The readers by name of element; each is made when it is first needed."""

    def __missing__(self, name: bytes) -> Reader | None:
        element = ELEMENTS.get(name.decode())
        return self.setdefault(name, _reader(element)) if element else None


_READERS: Final = _Readers()


def _start(head: re.Match[bytes] | None) -> tuple[Rest, Values] | None:
    """Return what reads the rest of the element, and its values; None for an unknown name."""
    if head is None or (reader := _READERS[head[1]]) is None:
        return None
    return reader.none if head[5] else reader.rest, reader.values[head[2] + head[4]]


def _read_start(text: str) -> tuple[Rest, Values] | None:
    """Read a start tag, given without its ``>``; None where it has a time."""
    head = HEAD.fullmatch(f"{text}>".encode("latin-1"))
    return _start(head) if head and not head[3] else None


def _read_start_with_time(parts: tuple[str, str]) -> tuple[Rest, Values] | None:
    """Read a start tag, given as what stands before and after its time."""
    before, after = parts
    head = HEAD.fullmatch(f'{before}{_TIME}"{after}>'.encode("latin-1"))
    return _start(head) if head and head.end(3) == len(before) + len(_TIME) + 1 else None


_TIME: Final = ' timestamp="'
_known_starts: Final = remember(_read_start)
_known_starts_with_time: Final = remember(_read_start_with_time)


def read_address(buffer: Buffer, start: int, stop: int) -> Attributes:
    """Return the attributes of the element that starts at `start`; {} where they are broken.

    So they are where the start tag takes more than one step to read.
    """
    head = HEAD.match(buffer, start, min(stop, start + STEP_BYTES))
    try:
        return read_attributes(head[2] + head[4]) if head else {}
    except ValueError:
        return {}


def read(buffer: Buffer, start: int, stop: int, payloads: Payloads) -> Result:
    """Read the element whose ``<`` is at `start`, if it is whole and in the plain form.

    At `stop` it must end, or the bytes end; payloads of BLOBs are not counted.
    """
    end = buffer.find(b">", start, start + MAX_REMEMBERED_LENGTH)
    if 0 < end < stop:
        before, has_time, rest = buffer[start:end].decode("latin-1").partition(_TIME)
        if has_time:
            time, quote, after = rest.partition('"')
            known = _known_starts_with_time[before, after] if quote and "<" not in time else None
        else:
            time, known = "", _known_starts[before]
        if known is not None:
            try:
                timestamp = _from_iso_format(time + "Z") if time else None
            except ValueError:
                pass
            else:
                read_rest, values = known
                return read_rest(buffer, end + 1, stop, (values, timestamp), payloads)
    head = HEAD.match(buffer, start, stop)
    unknown = _start(head)
    if head is None or unknown is None:
        return None
    timestamp = parse_timestamp(head[3][1:-1].decode("latin-1")) if head[3] else None
    read_rest, values = unknown
    return read_rest(buffer, head.end(), stop, (values, timestamp), payloads)


def read_steps(buffer: Buffer, start: int, stop: int, payloads: Payloads) -> Steps[Result]:
    """Read an element whose end is found as `read` does, in steps, none of which takes long."""
    if stop - start <= STEP_BYTES:
        return read(buffer, start, stop, payloads)
    head = LONG_HEAD.match(buffer, start, stop)
    reader = head and _READERS[head[1]]
    if head is None or reader is None:
        return None
    yield
    values = yield from reader.values_steps(head[2] + head[4])
    timestamp = parse_timestamp(head[3][1:-1].decode("latin-1")) if head[3] else None
    tag = values, timestamp
    if head[5]:
        return reader.none(buffer, head.end(), stop, tag, payloads)
    return (yield from reader.rest_steps(buffer, head.end(), stop, tag, payloads))
