"""Hypothesis strategies for everything that INDI can say: names, values, and every event class."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from hypothesis import settings, strategies as st

from trindi.protocol import (
    BLOBPolicy,
    Event,
    Limits,
    Message,
    NumberLabel,
    Permission,
    Rule,
    SizeFormat,
    State,
    SwitchState,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    delProperty,
    enableBLOB,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    pingReply,
    pingRequest,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypothesis.strategies import DrawFn, SearchStrategy

THOROUGH: Final = os.environ.get("TRINDI_THOROUGH") == "1"
"""Whether tests with random input try all examples that they name, as in CI."""


def examples(number: int) -> settings:
    """Try this many examples, or a fifth of them where it is to be quick; without a clock."""
    return settings(max_examples=number if THOROUGH else max(number // 5, 10), deadline=None)


_ILLEGAL = "".join(map(chr, [*range(32), 0x7F, 0xFFFE, 0xFFFF]))
# What is most likely to be read as something else.
_AWKWARD = [
    "&",
    "<",
    ">",
    '"',
    "'",
    "]]>",
    "<!--",
    "-->",
    "<![CDATA[",
    "&amp;",
    "&#65;",
    "&lt",
    ";",
]
_AWKWARD += ["=", "/", "/>", "</", "<?", "é", "\x85", "\xa0", "\u2028", "𝄞", " ", "timestamp="]


def _text(beside: str) -> SearchStrategy[str]:
    legal = st.characters(
        exclude_categories=["Cs"], exclude_characters="".join(set(_ILLEGAL) - set(beside))
    )
    pieces = st.one_of(st.sampled_from(_AWKWARD), st.text(legal, max_size=5))
    return st.lists(pieces, max_size=5).map("".join)


def attribute_texts() -> SearchStrategy[str]:
    """What an attribute can carry: no control characters, no line ends."""
    return _text("")


def texts() -> SearchStrategy[str]:
    """What an element can carry: line ends too, but no blanks around it."""
    return _text("\t\n").map(lambda text: text.strip(" \t\n"))


def names() -> SearchStrategy[str]:
    """Names that the decoder takes; a property may have fewer."""
    return st.one_of(
        st.sampled_from(["CCD Simulator", "a", "é & <b>"]), attribute_texts().filter(bool)
    )


def numbers() -> SearchStrategy[float]:
    """Every finite float."""
    return st.floats(allow_nan=False, allow_infinity=False)


def timestamps() -> SearchStrategy[datetime | None]:
    """Times in UTC, or none."""
    return st.none() | st.datetimes(timezones=st.just(UTC))


def _limits() -> SearchStrategy[Limits]:
    return st.builds(Limits, numbers(), numbers(), numbers())


def _number_labels() -> SearchStrategy[NumberLabel]:
    return st.builds(
        NumberLabel, attribute_texts(), attribute_texts(), numbers(), numbers(), numbers()
    )


def _maps(values: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names(), values, max_size=4)


_VALUES: dict[str, SearchStrategy[Any]] = {
    "Switch": st.sampled_from(SwitchState),
    "Text": texts(),
    "Number": numbers(),
    "Light": st.sampled_from(State),
    "BLOB": st.none(),
}


@st.composite
def _defined(draw: DrawFn, cls: type[Any], kind: str) -> Event:
    members = draw(_maps(_VALUES[kind]))
    labels = _number_labels() if kind == "Number" else attribute_texts()
    fields: dict[str, Any] = {
        "devicename": draw(names()),
        "vectorname": draw(names()),
        "label": draw(attribute_texts()),
        "group": draw(attribute_texts()),
        "state": draw(st.sampled_from(State)),
        "members": members,
        "memberlabels": {name: draw(labels) for name in members},
        "timestamp": draw(timestamps()),
        "message": draw(attribute_texts()),
    }
    if kind != "Light":
        fields["perm"] = draw(st.sampled_from(Permission))
        fields["timeout"] = draw(numbers())
    if kind == "Switch":
        fields["rule"] = draw(st.sampled_from(Rule))
    event: Event = cls(**fields)
    return event


@st.composite
def _reported(draw: DrawFn, cls: type[Any], kind: str) -> Event:
    members = draw(_maps(_VALUES[kind]))
    fields: dict[str, Any] = {
        "devicename": draw(names()),
        "vectorname": draw(names()),
        "members": members,
        "state": draw(st.none() | st.sampled_from(State)),
        "timestamp": draw(timestamps()),
        "message": draw(attribute_texts()),
    }
    if kind != "Light":
        fields["timeout"] = draw(st.none() | numbers())
    if kind == "Number":
        limited = [name for name in members if draw(st.booleans())]
        fields["limits"] = {name: draw(_limits()) for name in limited}
    event: Event = cls(**fields)
    return event


def _blobs() -> SearchStrategy[tuple[bytes, SizeFormat]]:
    data = st.binary(max_size=200)
    suffix = attribute_texts().map(lambda text: f".{text}a")
    plain = st.tuples(data, st.builds(SizeFormat, st.integers(0, 10**18 - 1), suffix))
    compressed = st.builds(
        lambda data, suffix: (data, SizeFormat(len(data), f"{suffix}.z")), data, suffix
    )
    return plain | compressed


def _payloads(blobs: Mapping[str, tuple[bytes, SizeFormat]]) -> dict[str, Any]:
    return {
        "members": {name: data for name, (data, _) in blobs.items()},
        "sizeformat": {name: about for name, (_, about) in blobs.items()},
    }


@st.composite
def _blobs_sent(draw: DrawFn, /, cls: type[Any], **others: SearchStrategy[Any]) -> Event:
    fields = _payloads(draw(_maps(_blobs())))
    fields |= {name: draw(strategy) for name, strategy in others.items()}
    event: Event = cls(draw(names()), draw(names()), timestamp=draw(timestamps()), **fields)
    return event


def _new(cls: Callable[..., Event], kind: str) -> SearchStrategy[Event]:
    return st.builds(cls, names(), names(), _maps(_VALUES[kind]), timestamps())


_ANY_NAME = st.none() | names()

EVENTS: dict[type[Any], SearchStrategy[Event]] = {
    getProperties: st.builds(getProperties, _ANY_NAME, _ANY_NAME),
    enableBLOB: st.builds(enableBLOB, names(), _ANY_NAME, st.sampled_from(BLOBPolicy)),
    newSwitchVector: _new(newSwitchVector, "Switch"),
    newTextVector: _new(newTextVector, "Text"),
    newNumberVector: _new(newNumberVector, "Number"),
    newBLOBVector: _blobs_sent(newBLOBVector),
    defSwitchVector: _defined(defSwitchVector, "Switch"),
    defTextVector: _defined(defTextVector, "Text"),
    defNumberVector: _defined(defNumberVector, "Number"),
    defLightVector: _defined(defLightVector, "Light"),
    defBLOBVector: _defined(defBLOBVector, "BLOB"),
    setSwitchVector: _reported(setSwitchVector, "Switch"),
    setTextVector: _reported(setTextVector, "Text"),
    setNumberVector: _reported(setNumberVector, "Number"),
    setLightVector: _reported(setLightVector, "Light"),
    setBLOBVector: _blobs_sent(
        setBLOBVector,
        state=st.none() | st.sampled_from(State),
        timeout=st.none() | numbers(),
        message=attribute_texts(),
    ),
    Message: st.builds(Message, _ANY_NAME, attribute_texts(), timestamps()),
    delProperty: st.builds(delProperty, _ANY_NAME, _ANY_NAME, timestamps(), attribute_texts()),
    pingRequest: st.builds(pingRequest, names()),
    pingReply: st.builds(pingReply, names()),
}
"""A strategy for each class of events."""


def events() -> SearchStrategy[Event]:
    """Events of every class."""
    return st.one_of(*EVENTS.values())


def junk() -> SearchStrategy[bytes]:
    """What may stand between elements, and is passed over (protocol §1.1, §9)."""
    return st.one_of(
        st.text(st.characters(exclude_characters="<"), max_size=10).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        ),
        st.sampled_from(
            [
                b"\n",
                b"<?xml version='1.0'?>\n",
                b'<?xml version="1.0" encoding="ISO-8859-1" ?>',
                b"<!-- a comment -->",
                b"<!-- a > <newTextVector device='d' name='n'></newTextVector> -->",
                b"<![CDATA[ <pingReply uid='1'/> ]]>",
                b"<!ELEMENT a b>",
                b"a < b and a <1",
                b"<trindi.Thing object at 0x7f00>",
                b"<unknown/>",
                b"<un-known a:b='1>2'><getproperties/>text</un-known>",
                b"</newTextVector>",
                b"\xe9\xff\0<\0",
            ]
        ),
    )
