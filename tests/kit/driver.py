"""Doubles for what surrounds a driver: the publisher it speaks through, and a peer that asks it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trindi import Device, IPyDriver
from trindi.driver import core_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi import ClientEvent, Event, Publisher, setBLOBVector
    from trindi.transport import EncodedBatch

E = TypeVar("E")


class RecordingPublisher:
    """Keeps what a driver says, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)

    def about(self, vectorname: str) -> list[Any]:
        """The events about one property."""
        return [event for event in self.events if getattr(event, "vectorname", None) == vectorname]

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        await trio.lowlevel.checkpoint()
        self.events.append(event)

    def of(self, cls: type[E]) -> list[E]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, cls)]

    def take(self) -> Event:
        """The one event that was said since the last call."""
        (event,) = self.events
        self.events.clear()
        return event


class Peer:
    """Asks a driver, and keeps what it is answered."""

    def __init__(self, *, waits: bool = True) -> None:
        self.waits = waits
        self.replies: list[Event] = []
        self.in_flight = 0

    def reply(self, event: Event) -> None:
        self.replies.append(event)

    def forward(self, batch: EncodedBatch) -> None:
        for encoded in batch.items:
            self.reply(encoded.event)

    def request_started(self, _event: ClientEvent) -> None:
        self.in_flight += 1

    def request_finished(self, _event: ClientEvent) -> None:
        self.in_flight -= 1

    def take(self) -> Event:
        """The one reply that came since the last call."""
        (event,) = self.replies
        self.replies.clear()
        return event


class OnlyClient(RecordingPublisher, Peer):
    """A driver's publisher and its only client at once; `events` is all that it is told."""

    def __init__(self) -> None:
        RecordingPublisher.__init__(self)
        Peer.__init__(self)
        self._news = trio.lowlevel.ParkingLot()

    def publish(self, event: Event) -> None:
        super().publish(event)
        self._news.unpark_all()

    def reply(self, event: Event) -> None:
        self.publish(event)

    async def wait_about(self, vectorname: str) -> None:
        """Wait for an event about one property."""
        while not self.about(vectorname):
            await self._news.park()


def driver_of(*vectors: Any, name: str = "Dev") -> IPyDriver:
    """A driver, not running, of one device."""
    return IPyDriver([Device(name, vectors)])


async def start(nursery: trio.Nursery, driver: IPyDriver) -> RecordingPublisher:
    """Run a driver with a publisher that records; all it does at once is done on return."""
    publisher = RecordingPublisher()
    await start_with(nursery, driver, publisher)
    await settle()
    return publisher


async def start_with(nursery: trio.Nursery, driver: IPyDriver, publisher: Publisher) -> None:
    """Run a driver; as in a server, all is defined already when it begins to speak."""

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        def started(_value: None = None) -> None:
            for event in core_of(driver).definitions():
                core_of(driver).sink.note(event)
            task_status.started()

        status: Any = SimpleNamespace(started=started)
        await core_of(driver).serve(publisher, task_status=status)

    await nursery.start(serve)


async def settle() -> None:
    """Wait until nobody has anything to do."""
    await trio.testing.wait_all_tasks_blocked()


async def ask(driver: IPyDriver, event: Any, peer: Peer | None = None) -> Peer:
    """Let a peer ask a driver, and wait until the driver has dealt with it."""
    peer = peer or Peer()
    waiting = core_of(driver).receive(event, peer)
    assert waiting is None, "the queue is full"
    await settle()
    return peer


def values(events: Iterable[Any], member: str) -> list[Any]:
    """What a member was in each of some events."""
    return [event[member] for event in events if member in event]
