"""One whole element in the plain form, as bytes, to its event.

The plain form is what INDI programs write: a start tag, then members with nothing but text in them,
or text, then the end tag. The decoder rewrites all other XML into this form first, so that a name
or a value is read in one place only. Each row of the table of elements has one reader, made once.

Most tags that a peer sends it has sent before, but for a time: start tags without their times, and
attributes of members, are remembered with their meaning. This module knows no streams and no XML
parser.
"""

import dataclasses
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from trindi.errors import RefusedError
from trindi.protocol.attributes import (
    READ_VALUE,
    READ_WORD,
    Attributes,
    blob_details,
    details_reader,
    read_fields,
    read_policy,
)
from trindi.protocol.blobs import Loader, Payloads
from trindi.protocol.elements import ELEMENTS, Element, Kind
from trindi.protocol.events import Event
from trindi.protocol.markup import ATTRIBUTES, BLANK, HEAD, Buffer, Memory, read_attributes, text_of
from trindi.protocol.unloaded import UnloadedEvent
from trindi.protocol.values import (
    MAX_NUMBER_LENGTH,
    State,
    SwitchState,
    parse_reading,
    parse_timestamp,
)

V = TypeVar("V")

Values: TypeAlias = list[Any] | str
"""The arguments of an event's class as far as a start tag has them, or what is wrong with it."""
StartTag: TypeAlias = tuple[Values, datetime | None]
"""What a start tag means: its values, and its time."""
Result: TypeAlias = tuple[int, Event | UnloadedEvent | None, str] | None
"""Where an element ends, its event (or None), and what is wrong (or ""); None where the element is
not whole, or not in the plain form."""
Rest: TypeAlias = Callable[[Buffer, int, int, StartTag, Payloads], Result]

# This many tags of a kind are remembered, and none that is longer: hostile ones cannot fill the
# memory.
_MAX_REMEMBERED: Final = 1024
_MAX_REMEMBERED_LENGTH: Final = 256

_from_iso_format: Final = datetime.fromisoformat


def _remember(read: Callable[[Any], V]) -> Memory[Any, V]:
    return Memory(read, _MAX_REMEMBERED, lambda key, _: len(key) <= _MAX_REMEMBERED_LENGTH)


_UNKNOWN: Final[dict[Kind | None, Any]] = {Kind.SWITCH: SwitchState.OFF, Kind.LIGHT: State.IDLE}


def _read_word(read: Callable[[str], Any], default: Any, text: str) -> Any:
    word = read(text) or default
    if word is None:
        raise ValueError(f"{text[:40]!r} is no value")
    return word


def _content_reader(element: Element) -> Callable[[bytes], tuple[str, Any]]:
    """Return what reads the content of a member: its text and its value.

    A value that is not legal makes a client's request illegal. What a driver tells counts without
    it: a number is unknown (real drivers report ``nan``), and a switch or light is Off or Idle in a
    definition, unchanged in a report (then ValueError), as in libindi's clients.
    """
    kind = element.kind
    is_request = element.xml.startswith("new")
    read_value = READ_VALUE[kind]
    if kind is Kind.NUMBER and not is_request:
        read_value = parse_reading
    elif kind in READ_WORD and not is_request:
        default = _UNKNOWN[kind] if element.xml.startswith("def") else None
        read_value = partial(_read_word, READ_WORD[kind], default)

    def read(content: bytes) -> tuple[str, Any]:
        text = text_of(content)
        return text, read_value(text)

    def read_number(content: bytes) -> tuple[str, Any]:
        plain = content.strip()
        # Python accepts more than INDI does, but not of these characters.
        if len(plain) <= MAX_NUMBER_LENGTH and not plain.strip(b"0123456789.+-"):
            text = plain.decode()
            try:
                return text, float(text)
            except ValueError:
                pass
        return read(content)

    if kind is Kind.NUMBER:
        return read_number
    # There are few texts of switches and lights.
    return _remember(read).__getitem__ if kind in {Kind.SWITCH, Kind.LIGHT} else read


class Malformed(str):
    """What is wrong with the form of an element, and not only with a value in it."""

    __slots__ = ()


class _Reader:
    """Reads the events of one element: here, of one without members."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self._make = element.cls._made
        fields = [one.name for one in dataclasses.fields(element.cls)]
        # Field → its index among the arguments of the event's class.
        self._index = {name: index for index, name in enumerate(fields)}
        self._timestamp = self._index.get("timestamp")
        self._content = self._index.get(element.content)
        self._end = re.compile(f"([^<]*+)</{element.xml}>".encode())
        self._nothing = f"</{element.xml}>".encode()
        self.values = _remember(self._read_values)

    def _read_values(self, attributes: bytes) -> Values:
        try:
            event = self._element.cls(**read_fields(self._element, read_attributes(attributes)))
        except ValueError as error:
            return Malformed(error)
        return [getattr(event, name) for name in self._index]

    def rest(self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads) -> Result:
        """Read what follows the start tag, which ends at `at`; for `stop` see `read`."""
        found = self._end.match(buffer, at, stop)
        if found is None:
            return None
        end = found.end()
        values, timestamp = tag
        if not isinstance(values, list):
            return end, None, values
        values = values.copy()
        if self._timestamp is not None:
            values[self._timestamp] = timestamp
        if self._content is not None:
            try:
                values[self._content] = read_policy(text_of(found[1]))
            except ValueError as error:
                return end, None, str(error)
        return end, self._make(*values), ""

    def none(self, _: Buffer, at: int, _stop: int, tag: StartTag, payloads: Payloads) -> Result:
        """Read an element that ends with its start tag as one that is empty."""
        found = self.rest(self._nothing, 0, len(self._nothing), tag, payloads)
        return found and (at, *found[1:])


class _VectorReader(_Reader):
    """Reads a vector of any kind, but for payloads of BLOBs."""

    def __init__(self, element: Element) -> None:
        super().__init__(element)
        name = element.member
        member = f"<{name}({ATTRIBUTES}){BLANK}*+(?:/>|>([^<]*+)</{name}>)"
        self._member = re.compile(member.encode())
        self._rest = re.compile(f"(?:{BLANK}*+{member})*+{BLANK}*+</{element.xml}>".encode())
        self._length = len(f"<{name}")
        self._read_content = _content_reader(element)
        self._is_request = element.xml.startswith("new")
        self._read_details = details_reader(element)
        self._when = self._index["timestamp"]
        self._members = self._index["members"]
        self._text = self._index.get("text")
        self._details = self._index.get(element.details)
        self._member_tags = _remember(self._read_member_tag)

    def rest(self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads) -> Result:
        found = self._rest.match(buffer, at, stop)
        if found is None:
            return None
        end = found.end()
        values, timestamp = tag
        if not isinstance(values, list):
            return end, None, values
        if found.start(1) == at + self._length:
            # The groups hold the last member, and it is the first as well.
            pairs = [found.groups(b"")]
        else:
            pairs = self._member.findall(buffer, at, end)
        members: dict[str, Any] = {}
        texts: dict[str, str] = {}
        details: dict[str, Any] = {}
        member_tags, read_content = self._member_tags, self._read_content
        for attributes, content in pairs:
            name, detail = member_tags[attributes]
            if not name:
                return end, None, detail
            try:
                texts[name], members[name] = read_content(content)
            except ValueError as error:
                if self._is_request:
                    return end, None, f"{name}: {error}"
                continue
            if detail is not None:
                details[name] = detail
        values = values.copy()
        values[self._when] = timestamp
        values[self._members] = members
        if self._text is not None:
            values[self._text] = texts
        if self._details is not None:
            values[self._details] = details
        return end, self._make(*values), ""

    def _read_member_tag(self, attributes: bytes) -> tuple[str, Any]:
        """Return a member's name and its details, or "" and what is wrong."""
        try:
            found = read_attributes(attributes)
            if not found.get("name"):
                return "", f"a <{self._element.member}> has no name"
            return found["name"], self._read_details(found)
        except ValueError as error:
            return "", Malformed(error)


class _BLOBReader(_Reader):
    """Reads a vector of BLOBs; only the base64 decoder looks at their payloads."""

    def __init__(self, element: Element) -> None:
        super().__init__(element)
        self._start = re.compile(f"{BLANK}*+<oneBLOB({ATTRIBUTES}){BLANK}*+(/?)>".encode())
        self._end = re.compile(f"{BLANK}*+</{element.xml}>".encode())

    def rest(self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads) -> Result:
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
        found = self._end.match(buffer, at, min(stop, last))
        if found is None:
            return None
        values, timestamp = tag
        if not isinstance(values, list):
            return found.end(), None, values
        values = values.copy()
        values[self._index["timestamp"]] = timestamp
        members = values[self._index["members"]] = {}
        sizeformat = values[self._index["sizeformat"]] = {}
        try:
            loaders = self._read_members(buffer, texts, payloads, values)
        except (ValueError, RefusedError) as error:
            return found.end(), None, str(error)
        event = self._make(*values)
        if not loaders:
            return found.end(), event, ""
        size = sum(map(len, members.values())) + sum(sizeformat[name].size for name in loaders)
        return found.end(), UnloadedEvent(event, loaders, size), ""

    def _read_members(
        self, buffer: Buffer, texts: list[tuple[bytes, slice]], payloads: Payloads, values: Any
    ) -> dict[str, Loader]:
        """Put members and sizeformat into the values; return what loads those that take long."""
        devicename, vectorname, members, sizeformat = [
            values[self._index[field]]
            for field in ("devicename", "vectorname", "members", "sizeformat")
        ]
        loaders: dict[str, Loader] = {}
        size = 0
        for tag, text in texts:
            attributes = read_attributes(tag)
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


def _reader(element: Element) -> _Reader:
    vector = _BLOBReader if element.has_blobs else _VectorReader
    return vector(element) if element.kind else _Reader(element)


class _Readers(dict[bytes, _Reader]):
    """The readers by name of element; each is made when it is first needed."""

    def __missing__(self, name: bytes) -> _Reader | None:
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
_known_starts: Final = _remember(_read_start)
_known_starts_with_time: Final = _remember(_read_start_with_time)


def read_address(buffer: Buffer, start: int, stop: int) -> Attributes:
    """Return the attributes of the element that starts at `start`; {} where they are broken."""
    head = HEAD.match(buffer, start, stop)
    try:
        return read_attributes(head[2] + head[4]) if head else {}
    except ValueError:
        return {}


def read(buffer: Buffer, start: int, stop: int, payloads: Payloads) -> Result:
    """Read the element whose ``<`` is at `start`, if it is whole and in the plain form.

    At `stop` it must end, or the bytes end; payloads of BLOBs are not counted.
    """
    end = buffer.find(b">", start, start + _MAX_REMEMBERED_LENGTH)
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
