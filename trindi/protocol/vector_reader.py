"""A vector of any kind but BLOBs, in the plain form, as bytes, to its event.

A vector that is long is read some members at a time, and a member that is long for itself.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

from trindi.protocol.attributes import READ_VALUE, READ_WORD, details_reader
from trindi.protocol.blobs import Payloads
from trindi.protocol.elements import Element, Kind
from trindi.protocol.events import Event
from trindi.protocol.markup import (
    ATTRIBUTES,
    BLANK,
    STEP_BYTES,
    Buffer,
    Steps,
    attributes_steps,
    finish,
    text_of,
    text_steps,
)
from trindi.protocol.tag_reader import Malformed, Reader, Result, StartTag, remember
from trindi.protocol.values import MAX_NUMBER_LENGTH, State, SwitchState, parse_reading

_UNKNOWN: Final[dict[Kind | None, Any]] = {Kind.SWITCH: SwitchState.OFF, Kind.LIGHT: State.IDLE}
_SMALL: Final = STEP_BYTES // 2


class _UnknownWord(Exception):  # noqa: N818 - it is none where a driver says it
    """A switch or light of a report has no value."""


def _read_word(read: Callable[[str], Any], default: Any, text: str) -> Any:
    word = read(text) or default
    if word is None:
        raise _UnknownWord
    return word


def _value_reader(element: Element) -> Callable[[str], Any]:
    """Return what makes the text of a member its value.

    A value that is not legal makes a client's request illegal. What a driver tells counts without
    it: a number is unknown (real drivers report ``nan``), and a switch or light is Off or Idle in a
    definition, unchanged in a report, as in libindi's clients.
    """
    kind = element.kind
    if not element.xml.startswith("new"):
        if kind is Kind.NUMBER:
            return parse_reading
        if kind in READ_WORD:
            default = _UNKNOWN[kind] if element.xml.startswith("def") else None
            return partial(_read_word, READ_WORD[kind], default)
    return READ_VALUE[kind]


def _content_reader(
    element: Element, read_value: Callable[[str], Any]
) -> Callable[[bytes], tuple[str, Any]]:
    """Return what reads the content of a member: its text and its value."""
    kind = element.kind

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
    return remember(read).__getitem__ if kind in {Kind.SWITCH, Kind.LIGHT} else read


# Texts, values and details of the members of a vector, each by name of the member.
_Content: TypeAlias = tuple[dict[str, str], dict[str, Any], dict[str, Any]]


class VectorReader(Reader):
    """Reads a vector of any kind, but for payloads of BLOBs."""

    def __init__(self, element: Element) -> None:
        super().__init__(element)
        name = element.member
        member = f"<{name}({ATTRIBUTES}){BLANK}*+(?:/>|>([^<]*+)</{name}>)"
        self._member = re.compile(member.encode())
        more = f"(?:{BLANK}*+<{name}{ATTRIBUTES}{BLANK}*+(?:/>|>[^<]*+</{name}>))*"
        self._some = re.compile(more.encode())
        self._one = re.compile(f"{BLANK}*+{member}".encode())
        self._end = re.compile(f"{BLANK}*+</{element.xml}>".encode())
        members = f"(?:{BLANK}*+{member}({more}))?"
        self._rest = re.compile(f"{members}{BLANK}*+</{element.xml}>".encode())
        self._read_value = _value_reader(element)
        self._read_content = _content_reader(element, self._read_value)
        self._read_details = details_reader(element)
        self._when = self._index["timestamp"]
        self._members = self._index["members"]
        self._text = self._index.get("text")
        self._details = self._index.get(element.details)
        self._member_tags = remember(lambda tag: finish(self._member_tag_steps(tag)))

    def rest(self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads) -> Result:
        # Many that are not whole are found out so, and cost no more; a small one would cost more.
        if stop - at > _SMALL and buffer.find(self._nothing, at, stop) < 0:
            return None
        found = self._rest.match(buffer, at, stop)
        if found is None:
            return None
        end = found.end()
        values, timestamp = tag
        if not isinstance(values, list):
            return end, None, values
        attributes, text, more = found.groups()
        pairs = [] if attributes is None else [(attributes, text or b"")]
        if more:
            pairs += self._member.findall(buffer, found.start(3), end)
        content: _Content = {}, {}, {}
        wrong = self._read_members(pairs, content)
        return end, None if wrong else self._event(values, timestamp, content), wrong

    def rest_steps(
        self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads
    ) -> Steps[Result]:
        content: _Content = {}, {}, {}
        values, timestamp = tag
        wrong = "" if isinstance(values, list) else values
        while True:
            yield
            found = self._some.match(buffer, at, min(stop, at + STEP_BYTES))
            assert found is not None, "none are some"
            if found.end() > at:
                pairs = self._member.findall(buffer, at, found.end())
                wrong = wrong or self._read_members(pairs, content)
            elif found := self._one.match(buffer, at, stop):
                wrong = wrong or (yield from self._read_long(found[1], found[2] or b"", content))
            else:
                break
            at = found.end()
        found = self._end.match(buffer, at, stop)
        if found is None:
            return None
        if wrong or isinstance(values, str):
            return found.end(), None, wrong
        return found.end(), self._event(values, timestamp, content), ""

    def _read_members(self, pairs: list[tuple[bytes, bytes]], content: _Content) -> str:
        """Read members, given as attributes and text; return what is wrong with one, or ""."""
        texts, members, details = content
        member_tags, read_content = self._member_tags, self._read_content
        for attributes, text in pairs:
            name, detail = member_tags[attributes]
            if not name:
                wrong: str = detail
                return wrong
            try:
                texts[name], members[name] = read_content(text)
            except _UnknownWord:
                continue
            except ValueError as error:
                return f"{name}: {error}"
            if detail is not None:
                details[name] = detail
        return ""

    def _read_long(self, attributes: bytes, data: bytes, content: _Content) -> Steps[str]:
        """Read one member as `_read_members` does, in steps."""
        texts, members, details = content
        name, detail = yield from self._member_tag_steps(attributes)
        if not name:
            wrong: str = detail
            return wrong
        try:
            text = yield from text_steps(data)
            members[name] = self._read_value(text)
        except _UnknownWord:
            return ""
        except ValueError as error:
            return f"{name}: {error}"
        texts[name] = text
        if detail is not None:
            details[name] = detail
        return ""

    def _event(self, values: list[Any], timestamp: datetime | None, content: _Content) -> Event:
        values = values.copy()
        values[self._when] = timestamp
        texts, values[self._members], details = content
        if self._text is not None:
            values[self._text] = texts
        if self._details is not None:
            values[self._details] = details
        event: Event = self._make(*values)
        return event

    def _member_tag_steps(self, attributes: bytes) -> Steps[tuple[str, Any]]:
        """Return a member's name and its details, or "" and what is wrong."""
        try:
            found = yield from attributes_steps(attributes)
            if not found.get("name"):
                return "", f"a <{self._element.member}> has no name"
            return found["name"], self._read_details(found)
        except ValueError as error:
            return "", Malformed(error)
