"""The rules that one element keeps or breaks on its own: definitions, reports, names, times, BLOBs.

Each check is a function from the element as written to its faults, as text; `CHECKS` lists the
elements to which it applies. How elements fit each other is checked elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from trindi.properties import MAX_MESSAGE_BYTES
from trindi.protocol import (
    ELEMENTS,
    Kind,
    Permission,
    Rule,
    State,
    SwitchState,
    check_format,
    check_name,
    decode_base64,
    decompress,
    parse_number,
    parse_timestamp,
)
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi.conformance.scanner import RawElement, RawMember

_LONGEST: Final = 63  # bytes that libindi keeps of a name, label, group, format or time (§1.5)
_BLOB_LINE: Final = 72  # characters that libindi's reader expects with enclen (§4.2)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)
_SIZE: Final = re.compile(r"[0-9]{1,18}")
_LIMITS: Final = ("min", "max", "step")

_MemberCheck: TypeAlias = "Callable[[RawMember], Iterator[str]]"


class ElementCheck(NamedTuple):
    """A rule, what yields the faults of an element, and the elements to which it applies."""

    rule: str
    faults: Callable[[RawElement], Iterator[str]]
    prefix: str = ""
    kind: Kind | None = None
    name: str = ""

    def applies(self, raw: RawElement) -> bool:
        return (
            raw.name.startswith(self.prefix)
            and self.kind in (None, ELEMENTS[raw.name].kind)
            and self.name in ("", raw.attributes.get("name"))
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _is_valid(parse: Callable[..., object], *arguments: str) -> bool:
    try:
        parse(*arguments)
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    return _is_valid(parse_number, text)


def _address(raw: RawElement, member: RawMember) -> str:
    name = member.attributes.get("name")
    return f"{raw.address}.{join_names(name)}" if name else raw.address


def _each_member(faults: _MemberCheck) -> Callable[[RawElement], Iterator[str]]:
    """Make the check of an element from that of a member."""

    def check(raw: RawElement) -> Iterator[str]:
        for member in raw.members:
            yield from (f"{_address(raw, member)} {fault}" for fault in faults(member))

    return check


def _encoding(raw: RawElement) -> Iterator[str]:
    try:
        raw.data.decode()
    except UnicodeDecodeError as error:
        yield f"{raw.address} has the byte {raw.data[error.start]:#04x}"


def _lengths(raw: RawElement) -> Iterator[str]:
    for attributes in (raw.attributes, *(member.attributes for member in raw.members)):
        for name, text in attributes.items():
            # libindi's drivers cut their own messages to 254, but its clients take longer ones.
            longest = MAX_MESSAGE_BYTES if name == "message" else _LONGEST
            length = len(text.encode())
            if length > longest:
                yield f"{raw.address}: a {name} of {length} bytes, of which {longest} are kept"


def _names(raw: RawElement) -> Iterator[str]:
    named = [("device", raw.attributes.get("device")), ("property", raw.attributes.get("name"))]
    named += [("member", member.attributes.get("name")) for member in raw.members]
    for what, name in named:
        if name and "." in name:
            yield f"{what} {_shown(name)}: indi_getprop cannot name it, for the dot"
        elif name and not _is_valid(check_name, name, what):
            yield f"{what} {_shown(name)} is not printable ASCII without blanks around it"


def _time_form(raw: RawElement) -> Iterator[str]:
    text = raw.attributes.get("timestamp")
    if text is not None and (not _TIME.fullmatch(text) or parse_timestamp(text) is None):
        yield f"{raw.address} has the timestamp {_shown(text)}"


def _required(raw: RawElement) -> Iterator[str]:
    kind = ELEMENTS[raw.name].kind
    required = ["state"]
    if raw.name.startswith("def"):
        required = ["device", "name", "state"]
        required += [] if kind is Kind.LIGHT else ["perm"]
        required += ["rule"] if kind is Kind.SWITCH else []
    for name in required:
        if not raw.attributes.get(name):
            yield f"{raw.name} {raw.address} has no {name}"


_LEGAL: Final = {"state": State, "perm": Permission, "rule": Rule}


def _legal(raw: RawElement) -> Iterator[str]:
    for name, words in _LEGAL.items():
        text = raw.attributes.get(name)
        if text and text not in list(words):
            yield f"{raw.address} has the {name} {_shown(text)}"
    text = raw.attributes.get("timeout")
    if text is not None and (not _is_number(text) or parse_number(text) < 0):
        yield f"{raw.address} has the timeout {_shown(text)}"
    if raw.name.startswith("set"):
        yield from _values(raw)


def _labels(raw: RawElement) -> Iterator[str]:
    for name in ("label", "group"):
        if name not in raw.attributes:
            yield f"{raw.address} has no {name}"
    for member in raw.members:
        if "label" not in member.attributes:
            yield f"{_address(raw, member)} has no label"


def _members(raw: RawElement) -> Iterator[str]:
    expected = ELEMENTS[raw.name].member
    if not raw.members:
        yield f"{raw.address} has no members"
    names = Counter(member.attributes.get("name", "") for member in raw.members)
    for name, times in names.items():
        if not name:
            yield f"{raw.address} has a member without a name"
        elif times > 1:
            yield f"{raw.address} has {times} members {name}"
    for tag in {member.tag for member in raw.members} - {expected}:
        yield f"{raw.address} has a {tag}: it can have {expected}"


@_each_member
def _number_definition(member: RawMember) -> Iterator[str]:
    missing = [name for name in ("format", *_LIMITS) if not member.attributes.get(name)]
    if missing:
        yield f"has no {' and no '.join(missing)}"
    for name in _LIMITS:
        text = member.attributes.get(name)
        if text and not _is_number(text):
            yield f"has the {name} {_shown(text)}"
    if not _is_number(member.text):
        yield f"has the value {_shown(member.text)}"


@_each_member
def _plain(member: RawMember) -> Iterator[str]:
    texts = {name: member.attributes.get(name, "0") for name in _LIMITS}
    for name, text in {"value": member.text, **texts}.items():
        if _is_number(text) and not _is_valid(float, text):
            yield f"has the {name} {_shown(text)}"


def _limits(member: RawMember) -> tuple[float, float, float]:
    """Return min, max and step; zeros if they are not all numbers."""
    texts = [member.attributes.get(name, "") for name in _LIMITS]
    low, high, step = map(parse_number, texts if all(map(_is_number, texts)) else "000")
    return low, high, step


@_each_member
def _range(member: RawMember) -> Iterator[str]:
    low, high, step = _limits(member)
    if low > high:
        yield f"has min {low:g} and max {high:g}"
    if step < 0:
        yield f"has step {step:g}"


@_each_member
def _within(member: RawMember) -> Iterator[str]:
    low, high, _step = _limits(member)
    if low < high and _is_number(member.text):
        value = parse_number(member.text)
        if not low <= value <= high:
            yield f"is {value:g}, and its limits are {low:g} and {high:g}"


@_each_member
def _format(member: RawMember) -> Iterator[str]:
    text = member.attributes.get("format")
    if text and not _is_valid(check_format, text):
        yield f"has the format {_shown(text)}"


_IS_LEGAL_VALUE: Final[dict[Kind | None, Callable[[str], bool]]] = {
    Kind.NUMBER: _is_number,
    Kind.SWITCH: lambda text: text in list(SwitchState),
    Kind.LIGHT: lambda text: text in list(State),
}


def _values(raw: RawElement) -> Iterator[str]:
    is_legal = _IS_LEGAL_VALUE.get(ELEMENTS[raw.name].kind)
    for member in raw.members:
        if is_legal and not is_legal(member.text):
            yield f"{_address(raw, member)} has the value {_shown(member.text)}"


def _switch_rule(raw: RawElement) -> Iterator[str]:
    values = {member.attributes.get("name", ""): member.text for member in raw.members}
    on = [name for name, value in values.items() if value == SwitchState.ON]
    return switch_faults(raw.address, raw.attributes.get("rule", ""), on)


def switch_faults(address: str, rule: str, on: list[str]) -> Iterator[str]:
    """Yield how switches break their rule (protocol §3.4)."""
    if rule == Rule.ONE_OF_MANY and not on:
        yield f"{address} is OneOfMany, and none is On"
    if rule in (Rule.ONE_OF_MANY, Rule.AT_MOST_ONE) and len(on) > 1:
        yield f"{address} is {rule}, and these are On: {', '.join(on)}"


def _connection(raw: RawElement) -> Iterator[str]:
    names = [member.attributes.get("name", "") for member in raw.members]
    if names[:2] != ["CONNECT", "DISCONNECT"]:
        yield f"{raw.address} has {', '.join(names)}"


def _driver_info(raw: RawElement) -> Iterator[str]:
    texts = {member.attributes.get("name"): member.text for member in raw.members}
    interface = texts.get("DRIVER_INTERFACE")
    if interface is None:
        yield f"{raw.address} has no DRIVER_INTERFACE"
    elif not (interface.isascii() and interface.isdigit()):
        yield f"{raw.address}.DRIVER_INTERFACE is {_shown(interface)}"


def _decoded(member: RawMember) -> bytes | None:
    try:
        return decode_base64(member.content)
    except ValueError:
        return None


@_each_member
def _blob_size(member: RawMember) -> Iterator[str]:
    text = member.attributes.get("size", "")
    if not _SIZE.fullmatch(text):
        yield f"has the size {text[:40]!r}"
        return
    suffix, data, size = member.attributes.get("format", ""), _decoded(member), int(text)
    # With fpack (.fz), the size is the one before compression (§4.1).
    if not member.content.strip() or data is None or suffix.endswith(".fz"):
        return
    if suffix.endswith(".z"):
        try:
            data = decompress(data, size)
        except ValueError as error:
            yield f"of {size} bytes: {error}"
            return
    if len(data) != size:
        yield f"says size {size}, and has {len(data)} bytes"


@_each_member
def _blob_format(member: RawMember) -> Iterator[str]:
    suffix = member.attributes.get("format", "")
    if len(suffix) < 2:
        yield f"has the format {suffix!r}"


@_each_member
def _base64(member: RawMember) -> Iterator[str]:
    if _decoded(member) is None:
        yield "is not base64"


@_each_member
def _layout(member: RawMember) -> Iterator[str]:
    lines, enclen = member.content.split(), member.attributes.get("enclen")
    lengths = [len(line) for line in lines]
    if member.attributes.get("attached", "").lower() == "true":
        yield "is attached, but came without a descriptor"
    elif enclen is None:
        if len(lines) > 1:
            yield f"is {len(lines)} lines without enclen"
    elif enclen != str(sum(lengths)):
        yield f"has enclen {enclen[:40]}, and {sum(lengths)} characters"
    elif set(lengths[:-1]) - {_BLOB_LINE} or max(lengths, default=0) > _BLOB_LINE:
        yield f"has enclen, and its lines are not of {_BLOB_LINE} characters"


CHECKS: Final = (
    ElementCheck("encoding", _encoding),
    ElementCheck("lengths", _lengths),
    ElementCheck("names", _names),
    ElementCheck("time-form", _time_form),
    ElementCheck("def-required", _required, "def"),
    ElementCheck("def-legal", _legal, "def"),
    ElementCheck("def-label", _labels, "def"),
    ElementCheck("def-members", _members, "def"),
    ElementCheck("def-number", _number_definition, "def", Kind.NUMBER),
    ElementCheck("def-plain", _plain, "def", Kind.NUMBER),
    ElementCheck("def-range", _range, "def", Kind.NUMBER),
    ElementCheck("def-within", _within, "def", Kind.NUMBER),
    ElementCheck("def-format", _format, "def", Kind.NUMBER),
    ElementCheck("def-value", _values, "def", Kind.SWITCH),
    ElementCheck("def-value", _values, "def", Kind.LIGHT),
    ElementCheck("def-rule", _switch_rule, "def", Kind.SWITCH),
    ElementCheck("std-connection", _connection, "def", Kind.SWITCH, "CONNECTION"),
    ElementCheck("std-driver-info", _driver_info, "def", Kind.TEXT, "DRIVER_INFO"),
    ElementCheck("set-state", _required, "set"),
    ElementCheck("set-legal", _legal, "set"),
    ElementCheck("set-plain", _plain, "set", Kind.NUMBER),
    ElementCheck("blob-size", _blob_size, "set", Kind.BLOB),
    ElementCheck("blob-format", _blob_format, "set", Kind.BLOB),
    ElementCheck("blob-base64", _base64, "set", Kind.BLOB),
    ElementCheck("blob-layout", _layout, "set", Kind.BLOB),
)
