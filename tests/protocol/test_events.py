"""The event classes and the table that ties them to element names."""

import copy
import dataclasses
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given

from tests.strategies import EVENTS, events
from trindi.protocol import (
    ELEMENT_OF,
    ELEMENTS,
    Decoder,
    Event,
    Message,
    Permission,
    State,
    defLightVector,
    encode,
    getProperties,
    newNumberVector,
    newTextVector,
    replace,
    setNumberVector,
)


def test_every_element_of_the_protocol() -> None:
    names = {"getProperties", "enableBLOB", "message", "delProperty", "pingRequest", "pingReply"}
    for kind in ("Switch", "Text", "Number", "Light", "BLOB"):
        names |= {f"def{kind}Vector", f"set{kind}Vector", f"new{kind}Vector"}
    assert set(ELEMENTS) == names - {"newLightVector"}
    assert set(ELEMENT_OF) == set(EVENTS)


@pytest.mark.parametrize("cls", EVENTS)
def test_a_class_is_named_as_its_element(cls: type[Any]) -> None:
    element = ELEMENT_OF[cls]
    assert element.xml == ("message" if cls is Message else cls.__name__)
    assert ELEMENTS[element.xml] is element
    fields = {field.name for field in dataclasses.fields(cls)}
    assert {attribute.field for attribute in element.attributes} <= fields


@pytest.mark.parametrize("cls", EVENTS)
def test_attributes_are_in_the_order_of_the_protocol(cls: type[Any]) -> None:
    order = ["device", "name", "label", "group", "state", "perm", "rule", "timeout", "timestamp"]
    order += ["message", "uid", "after", "answered"]
    found = [attribute.xml for attribute in ELEMENT_OF[cls].attributes]
    assert found == sorted(found, key=order.index)


@given(events())
def test_events_are_frozen_and_slotted(event: Any) -> None:
    (decoded,) = Decoder().feed(encode(event))
    for one in (event, decoded, replace(event)):
        for field in dataclasses.fields(one):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(one, field.name, None)
        assert not hasattr(one, "__dict__")
        assert type(one) is type(event)


@given(events())
def test_events_are_values(event: Event) -> None:
    (decoded,) = Decoder().feed(encode(event))
    assert isinstance(event, Hashable)
    for same in (dataclasses.replace(event), replace(event), copy.copy(event), decoded):
        assert same == event
        assert hash(same) == hash(event)


def test_what_is_replaced() -> None:
    event = newNumberVector("d", "n", {"a": 1.0}, text={"a": "1"})
    vector = object()
    other = replace(event, vectorname="m", vector=vector)
    assert (other.devicename, other.vectorname, other.members) == ("d", "m", {"a": 1.0})
    assert other.text == {"a": "1"}
    assert other.vector is vector
    assert event.vectorname == "n"
    with pytest.raises(TypeError):
        replace(event, label="x")


def test_a_vector_is_a_mapping_of_its_members() -> None:
    event = newTextVector("d", "n", {"a": "x", "b": "y"})
    assert dict(event) == {"a": "x", "b": "y"}
    assert list(event.values()) == ["x", "y"]
    assert list(event.items()) == [("a", "x"), ("b", "y")]
    assert event["a"] == "x"
    assert len(event) == 2
    assert "a" in event
    assert "c" not in event
    assert event.get("c") is None
    with pytest.raises(KeyError, match=r"newTextVector of d\.n holds no member 'c', only a, b"):
        event["c"]
    with pytest.raises(KeyError, match=r"newTextVector of d\.n holds no member 'a', nor any other"):
        newTextVector("d", "n")["a"]


def test_a_vector_without_members_still_differs_from_another() -> None:
    assert newTextVector("d", "n") != newTextVector("d", "m")
    other: Event = newNumberVector("d", "n")
    assert other != newTextVector("d", "n")
    assert not newTextVector("d", "n")


def test_pattern_matching() -> None:
    match newNumberVector("Thermostat", "targetvector", {"target": 20.0}):
        case newNumberVector(devicename="Thermostat", vectorname="targetvector") as event:
            assert "target" in event
        case _:  # pragma: no cover
            pytest.fail("does not match")


def test_what_is_no_part_of_what_an_event_says() -> None:
    plain = newNumberVector("d", "n", {"a": 0.5})
    assert newNumberVector("d", "n", {"a": 0.5}, text={"a": "0:30"}, vector=object()) == plain
    assert setNumberVector("d", "n", {"a": 0.5}, text={"a": "0:30"}) == setNumberVector(
        "d", "n", {"a": 0.5}
    )
    assert getProperties("d", vector=object()) == getProperties("d")


def test_a_light_is_read_only() -> None:
    assert defLightVector("d", "n", "n", "", State.OK).perm is Permission.RO
