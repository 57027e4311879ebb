"""Definitions are encoded once, and say at any time what the properties are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.driver import Peer, RecordingPublisher
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    getProperties,
)
from trindi.driver import core_of
from trindi.protocol import Decoder, DefVector, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.transport import EncodedEvent


def make_driver() -> IPyDriver:
    switches = [SwitchMember("a", membervalue="On"), SwitchMember("b")]
    one = Device(
        "One",
        [
            NumberVector("number", perm="rw", numbermembers=[NumberMember("n", format="%g")]),
            TextVector("text", textmembers=[TextMember("t")]),
            SwitchVector("switch", perm="rw", switchmembers=switches),
            LightVector("light", lightmembers=[LightMember("l")]),
            BLOBVector("blob", blobmembers=[BLOBMember("b")]),
        ],
    )
    two = Device("Two", [TextVector("text", textmembers=[TextMember("t")])])
    return IPyDriver([one, two])


@pytest.fixture
async def driver(nursery: trio.Nursery) -> IPyDriver:
    driver = make_driver()
    await nursery.start(core_of(driver).serve, RecordingPublisher())
    return driver


def items(driver: IPyDriver, *asked: str | None) -> dict[tuple[str, str], EncodedEvent]:
    found: dict[tuple[str, str], EncodedEvent] = {}
    for encoded in core_of(driver).encoded_definitions(*asked).items:
        event: Any = encoded.event
        found[event.devicename, event.vectorname] = encoded
    return found


def as_it_is(driver: IPyDriver, device: str, vector: str) -> DefVector:
    """The definition, made anew; its time is when it was made."""
    definition: DefVector = driver[device][vector].definition()
    return definition


async def test_nothing_is_encoded_twice(driver: IPyDriver) -> None:
    before = items(driver)
    assert list(before) == [
        *(("One", name) for name in ("number", "text", "switch", "light", "blob")),
        ("Two", "text"),
    ]
    assert core_of(driver).encoded_definitions() is core_of(driver).encoded_definitions(None)
    for asked in [(None,), ("*",), ("One",), ("One", "number"), ("Two", "text"), (None, "text")]:
        for place, encoded in items(driver, *asked).items():
            assert encoded is before[place]
    for encoded in before.values():
        assert Decoder().feed(encoded.data) == [encoded.event]


@pytest.mark.parametrize("asked", [("Three",), ("One", "nothing"), ("Three", "text")])
async def test_nothing_there_is_nothing(driver: IPyDriver, asked: tuple[str, ...]) -> None:
    assert items(driver, *asked) == {}


CHANGES: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a number": ("number", lambda vector: vector.__setitem__("n", 5)),
    "a member's value": ("number", lambda vector: setattr(vector.members["n"], "membervalue", 6)),
    "a text": ("text", lambda vector: vector.update({"t": "new"})),
    "a switch": ("switch", lambda vector: vector.__setitem__("b", "On")),
    "a light": ("light", lambda vector: vector.__setitem__("l", "Busy")),
    "a state": ("text", lambda vector: setattr(vector, "state", "Alert")),
    "a timeout": ("number", lambda vector: setattr(vector, "timeout", 9)),
    "a label": ("blob", lambda vector: setattr(vector, "label", "Frame")),
    "a group": ("light", lambda vector: setattr(vector, "group", "Other")),
    "a member's label": ("switch", lambda vector: setattr(vector.members["a"], "label", "A")),
    "a format": ("number", lambda vector: setattr(vector.members["n"], "format", "%5.2f")),
    "limits": ("number", lambda vector: setattr(vector.members["n"], "limits", (1, 2, 3))),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_changes_is_defined_anew_and_nothing_else(driver: IPyDriver, what: str) -> None:
    name, change = CHANGES[what]
    before = items(driver)
    change(driver["One"][name])
    after = items(driver)
    assert {place for place in before if before[place] is not after[place]} == {("One", name)}
    new, now = after["One", name], as_it_is(driver, "One", name)
    assert Decoder().feed(new.data) == [new.event]
    assert replace(now, timestamp=new.event.timestamp) == new.event  # type: ignore[union-attr]


async def test_a_value_that_is_sent_again_is_as_new_as_that(driver: IPyDriver) -> None:
    before = items(driver)["One", "number"]
    await driver["One"]["number"].send_setVector()
    after = items(driver)["One", "number"]
    times: list[Any] = [before.event, after.event]
    assert times[0].timestamp < times[1].timestamp


async def test_what_is_disabled_is_not_defined(driver: IPyDriver) -> None:
    everything = list(items(driver))
    driver["One"]["light"].enable = False
    assert ("One", "light") not in items(driver)
    driver["Two"].enable = False
    assert ("Two", "text") not in items(driver)
    driver["One"]["light"].enable = driver["Two"].enable = True
    assert list(items(driver)) == everything
    await driver["One"].send_delProperty()
    assert list(items(driver)) == [("Two", "text")]


async def test_a_client_is_shown_the_same(driver: IPyDriver) -> None:
    peer = Peer()
    core_of(driver).receive(getProperties(), peer)
    driver["One"]["number"]["n"] = 7
    core_of(driver).receive(getProperties("One", "number"), peer)
    core_of(driver).receive(getProperties("One"), peer)
    said: list[Any] = peer.replies
    assert [event.vectorname for event in said[:6]].count("text") == 2
    assert said[0]["n"] == 0
    assert said[6]["n"] == said[7]["n"] == 7
    assert said[6] is said[7]


@pytest.mark.parametrize(
    ("attribute", "value"), [("label", 5), ("group", None), ("label", b"bytes")]
)
def test_what_is_no_text_is_refused_at_once(attribute: str, value: Any) -> None:
    vector = make_driver()["One"]["number"]
    with pytest.raises(TypeError, match="is a str"):
        setattr(vector, attribute, value)


def test_what_is_no_format_is_refused_at_once() -> None:
    member = make_driver()["One"]["number"].members["n"]
    with pytest.raises(ValueError, match="number format"):
        member.format = "%d items"
    with pytest.raises(TypeError, match="is a str"):
        member.label = 7


def test_members_cannot_be_put_in_or_taken_out_by_hand() -> None:
    members = make_driver()["One"]["number"].members
    with pytest.raises(TypeError):
        members["m"] = NumberMember("m")
    with pytest.raises(AttributeError):
        members.pop("n")


async def test_each_run_begins_with_new_definitions(autojump_clock: trio.testing.MockClock) -> None:
    driver = make_driver()
    before = items(driver)
    async with trio.open_nursery() as nursery:
        await nursery.start(core_of(driver).serve, RecordingPublisher())
        after = items(driver)
        nursery.cancel_scope.cancel()
    assert all(before[place] is not after[place] for place in before)
