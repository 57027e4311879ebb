"""What a recording holds, and each item as a JSON object and back; this module opens no files.

An event becomes an object with the name of its class and its fields by their own names; fields
that are empty or at their default are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from trindi.errors import TrindiError
from trindi.protocol import (
    ELEMENT_OF,
    NO_READING,
    BLOBPolicy,
    Event,
    Kind,
    Limits,
    NumberLabel,
    Permission,
    Rule,
    SizeFormat,
    State,
    SwitchState,
    format_timestamp,
    is_unknown,
    newNumberVector,
    parse_timestamp,
    to_float,
)

if TYPE_CHECKING:
    from datetime import datetime

FORMAT: Final = "trindi recording"
"""The key of the first line that marks a recording; its value is the version."""

VERSIONS: Final = (1,)
"""The versions of the format that can be read; the last one is written."""


class RecordingError(TrindiError, ValueError):
    """A recording cannot be read; the message names the line and the reason."""


class Side(StrEnum):
    """The two ends of a connection: the client, and the server or driver it talks to."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> Side:
        """The opposite end."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


@dataclass(frozen=True, slots=True)
class Unparsed:
    """An element that the decoder refused: the reason, its first 4096 bytes, and its size."""

    reason: str
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """One side sends nothing more: the connection broke, or it was closed."""

    broken: bool = False


Item: TypeAlias = Event | Unparsed | EndOfStream
"""What a line of a recording holds."""


class Entry(NamedTuple):
    """One line of a recording: seconds since it began, the side that sent the item, the item."""

    time: float
    source: Side
    item: Item


KeepBlob: TypeAlias = Callable[[bytes, str], Mapping[str, Any]]
"""Stores a payload of some format, and returns the JSON object that says where it is."""

LoadBlob: TypeAlias = Callable[[Mapping[str, Any]], bytes]
"""Returns the payload for such an object; raises ValueError if there is none."""

_CLASSES: Final = {cls.__name__: cls for cls in ELEMENT_OF}

# `text` is how the peer wrote its numbers; the others belong to a driver in this process.
_LEFT_OUT: Final = frozenset({"text", "vector", "repeated"})


def to_json(item: Item, keep: KeepBlob) -> dict[str, Any]:
    if isinstance(item, EndOfStream):
        return {"end": "broken" if item.broken else "closed"}
    if isinstance(item, Unparsed):
        return {"garbled": item.data.decode("latin-1"), "size": item.size, "reason": item.reason}
    written: dict[str, Any] = {"event": type(item).__name__}
    for field in fields(item):
        value = getattr(item, field.name)
        if field.name not in _LEFT_OUT and value not in (None, "", {}):
            written[field.name] = _write_field(item, field.name, value, keep)
    return written


def _write_field(event: Any, name: str, value: Any, keep: KeepBlob) -> Any:
    if name == "timestamp":
        return format_timestamp(value)
    if not isinstance(value, Mapping):
        return value
    if name == "members" and ELEMENT_OF[type(event)].member == "oneBLOB":
        formats = {member: about.format for member, about in event.sizeformat.items()}
        return {member: keep(data, formats.get(member, "")) for member, data in value.items()}
    return {member: _write_member(one) for member, one in value.items()}


def _write_member(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return value._asdict()
    return None if is_unknown(value) else value  # JSON has no NaN


def from_json(written: Mapping[str, Any], load: LoadBlob) -> Item:
    """Return the item that a JSON object stands for; ValueError or KeyError if there is none."""
    match written:
        case {"event": str(name)}:
            return _read_event(name, written, load)
        case {"garbled": str(text), "size": int(size), "reason": str(reason)}:
            return Unparsed(reason, text.encode("latin-1"), size)
        case {"end": "closed" | "broken" as end}:
            return EndOfStream(broken=end == "broken")
    raise ValueError("it has neither event, nor garbled, nor end")


def _read_event(name: str, written: Mapping[str, Any], load: LoadBlob) -> Event:
    cls = _CLASSES.get(name)
    if cls is None:
        raise ValueError(f"there is no event {name!r}")
    known = {field.name: field for field in fields(cls) if field.name not in _LEFT_OUT}
    if unknown := written.keys() - known.keys() - {"event"}:
        raise ValueError(f"{name} has no {min(unknown)}")
    values: dict[str, Any] = {}
    for key, field in known.items():
        if key in written:
            values[key] = _reader(cls, key, load)(written[key])
        elif key in ("label", "group"):
            values[key] = ""
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"it lacks {key}")
    event: Event = cls(**values)
    return event


def _reader(cls: type[Any], name: str, load: LoadBlob) -> Callable[[Any], Any]:
    element = ELEMENT_OF[cls]
    if name == "members":
        if cls is newNumberVector:
            return partial(_mapping, read_number)  # Nobody can ask for no reading.
        return partial(_mapping, load if element.member == "oneBLOB" else _MEMBERS[element.kind])
    if name == "memberlabels":
        return partial(_mapping, _number_label if element.kind is Kind.NUMBER else _text)
    return _FIELDS.get(name, _text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def read_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a number")
    return to_float(value)


def _reading(value: Any) -> float:
    return NO_READING if value is None else read_number(value)


def read_timestamp(value: Any) -> datetime:
    time = parse_timestamp(_text(value))
    if time is None:
        raise ValueError(f"{value!r} is not a time")
    return time


def _nothing(value: Any) -> None:
    if value is not None:
        raise ValueError(f"the BLOB of a definition is null, not {value!r}")


def _mapping(read: Callable[[Any], Any], value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not an object")
    return {name: read(one) for name, one in value.items()}


def _number_label(value: Any) -> NumberLabel:
    limits = _limits({name: value[name] for name in Limits._fields})
    return NumberLabel(_text(value["label"]), _text(value["format"]), *limits)


def _limits(value: Any) -> Limits:
    return Limits(**_mapping(read_number, value))


def _size_format(value: Any) -> SizeFormat:
    size = value["size"]
    if isinstance(size, bool) or not isinstance(size, int):
        raise ValueError(f"{size!r} is not a number of bytes")
    return SizeFormat(size, _text(value["format"]))


_MEMBERS: Final[Mapping[Kind | None, Callable[[Any], Any]]] = {
    Kind.SWITCH: SwitchState,
    Kind.TEXT: _text,
    Kind.NUMBER: _reading,
    Kind.LIGHT: State,
    Kind.BLOB: _nothing,
}

_FIELDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "state": State,
    "perm": Permission,
    "rule": Rule,
    "policy": BLOBPolicy,
    "timestamp": read_timestamp,
    "timeout": read_number,
    "limits": partial(_mapping, _limits),
    "sizeformat": partial(_mapping, _size_format),
}
