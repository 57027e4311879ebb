"""Requests that must be refused, as data: what to send, and how to detect that it was taken.

Among requests that a driver must refuse, these are the ones that would do least if taken. This
module sends nothing, and does not decide what may be sent.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from trindi.conformance.observed import (
    UNKNOWN_DEVICE,
    UNKNOWN_NAME,
    ObservedProperty,
    PropertyKey,
    attributes_of,
)
from trindi.protocol import (
    Kind,
    NumberLabel,
    Rule,
    SizeFormat,
    SwitchState,
    encode,
    is_unknown,
    newBLOBVector,
    number_to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TEXT: Final = "trindi check"

Values: TypeAlias = "Mapping[str, Any]"
EffectDetector: TypeAlias = "Callable[[Values, Values], str]"
"""Compares the values before and after a request; describes its effect, or returns ""."""


class InvalidRequest(NamedTuple):
    """One request that must be refused; the definition of `key` shows its effect."""

    key: PropertyKey
    data: bytes
    effect: EffectDetector
    about: str


MakeRequests: TypeAlias = "Callable[[ObservedProperty], Iterator[InvalidRequest]]"


def new_vector(kind: Kind, key: PropertyKey, members: Values) -> bytes:
    """Write a request by hand; it need not be legal."""
    one = "".join(
        f"<one{kind.value} name={quoteattr(name)}>{escape(_as_text(value))}</one{kind.value}>"
        for name, value in members.items()
        if not is_unknown(value)
    )
    return f"<new{kind.value}Vector {attributes_of(key)}>{one}</new{kind.value}Vector>\n".encode()


def _as_text(value: Any) -> str:
    return number_to_text(value) if isinstance(value, float) else str(value)


def _no_effect(_before: Values, _after: Values) -> str:
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one is other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def _became(sent: Values, before: Values, after: Values) -> str:
    """Detect that a member took the value that was sent."""
    for name, value in sent.items():
        if _same(after.get(name), value) and not _same(before.get(name), value):
            return f"{name} became {value}"
    return ""


def _change_to(taken: tuple[Any, ...], before: Values, after: Values) -> str:
    """Detect a change to one of the values `taken`; if there are none, detect any change."""
    for name, old in before.items():
        new = after.get(name, old)
        if new != old and (not taken or new in taken):
            return f"{name} was {old!s:.40}, and became {new!s:.40}"
    return ""


# For a property that does not change by itself.
_any_change: Final = partial(_change_to, ())
# C reads text that is no number as 0.
_became_zero: Final = partial(_change_to, (0.0,))
_became_text_zero: Final = partial(_change_to, ("0", "0.0"))


def _left_limits(name: str, label: NumberLabel, sent: float, before: Values, after: Values) -> str:
    """Detect a number that became what was sent, or left its limits after rounding."""
    was_within = name in before and label.min <= before[name] <= label.max
    if was_within and name in after and not label.min <= after[name] <= label.max:
        return f"{name} became {after[name]}"
    return _became({name: sent}, before, after)


def _none_on(_before: Values, after: Values) -> str:
    return "" if SwitchState.ON in after.values() else "no switch is On any more"


_MISREAD_EFFECT: Final[dict[Kind, EffectDetector]] = {
    Kind.NUMBER: _became_zero,
    Kind.SWITCH: _any_change,
    Kind.TEXT: _any_change,
}
"""The effect of a value that was misread, by the kind of the property; others show none."""


def _request(
    known: ObservedProperty,
    members: Values,
    effect: EffectDetector,
    about: str,
    kind: Kind | None = None,
) -> InvalidRequest:
    data = new_vector(kind or known.kind, known.key, members)
    return InvalidRequest(known.key, data, effect, about)


def _read_only(known: ObservedProperty) -> Iterator[InvalidRequest]:
    """Write another legal value to a read-only property."""
    if known.writable or known.kind is Kind.LIGHT or not known.values:
        return
    sent: dict[str, Any] = dict.fromkeys(known.values, _TEXT)
    if known.kind is Kind.NUMBER:
        sent = {name: _other_number(known.labels[name], v) for name, v in known.values.items()}
    elif known.kind is Kind.SWITCH:
        off = [name for name in known.values if name not in known.on]
        sent = dict.fromkeys(known.values, SwitchState.OFF)
        sent |= dict.fromkeys(off[:1], SwitchState.ON)
    request = _request(known, sent, partial(_became, sent), "writing it")
    if known.kind is Kind.BLOB:
        payload, size = _TEXT.encode(), SizeFormat(len(_TEXT), ".txt")
        payloads, sizes = dict.fromkeys(sent, payload), dict.fromkeys(sent, size)
        request = request._replace(data=encode(newBLOBVector(*known.key, payloads, sizes)))
    yield request


def _other_number(label: NumberLabel, value: float) -> float:
    if label.min < label.max:
        return label.min if _same(value, label.max) else label.max
    return 1.0 if is_unknown(value) else value + 1.0


def _out_of_range(known: ObservedProperty) -> Iterator[InvalidRequest]:
    """Write a number just beyond a limit, with the other members as they are."""
    for name, label in known.labels.items():
        if label.min < label.max:
            step = max(label.step, (label.max - label.min) / 100)
            for value, limit in ((label.max + step, label.max), (label.min - step, label.min)):
                if math.isfinite(value):
                    effect = partial(_left_limits, name, label, value)
                    about = f"{name} {value:g}, where the limit is {limit:g},"
                    yield _request(known, {**known.values, name: value}, effect, about)


def _nonzero_member(known: ObservedProperty) -> str:
    """Return a member that would show that it became 0, if there is one."""
    return next((name for name, value in known.values.items() if value), next(iter(known.values)))


def _number_texts(texts: tuple[str, ...], known: ObservedProperty) -> Iterator[InvalidRequest]:
    name = _nonzero_member(known)
    for text in texts:
        yield _request(known, {name: text}, _became_zero, f"{name} {text!r}")


def _last_off(known: ObservedProperty) -> Iterator[InvalidRequest]:
    if known.rule is Rule.ONE_OF_MANY:
        for name in known.on[:1]:
            yield _request(known, {name: SwitchState.OFF}, _none_on, f"{name} Off alone")


def _not_a_switch_state(known: ObservedProperty) -> Iterator[InvalidRequest]:
    name = next(iter(known.on or known.values))
    yield _request(known, {name: "Maybe"}, _any_change, f"{name} 'Maybe'")


def _two_on(known: ObservedProperty) -> Iterator[InvalidRequest]:
    """Turn On two at once; libindi takes that for AtMostOne and for CONNECTION (§3.4)."""
    if known.rule is not Rule.ANY_OF_MANY and len(known.values) > 1:
        names = [*known.on, *(name for name in known.values if name not in known.on)][:2]
        sent = dict.fromkeys(known.values, SwitchState.OFF)
        sent |= dict.fromkeys(names, SwitchState.ON)
        yield _request(known, sent, _any_change, f"{' and '.join(names)} On")


def _wrong_kind(known: ObservedProperty) -> Iterator[InvalidRequest]:
    """Write a number to a text property, and text to any other."""
    if known.values and (known.writable or known.kind is Kind.LIGHT):
        is_number, is_text = known.kind is Kind.NUMBER, known.kind is Kind.TEXT
        name = _nonzero_member(known) if is_number else next(iter(known.values))
        kind, text = (Kind.NUMBER, "0") if is_text else (Kind.TEXT, _TEXT)
        effect = _became_text_zero if is_text else _MISREAD_EFFECT.get(known.kind, _no_effect)
        about = f"new{kind.value}Vector for a {known.kind.value} property"
        yield _request(known, {name: text}, effect, about, kind)


def _unknown_member(known: ObservedProperty) -> Iterator[InvalidRequest]:
    """Write an unknown member, and no harmful value: some libindi drivers ignore the name."""

    def effect(before: Values, after: Values) -> str:
        if UNKNOWN_NAME in after:
            return f"it has a member {UNKNOWN_NAME} now"
        return _MISREAD_EFFECT[known.kind](before, after)

    if known.writable and known.values and known.kind not in (Kind.BLOB, Kind.LIGHT):
        value = "Off" if known.kind is Kind.SWITCH else next(iter(known.values.values()))
        yield _request(known, {UNKNOWN_NAME: value}, effect, UNKNOWN_NAME)


def unknown_target(rule: str, key: PropertyKey) -> InvalidRequest:
    unknown = (key[0], UNKNOWN_NAME) if rule == "no-property" else (UNKNOWN_DEVICE, key[1])
    data = new_vector(Kind.TEXT, unknown, {UNKNOWN_NAME: _TEXT})
    return InvalidRequest(key, data, _no_effect, f"{unknown[0]}.{unknown[1]}")


def _writable(kind: Kind, make: MakeRequests) -> MakeRequests:
    def restricted(known: ObservedProperty) -> Iterator[InvalidRequest]:
        if known.kind is kind and known.writable and known.values:
            yield from make(known)

    return restricted


INVALID_REQUESTS: Final[dict[str, MakeRequests]] = {
    "read-only": _read_only,
    # libindi refuses these texts, too.
    "bad-number": _writable(Kind.NUMBER, partial(_number_texts, ("abc", ""))),
    "bad-switch": _writable(Kind.SWITCH, _not_a_switch_state),
    "wrong-kind": _wrong_kind,
    # Drivers in wide use take what follows, or crash on it.
    "switch-rule": _writable(Kind.SWITCH, _last_off),
    "range": _writable(Kind.NUMBER, _out_of_range),
    "two-on": _writable(Kind.SWITCH, _two_on),
    "not-finite": _writable(Kind.NUMBER, partial(_number_texts, ("nan", "inf"))),
    "no-member": _unknown_member,
}
"""The rules, and what yields the requests for a property."""

UNKNOWN_TARGET_RULES: Final = ("no-property", "no-device")
"""The rules with one request for each device, made by `unknown_target`."""
