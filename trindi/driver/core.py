"""What a driver is to those that run it: the nursery it lives in, and the ways in and out.

One nursery holds the hardware loop, the author's tasks, the dispatcher with its workers, and the
snooping. None outlives it, and an exception in the hardware loop or in a task ends them all; the
caller of `serve` decides what happens then. What the driver says goes through a `Publisher`, which
knows the peers; the driver does not. It stands beside `IPyDriver`, so that a name that an author
gives a method takes none of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import trio

from trindi.driver.definitions import Definitions
from trindi.driver.dispatch import Dispatcher
from trindi.driver.faults import no_handler, start_task
from trindi.driver.sink import DriverSink, Publisher
from trindi.driver.snooping import Snooping
from trindi.errors import ProtocolError
from trindi.protocol import (
    ClientEvent,
    DefVector,
    Event,
    NewVector,
    SnoopEvent,
    enableBLOB,
    getProperties,
)
from trindi.transport import DEFAULT_RUNTIME, contained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from trindi.driver.property_queue import Sender
    from trindi.properties import Device
    from trindi.transport import EncodedBatch, EncodedEvent, EventQueue, Runtime


class AuthoredDriver(Protocol):
    """What an author has written."""

    auto_send_def: bool

    async def hardware(self) -> None: ...
    async def clientevent(self, event: ClientEvent, /) -> None: ...
    async def snoopevent(self, event: SnoopEvent, /) -> None: ...


class DriverCore:
    """Runs one driver; `sink` is what its properties send through."""

    def __init__(
        self,
        driver: AuthoredDriver,
        devices: dict[str, Device],
        tasks: Sequence[Callable[[], Awaitable[object]]],
    ) -> None:
        self._driver = driver
        self._tasks = tasks
        self._definitions = Definitions(devices)
        self.sink = DriverSink(self.encoded_definitions)
        self._nursery: trio.Nursery | None = None
        # The methods are looked up at each call, so that a test may replace them.
        self._dispatcher = Dispatcher(devices, lambda e: driver.clientevent(e), self.sink)  # noqa: PLW0108
        self.snooping = Snooping(devices, lambda e: driver.snoopevent(e), self.sink.publish)  # noqa: PLW0108

    @property
    def running(self) -> bool:
        return self._nursery is not None

    def start_soon(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task; what it raises is contained where a handler has begun it."""
        if self._nursery is None:
            raise RuntimeError("the driver is not running: start tasks from its handlers and tasks")
        start_task(self._nursery, async_fn, *args)

    async def serve(
        self,
        publisher: Publisher,
        *,
        runtime: Runtime = DEFAULT_RUNTIME,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the driver with a publisher until it is cancelled or fails.

        It is started as soon as it takes requests. A test has its own runtime.

        Raises:
            ExceptionGroup: what the hardware loop or a task raised; if the runtime does not contain
                errors, also what a handler raised.
            RuntimeError: the driver is running already, or one of its tasks or handlers has
                cancelled the others.
        """
        if self._nursery is not None:
            raise RuntimeError("the driver is running already")
        self.sink.runtime = runtime
        self._dispatcher.contain_errors = self.snooping.contain_errors = runtime.contain_errors
        try:
            # It may run at the word of a handler of another driver. Its errors go on, with notes.
            with no_handler(), contained(lambda _: False):
                async with trio.open_nursery() as nursery:
                    await nursery.start(self._dispatcher.run)
                    self._nursery = nursery
                    self.sink.start(publisher)
                    self._definitions.invalidate()
                    self.snooping.start(nursery)
                    task_status.started()
                    nursery.start_soon(self._driver.hardware)
                    for task in self._tasks:
                        nursery.start_soon(task)
                raise RuntimeError("a task has cancelled the nursery that the driver runs in")
        finally:
            self._nursery = None
            self.sink.publisher = None
            self.snooping.stop()

    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        """Take what a client sent; return something to await if the property's queue is full."""
        if isinstance(item, ProtocolError):
            if item.devicename and item.vectorname:
                self.sink.define(item.devicename, item.vectorname)
            self._dispatcher.refuse(item, sender)
        elif isinstance(item, NewVector):
            self.sink.define(item.devicename, item.vectorname)
            return self._dispatcher.take(item, sender)
        elif isinstance(item, enableBLOB):
            return self._dispatcher.ask(item, sender)
        elif isinstance(item, getProperties):
            if not self._driver.auto_send_def:
                self.sink.forget(item)
                return self._dispatcher.ask(item, sender)
            self._answer(item, sender)
        return None

    def admit(
        self, event: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> None:
        """Check an upload while it comes: the class of its event, its names, its bytes so far.

        RefusedError: it is not taken. What comes of it is thrown away, and `receive` gets the
        error.
        """
        self._dispatcher.admit(event, devicename, vectorname, membername, size)

    def _answer(self, question: getProperties, sender: Sender) -> None:
        batch = self.encoded_definitions(question.devicename, question.vectorname)
        sender.forward(batch)
        peers: object = self.sink.publisher
        if sender is peers:  # There is no other.
            for encoded in batch.items:
                self.sink.note(encoded.event)

    def definitions(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> list[DefVector]:
        """Return the present definitions of all enabled vectors, or of one device or vector."""
        items = self.encoded_definitions(devicename, vectorname).items
        return [cast("DefVector", encoded.event) for encoded in items]

    def encoded_definitions(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> EncodedBatch:
        """Return the same as it is sent; encoded once, until something changes."""
        return self._definitions.encoded(devicename, vectorname)

    @property
    def snoop_queue(self) -> EventQueue:
        """The queue of this run for what other drivers say; it takes only what is snooped on."""
        return self.snooping.queue

    def hear(self, encoded: EncodedEvent) -> None:
        """Put an event of another driver into the snoop queue. Never blocks."""
        self.snooping.queue.put(encoded)

    async def send(self, event: Event) -> None:
        await self.sink.ready()
        self.sink.publish(event)
        await self.sink.yield_if_due()
