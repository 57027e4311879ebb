"""How users name devices, properties and members."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, strategies as st

from trindi.cli.addresses import (
    Address,
    AddressError,
    Part,
    Pattern,
    devices_of,
    parse_address,
    parse_pattern,
    split,
)
from trindi.visible import join_names


def matches(text: str, *names: str) -> bool:
    pattern = parse_pattern(text)
    return pattern.covers(*names[:2]) and pattern.member.matches(names[2])


@pytest.mark.parametrize(
    "text",
    [
        "Thermostat.target.x",
        "Thermostat",
        "Thermostat.target",
        "*",
        "*.*.x",
        "Thermo*.*get.*",
        "T*m*t.target.x",
        '"Thermostat".target.x',
        "'Thermostat'.'target'.\"x\"",
    ],
)
def test_a_pattern_matches_what_it_means(text: str) -> None:
    assert matches(text, "Thermostat", "target", "x")


@pytest.mark.parametrize(
    "text",
    ["thermostat", "Thermo", "Thermostat.t", "*.target.y", '"Thermo*".target.x', "?hermostat"],
)
def test_a_pattern_matches_no_more(text: str) -> None:
    assert not matches(text, "Thermostat", "target", "x")


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
@example("a*a", "a")
@example("*a*b*", "ba")
def test_a_star_is_any_characters(pattern: str, name: str) -> None:
    wanted = ".*".join(map(re.escape, pattern.split("*")))
    assert Part(pattern).matches(name) is (re.fullmatch(wanted, name) is not None)


def test_many_stars_take_no_time() -> None:
    assert not Part("*a" * 1000 + "*b").matches("a" * 5000)


def test_names_are_nothing_but_names() -> None:
    assert matches("CCD [a+b].(x|y).^z$", "CCD [a+b]", "(x|y)", "^z$")
    assert matches('Bob\'s "big" dome.a.b', 'Bob\'s "big" dome', "a", "b")
    assert matches('"*".a.b', "*", "a", "b")
    assert not matches('"*".a.b', "x", "a", "b")


@pytest.mark.parametrize("names", [("ST-8.1", "a=b", "x"), ("'s", '"', "x y"), ('".', "é", ".")])
def test_what_is_joined_can_be_read(names: tuple[str, str, str]) -> None:
    assert parse_address(join_names(*names), 3) == Address(*names)
    assert matches(join_names(*names), *names)


@pytest.mark.parametrize("text", ["", ".", "a.", ".b", "a..c", "a.b.c.d", "a=b", "a.b.c=1"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(AddressError):
        parse_pattern(text)


@pytest.mark.parametrize("text", ["a.b", "a.b.*", "*.b.c", "a.b.c.d", "a.b.c=1", "a"])
def test_what_is_no_address_of_a_member(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text, 3)


def test_a_value_may_be_anything() -> None:
    for value in ("", "=", "a.b=c", "*", '"'):
        parts, rest = split(f"D.v.m={value}")
        assert [part.name for part in parts] == ["D", "v", "m"]
        assert rest == f"={value}"


def test_devices_are_asked_for_where_they_are_named() -> None:
    assert devices_of([parse_pattern("A.x"), parse_pattern("B"), parse_pattern("A.y.z")]) == [
        "A",
        "B",
    ]
    assert devices_of([parse_pattern("A"), parse_pattern("B*")]) == []
    assert devices_of([Pattern("")]) == []
