"""Values as lines in the format of libindi's ``indi_getprop``, or as JSON.

Each `Line` is one member, or one attribute of a property. Numbers are shown as the device wrote
them.
"""

from __future__ import annotations

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
    is_unknown,
    number_to_text,
    reading_to_text,
)
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trindi.cli.addresses import Pattern


ATTRIBUTES: Final[Mapping[str, str]] = {
    "_LABEL": "label",
    "_GROUP": "group",
    "_STATE": "state",
    "_PERM": "perm",
    "_TO": "timeout",
    "_TS": "timestamp",
    "_RULE": "rule",
}
"""Names that stand in the place of a member for an attribute of its property, and the field of the
event. All but _RULE are those of indi_getprop."""


class Line(NamedTuple):
    """A member or one of `ATTRIBUTES`, its value as text, and all that is known of it, for JSON."""

    devicename: str
    vectorname: str
    name: str
    text: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{join_names(*self[:3])}={self.text}"


def kind_of(event: DefVector | SetVector) -> Kind:
    kind = ELEMENT_OF[type(event)].kind
    assert kind is not None, "definitions and reports have members"
    return kind


def lines_of(event: DefVector | SetVector, pattern: Pattern) -> Iterator[Line]:
    """Yield an event's lines; attributes of BLOBs only of a vector named without a wildcard."""
    if not pattern.covers(event.devicename, event.vectorname):
        return
    names = (event.devicename, event.vectorname)
    attribute = pattern.member.name
    if attribute in ATTRIBUTES:
        text = _attribute(event, attribute)
        if text is not None and (pattern.vector.is_exact or kind_of(event) is not Kind.BLOB):
            data = {"device": names[0], "vector": names[1], "attribute": attribute, "value": text}
            yield Line(*names, attribute, text, data)
    elif kind_of(event) is not Kind.BLOB:
        for name in filter(pattern.member.matches, event):
            yield Line(*names, name, _text(event, name), _data(event, name))


def _attribute(event: DefVector | SetVector, name: str) -> str | None:
    """Return an attribute as text; "" where a definition lacks it, None where a report does."""
    value = getattr(event, ATTRIBUTES[name], None)
    if value is None:
        return "" if isinstance(event, DefVector) else None
    if name == "_TO":
        return number_to_text(float(value))
    if name == "_TS":
        return format_timestamp(value)
    # indi_getprop shows no permission of lights.
    return "" if name == "_PERM" and isinstance(event, defLightVector) else str(value)


def _text(event: Any, name: str) -> str:
    if kind_of(event) is Kind.NUMBER:
        value = event[name]
        text = reading_to_text(value)
        return text if is_unknown(value) else str(event.text.get(name) or text)
    return str(event[name])


def _data(event: Any, name: str) -> dict[str, Any]:
    data = {
        "device": event.devicename,
        "vector": event.vectorname,
        "member": name,
        "kind": kind_of(event).value.lower(),
        "value": _known(event[name]),
        "state": event.state,
        "timestamp": _attribute(event, "_TS") or None,
    }
    if isinstance(event, DefVector):
        label = event.memberlabels.get(name, name)
        data |= {"group": event.group, "perm": _attribute(event, "_PERM") or None}
        data |= label._asdict() if isinstance(label, NumberLabel) else {"label": label}
        data |= {"vector_label": event.label, "timeout": getattr(event, "timeout", None)}
        data |= {"message": event.message or None}
        if isinstance(event, defSwitchVector):
            data["rule"] = event.rule
    return data


def _known(value: Any) -> Any:
    """Return a value, or None for no reading: JSON has no NaN."""
    return None if is_unknown(value) else value
