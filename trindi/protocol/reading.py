"""From the pieces of one element to its event: attributes and members, checked and typed.

Both readers of the decoder hand over the same pieces, a start tag and the members below it; what is
not a legal INDI value raises `ValueError` with a phrase for whoever sent it. This module knows
neither streams nor buffers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from trindi.protocol.blobs import COMPRESSED, decode_base64, decompress
from trindi.protocol.events import Element, Event, Kind, Limits, NumberLabel, SizeFormat, Type
from trindi.protocol.framing import MAX_NAME_LENGTH
from trindi.protocol.values import (
    BLOBPolicy,
    Permission,
    Rule,
    State,
    SwitchState,
    clean,
    parse_number,
    parse_timestamp,
)

__all__ = [
    "MAX_ATTRIBUTES",
    "MAX_ATTRIBUTE_LENGTH",
    "Attachments",
    "BLOBReader",
    "Member",
    "Tag",
    "build",
    "check_attributes",
    "read_tag",
    "to_text",
]

MAX_ATTRIBUTES: Final = 32
"""Attributes of one element; the protocol knows at most eleven (§1.5)."""

MAX_ATTRIBUTE_LENGTH: Final = 64 * 1024
"""Characters of one attribute; libindi keeps 254 of the longest, ``message`` (§1.5)."""

_BLANKS: Final = " \t\r\n"

Attachments: TypeAlias = Callable[[int], bytes]
"""Takes the `size` bytes of the next attached BLOB; raises ValueError where there is none (§4.5)."""


class Tag(NamedTuple):
    """A start tag: its name, its attributes (the first of a name wins), whether it ends at once."""

    name: str
    attributes: Mapping[str, str]
    closed: bool = False


class Member(NamedTuple):
    """A member of a vector, its content as it was on the wire."""

    tag: Tag
    content: bytes | memoryview | str


# Text ------------------------------------------------------------------------------------------

_REFERENCE: Final = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def _character(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name:
        return _ENTITIES[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if 0 < code < 0x110000 else str(match[0])


def to_text(data: bytes | memoryview) -> str:
    """Decode as UTF-8, or as Latin-1 where it is not: no byte is an error (§1.3)."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        return str(data, "latin-1")


def _unescape(text: str) -> str:
    """Resolve the five entities and character references; any other ``&`` is itself (§9)."""
    if "&" in text:
        text = _REFERENCE.sub(_character, text)
    if text.isprintable():
        return text
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))


def _attribute_text(text: str) -> str:
    text = _unescape(text)
    return text if text.isprintable() else text.replace("\n", " ").replace("\t", " ")


def _text(content: bytes | memoryview | str) -> str:
    text = content if isinstance(content, str) else to_text(content)
    if "\0" in text:
        raise ValueError("there is a NUL byte in it")
    return _unescape(text).strip(_BLANKS)


# Start tags of the plain form ------------------------------------------------------------------

_XML_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAG: Final = re.compile(
    rb"<([A-Za-z_][A-Za-z0-9_]*+)"
    rb"((?:\s+[A-Za-z_][A-Za-z0-9_]*+\s*=\s*(?:\"[^\"<\0]*+\"|'[^'<\0]*+'))*+)\s*+(/?)>"
)
_ATTRIBUTE: Final = re.compile(r"""([A-Za-z0-9_]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
# Tags of members, and of vectors without a timestamp, come again and again; longer ones are rare
# enough to be read anew.
_MAX_REMEMBERED: Final = 256


def _read_tag(data: bytes) -> Tag | None:
    match = _TAG.fullmatch(data)
    if match is None:
        return None
    attributes: dict[str, str] = {}
    for name, double, single in _ATTRIBUTE.findall(to_text(match[2])):
        attributes.setdefault(name, double or single)
    tag = Tag(match[1].decode(), attributes, bool(match[3]))
    try:
        return check_attributes(tag)
    except ValueError:
        return None


_remembered_tag = lru_cache(maxsize=4096)(_read_tag)


def read_tag(data: bytes) -> Tag | None:
    """Read a whole start tag; None where it is not of the plain form."""
    return _remembered_tag(data) if len(data) <= _MAX_REMEMBERED else _read_tag(data)


def check_attributes(tag: Tag) -> Tag:
    """Return the tag with its attributes' entities resolved.

    Raises:
        ValueError: a bound is passed, or a name is not one that INDI programs can read (§1.2).
    """
    attributes = tag.attributes
    if len(attributes) > MAX_ATTRIBUTES:
        raise ValueError(f"it has more than {MAX_ATTRIBUTES} attributes")
    for name, value in attributes.items():
        if len(value) > MAX_ATTRIBUTE_LENGTH or len(name) > MAX_NAME_LENGTH:
            raise ValueError(f"the attribute {name[:40]} is too long")
        if not _XML_NAME.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no name of an attribute")
    resolved = {name: _attribute_text(value) for name, value in attributes.items()}
    return Tag(tag.name, resolved, tag.closed)


# Values ----------------------------------------------------------------------------------------


def _choice(choices: Iterable[Any], what: str) -> Callable[[str], Any]:
    table = {str(choice): choice for choice in choices}

    def read(text: str) -> Any:
        try:
            return table[text.strip(_BLANKS)]
        except KeyError:
            raise ValueError(f"{text[:40]!r} is no {what} ({', '.join(table)})") from None

    return read


def _seconds(text: str) -> float:
    """Read a number that is no more than a hint: what cannot be read is 0."""
    try:
        return parse_number(text)
    except ValueError:
        return 0.0


_switch: Final = _choice(SwitchState, "switch value")
_light: Final = _choice(State, "light value")
_policy: Final = _choice(BLOBPolicy, "BLOB policy")
_READ: Final[dict[Type, Callable[[str], Any]]] = {
    Type.TEXT: str,
    Type.STATE: _choice(State, "state"),
    Type.PERM: _choice(Permission, "permission"),
    Type.RULE: _choice(Rule, "switch rule"),
    Type.SECONDS: _seconds,
    Type.TIMESTAMP: parse_timestamp,
}


def _attributes(element: Element, found: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for attribute in element.attributes:
        text = found.get(attribute.xml)
        if text:
            values[attribute.field] = _READ[attribute.type](text)
        elif attribute.required:
            raise ValueError(f"the attribute {attribute.xml} is missing")
        elif attribute.always:
            values[attribute.field] = attribute.default
    # A label that is not there is the name; one that is there and empty is meant (§2).
    if "label" in values and "label" not in found:
        values["label"] = values["vectorname"]
    return values


# Members, by kind ------------------------------------------------------------------------------


def _named(members: Sequence[Member]) -> Iterator[tuple[str, Member]]:
    for member in members:
        name = member.tag.attributes.get("name")
        if not name:
            raise ValueError(f"a <{member.tag.name}> has no name")
        yield name, member


def _values(members: Sequence[Member], read: Callable[[str], Any]) -> dict[str, Any]:
    values = {}
    for name, member in _named(members):
        try:
            values[name] = read(_text(member.content))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return values


def _labels(members: Sequence[Member]) -> dict[str, str]:
    return {name: member.tag.attributes.get("label", name) for name, member in _named(members)}


def _limits(attributes: Mapping[str, str]) -> Limits:
    return Limits(*(_seconds(attributes.get(name, "0")) for name in Limits._fields))


def _plain(element: Element, members: Sequence[Member]) -> dict[str, Any]:
    read = _switch if element.kind is Kind.SWITCH else _light
    fields = {"members": _values(members, str if element.kind is Kind.TEXT else read)}
    if element.defines:
        fields["memberlabels"] = _labels(members)
    return fields


def _numbers(element: Element, members: Sequence[Member]) -> dict[str, Any]:
    values = _values(members, parse_number)
    fields: dict[str, Any] = {"members": values, "text": _values(members, str)}
    if element.defines:
        fields["memberlabels"] = {
            name: NumberLabel(
                member.tag.attributes.get("label", name),
                member.tag.attributes.get("format", ""),
                *_limits(member.tag.attributes),
            )
            for name, member in _named(members)
        }
    elif element.reports:
        fields["limits"] = {
            name: _limits(member.tag.attributes)
            for name, member in _named(members)
            if member.tag.attributes.keys() >= {"min", "max"}
        }
    return fields


def _blob_definitions(element: Element, members: Sequence[Member]) -> dict[str, Any]:
    labels = _labels(members)
    return {"members": dict.fromkeys(labels), "memberlabels": labels}


class BLOBReader:
    """Reads the payloads of BLOBs.

    Args:
        max_bytes: bound of the payloads of one element, decoded, in bytes.
        attachments: takes the bytes of an attached BLOB; without it such a BLOB is refused.
    """

    def __init__(self, max_bytes: int, attachments: Attachments | None) -> None:
        self._max_bytes = max_bytes
        self._attachments = attachments

    def __call__(self, element: Element, members: Sequence[Member]) -> dict[str, Any]:
        """Return the fields of a BLOB event."""
        values: dict[str, bytes] = {}
        sizeformat: dict[str, SizeFormat] = {}
        for name, member in _named(members):
            try:
                sizeformat[name] = about = self._about(member.tag.attributes)
                room = self._max_bytes - sum(map(len, values.values()))
                values[name] = self._payload(member, about, room)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return {"members": values, "sizeformat": sizeformat}

    @staticmethod
    def _about(attributes: Mapping[str, str]) -> SizeFormat:
        size, display = attributes.get("size", "").strip(_BLANKS), attributes.get("format")
        # One that is no plain decimal, or out of range, kills indiserver (§9): never pass it on.
        if not (size.isascii() and size.isdigit()) or len(size) > 18:
            raise ValueError(f"the size {size[:40]!r} of a BLOB is no number of bytes")
        if display is None:
            raise ValueError("a BLOB has no format")
        return SizeFormat(int(size), display)

    def _payload(self, member: Member, about: SizeFormat, room: int) -> bytes:
        if member.tag.attributes.get("attached", "").lower() == "true":
            if self._attachments is None:
                raise ValueError("a BLOB cannot be attached on this connection")
            self._check(about.size, room)
            return self._attachments(about.size)
        content = member.content.encode() if isinstance(member.content, str) else member.content
        data = decode_base64(content)
        if about.format.endswith(COMPRESSED) and data:
            self._check(about.size, room)
            return decompress(data, about.size)
        self._check(len(data), room)
        return data

    def _check(self, size: int, room: int) -> None:
        if size > room:
            raise ValueError(f"more than {self._max_bytes} bytes of BLOBs in one element")


# The event -------------------------------------------------------------------------------------


def build(
    element: Element,
    tag: Tag,
    members: Sequence[Member],
    content: bytes | str,
    blobs: BLOBReader,
) -> Event:
    """Make the event of an element.

    Raises:
        ValueError: an attribute is missing, or a value is not a legal one.
    """
    fields = _attributes(element, tag.attributes)
    match element.kind:
        case None:
            if element.content:
                fields[element.content] = _policy(_text(content))
        case Kind.NUMBER:
            fields |= _numbers(element, members)
        case Kind.BLOB if element.defines:
            fields |= _blob_definitions(element, members)
        case Kind.BLOB:
            fields |= blobs(element, members)
        case _:
            fields |= _plain(element, members)
    event: Event = element.cls(**fields)
    return event
