"""Tags that come again are remembered, when they are short, and not too many of them.

Work is counted in calls of functions, as in `test_cost`; the least of some counts, for whatever
else runs in between (the garbage collector) only adds to one.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.protocol.test_cost import calls
from trindi.protocol import (
    Decoder,
    Event,
    Permission,
    Rule,
    State,
    SwitchState,
    defSwitchVector,
    encode,
    encoder,
    getProperties,
    setNumberVector,
    tag_reader,
)


def definition(name: str) -> Event:
    return defSwitchVector(
        "d",
        name,
        name,
        "group",
        State.OK,
        Permission.RW,
        Rule.ANY_OF_MANY,
        {name: SwitchState.ON},
        {name: name},
    )


def request(name: str) -> Event:
    return getProperties("d", name)


def values(name: str) -> Event:
    return setNumberVector("d", "n", {f"{name}{number}": 1.0 for number in range(20)})


def least_calls(work: Callable[[Any], object], things: list[Any]) -> int:
    return min(calls(lambda: work(thing)) for thing in things)  # noqa: B023 - called at once


def first_and_again(make: Callable[[str], Event], names: list[str], *, decode: bool) -> list[int]:
    """Calls for what is written or read the first time, and the second."""
    decoder = Decoder()
    things: list[Any] = [make(name) for name in names]
    if decode:
        things = [encode(thing) for thing in things]
    return [least_calls(decoder.feed if decode else encode, things) for _ in range(2)]


@pytest.mark.parametrize("decode", [False, True], ids=["encode", "decode"])
@pytest.mark.parametrize("make", [definition, request, values])
def test_tags_are_remembered(make: Callable[[str], Event], decode: bool) -> None:
    names = [f"{make.__name__} {decode} {number}" for number in range(5)]
    first, again = first_and_again(make, names, decode=decode)
    assert again < first


@pytest.mark.parametrize("decode", [False, True], ids=["encode", "decode"])
def test_every_tag_of_a_member_is_remembered(decode: bool) -> None:
    names = [f"members {decode} {number}" for number in range(5)]
    _, again = first_and_again(values, names, decode=decode)
    _, none = first_and_again(lambda _name: setNumberVector("d", "n"), names, decode=decode)
    # What is left to do for each is to look it up, and to read or write its value.
    assert again - none <= 20 * 8


@pytest.mark.parametrize("decode", [False, True], ids=["encode", "decode"])
def test_long_tags_are_not_remembered(decode: bool) -> None:
    names = [f"{decode} {number}" + 2000 * "x" for number in range(5)]
    first, again = first_and_again(request, names, decode=decode)
    assert again == first


@pytest.mark.parametrize(
    ("memory", "most"),
    [
        (encoder._remember(lambda name: f"<{name}>"), encoder._MAX_REMEMBERED),
        (tag_reader.remember(lambda name: name), tag_reader.MAX_REMEMBERED),
    ],
)
def test_no_more_than_a_bounded_number_is_remembered(memory: Any, most: int) -> None:
    sizes = []
    for number in range(3 * most):
        memory[(str(number),)]
        sizes.append(len(memory))
    assert max(sizes) == most
