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
    defSwitchVector,
    format_timestamp,
    number_to_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trindi.cli.addresses import Pattern

__all__ = ["ATTRIBUTES", "Line", "kind_of", "lines_of", "to_json"]


ATTRIBUTES: Final[Mapping[str, str]] = {
    "_LABEL": "label",
    "_GROUP": "group",
    "_STATE": "state",
    "_PERM": "perm",
    "_TO": "timeout",
    "_TS": "timestamp",
    "_RULE": "rule",
}
"""What stands in the place of a member, for an attribute of its property, and how events call that.
Those of indi_getprop, and the rule of switches."""


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


def _attribute(event: DefVector | SetVector, name: str) -> str | None:
    """Say what an attribute is; "" where the property has none, None where a report says nothing.

    Lights have no permission of their own, but are read-only all the same.
    """
    value = getattr(event, ATTRIBUTES[name], None)
    if value is None:
        return "" if isinstance(event, DefVector) else None
    if name == "_TO":
        return number_to_text(float(value))
    if name == "_TS":
        return format_timestamp(value)
    return "" if name == "_PERM" and isinstance(event, defLightVector) else str(value)


def lines_of(event: DefVector | SetVector, pattern: Pattern) -> Iterator[Line]:
    """Yield what a pattern means of an event; BLOBs have no line.

    Neither have attributes of their properties, but where they are named, as with indi_getprop.
    """
    if not pattern.covers(event.devicename, event.vectorname):
        return
    names = (event.devicename, event.vectorname)
    attribute = pattern.member.name
    if attribute in ATTRIBUTES:
        text = _attribute(event, attribute)
        if text is not None and (pattern.vector.is_exact or kind_of(event) is not Kind.BLOB):
            about = {"device": names[0], "vector": names[1], "attribute": attribute, "value": text}
            yield Line(*names, attribute, text, about)
    elif kind_of(event) is not Kind.BLOB:
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
        "timestamp": _attribute(event, "_TS") or None,
    }
    if isinstance(event, DefVector):
        about |= {"group": event.group, "perm": _attribute(event, "_PERM") or None}
        about |= _describe_label(event.memberlabels.get(name, name))
        about |= {"vector_label": event.label, "timeout": getattr(event, "timeout", None)}
        about |= {"message": event.message or None}
        if isinstance(event, defSwitchVector):
            about["rule"] = event.rule
    return about


def _describe_label(label: NumberLabel | str) -> dict[str, Any]:
    return label._asdict() if isinstance(label, NumberLabel) else {"label": label}
