"""What a device says, as lines: those of libindi's ``indi_getprop``, or JSON.

Each `Line` is one member, or one attribute of a property. Numbers are shown as the device has
written them. This module prints nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trindi.protocol import (
    ELEMENT_OF,
    DefVector,
    Kind,
    NumberLabel,
    SetVector,
    defLightVector,
    format_timestamp,
    number_to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trindi.cli.addresses import Pattern

__all__ = ["ATTRIBUTES", "Line", "kind_of", "lines_of", "to_json"]


def _timeout(event: Any) -> str:
    seconds = getattr(event, "timeout", None)
    return "" if seconds is None else number_to_text(float(seconds))


def _permission(event: Any) -> str:
    return "" if isinstance(event, defLightVector) else event.perm


def _timestamp(event: Any) -> str:
    return "" if event.timestamp is None else format_timestamp(event.timestamp)


ATTRIBUTES: Final[Mapping[str, Callable[[Any], str]]] = {
    "_LABEL": lambda event: event.label,
    "_GROUP": lambda event: event.group,
    "_STATE": lambda event: event.state,
    "_PERM": _permission,
    "_TO": _timeout,
    "_TS": _timestamp,
}
"""What stands in the place of a member, for an attribute of its property."""


class Line(NamedTuple):
    """One member or attribute.

    Attributes:
        devicename: the device.
        vectorname: the property.
        name: the member, or one of `ATTRIBUTES`.
        text: its value, as the device has written it.
        data: the same with all that is known of it, for JSON.
    """

    devicename: str
    vectorname: str
    name: str
    text: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.devicename}.{self.vectorname}.{self.name}={self.text}"


def to_json(data: Mapping[str, Any]) -> str:
    """Write one object, on one line."""
    return json.dumps(data, ensure_ascii=False, default=str)


def kind_of(event: DefVector | SetVector) -> Kind:
    """Say what kind of members an event has."""
    kind = ELEMENT_OF[type(event)].kind
    assert kind is not None, "definitions and reports have members"
    return kind


def lines_of(event: DefVector | SetVector, pattern: Pattern) -> Iterator[Line]:
    """Yield what a pattern means of an event; BLOBs have no line.

    Neither have attributes of their properties, but where they are named, as with indi_getprop.
    """
    if not pattern.covers(event.devicename, event.vectorname):
        return
    names = (event.devicename, event.vectorname)
    attribute = ATTRIBUTES.get(pattern.member.name)
    if attribute is not None and (pattern.vector.is_exact or kind_of(event) is not Kind.BLOB):
        name, text = pattern.member.name, attribute(event)
        about = {"device": names[0], "vector": names[1], "attribute": name, "value": text}
        yield Line(*names, name, text, about)
    elif attribute is None and kind_of(event) is not Kind.BLOB:
        for name, value in event.items():
            if pattern.member.matches(name):
                yield Line(*names, name, _text(event, name), _describe(event, name, value))


def _text(event: Any, name: str) -> str:
    if kind_of(event) is Kind.NUMBER:
        return str(event.text.get(name) or number_to_text(event[name]))
    return str(event[name])


def _describe(event: Any, name: str, value: Any) -> dict[str, Any]:
    """All that an event says of a member."""
    about = {
        "device": event.devicename,
        "vector": event.vectorname,
        "member": name,
        "kind": kind_of(event).value.lower(),
        "value": value,
        "state": event.state,
        "timestamp": _timestamp(event) or None,
    }
    if isinstance(event, DefVector):
        about |= {"group": event.group, "perm": _permission(event) or None}
        about |= _describe_label(event.memberlabels.get(name, name))
    return about


def _describe_label(label: NumberLabel | str) -> dict[str, Any]:
    return label._asdict() if isinstance(label, NumberLabel) else {"label": label}
