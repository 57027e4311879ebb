"""Drivers of one server that listen to each other, under virtual time: no client is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.peers import of
from tests.kit.server import Bench, start
from trindi.protocol import (
    Message,
    defNumberVector,
    delProperty,
    getProperties,
    setBLOBVector,
    setNumberVector,
)

if TYPE_CHECKING:
    from trindi import SnoopEvent

NAMES = ["count", "target", "serial", "note", "mode", "abort", "lamp", "frame", "upload"]


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def places(events: list[Any]) -> list[tuple[str, str]]:
    return [
        (event.devicename, event.vectorname)
        for event in events
        if type(event).__name__.startswith("def")
    ]


async def test_the_first_answer_is_what_is_there_now(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    source, snooper = Bench("A"), Bench("B")
    await start(nursery, source, snooper)
    await source.count(3)
    await snooper.send_getProperties("A", "count")
    await settle()
    (snapshot,) = of(snooper.snooped, defNumberVector)
    assert snapshot["n"] == 3
    await source.count()
    await settle()
    (report,) = of(snooper.snooped, setNumberVector)
    assert report["n"] == 4


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
async def test_snooping_may_be_asked_for_before_the_other_driver_runs(
    nursery: trio.Nursery, autojump_clock: Any, order: tuple[str, str]
) -> None:
    drivers = {"A": Bench("A"), "B": Bench("B")}
    drivers["B"].snoop("A", "count")
    await start(nursery, *(drivers[name] for name in order))
    await settle()
    assert places(drivers["B"].snooped) == [("A", "count")]


async def test_a_vector_a_device_or_everything(nursery: trio.Nursery, autojump_clock: Any) -> None:
    one, two, snooper = Bench("A"), Bench("B"), Bench("C")
    await start(nursery, one, two, snooper)
    await snooper.send_getProperties("A", "note")
    await settle()
    assert places(snooper.snooped) == [("A", "note")]
    snooper.snooped.clear()
    await snooper.send_getProperties("A")
    await settle()
    assert places(snooper.snooped) == [("A", name) for name in NAMES]
    snooper.snooped.clear()
    await snooper.send_getProperties()
    await settle()
    assert places(snooper.snooped) == [(device, name) for device in "AB" for name in NAMES]
    snooper.snooped.clear()
    await one.count()
    await two.count()
    await one["A"].send_device_message("hello")
    await two["B"].send_delProperty()
    await snooper.count()
    await settle()
    assert [(type(e), e.devicename) for e in snooper.snooped] == [
        (setNumberVector, "A"),
        (setNumberVector, "B"),
        (Message, "A"),
        (delProperty, "B"),
    ]


async def test_what_is_not_snooped_on_is_not_heard(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    one, two, snooper = Bench("A"), Bench("B"), Bench("C")
    await start(nursery, one, two, snooper)
    await snooper.send_getProperties("A", "note")
    await settle()
    snooper.snooped.clear()
    await one.count()
    await two.count()
    await one["A"].send_device_message("hello")
    await settle()
    assert snooper.snooped == []


async def test_snooping_on_a_device_there_is_none_of_hears_nothing(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    source, snooper = Bench("A"), Bench("B")
    await start(nursery, source, snooper)
    await snooper.send_getProperties("nobody")
    await source.count()
    await settle()
    assert snooper.snooped == []


async def test_two_drivers_that_snoop_each_other(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    """Each answers what it hears of the other at once, and neither waits for the other."""

    class Player(Bench):
        def __init__(self, name: str, partner: str) -> None:
            super().__init__(name)
            self.snoop(partner, "count")

        async def snoopevent(self, event: SnoopEvent) -> None:
            await super().snoopevent(event)
            if isinstance(event, setNumberVector) and self.counted < 1000:
                await self.count()

    left, right = Player("Left", "Right"), Player("Right", "Left")
    await start(nursery, left, right)
    await settle()
    await left.count()
    await settle()
    for player in (left, right):
        heard = [event["n"] for event in of(player.snooped, setNumberVector)]
        assert heard == list(range(1, 1001))


async def test_blobs_are_heard_only_where_they_are_asked_for(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    source, snooper = Bench("A"), Bench("B")
    await start(nursery, source, snooper)
    await snooper.send_getProperties("A", "frame")
    await source.expose(b"dark")
    await settle()
    assert of(snooper.snooped, setBLOBVector) == []
    await snooper.send_enableBLOB("A", "frame")
    await source.expose(b"stars")
    await settle()
    (frame,) = of(snooper.snooped, setBLOBVector)
    assert frame["image"] == b"stars"
    await snooper.send_enableBLOB("A", "frame", "Never")
    await source.expose(b"dawn")
    await settle()
    assert len(of(snooper.snooped, setBLOBVector)) == 1


async def test_a_snooper_that_is_slow_holds_nobody_up(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Sleepy(Bench):
        async def snoopevent(self, event: SnoopEvent) -> None:
            await trio.sleep(1000)
            await super().snoopevent(event)

    source, sleepy, other = Bench("A"), Sleepy("B"), Bench("C")
    sleepy.snoop("A", "count")
    other.snoop("A", "count")
    await start(nursery, source, sleepy, other)
    began = trio.current_time()
    await source.count(100)
    await settle()
    assert trio.current_time() == began
    assert len(of(other.snooped, setNumberVector)) == 100


async def test_a_request_of_a_driver_goes_to_no_client_and_wakes_no_author(
    nursery: trio.Nursery,
    autojump_clock: Any,
) -> None:
    source, snooper = Bench("A"), Bench("B")
    await start(nursery, source, snooper)
    await snooper.send_getProperties("A")
    await settle()
    assert not of(source.asked, getProperties)
