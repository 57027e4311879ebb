"""What a stream has told of: definitions as of now, and what each event did to them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.strategies import EVENTS
from trindi.protocol import (
    Change,
    DefVector,
    Effect,
    Kind,
    Limits,
    Message,
    NumberLabel,
    Permission,
    Property,
    Rule,
    SetVector,
    SizeFormat,
    Snapshot,
    SnoopEvent,
    State,
    SwitchState,
    covers,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    delProperty,
    ends,
    replace,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)

THEN = datetime(2026, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 1, 3, tzinfo=UTC)
NUMBERS = defNumberVector(
    "d",
    "n",
    "l",
    "g",
    State.IDLE,
    Permission.RW,
    {"a": 1.0, "b": 2.0},
    {"a": NumberLabel("A", "%g", 0, 9, 1), "b": NumberLabel("B", "%g", 0, 9, 1)},
    5.0,
    THEN,
    "hello",
    text={"a": "0:60"},
)
TEXTS = defTextVector(
    "d", "t", "l", "g", State.IDLE, Permission.RW, {"a": "x", "b": "y"}, {"a": "A", "b": "B"}
)
SWITCHES = defSwitchVector(
    "e",
    "s",
    "l",
    "g",
    State.IDLE,
    Permission.RW,
    Rule.ANY_OF_MANY,
    {"a": SwitchState.OFF},
    {"a": "A"},
)
LIGHTS = defLightVector("e", "l", "l", "g", State.IDLE, {"a": State.OK}, {"a": "A"})
BLOBS = defBLOBVector("e", "b", "l", "g", State.IDLE, Permission.RO, {"a": None}, {"a": "A"})
ALL: list[DefVector] = [NUMBERS, TEXTS, SWITCHES, LIGHTS, BLOBS]


def snapshot(*events: SnoopEvent, **options: Any) -> Snapshot[Property]:
    made = Snapshot(Property, **options)
    for event in events:
        made.apply(event)
    return made


def effect(made: Snapshot[Property], event: SnoopEvent) -> Effect:
    """Apply an event, and check that what it says of records is true."""
    before = set(made)
    change = made.apply(event)
    if change.effect in {Effect.DELETED}:
        assert before - set(made) == set(change.records)
    else:
        assert set(change.records) <= set(made)
    return change.effect


# Definitions -----------------------------------------------------------------------------------


def test_definitions_are_kept_in_order() -> None:
    made = snapshot(*ALL)
    assert made.definitions() == made.definitions(None) == made.definitions("*") == ALL
    assert made.definitions("d") == [NUMBERS, TEXTS]
    assert made.definitions("d", "t") == made.definitions(None, "t") == [TEXTS]
    assert made.definitions("d", "x") == made.definitions("x") == made.definitions("x", "t") == []
    assert len(made) == 5
    assert [record.definition for record in made] == ALL
    assert {name: list(found) for name, found in made.devices.items()} == {
        "d": ["n", "t"],
        "e": ["s", "l", "b"],
    }


def test_what_a_definition_does() -> None:
    made = snapshot()
    assert effect(made, NUMBERS) is Effect.DEFINED
    assert effect(made, NUMBERS) is Effect.REPEATED
    later = replace(NUMBERS, timestamp=NOW, message="again")
    assert effect(made, later) is Effect.REPEATED
    assert made.definitions() == [later]
    for news in (
        replace(NUMBERS, members={"a": 1.0, "b": 3.0}),
        replace(NUMBERS, label="another"),
        replace(TEXTS, vectorname="n"),
    ):
        assert effect(made, news) is Effect.REDEFINED
        assert made.definitions() == [news]
    assert made.ignored == 0


def test_a_definition_is_compared_with_what_is_so_now() -> None:
    made = snapshot(TEXTS, setTextVector("d", "t", {"a": "z"}, State.BUSY))
    now = replace(TEXTS, members={"a": "z", "b": "y"}, state=State.BUSY)
    assert effect(made, now) is Effect.REPEATED
    assert effect(made, TEXTS) is Effect.REDEFINED


# Sets ------------------------------------------------------------------------------------------


def test_a_set_is_merged() -> None:
    made = snapshot(NUMBERS)
    limits = {"a": Limits(1, 2, 3), "x": Limits(4, 5, 6)}
    event = setNumberVector(
        "d", "n", {"a": 7.0, "x": 8.0}, State.BUSY, 60.0, NOW, "going", limits, {"a": "7.0"}
    )
    assert effect(made, event) is Effect.UPDATED
    record = made.find("d", "n")
    assert record is not None
    assert record.values == {"a": 7.0, "b": 2.0}
    assert record.state is State.BUSY
    merged: Any = record.definition
    assert merged == replace(
        NUMBERS,
        members={"a": 7.0, "b": 2.0},
        memberlabels={"a": NumberLabel("A", "%g", 1, 2, 3), "b": NumberLabel("B", "%g", 0, 9, 1)},
        state=State.BUSY,
        timeout=60.0,
        timestamp=NOW,
    )
    assert merged.text == {}
    assert record.definition is merged
    # What was handed out stays as it was.
    made.apply(setNumberVector("d", "n", {"b": 9.0}))
    assert merged["b"] == 2.0
    assert record.definition["b"] == 9.0
    assert (record.definition.state, record.definition.timestamp) == (State.BUSY, NOW)


@pytest.mark.parametrize(
    ("definition", "event", "members"),
    [
        (TEXTS, setTextVector("d", "t", {"b": "z", "x": "w"}), {"a": "x", "b": "z"}),
        (SWITCHES, setSwitchVector("e", "s", {"a": SwitchState.ON}), {"a": SwitchState.ON}),
        (LIGHTS, setLightVector("e", "l", {"a": State.ALERT}), {"a": State.ALERT}),
        (
            BLOBS,
            setBLOBVector("e", "b", {"a": b"data"}, {"a": SizeFormat(4, ".x")}, State.OK),
            {"a": None},
        ),
    ],
)
def test_each_kind(definition: DefVector, event: SetVector, members: dict[str, Any]) -> None:
    made = snapshot(definition, event)
    state = event.state or definition.state
    assert made.definitions() == [replace(definition, members=members, state=state)]
    (record,) = made
    report = record.as_set()
    assert type(report) is type(event)
    assert dict(report) == ({} if record.kind is Kind.BLOB else members)
    assert report.state is state


def test_a_set_without_values_or_state() -> None:
    made = snapshot(TEXTS, setTextVector("d", "t"))
    (record,) = made
    assert record.state is TEXTS.state
    assert made.definitions() == [TEXTS]


def test_limits() -> None:
    unlabelled = replace(NUMBERS, memberlabels={"a": NUMBERS.memberlabels["a"]})
    new = Limits(1, 2, 3)
    event = setNumberVector("d", "n", limits={"a": new, "b": new, "x": new})
    made = snapshot(unlabelled, event)
    (record,) = made
    assert record._limits.keys() == {"a", "b"}
    changed: Any = record.definition
    assert changed.memberlabels == {"a": NumberLabel("A", "%g", *new)}
    # A new definition has the last word.
    made.apply(event)
    made.apply(NUMBERS)
    made.apply(setNumberVector("d", "n", {"a": 1.0}))
    assert made.definitions() == [NUMBERS]


@pytest.mark.parametrize(
    "event",
    [
        setTextVector("d", "x", {"a": "z"}),
        setTextVector("x", "t", {"a": "z"}),
        setNumberVector("d", "t", {"a": 1.0}),
        delProperty("d", "x"),
        delProperty("x", "t"),
        delProperty(None, "x"),
    ],
)
def test_what_is_not_defined_is_ignored(event: SnoopEvent) -> None:
    made = snapshot(TEXTS)
    assert effect(made, event) is Effect.UNKNOWN
    assert made.definitions() == [TEXTS]
    assert made.ignored == 1


def test_messages_do_nothing() -> None:
    made = snapshot()
    assert made.apply(Message("d", "hello")) == Change(Effect.NONE)
    assert made.ignored == 0


# Deletions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (delProperty("d", "n"), ["t", "s", "l", "b"]),
        (delProperty("d"), ["s", "l", "b"]),
        (delProperty("x"), ["n", "t", "s", "l", "b"]),
        (delProperty(None, "s"), ["n", "t", "l", "b"]),
        (delProperty(), []),
        (delProperty("*"), []),
    ],
)
def test_deletions(event: delProperty, left: list[str]) -> None:
    made = snapshot(*ALL)
    assert effect(made, event) is Effect.DELETED
    assert [one.vectorname for one in made.definitions()] == left
    assert set(made.devices) == {one.devicename for one in made.definitions()}
    assert made.bytes == snapshot(*made.definitions()).bytes


def test_clear() -> None:
    made = snapshot(*ALL)
    assert made.reserve(10)
    made.clear()
    assert (len(made), made.definitions(), made.bytes) == (0, [], 10)


# The bound -------------------------------------------------------------------------------------


def test_what_goes_beyond_the_bound_is_refused() -> None:
    size = snapshot(TEXTS).bytes
    made = snapshot(max_bytes=size + 10)
    assert effect(made, TEXTS) is Effect.DEFINED
    assert effect(made, setTextVector("d", "t", {"a": "x" * 11})) is Effect.UPDATED
    assert effect(made, setTextVector("d", "t", {"b": "yy"})) is Effect.REFUSED
    assert effect(made, setTextVector("d", "t", {"a": "x", "b": "y" * 10})) is Effect.UPDATED
    assert effect(made, NUMBERS) is Effect.REFUSED
    assert effect(made, replace(TEXTS, group="g" * 20)) is Effect.REFUSED
    assert made.definitions() == [replace(TEXTS, members={"a": "x", "b": "y" * 10})]
    assert made.ignored == 3
    assert not made.reserve(2)
    assert made.reserve(1)
    assert made.reserve(-1)
    assert effect(made, delProperty("d")) is Effect.DELETED
    assert made.bytes == 0


# Records of others -----------------------------------------------------------------------------


def test_another_record() -> None:
    class Counted:
        kind = Kind.TEXT

        def __init__(self, _definition: DefVector) -> None:
            self.said: list[Any] = []

        def define(self, event: DefVector) -> bool:
            self.said.append(event)
            return True

        def update(self, event: SetVector) -> None:
            self.said.append(event)

        def growth(self, _event: SetVector) -> int:
            return 7

    made = Snapshot(Counted)
    made.apply(TEXTS)
    before = made.bytes
    assert made.apply(TEXTS).effect is Effect.REDEFINED
    event = setTextVector("d", "t")
    (record,) = made.apply(event).records
    assert record.said == [TEXTS, event]
    assert made.bytes == before + 7


# Anything --------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b"])


@st.composite
def _told(draw: st.DrawFn) -> SnoopEvent:
    kinds = [cls for cls in EVENTS if cls.__name__[:3] in ("def", "set")]
    event: Any = draw(EVENTS[draw(st.sampled_from(kinds))])
    return replace(event, devicename=draw(_NAMES), vectorname=draw(_NAMES))  # type: ignore[no-any-return]


@given(st.lists(_told() | st.builds(delProperty, st.none() | _NAMES, st.none() | _NAMES)))
def test_any_events(events: list[SnoopEvent]) -> None:
    made = snapshot()
    plain: dict[tuple[str, str], DefVector] = {}
    for event in events:
        made.apply(event)
        if isinstance(event, DefVector):
            plain[event.devicename, event.vectorname] = event
        elif isinstance(event, delProperty):
            plain = {names: one for names, one in plain.items() if not ends(event, *names)}
    definitions = made.definitions()
    assert {(one.devicename, one.vectorname) for one in definitions} == plain.keys()
    for one in definitions:
        first = plain[one.devicename, one.vectorname]
        assert (type(one), one.label, one.members.keys()) == (
            type(first),
            first.label,
            first.members.keys(),
        )
        assert covers("*", None, one)
    for wanted in plain:
        assert len(made.definitions(*wanted)) == 1
