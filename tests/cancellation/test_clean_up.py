"""The author's clean-up is run when all else is cancelled, and what waits is not forgotten."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    getProperties,
)
from trindi.driver import core_of
from trindi.driver.property_queue import PROPERTY_QUEUE

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trindi.protocol import ClientEvent, Event, setBLOBVector
    from trindi.transport import EncodedBatch


class Silence:
    """A link, and a peer, that nobody listens to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waits = True
        self.in_flight = 0

    def publish(self, event: Event) -> None:
        self.events.append(event)

    reply = publish

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        self.publish(event)

    def forward(self, batch: EncodedBatch) -> None:
        """Nobody listens."""

    def request_started(self, _event: ClientEvent) -> None:
        self.in_flight += 1

    def request_finished(self, _event: ClientEvent) -> None:
        self.in_flight -= 1


class Telescope(IPyDriver):
    """Its clean-up parks, which takes its time, and is bounded."""

    def __init__(self, parking: float, name: str = "Telescope") -> None:
        number = NumberVector(name="position", perm="rw", numbermembers=[NumberMember("angle")])
        super().__init__([Device(name, [number])])
        self.parking = parking
        self.vector = number
        self.steps: list[str] = []

    async def hardware(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
                self.steps.append("parking")
                await trio.sleep(self.parking)
                await self.vector.send_setVector(state="Idle")
                self.steps.append("parked")
            self.steps.append("closed")


async def test_the_clean_up_of_a_driver_is_run(autojump_clock: MockClock) -> None:
    driver, link = Telescope(parking=5), Silence()
    async with trio.open_nursery() as nursery:
        await nursery.start(core_of(driver).serve, link)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert driver.steps == ["parking", "parked", "closed"]
    # It could still say so.
    assert [type(event).__name__ for event in link.events] == ["defNumberVector", "setNumberVector"]
    assert trio.current_time() == began + 5


async def test_the_clean_up_of_a_driver_is_bounded(autojump_clock: MockClock) -> None:
    driver = Telescope(parking=3600)
    async with trio.open_nursery() as nursery:
        await nursery.start(core_of(driver).serve, Silence())
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert driver.steps == ["parking", "closed"]
    assert trio.current_time() == began + 10


async def test_a_server_waits_for_the_clean_up_of_its_drivers(autojump_clock: MockClock) -> None:
    quick, slow = Telescope(1, "Quick"), Telescope(5, "Slow")
    server = IPyServer([quick, slow], "127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for driver in (quick, slow):
        assert driver.steps == ["parking", "parked", "closed"]
        assert not driver.running


async def test_where_a_server_listens_can_be_asked_to_the_end(autojump_clock: MockClock) -> None:
    """Its sockets are closed while its drivers still clean up."""

    class Curious(Telescope):
        async def hardware(self) -> None:
            try:
                await super().hardware()
            finally:
                ports.append(server.port)

    ports: list[int] = []
    server = IPyServer([Curious(5)], "127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await trio.testing.wait_all_tasks_blocked()
        port = server.port
        nursery.cancel_scope.cancel()
    assert ports == [port]
    assert server.addresses == ()


async def test_a_clean_up_that_fails_does_not_fail_the_server(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(Telescope):
        async def hardware(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("the dome is stuck")

    careful = Telescope(5, "Careful")
    async with trio.open_nursery() as nursery:
        await nursery.start(IPyServer([Clumsy(1), careful], "127.0.0.1", 0).run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert careful.steps == ["parking", "parked", "closed"]
    assert "the dome is stuck" in caplog.text


# What waits for a driver --------------------------------------------------------------------------


class Stubborn(IPyDriver):
    """Takes one request, and never comes back to the next."""

    auto_send_def = False

    def __init__(self) -> None:
        names = ("first", "second")
        vectors = [BLOBVector(name=name, blobmembers=[BLOBMember("m")]) for name in names]
        super().__init__([Device("D", vectors)])

    async def clientevent(self, event: ClientEvent) -> None:
        del event
        await trio.sleep_forever()


async def _ask_until_full(driver: Stubborn, sender: Silence) -> None:
    while True:
        waiting = core_of(driver).receive(getProperties(), sender)
        if waiting is not None:
            await waiting
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("how", ["the peer", "the driver"])
async def test_requests_that_wait_are_not_counted_for_ever(how: str) -> None:
    """A peer that is waited for at its end must not be waited for in vain."""
    driver, sender = Stubborn(), Silence()
    async with trio.open_nursery() as nursery:
        await nursery.start(core_of(driver).serve, Silence())
        with trio.CancelScope() as peer:
            async with trio.open_nursery() as asking:
                asking.start_soon(_ask_until_full, driver, sender)
                await trio.testing.wait_all_tasks_blocked(0.01)
                full = sender.in_flight
                if how == "the driver":
                    nursery.cancel_scope.cancel()
                peer.cancel()
        # For each of the two properties one that is worked on, those in its queue, and one more.
        taken = 2 * (PROPERTY_QUEUE + 1)
        assert full == taken + 2
        assert sender.in_flight == (0 if how == "the driver" else taken)
        nursery.cancel_scope.cancel()
    assert sender.in_flight == 0


async def test_a_peer_that_is_cancelled_as_it_begins_to_wait() -> None:
    driver, sender = Stubborn(), Silence()
    async with trio.open_nursery() as nursery:
        await nursery.start(core_of(driver).serve, Silence())
        waiting = None
        while waiting is None:
            waiting = core_of(driver).receive(getProperties(), sender)
            await trio.testing.wait_all_tasks_blocked()
        before = sender.in_flight
        with trio.CancelScope() as scope:
            scope.cancel()
            await waiting
        assert scope.cancelled_caught
        assert sender.in_flight == before
        # Nothing was made that was never awaited: that would be a warning, and so an error.
        gc.collect()
        nursery.cancel_scope.cancel()
