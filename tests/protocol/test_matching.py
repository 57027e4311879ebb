"""The wildcard rule: what a device name and a property name cover."""

from typing import Any

import pytest

from trindi.protocol import (
    BLOBPolicies,
    BLOBPolicy,
    Interest,
    Message,
    covered_devices,
    covers,
    delProperty,
    enableBLOB,
    ends,
    is_all,
    matches,
    setNumberVector,
)

NEVER, ALSO, ONLY = BLOBPolicy.NEVER, BLOBPolicy.ALSO, BLOBPolicy.ONLY

REPORT = setNumberVector("d", "v")


def test_every_device() -> None:
    assert is_all(None)
    assert is_all("*")
    assert not is_all("d")
    assert not is_all("")


def test_covered_devices() -> None:
    for name in (None, "*"):
        assert list(covered_devices(name, {"d": 1, "e": 2})) == ["d", "e"]
    assert list(covered_devices("e", {"d": 1, "e": 2})) == ["e"]
    assert not covered_devices("x", {"d": 1})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((None, None), True),
        (("*", None), True),
        (("d", None), True),
        (("d", "v"), True),
        ((None, "v"), True),
        (("*", "v"), True),
        (("e", None), False),
        (("e", "v"), False),
        (("d", "w"), False),
        (("*", "w"), False),
        (("", None), False),
    ],
)
def test_a_property_is_covered(names: tuple[str | None, str | None], expected: bool) -> None:
    assert covers(*names, REPORT) is expected
    assert matches(*names, "d", "v") is expected
    assert covers(*names, delProperty("d", "v")) is expected
    assert ends(delProperty(*names), "d", "v") is expected


EVENTS = [
    (REPORT, ["all", "d", "d.v"]),
    (Message("d"), ["all", "d"]),
    (Message(), ["all"]),
    (delProperty("d", "v"), ["all", "d", "d.v"]),
    (delProperty("d"), ["all", "d", "d.v", "d.w"]),
    (delProperty(), ["all", "d", "d.v", "d.w", "e"]),
    (delProperty("*"), ["all", "d", "d.v", "d.w", "e"]),
    (delProperty(None, "v"), ["all", "d", "d.v", "e"]),
]


@pytest.mark.parametrize(("event", "heard"), EVENTS)
def test_who_hears_an_event(event: Any, heard: list[str]) -> None:
    interests: dict[str, tuple[str | None, str | None]] = {
        "all": (None, None),
        "d": ("d", None),
        "d.v": ("d", "v"),
        "d.w": ("d", "w"),
        "e": ("e", None),
    }
    assert [name for name, names in interests.items() if covers(*names, event)] == heard
    for name, names in interests.items():
        interest = Interest()
        interest.add(*names)
        assert interest.covers(event) is (name in heard)


def test_nothing_else_ends_a_property() -> None:
    assert not ends(REPORT, "d", "v")
    assert not ends(Message("d"), "d", "v")


def test_an_interest_grows() -> None:
    interest = Interest()
    assert not interest.covers(REPORT)
    assert not interest.covers(delProperty())
    assert interest.add("d", "w")
    assert not interest.add("d", "w")
    assert not interest.covers(REPORT)
    assert interest.add("d", "v")
    assert interest.covers(REPORT)
    assert set(interest) == {("d", "v"), ("d", "w")}
    assert interest.add("d")
    assert not interest.add("d")
    assert not interest.add("d", "u")
    assert interest.add("*")
    assert interest.everything
    assert not interest.add("e")
    assert not interest.add(None)
    assert (None, None) in set(interest)


def test_an_interest_without_a_device_is_in_everything() -> None:
    interest = Interest()
    assert interest.add(None, "v")
    assert interest.covers(setNumberVector("e", "w"))


def test_an_interest_in_too_many_names_is_in_everything() -> None:
    interest = Interest(max_bytes=2000)
    assert [interest.add("d", str(number)) for number in range(6)] == [True] * 4 + [False] * 2
    assert interest.everything


@pytest.mark.parametrize("names", [("d" * 1000, "v"), ("d", "v" * 1000)])
def test_long_names_count(names: tuple[str, str]) -> None:
    interest = Interest(max_bytes=2000)
    interest.add(*names)
    assert not interest.everything
    interest.add("d", "w")
    assert interest.everything


# BLOB policies -----------------------------------------------------------------------------------


def test_the_policy_of_a_device_replaces_those_of_its_properties() -> None:
    policies = BLOBPolicies()
    for request in (enableBLOB("D", "P", ONLY), enableBLOB("E", "P", ALSO), enableBLOB("D", None)):
        policies.set(request)
    assert list(policies) == [enableBLOB("E", "P", ALSO), enableBLOB("D", None, NEVER)]
    policies.set(enableBLOB("D", "P", ALSO))
    assert [policies.find("D", name) for name in ("P", "Q", None)] == [ALSO, NEVER, NEVER]
    assert policies.find("F") is NEVER


def test_the_policy_of_every_device_is_that_of_each_without_its_own() -> None:
    # Stock indiserver takes the policy of any device, * among them, for all devices.
    policies = BLOBPolicies()
    policies.set(enableBLOB("*", None, ALSO))
    assert policies.find("D", "P") is policies.find("D") is ALSO
    policies.set(enableBLOB("D", "P", NEVER))
    policies.set(enableBLOB("*", "Q", ONLY))
    assert [policies.find("D", name) for name in ("P", "Q", "R", None)] == [NEVER, ONLY, ALSO, ALSO]
    policies.set(enableBLOB("*", None, NEVER))
    assert list(policies) == [enableBLOB("*", None, NEVER)]
    assert policies.find("D", "Q") is NEVER


def test_policies_are_bounded_and_those_noted_can_still_be_changed() -> None:
    policies = BLOBPolicies()
    policies.set(enableBLOB("D", "P", ALSO))
    policies.set(enableBLOB("E", None, ALSO))
    for number in range(20_000):
        policies.set(enableBLOB("D", f"{number}", ALSO))
    noted = sum(policies.find("D", f"{number}") is ALSO for number in range(20_000))
    assert 1_000 < noted < 20_000
    assert policies.find("D", "P") is ALSO
    policies.set(enableBLOB("D", "P", NEVER))
    assert policies.find("D", "P") is NEVER
    policies.set(enableBLOB("E", None, NEVER))
    assert policies.find("E", "anything") is NEVER


def test_policies_that_are_replaced_make_room() -> None:
    policies = BLOBPolicies()
    for _ in range(20_000):
        policies.set(enableBLOB("D", "P", ALSO))
        policies.set(enableBLOB("D", None, NEVER))
    policies.set(enableBLOB("D", "P", ALSO))
    assert policies.find("D", "P") is ALSO
