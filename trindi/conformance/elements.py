"""The rules that one element keeps or breaks on its own: definitions, reports, BLOBs, names, times.

Each rule is a function from the element as it stands to what is wrong with it, in words; `CHECKS`
says for which elements it is asked. What an element says in relation to others is not known here.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from trindi.conformance.payloads import BLOB_CHECKS
from trindi.protocol import (
    ELEMENTS,
    Kind,
    Permission,
    Rule,
    State,
    SwitchState,
    check_format,
    check_name,
    parse_number,
    parse_timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi.conformance.wire import Raw, RawMember

__all__ = ["CHECKS", "Check", "applies", "switch_faults"]

_LONGEST: Final = 63
"""Bytes that libindi keeps of a name, label, group, format or timestamp (§1.5)."""

_LONGEST_MESSAGE: Final = 254

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)
_LIMITS: Final = ("min", "max", "step")


class Check(NamedTuple):
    """One rule and how it is looked at.

    Attributes:
        rule: the name of the rule.
        faults: yields what is wrong with an element.
        prefix: only for elements whose names start so.
        kind: only for those of this kind.
        name: only for the property of this name.
    """

    rule: str
    faults: Callable[[Raw], Iterator[str]]
    prefix: str = ""
    kind: Kind | None = None
    name: str = ""


def applies(check: Check, raw: Raw) -> bool:
    """Whether a rule has anything to say of an element."""
    return (
        raw.name.startswith(check.prefix)
        and check.kind in (None, ELEMENTS[raw.name].kind)
        and check.name in ("", raw.attributes.get("name"))
    )


def _member_place(raw: Raw, member: RawMember) -> str:
    return f"{raw.place}.{member.attributes.get('name', '')}".rstrip(".")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


# Any element -------------------------------------------------------------------------------------


def _encoding(raw: Raw) -> Iterator[str]:
    try:
        raw.data.decode()
    except UnicodeDecodeError as error:
        yield f"{raw.place} has the byte {raw.data[error.start]:#04x}"


def _lengths(raw: Raw) -> Iterator[str]:
    for attributes in (raw.attributes, *(member.attributes for member in raw.members)):
        for name, text in attributes.items():
            longest = _LONGEST_MESSAGE if name == "message" else _LONGEST
            length = len(text.encode())
            if length > longest:
                yield f"{raw.place}: a {name} of {length} bytes, of which {longest} are kept"


def _names(raw: Raw) -> Iterator[str]:
    named = [("device", raw.attributes.get("device")), ("property", raw.attributes.get("name"))]
    named += [("member", member.attributes.get("name")) for member in raw.members]
    for what, name in named:
        if name and "." in name:
            yield f"{what} {_shown(name)}: indi_getprop cannot name it, for the dot"
        elif name:
            try:
                check_name(name, what)
            except ValueError:
                yield f"{what} {_shown(name)} is not printable ASCII without blanks around it"


def _time_form(raw: Raw) -> Iterator[str]:
    text = raw.attributes.get("timestamp")
    if text is not None and (not _TIME.fullmatch(text) or parse_timestamp(text) is None):
        yield f"{raw.place} has the timestamp {_shown(text)}"


# Definitions -------------------------------------------------------------------------------------


def _required(raw: Raw) -> Iterator[str]:
    kind = ELEMENTS[raw.name].kind
    wanted = ["device", "name", "state"]
    wanted += [] if kind is Kind.LIGHT else ["perm"]
    wanted += ["rule"] if kind is Kind.SWITCH else []
    for name in wanted:
        if not raw.attributes.get(name):
            yield f"{raw.name} {raw.place} has no {name}"


_LEGAL: Final = {"state": State, "perm": Permission, "rule": Rule}


def _legal(raw: Raw) -> Iterator[str]:
    for name, words in _LEGAL.items():
        text = raw.attributes.get(name)
        if text and text not in list(words):
            yield f"{raw.place} has the {name} {_shown(text)}"
    yield from _timeout(raw)


def _timeout(raw: Raw) -> Iterator[str]:
    text = raw.attributes.get("timeout")
    if text is not None and (not _is_number(text) or parse_number(text) < 0):
        yield f"{raw.place} has the timeout {_shown(text)}"


def _labels(raw: Raw) -> Iterator[str]:
    for name in ("label", "group"):
        if name not in raw.attributes:
            yield f"{raw.place} has no {name}"
    for member in raw.members:
        if "label" not in member.attributes:
            yield f"{_member_place(raw, member)} has no label"


def _members(raw: Raw) -> Iterator[str]:
    wanted = ELEMENTS[raw.name].member
    if not raw.members:
        yield f"{raw.place} has no members"
    names = Counter(member.attributes.get("name", "") for member in raw.members)
    for name, times in names.items():
        if not name:
            yield f"{raw.place} has a member without a name"
        elif times > 1:
            yield f"{raw.place} has {times} members {name}"
    for tag in {member.tag for member in raw.members} - {wanted}:
        yield f"{raw.place} has a {tag}: it can have {wanted}"


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def _is_plain(text: str) -> bool:
    """Whether it is no sexagesimal number; what is no number at all is another matter."""
    try:
        float(text)
    except ValueError:
        return not _is_number(text)
    return True


def _number(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        place = _member_place(raw, member)
        missing = [name for name in ("format", *_LIMITS) if not member.attributes.get(name)]
        if missing:
            yield f"{place} has no {' and no '.join(missing)}"
        for name in _LIMITS:
            text = member.attributes.get(name)
            if text and not _is_number(text):
                yield f"{place} has the {name} {_shown(text)}"
        if not _is_number(member.text):
            yield f"{place} has the value {_shown(member.text)}"


def _plain(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        texts = {"value": member.text}
        texts |= {name: member.attributes.get(name, "0") for name in _LIMITS}
        for name, text in texts.items():
            if not _is_plain(text):
                yield f"{_member_place(raw, member)} has the {name} {_shown(text)}"


def _limits(member: RawMember) -> tuple[float, float, float] | None:
    """Return min, max and step, or None where they are not all numbers."""
    texts = [member.attributes.get(name, "") for name in _LIMITS]
    if not all(map(_is_number, texts)):
        return None
    low, high, step = map(parse_number, texts)
    return low, high, step


def _range(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        place = _member_place(raw, member)
        low, high, step = _limits(member) or (0, 0, 0)
        if low > high:
            yield f"{place} has min {low:g} and max {high:g}"
        if step < 0:
            yield f"{place} has step {step:g}"


def _within(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        low, high, _step = _limits(member) or (0, 0, 0)
        if low < high and _is_number(member.text):
            value = parse_number(member.text)
            if not low <= value <= high:
                place = _member_place(raw, member)
                yield f"{place} is {value:g}, and its limits are {low:g} and {high:g}"


def _format(raw: Raw) -> Iterator[str]:
    for member in raw.members:
        text = member.attributes.get("format")
        if text:
            try:
                check_format(text)
            except ValueError:
                yield f"{_member_place(raw, member)} has the format {_shown(text)}"


def _switches(raw: Raw) -> Iterator[str]:
    return _words(raw, [str(state) for state in SwitchState])


def _lights(raw: Raw) -> Iterator[str]:
    return _words(raw, [str(state) for state in State])


def _words(raw: Raw, words: list[str]) -> Iterator[str]:
    for member in raw.members:
        if member.text not in words:
            yield f"{_member_place(raw, member)} has the value {_shown(member.text)}"


def _rule(raw: Raw) -> Iterator[str]:
    values = {member.attributes.get("name", ""): member.text for member in raw.members}
    on = [name for name, value in values.items() if value == SwitchState.ON]
    return switch_faults(raw.place, raw.attributes.get("rule", ""), on)


def switch_faults(place: str, rule: str, on: list[str]) -> Iterator[str]:
    """Yield how switches break their rule (protocol §3.4)."""
    if rule == Rule.ONE_OF_MANY and not on:
        yield f"{place} is OneOfMany, and none is On"
    if rule in (Rule.ONE_OF_MANY, Rule.AT_MOST_ONE) and len(on) > 1:
        yield f"{place} is {rule}, and these are On: {', '.join(on)}"


# Standard properties -----------------------------------------------------------------------------


def _connection(raw: Raw) -> Iterator[str]:
    names = [member.attributes.get("name", "") for member in raw.members]
    if names[:2] != ["CONNECT", "DISCONNECT"]:
        yield f"{raw.place} has {', '.join(names)}"


def _driver_info(raw: Raw) -> Iterator[str]:
    texts = {member.attributes.get("name"): member.text for member in raw.members}
    interface = texts.get("DRIVER_INTERFACE")
    if interface is None:
        yield f"{raw.place} has no DRIVER_INTERFACE"
    elif not (interface.isascii() and interface.isdigit()):
        yield f"{raw.place}.DRIVER_INTERFACE is {_shown(interface)}"


# Reports -----------------------------------------------------------------------------------------


def _has_state(raw: Raw) -> Iterator[str]:
    if not raw.attributes.get("state"):
        yield f"{raw.name} {raw.place} has no state"


def _legal_report(raw: Raw) -> Iterator[str]:
    yield from _legal(raw)
    yield from _report_values(raw)


def _report_values(raw: Raw) -> Iterator[str]:
    match ELEMENTS[raw.name].kind:
        case Kind.SWITCH:
            yield from _switches(raw)
        case Kind.LIGHT:
            yield from _lights(raw)
        case Kind.NUMBER:
            for member in raw.members:
                if not _is_number(member.text):
                    yield f"{_member_place(raw, member)} has the value {_shown(member.text)}"


# The table ---------------------------------------------------------------------------------------

CHECKS: Final = (
    Check("encoding", _encoding),
    Check("lengths", _lengths),
    Check("names", _names),
    Check("time-form", _time_form),
    Check("def-required", _required, "def"),
    Check("def-legal", _legal, "def"),
    Check("def-label", _labels, "def"),
    Check("def-members", _members, "def"),
    Check("def-number", _number, "def", Kind.NUMBER),
    Check("def-plain", _plain, "def", Kind.NUMBER),
    Check("def-range", _range, "def", Kind.NUMBER),
    Check("def-within", _within, "def", Kind.NUMBER),
    Check("def-format", _format, "def", Kind.NUMBER),
    Check("def-value", _switches, "def", Kind.SWITCH),
    Check("def-value", _lights, "def", Kind.LIGHT),
    Check("def-rule", _rule, "def", Kind.SWITCH),
    Check("std-connection", _connection, "def", Kind.SWITCH, "CONNECTION"),
    Check("std-driver-info", _driver_info, "def", Kind.TEXT, "DRIVER_INFO"),
    Check("set-state", _has_state, "set"),
    Check("set-legal", _legal_report, "set"),
    Check("set-plain", _plain, "set", Kind.NUMBER),
    *(Check(rule, faults, "set", Kind.BLOB) for rule, faults in BLOB_CHECKS),
)
"""Every rule for one element, and how it is looked at; what is wrong is only found once by each."""
