"""An abort that was sent right behind a goto was often worked on first, and so stopped nothing.

Workers of different properties ran in whatever order the scheduler chose; now requests to idle
properties begin in the order in which they were read.
"""

from __future__ import annotations

import trio
import trio.testing

from tests.kit.examples import attach
from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    newNumberVector,
    setNumberVector,
)

NAMES = [f"N{index}" for index in range(8)]


class Notes(IPyDriver):
    """Notes the order in which its handler begins, and answers at leisure."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        vectors = [
            NumberVector(name, perm="rw", numbermembers=[NumberMember("n")]) for name in NAMES
        ]
        super().__init__([Device("D", vectors)])

    async def clientevent(self, event: ClientEvent) -> None:
        if isinstance(event, newNumberVector):
            self.begun.append(event.vectorname)
            await trio.sleep(len(self.begun))
            await event.vector.send_setVector()


def wishes(names: list[str]) -> list[newNumberVector]:
    return [newNumberVector("D", name, {"n": 1.0}) for name in names]


async def test_requests_to_idle_properties_begin_in_order(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = Notes()
    client = await attach(nursery, driver)
    await client.send(*wishes(NAMES))
    await client.next(setNumberVector, NAMES[-1])
    assert driver.begun == NAMES


async def test_they_do_so_when_their_workers_exist_already(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = Notes()
    client = await attach(nursery, driver)
    await client.send(*wishes(NAMES))
    await client.next(setNumberVector, NAMES[-1])
    driver.begun.clear()
    backwards = NAMES[::-1]
    await client.send(*wishes(backwards))
    await client.next(setNumberVector, backwards[-1])
    assert driver.begun == backwards


async def test_a_busy_property_holds_up_only_itself(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = Notes()
    client = await attach(nursery, driver)
    first, second = NAMES[:2]
    await client.send(*wishes([first, first, first, second]))
    await client.next(setNumberVector, first)
    assert driver.begun[:2] == [first, second]
    await client.next(setNumberVector, first)
    await client.next(setNumberVector, first)
    assert sorted(driver.begun) == sorted([first, first, first, second])


async def test_the_order_holds_after_a_restart(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = Notes()
    async with trio.open_nursery() as life:
        client = await attach(life, driver)
        await client.send(*wishes(NAMES))
        await client.next(setNumberVector, NAMES[0])
        life.cancel_scope.cancel()
    driver.begun.clear()
    client = await attach(nursery, driver)
    await client.send(*wishes(NAMES))
    await client.next(setNumberVector, NAMES[-1])
    assert driver.begun == NAMES
