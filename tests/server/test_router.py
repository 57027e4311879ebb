"""Who hears what: the subscriptions, BLOB policies and snooping of protocol §4.4, §5.2 and §5.4."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from trindi.protocol import (
    BLOBPolicy,
    Message,
    Permission,
    State,
    defBLOBVector,
    defTextVector,
    delProperty,
    enableBLOB,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setTextVector,
)
from trindi.protocol.matching import MAX_INTEREST_BYTES
from trindi.server.router import Router, Subscription

NEVER, ALSO, ONLY = BLOBPolicy.NEVER, BLOBPolicy.ALSO, BLOBPolicy.ONLY

DEF = defTextVector("D", "P", "P", "", State.OK, Permission.RW)
DEF_BLOB = defBLOBVector("D", "P", "P", "", State.OK, Permission.RO)
SET = setTextVector("D", "P")
BLOB = setBLOBVector("D", "P")
DEL_PROPERTY = delProperty("D", "P")
DEL_DEVICE = delProperty("D")
DEVICE_MESSAGE = Message("D", "hello")
SITE_MESSAGE = Message(None, "hello")
OTHERS_SET = setTextVector("D", "Q")
ELSEWHERE = setTextVector("E", "P")

EVERYTHING = {DEF, DEF_BLOB, SET, BLOB, DEL_PROPERTY, DEL_DEVICE, DEVICE_MESSAGE, SITE_MESSAGE}
EVERYTHING |= {OTHERS_SET, ELSEWHERE}
OF_PROPERTY = {DEF, DEF_BLOB, SET, DEL_PROPERTY, DEL_DEVICE, SITE_MESSAGE}
OF_DEVICE = OF_PROPERTY | {DEVICE_MESSAGE, OTHERS_SET}
ALL_BUT_BLOBS = OF_DEVICE | {ELSEWHERE}


def router_with(*asked: Any) -> Router[str, str]:
    router: Router[str, str] = Router()
    for driver, devices in {"driver of D": ["D", "D2"], "driver of E": ["E"]}.items():
        router.add_upstream(driver, learns_devices=False)
        assert all(router.claim(device, driver) for device in devices)
    router.join("client")
    for event in asked:
        router.subscribe("client", event)
    return router


def heard_by(router: Router[str, str], event: Any, speaker: str = "driver") -> tuple[str, ...]:
    return router.route(event, speaker).receivers


def heard_after(*asked: Any) -> set[Any]:
    """What a client hears of everything there is, once it has asked this."""
    router = router_with(*asked)
    return {event for event in EVERYTHING if heard_by(router, event) == ("client",)}


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        pytest.param([], {SITE_MESSAGE}, id="a client that never asked hears only of the site"),
        pytest.param([getProperties()], ALL_BUT_BLOBS, id="all"),
        pytest.param([getProperties("*")], ALL_BUT_BLOBS, id="a chained server"),
        pytest.param([getProperties("D")], OF_DEVICE, id="a device"),
        pytest.param([getProperties("D", "P")], OF_PROPERTY, id="a property"),
        pytest.param([getProperties("E")], {ELSEWHERE, SITE_MESSAGE}, id="another device"),
        pytest.param([getProperties("X")], {SITE_MESSAGE}, id="a device there is none of"),
        pytest.param([newTextVector("D", "P")], OF_PROPERTY, id="by a new text"),
        pytest.param([newNumberVector("D", "P")], OF_PROPERTY, id="by a new number"),
        pytest.param([newSwitchVector("D", "P")], OF_PROPERTY, id="by a new switch"),
        pytest.param([newBLOBVector("D", "P")], OF_PROPERTY, id="by a new BLOB"),
        pytest.param([enableBLOB("D", "P", NEVER)], OF_PROPERTY, id="by an enableBLOB"),
        pytest.param([enableBLOB("D", None, NEVER)], OF_DEVICE, id="by an enableBLOB of a device"),
        pytest.param(
            [getProperties("D", "P"), getProperties("D")], OF_DEVICE, id="widened to the device"
        ),
        pytest.param(
            [getProperties("D", "P"), getProperties()], ALL_BUT_BLOBS, id="widened to everything"
        ),
        pytest.param(
            [getProperties(), getProperties("D", "P")], ALL_BUT_BLOBS, id="never narrowed"
        ),
        pytest.param(
            [getProperties("D", "P"), getProperties("D", "Q")],
            OF_PROPERTY | {OTHERS_SET},
            id="two properties",
        ),
        pytest.param([SET, DEF, DEL_DEVICE], {SITE_MESSAGE}, id="what clients cannot say"),
    ],
)
def test_what_a_client_asks_is_what_it_hears(asked: list[Any], heard: set[Any]) -> None:
    assert heard_after(*asked) == heard


# Each row: what was said, whether BLOBs of D.P come, whether the rest of D comes.
@pytest.mark.parametrize(
    ("said", "blobs", "rest"),
    [
        ([], False, True),
        ([(None, NEVER)], False, True),
        ([(None, ALSO)], True, True),
        ([(None, ONLY)], True, False),
        ([("P", NEVER)], False, True),
        ([("P", ALSO)], True, True),
        # Only, said of a property, suppresses nothing else (§4.4).
        ([("P", ONLY)], True, True),
        ([("Q", ALSO)], False, True),
        ([("Q", ONLY)], False, True),
        ([(None, ALSO), ("P", NEVER)], False, True),
        ([(None, NEVER), ("P", ALSO)], True, True),
        ([(None, ONLY), ("P", NEVER)], False, False),
        ([("P", ALSO), (None, NEVER)], False, True),
        ([("P", NEVER), (None, ALSO)], True, True),
        ([(None, ONLY), (None, ALSO)], True, True),
        ([(None, ONLY), (None, NEVER)], False, True),
        ([("P", ALSO), ("P", NEVER)], False, True),
    ],
)
def test_blob_policies(said: list[tuple[str | None, BLOBPolicy]], blobs: bool, rest: bool) -> None:
    policies = [enableBLOB("D", name, policy) for name, policy in said]
    expected = {SITE_MESSAGE, ELSEWHERE}
    expected |= {BLOB} if blobs else set()
    expected |= OF_DEVICE if rest else set()
    assert heard_after(getProperties(), *policies) == expected


def test_the_blob_policy_of_a_device_is_that_device_only() -> None:
    router = router_with(getProperties(), enableBLOB("D", None, ALSO))
    assert heard_by(router, setBLOBVector("D", "anything")) == ("client",)
    assert heard_by(router, setBLOBVector("D2", "anything")) == ()


# Against the rules as the specification words them, for any history ------------------------------

devices = st.sampled_from(["D", "E"])
vectors = st.sampled_from(["P", "Q"])
maybe_vectors = st.none() | vectors
requests = st.one_of(
    st.just(getProperties()),
    st.just(getProperties("*")),
    st.builds(getProperties, devices, maybe_vectors),
    st.builds(newTextVector, devices, vectors),
    st.builds(enableBLOB, devices, maybe_vectors, st.sampled_from(BLOBPolicy)),
)
reports = st.one_of(
    st.builds(setTextVector, devices, vectors),
    st.builds(setBLOBVector, devices, vectors),
    st.builds(delProperty, devices, maybe_vectors),
    st.builds(Message, st.none() | devices),
)


def should_hear(history: list[Any], event: Any) -> bool:
    """The rules again, in the plainest words: search the history each time."""
    device = event.devicename
    vector = getattr(event, "vectorname", None)
    if device is None:
        return True
    places = [(asked.devicename, asked.vectorname) for asked in history]
    wide = any(place[0] in (None, "*") or place == (device, None) for place in places)
    of_vector = vector is not None and (device, vector) in places
    end_of_device = isinstance(event, delProperty) and vector is None
    if not (wide or of_vector or (end_of_device and any(device == name for name, _ in places))):
        return False
    policies = [asked for asked in history if isinstance(asked, enableBLOB)]
    of_device = [p for p in policies if p.devicename == device and p.vectorname is None]
    if not isinstance(event, setBLOBVector):
        return not of_device or of_device[-1].policy is not ONLY
    said = [p for p in policies if p.devicename == device and p.vectorname in (None, vector)]
    return bool(said) and said[-1].policy is not NEVER


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), requests | reports), max_size=30))
def test_any_history_is_routed_as_the_rules_say(steps: list[tuple[str, Any]]) -> None:
    router: Router[str, str] = Router()
    histories: dict[str, list[Any]] = {"one": [], "two": []}
    for name in histories:
        router.join(name)
    for name, event in steps:
        if isinstance(event, (getProperties, enableBLOB, newTextVector)):
            router.subscribe(name, event)
            histories[name].append(event)
        else:
            due = {name for name, history in histories.items() if should_hear(history, event)}
            assert set(heard_by(router, event)) == due


# Coming and going --------------------------------------------------------------------------------


def test_a_client_that_has_left_hears_nothing() -> None:
    router = router_with(getProperties())
    assert heard_by(router, SET) == ("client",)
    router.leave("client")
    assert heard_by(router, SET) == ()


def test_a_client_that_comes_hears_what_was_routed_before_it_came() -> None:
    router = router_with(getProperties())
    assert heard_by(router, SITE_MESSAGE) == ("client",)
    router.join("late")
    assert heard_by(router, SITE_MESSAGE) == ("client", "late")
    router.subscribe("late", getProperties("D"))
    assert heard_by(router, SET) == ("client", "late")


def test_more_properties_than_routes_are_remembered_are_routed_all_the_same() -> None:
    router = router_with(getProperties("D"))
    for number in range(20_000):
        assert heard_by(router, setTextVector("D", f"P{number}")) == ("client",)
        assert heard_by(router, setTextVector("E", f"P{number}")) == ()


def test_requests_go_to_the_owner() -> None:
    router = router_with()
    for ask in (getProperties, newTextVector):
        assert router.asked(ask("D", "P")) == router.asked(ask("D2", "P")) == ("driver of D",)
        assert router.asked(ask("E", "P")) == ("driver of E",)
        assert router.asked(ask("X", "P")) == ()
    every = ("driver of D", "driver of E")
    assert router.asked(getProperties()) == router.asked(getProperties("*")) == every


# Bounds ------------------------------------------------------------------------------------------


def test_a_subscription_to_too_many_names_is_to_everything() -> None:
    subscription = Subscription()
    name = "x" * 60_000
    asked = 0
    while not subscription.interest.everything:
        assert subscription.note(getProperties(f"{name}{asked}"))
        asked += 1
    assert asked * len(name) <= MAX_INTEREST_BYTES + len(name)
    assert subscription.hears(SET)
    assert not subscription.note(getProperties("D", "P"))


def test_short_names_are_bounded_too() -> None:
    subscription = Subscription()
    asked = 0
    while not subscription.interest.everything:
        subscription.note(getProperties("D", str(asked)))
        asked += 1
    assert 1_000 < asked < 20_000


# Snooping ----------------------------------------------------------------------------------------


def snoopers(router: Router[str, str], event: Any, speaker: str) -> tuple[str, ...]:
    return tuple(name for name in heard_by(router, event, speaker) if name != "client")


def snooped_after(*asked: Any) -> set[Any]:
    router = router_with()
    for event in asked:
        router.snoop("snooper", event)
    return {event for event in EVERYTHING if snoopers(router, event, "driver of D") == ("snooper",)}


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        pytest.param([], set(), id="nothing"),
        pytest.param([getProperties()], ALL_BUT_BLOBS - {SITE_MESSAGE}, id="everything"),
        pytest.param([getProperties("D")], OF_DEVICE - {SITE_MESSAGE}, id="a device"),
        pytest.param([getProperties("D", "P")], OF_PROPERTY - {SITE_MESSAGE}, id="a property"),
        pytest.param([enableBLOB("D", "P", ALSO)], set(), id="BLOBs without an entry"),
        pytest.param(
            [getProperties("D", "P"), enableBLOB("D", "P", ALSO)],
            OF_PROPERTY - {SITE_MESSAGE} | {BLOB},
            id="BLOBs of a property",
        ),
        pytest.param(
            [getProperties("D"), enableBLOB("D", None, ALSO)],
            OF_DEVICE - {SITE_MESSAGE} | {BLOB},
            id="BLOBs of a device",
        ),
    ],
)
def test_what_a_driver_snoops_is_what_it_hears(asked: list[Any], heard: set[Any]) -> None:
    assert snooped_after(*asked) == heard


def test_nobody_hears_himself() -> None:
    router = router_with()
    router.snoop("driver of D", getProperties())
    router.snoop("driver of E", getProperties())
    assert snoopers(router, SET, "driver of D") == ("driver of E",)
    assert snoopers(router, ELSEWHERE, "driver of E") == ("driver of D",)


def test_snooping_is_forgotten_with_the_driver() -> None:
    router = router_with()
    router.snoop("driver of E", getProperties("D"))
    router.leave("driver of E")
    router.leave("driver of E")
    assert snoopers(router, SET, "driver of D") == ()
