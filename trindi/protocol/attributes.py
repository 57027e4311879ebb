"""The attributes and texts of an element as typed values.

A text that is no legal value raises `ValueError` with a phrase that its sender can be told. This
module reads the table of elements; it sees no bytes and no markup.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar

from trindi.protocol import values
from trindi.protocol.elements import Element, Kind
from trindi.protocol.events import Limits, NumberLabel, SizeFormat

Attributes: TypeAlias = Mapping[str, str]

E = TypeVar("E", bound=StrEnum)


def _choice(enumeration: type[E], what: str) -> Callable[[str], E]:
    table = {str(choice): choice for choice in enumeration}

    def read(text: str) -> E:
        try:
            return table[text]
        except KeyError:
            raise ValueError(f"{text[:40]!r} is no {what} ({', '.join(table)})") from None

    return read


# libindi's clients look only at how these words start.
_STARTS: Final = ("On", "Ok", "rw", "ro", "wo")


def _word(enumeration: type[E]) -> Callable[[str], E | None]:
    """Make what reads a word of a driver as libindi's clients do; None where it is none."""
    table = {str(choice): choice for choice in enumeration}
    starts = [start for start in _STARTS if start in table]

    def read(text: str) -> E | None:
        return table.get(next((start for start in starts if text.startswith(start)), text))

    return read


def _hint(text: str) -> float:
    """Return 0 where it cannot be read."""
    try:
        return values.parse_number(text)
    except ValueError:
        return 0.0


read_policy: Final = _choice(values.BLOBPolicy, "BLOB policy")

READ_VALUE: Final[dict[Kind | None, Callable[[str], Any]]] = {
    Kind.SWITCH: _choice(values.SwitchState, "switch value"),
    Kind.TEXT: str,
    Kind.NUMBER: values.parse_number,
    Kind.LIGHT: _choice(values.State, "light value"),
    Kind.BLOB: lambda _: None,  # a definition of a BLOB has no value (§2)
}

READ_WORD: Final[dict[Kind | None, Callable[[str], Any]]] = {
    Kind.SWITCH: _word(values.SwitchState),
    Kind.LIGHT: _word(values.State),
}

# States, permissions and rules are a driver's alone to say.
_READ_ATTRIBUTE: Final[dict[type[Any], Callable[[str], Any]]] = {
    str: str,
    values.State: _word(values.State),
    values.Permission: _word(values.Permission),
    values.Rule: _word(values.Rule),
    float: _hint,
    datetime: values.parse_timestamp,
}


def read_fields(element: Element, attributes: Attributes) -> dict[str, Any]:
    """Return the fields of an element's event that are attributes; ValueError if one is missing.

    One that is not legal counts as absent, as in libindi's clients.
    """
    fields: dict[str, Any] = {}
    for attribute in element.attributes:
        text = attributes.get(attribute.xml)
        value = _READ_ATTRIBUTE[attribute.type](text) if text else None
        if value is not None:
            fields[attribute.field] = value
        elif attribute.required:
            raise ValueError(f"the attribute {attribute.xml} is missing")
        elif attribute.always:
            fields[attribute.field] = attribute.default
    if "label" in fields and "label" not in attributes:
        # A label that is absent is the name; one that is empty is meant to be (§2).
        fields["label"] = fields["vectorname"]
    return fields


def _limits(attributes: Attributes) -> Limits:
    return Limits(*(_hint(attributes.get(name, "0")) for name in Limits._fields))


def _new_limits(attributes: Attributes) -> Limits | None:
    return _limits(attributes) if attributes.keys() >= {"min", "max"} else None


def _label(attributes: Attributes) -> str:
    return attributes.get("label", attributes["name"])


def _number_label(attributes: Attributes) -> NumberLabel:
    limits = _limits(attributes)
    return NumberLabel(_label(attributes), attributes.get("format", ""), *limits)


def details_reader(element: Element) -> Callable[[Attributes], Any]:
    """Return what reads the `details` of an element's members."""
    if element.details == "memberlabels":
        return _number_label if element.kind is Kind.NUMBER else _label
    return _new_limits if element.details else lambda _: None


def blob_details(attributes: Attributes) -> tuple[SizeFormat, bool]:
    """Return the size and format of a BLOB, and whether it is attached; ValueError if bad."""
    size, suffix = attributes.get("size", ""), attributes.get("format")
    # One that is no plain decimal, or out of range, kills indiserver (§9): never pass it on.
    if not (size.isascii() and size.isdigit()) or len(size) > 18:
        raise ValueError(f"the size {size[:40]!r} of a BLOB is no number of bytes")
    if suffix is None:
        raise ValueError("a BLOB has no format")
    return SizeFormat(int(size), suffix), attributes.get("attached", "").lower() == "true"
