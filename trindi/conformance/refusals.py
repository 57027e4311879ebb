"""Requests that must be refused, as data: what to send, and what shows that it was taken after all.

Of several requests that a driver must refuse, the one is made that would do least if it were taken.
This module sends nothing itself, and does not decide what may be sent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from trindi.conformance.asking import NOBODY, NOTHING
from trindi.protocol import (
    Event,
    Kind,
    NumberLabel,
    Rule,
    SizeFormat,
    SwitchState,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from trindi.conformance.picture import Place, Property

__all__ = ["FOREIGN", "REFUSED", "Request", "new"]

_TEXT: Final = "trindi check"

Values: TypeAlias = "Mapping[str, Any]"
Taken: TypeAlias = "Callable[[Values, Values], str]"


class Request(NamedTuple):
    """One request.

    Attributes:
        place: the property whose definition shows what came of it.
        data: what to send.
        taken: says from the values before and after how it was taken, or "".
        about: what is tried, in words.
    """

    place: Place
    data: Event | bytes
    taken: Taken
    about: str


def new(kind: Kind, place: Place, members: Mapping[str, str]) -> bytes:
    """Write a request by hand, which need not be legal."""
    one = "".join(
        f"<one{kind.value} name={quoteattr(name)}>{escape(text)}</one{kind.value}>"
        for name, text in members.items()
    )
    head = f"device={quoteattr(place[0])} name={quoteattr(place[1])}"
    return f"<new{kind.value}Vector {head}>{one}</new{kind.value}Vector>\n".encode()


# What shows that a request was taken -------------------------------------------------------------


def _never(_before: Values, _after: Values) -> str:
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def _becomes(sent: Values) -> Taken:
    """A member has the value that was sent, and had another one before."""

    def taken(before: Values, after: Values) -> str:
        for name, value in sent.items():
            if _same(after.get(name), value) and not _same(before.get(name), value):
                return f"{name} became {value}"
        return ""

    return taken


def _changes(before: Values, after: Values) -> str:
    """Any of them is not what it was: for what does not change on its own."""
    for name, value in before.items():
        if name in after and after[name] != value:
            return f"{name} was {value!s:.40}, and became {after[name]!s:.40}"
    return ""


def _becomes_zero(before: Values, after: Values) -> str:
    """A number is 0 that was not: so C reads what is no number."""
    for name, value in before.items():
        if value and after.get(name) == 0:
            return f"{name} was {value:g}, and became 0"
    return ""


_SIGN_OF_READING: Final[dict[Kind, Taken]] = {
    Kind.NUMBER: _becomes_zero,
    Kind.SWITCH: _changes,
    Kind.TEXT: _changes,
    Kind.LIGHT: _never,
    Kind.BLOB: _never,
}
"""What shows that nonsense was read, by the kind of the property."""


# Read-only properties ----------------------------------------------------------------------------


def read_only(known: Property) -> Iterator[Request]:
    """Write another legal value to what may only be read."""
    if known.writable or known.kind is Kind.LIGHT or not known.values:
        return
    sent = {name: _another(known, name) for name in known.values}
    if known.kind is Kind.SWITCH:
        sent = _another_choice(known)
    yield Request(known.place, _event(known, sent), _becomes(sent), "writing it")


def _another(known: Property, name: str) -> Any:
    """Return a legal value that a member does not have."""
    if known.kind is Kind.NUMBER:
        label: NumberLabel = known.definition.memberlabels[name]
        value: float = known.values[name]
        if label.min < label.max:
            return label.min if _same(value, label.max) else label.max
        return value + 1.0
    return _TEXT.encode() if known.kind is Kind.BLOB else _TEXT


def _another_choice(known: Property) -> dict[str, SwitchState]:
    off = [name for name in known.values if name not in known.on]
    if not off:
        return dict.fromkeys(known.values, SwitchState.OFF)
    chosen = dict.fromkeys(known.values, SwitchState.OFF)
    return chosen | {off[0]: SwitchState.ON}


_EVENTS: Final[dict[Kind, Any]] = {
    Kind.NUMBER: newNumberVector,
    Kind.SWITCH: newSwitchVector,
    Kind.TEXT: newTextVector,
}


def _event(known: Property, members: Values) -> Event:
    if known.kind is Kind.BLOB:
        about = {name: SizeFormat(len(data), ".txt") for name, data in members.items()}
        return newBLOBVector(*known.place, members, about)
    event: Event = _EVENTS[known.kind](*known.place, members)
    return event


# Numbers -----------------------------------------------------------------------------------------


def _is_within(label: NumberLabel, value: float) -> bool:
    return label.min <= value <= label.max


def _leaves_limits(name: str, label: NumberLabel, sent: float) -> Taken:
    """A number is what was sent, or else over its limit: what was sent may have been rounded."""
    becomes = _becomes({name: sent})

    def taken(before: Values, after: Values) -> str:
        was_within = name in before and _is_within(label, before[name])
        if was_within and name in after and not _is_within(label, after[name]):
            return f"{name} became {after[name]}"
        return becomes(before, after)

    return taken


def out_of_range(known: Property) -> Iterator[Request]:
    """Write a number that is just over its limit, beside the others as they are."""
    if known.kind is not Kind.NUMBER or not known.writable:
        return
    for name, label in known.definition.memberlabels.items():
        if label.min < label.max:
            beyond = max(label.step, (label.max - label.min) / 100)
            for value, limit in ((label.max + beyond, label.max), (label.min - beyond, label.min)):
                if math.isfinite(value):
                    about = f"{name} {value:g}, where the limit is {limit:g},"
                    data = _event(known, {**known.values, name: value})
                    yield Request(known.place, data, _leaves_limits(name, label, value), about)


def _telling(known: Property) -> str:
    """Return the member that would show best that nonsense was read as 0."""
    return next((name for name, value in known.values.items() if value), next(iter(known.values)))


def _of_no_number(known: Property, texts: Iterable[str]) -> Iterator[Request]:
    if known.kind is Kind.NUMBER and known.writable and known.values:
        name = _telling(known)
        for text in texts:
            data = new(Kind.NUMBER, known.place, {name: text})
            yield Request(known.place, data, _becomes_zero, f"{name} {text!r}")


def no_number(known: Property) -> Iterator[Request]:
    """Write what libindi refuses, too."""
    return _of_no_number(known, ["abc", ""])


def not_finite(known: Property) -> Iterator[Request]:
    """Write what libindi takes (§3.1)."""
    return _of_no_number(known, ["nan", "inf"])


# Switches ----------------------------------------------------------------------------------------


def _leaves_none(_before: Values, after: Values) -> str:
    return "" if SwitchState.ON in after.values() else "no switch is On any more"


def last_off(known: Property) -> Iterator[Request]:
    """Turn Off the one that is On, and no other On: nothing that a driver could do."""
    if known.kind is Kind.SWITCH and known.writable and known.rule is Rule.ONE_OF_MANY:
        for name in known.on[:1]:
            sent = _event(known, {name: SwitchState.OFF})
            yield Request(known.place, sent, _leaves_none, f"{name} Off alone")


def no_switch(known: Property) -> Iterator[Request]:
    """Write a word that is neither On nor Off."""
    if known.kind is Kind.SWITCH and known.writable and known.values:
        name = next(iter(known.on or known.values))
        data = new(Kind.SWITCH, known.place, {name: "Maybe"})
        yield Request(known.place, data, _changes, f"{name} 'Maybe'")


def two_on(known: Property) -> Iterator[Request]:
    """Turn two On together; libindi takes that for AtMostOne, and for CONNECTION (§3.4)."""
    if known.kind is not Kind.SWITCH or not known.writable or len(known.values) < 2:
        return
    if known.rule is not Rule.ANY_OF_MANY:
        names = [*known.on, *(name for name in known.values if name not in known.on)][:2]
        sent = dict.fromkeys(known.values, SwitchState.OFF)
        sent |= dict.fromkeys(names, SwitchState.ON)
        yield Request(known.place, _event(known, sent), _changes, f"{' and '.join(names)} On")


# What there is not -------------------------------------------------------------------------------


def wrong_kind(known: Property) -> Iterator[Request]:
    """Write text to what is no text, and a number to what is."""
    if known.values and (known.writable or known.kind is Kind.LIGHT):
        name = _telling(known) if known.kind is Kind.NUMBER else next(iter(known.values))
        kind, text = (Kind.NUMBER, "0") if known.kind is Kind.TEXT else (Kind.TEXT, _TEXT)
        taken = _becomes_text_zero if known.kind is Kind.TEXT else _SIGN_OF_READING[known.kind]
        about = f"new{kind.value}Vector for a {known.kind.value} property"
        yield Request(known.place, new(kind, known.place, {name: text}), taken, about)


def _becomes_text_zero(before: Values, after: Values) -> str:
    for name, text in after.items():
        if text in ("0", "0.0") and before.get(name) != text:
            return f"{name} became {text!r}"
    return ""


def no_member(known: Property) -> Iterator[Request]:
    """Write a member that there is not: some drivers of libindi look at values, not at names.

    So it has the value of the first member as it is, and a switch is Off.
    """
    if known.writable and known.values and known.kind in _EVENTS:
        value = next(iter(known.values.values()))
        text = {Kind.SWITCH: "Off", Kind.NUMBER: f"{value}"}.get(known.kind, value)
        data = new(known.kind, known.place, {NOTHING: text})
        yield Request(known.place, data, _has_or_changes(known.kind), NOTHING)


def _has_or_changes(kind: Kind) -> Taken:
    def taken(before: Values, after: Values) -> str:
        if NOTHING in after:
            return f"it has a member {NOTHING} now"
        return _SIGN_OF_READING[kind](before, after)

    return taken


def no_property(place: Place) -> Request:
    """Write a property that there is not; the place is of one that there is, here and below."""
    return _foreign(place, (place[0], NOTHING))


def no_device(place: Place) -> Request:
    """Write a device that there is not."""
    return _foreign(place, (NOBODY, place[1]))


def _foreign(place: Place, strange: Place) -> Request:
    data = new(Kind.TEXT, strange, {NOTHING: _TEXT})
    return Request(place, data, _never, f"{strange[0]}.{strange[1]}")


# The tables --------------------------------------------------------------------------------------

REFUSED: Final = (
    ("read-only", read_only),
    ("bad-number", no_number),
    ("bad-switch", no_switch),
    ("wrong-kind", wrong_kind),
    ("switch-rule", last_off),
    ("range", out_of_range),
    ("two-on", two_on),
    ("not-finite", not_finite),
    ("no-member", no_member),
)
"""What must be refused: the name of the rule, and what makes the requests for a property.

What stands in the lower half is taken by drivers in wide use, or crashes them.
"""

FOREIGN: Final = (("no-property", no_property), ("no-device", no_device))
"""The same of what is made once for a device."""
