"""What an event weighs is what it costs in memory, so that the bound of a queue bounds memory."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from trindi import (
    Message,
    NumberLabel,
    Permission,
    Rule,
    SizeFormat,
    State,
    SwitchState,
    defNumberVector,
    defSwitchVector,
    delProperty,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)
from trindi.protocol import Decoder, encode, pingReply
from trindi.transport import EncodedEvent, EventQueue, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def number_definition(index: int, members: int) -> defNumberVector:
    names = [f"member {number}" for number in range(members)]
    values = {name: float(index) for name in names}
    labels = {name: NumberLabel(f"{name}?", "%g", 0.5 + index, 1.5 + index, 0) for name in names}
    return defNumberVector(
        "Dev",
        f"n{index}",
        f"label {index}",
        "Main",
        State.OK,
        Permission.RO,
        values,
        labels,
        0.0,
        NOW,
    )


def switch_definition(index: int) -> defSwitchVector:
    names = [f"s{number}" for number in range(5)]
    return defSwitchVector(
        "Dev",
        f"s{index}",
        f"label {index}",
        "Main",
        State.OK,
        Permission.RO,
        Rule.ANY_OF_MANY,
        dict.fromkeys(names, SwitchState.OFF),
        {name: f"label of {name}" for name in names},
        0.0,
        NOW,
    )


def report(index: int, members: int) -> setNumberVector:
    values = {f"member {number}": index + 0.5 for number in range(members)}
    return setNumberVector("Dev", "n", values, State.OK, 0.0, NOW)


EVENTS: dict[str, Callable[[int], Any]] = {
    "ping": lambda index: pingReply(f"a ping {index}"),
    "message": lambda index: Message("Dev", f"[INFO] {index} " + "x" * 50, NOW),
    "end": lambda index: delProperty("Dev", f"n{index}", NOW),
    "small report": lambda index: report(index, 1),
    "report": lambda index: report(index, 20),
    "text": lambda index: setTextVector("Dev", "t", {"t": f"{index}" + "x" * 5000}, State.OK),
    "wide text": lambda index: setTextVector(
        "Dev", "t", {"t": f"{index} \N{TELESCOPE}" + "x" * 5000}, State.OK
    ),
    "definition": lambda index: number_definition(index, 1),
    "large definition": lambda index: number_definition(index, 15),
    "switches": switch_definition,
}


@pytest.mark.parametrize("decoded", [False, True], ids=["made", "decoded"])
@pytest.mark.parametrize("make", EVENTS.values(), ids=EVENTS.keys())
def test_what_waits_takes_about_what_it_weighs(make: Callable[[int], Any], decoded: bool) -> None:
    decoder = Decoder()

    def made(index: int) -> Any:
        return decoder.feed(encode(make(index)))[0] if decoded else make(index)

    tracemalloc.start()
    queue = EventQueue()
    for index in range(300):
        event = made(index)
        queue.put(Reply(event, encode(event)))
    del event
    weight = queue.size
    before, _peak = tracemalloc.get_traced_memory()
    queue.clear()
    after, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    taken = before - after
    # Free lists keep some of it, and the objects of a driver's own events are shared.
    assert taken < weight < 3 * taken


async def test_what_is_compressed_is_there_twice() -> None:
    zeros = setBLOBVector("Dev", "b", {"b": bytes(100_000)}, {"b": SizeFormat(100_000, ".z")})
    encoded = EncodedEvent(zeros)
    await encoded.prepare()
    assert encoded.size < 1000
    assert 100_000 < encoded.weight < 103_000


def test_unread_pings_are_bounded_in_memory() -> None:
    """They took thirteen times what was allowed: their bytes are the least of them."""
    queue = EventQueue(bound=2**20)
    tracemalloc.start()
    for number in range(5_000):
        ping = pingReply(f"{number}")
        queue.put(Reply(ping, encode(ping)))
    _size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert queue.drops > 0
    assert peak < 1.2 * 2**20
