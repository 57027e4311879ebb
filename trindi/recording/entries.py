"""What a recording holds, and how events are written as JSON and read back.

An event is an object with the name of its class and its fields by their own names, so that a line
reads as the event would in Python; what is empty, or left at its default, is not written. The
table of elements says which kind of values the members have. This module opens no files: payloads
of BLOBs are handed to whoever knows where they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from trindi.errors import TrindiError
from trindi.protocol import (
    ELEMENT_OF,
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
    parse_timestamp,
    to_float,
)

__all__ = [
    "Ended",
    "Entry",
    "Garbled",
    "Item",
    "KeepBlob",
    "LoadBlob",
    "RecordingError",
    "Side",
    "from_json",
    "to_json",
]


class RecordingError(TrindiError, ValueError):
    """A recording cannot be read; the text says where, and why."""


class Side(StrEnum):
    """Who says something: the client, or the server or driver that it talks to."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> Side:
        """Who is at the other end."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


@dataclass(frozen=True, slots=True)
class Garbled:
    """An element that is no INDI.

    Attributes:
        reason: what is wrong with it.
        data: its bytes, or the first of them.
        size: how many it had.
    """

    reason: str
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Ended:
    """That side says no more.

    Attributes:
        broken: the connection broke; otherwise it was closed.
    """

    broken: bool = False


Item: TypeAlias = Event | Garbled | Ended


class Entry(NamedTuple):
    """One thing that was said.

    Attributes:
        time: seconds since the recording began.
        source: who said it.
        item: what was said.
    """

    time: float
    source: Side
    item: Item


KeepBlob: TypeAlias = Callable[[bytes, str], Mapping[str, Any]]
"""Keeps a payload of some format, and returns the JSON object that says where it is."""

LoadBlob: TypeAlias = Callable[[Mapping[str, Any]], bytes]
"""Returns the payload that such an object stands for; ValueError where there is none."""

_CLASSES: Final = {cls.__name__: cls for cls in ELEMENT_OF}

# How they were written by the peer is no part of what events say, and `vector` is a driver's own.
_LEFT_OUT: Final = frozenset({"text", "vector"})
_ENUMS: Final = {"state": State, "perm": Permission, "rule": Rule, "policy": BLOBPolicy}


# Writing ---------------------------------------------------------------------------------------


def to_json(event: Event, keep: KeepBlob) -> dict[str, Any]:
    """Return an event as a JSON object."""
    written: dict[str, Any] = {"event": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name not in _LEFT_OUT and _is_telling(value):
            written[field.name] = _write(event, field.name, value, keep)
    return written


def _is_telling(value: Any) -> bool:
    return value is not None and value != "" and (value != {} or not isinstance(value, Mapping))


def _write(event: Any, name: str, value: Any, keep: KeepBlob) -> Any:
    if name == "timestamp":
        return format_timestamp(value)
    if not isinstance(value, Mapping):
        return value
    if name == "members" and ELEMENT_OF[type(event)].member == "oneBLOB":
        formats = {member: about.format for member, about in event.sizeformat.items()}
        return {member: keep(data, formats.get(member, "")) for member, data in value.items()}
    return {member: _write_detail(one) for member, one in value.items()}


def _write_detail(value: Any) -> Any:
    return value._asdict() if hasattr(value, "_asdict") else value


# Reading ---------------------------------------------------------------------------------------


def from_json(written: Mapping[str, Any], load: LoadBlob) -> Event:
    """Return the event that a JSON object stands for.

    Raises:
        ValueError: it stands for none.
    """
    cls = _CLASSES.get(written["event"])
    if cls is None:
        raise ValueError(f"there are no events {written['event']!r}")
    known = {field.name: field for field in fields(cls) if field.name not in _LEFT_OUT}
    unknown = written.keys() - known.keys() - {"event"}
    if unknown:
        raise ValueError(f"{cls.__name__} has no {min(unknown)}")
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in written:
            values[name] = _read(cls, name, written[name], load)
        elif field.default is MISSING and field.default_factory is MISSING:
            values[name] = _absent(name)
    event: Event = cls(**values)
    return event


def _absent(name: str) -> str:
    """What stands for a field that an event must have; only empty texts are not written."""
    if name in ("label", "group"):
        return ""
    raise ValueError(f"it lacks {name}")


def _read(cls: type[Any], name: str, value: Any, load: LoadBlob) -> Any:
    if name in _ENUMS:
        return _ENUMS[name](value)
    if name == "timestamp":
        return _read_timestamp(value)
    if name == "timeout":
        return _number(value)
    if name in _DETAILS:
        return _DETAILS[name](cls, value, load)
    return _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is no number")
    return to_float(value)


def _nothing(value: Any) -> None:
    if value is not None:
        raise ValueError(f"a definition has no {value!r}")


def _read_timestamp(value: Any) -> Any:
    time = parse_timestamp(_text(value))
    if time is None:
        raise ValueError(f"{value!r} is no time")
    return time


_VALUES: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.SWITCH: SwitchState,
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.LIGHT: State,
    Kind.BLOB: _nothing,
}


def _mapping(value: Any, read: Callable[[Any], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no object")
    return {name: read(one) for name, one in value.items()}


def _read_members(cls: type[Any], value: Any, load: LoadBlob) -> dict[str, Any]:
    element = ELEMENT_OF[cls]
    assert element.kind is not None
    return _mapping(value, load if element.member == "oneBLOB" else _VALUES[element.kind])


def _read_labels(cls: type[Any], value: Any, _load: LoadBlob) -> dict[str, Any]:
    numbers = ELEMENT_OF[cls].kind is Kind.NUMBER
    return _mapping(value, _read_number_label if numbers else _text)


def _read_number_label(value: Any) -> NumberLabel:
    limits = _read_limits({name: value[name] for name in Limits._fields})
    return NumberLabel(_text(value["label"]), _text(value["format"]), *limits)


def _read_limits(value: Any) -> Limits:
    return Limits(**_mapping(value, _number))


def _read_size(value: Any) -> SizeFormat:
    size = value["size"]
    if isinstance(size, bool) or not isinstance(size, int):
        raise ValueError(f"{size!r} is no number of bytes")
    return SizeFormat(size, _text(value["format"]))


_DETAILS: Final[dict[str, Callable[[type[Any], Any, LoadBlob], Any]]] = {
    "members": _read_members,
    "memberlabels": _read_labels,
    "limits": lambda _cls, value, _load: _mapping(value, _read_limits),
    "sizeformat": lambda _cls, value, _load: _mapping(value, _read_size),
}
