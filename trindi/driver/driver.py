"""IPyDriver: the class that an author subclasses, and the nursery that a driver lives in.

One nursery holds the hardware loop, the author's tasks, the dispatcher with its workers, and the
snooping. None outlives it, and an exception in the hardware loop or in a task ends them all; the
caller of `serve` decides what happens then. What the driver says goes through a `Publisher`, which
knows the peers; the driver does not.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, TypeVarTuple, cast

import trio

from trindi.driver.definitions import Definitions
from trindi.driver.dispatch import Dispatcher
from trindi.driver.sink import DriverSink, Publisher
from trindi.driver.snooping import Snooping
from trindi.errors import ProtocolError
from trindi.properties import Device, NamedMapping, message_text
from trindi.protocol import (
    ClientEvent,
    DefVector,
    Event,
    Message,
    NewVector,
    SnoopEvent,
    enableBLOB,
    getProperties,
    to_reading,
)
from trindi.transport import DEFAULT_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from trindi.driver.property_queue import Sender
    from trindi.transport import EncodedBatch, EncodedEvent, EventQueue, Runtime

Ts = TypeVarTuple("Ts")


class IPyDriver(NamedMapping[Device]):
    """An instrument's driver; subclass it, and write `hardware` and `clientevent`.

    A mapping of device name to device. `tasks` are async functions of no arguments that run beside
    the hardware loop; `driverdata` is anything the author's code needs. Vectors and devices send
    through `sink`. With `auto_send_def` the driver answers getProperties with definitions; without,
    `clientevent` gets one getProperties event for each vector, and answers with
    `event.vector.send_defVector()`.

    Raises:
        ValueError: two devices have one name, or a device is part of another driver.
        TypeError: a task is a coroutine object, or cannot be called.
    """

    auto_send_def: bool = True
    _item_kind = "device"

    def __init__(
        self,
        devices: Iterable[Device],
        tasks: Iterable[Callable[[], Awaitable[object]]] = (),
        **driverdata: Any,
    ) -> None:
        self.driverdata = driverdata
        self._tasks = _check_tasks(tasks)
        self._by_name: dict[str, Device] = {}
        self._adopt(devices, Device, "driver", "devicename")
        self._definitions = Definitions(self._by_name)
        self.sink = DriverSink(self.encoded_definitions)
        self._nursery: trio.Nursery | None = None
        publish = self.sink.publish
        # The methods are looked up at each call, so that a test may replace them.
        self._dispatcher = Dispatcher(self._by_name, lambda e: self.clientevent(e), publish)  # noqa: PLW0108
        self._snooping = Snooping(self._by_name, lambda e: self.snoopevent(e), publish)  # noqa: PLW0108

    @property
    def _error_name(self) -> str:
        return f"driver {type(self).__name__}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self._by_name)}>"

    # What an author writes ---------------------------------------------------------------------

    async def hardware(self) -> None:
        """Override: the loop that watches the instrument and sends new values.

        It may return; the driver goes on without it. An exception ends the driver. It is cancelled
        when the driver ends: clean-up that must reach the instrument runs shielded and with a
        deadline.
        """

    async def clientevent(self, event: ClientEvent) -> None:
        """Override: act on what a client asks.

        Events of one property come one after another; those of different properties may be handled
        at the same time. An event is a new…Vector that has passed all checks, an enableBLOB of one
        BLOB vector (for information) or, if `auto_send_def` is False, a getProperties;
        `event.vector` is the property. An exception is logged, and turns the property to Alert,
        except on an enableBLOB; the driver goes on.
        """

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Override: act on what a snooped device says, in order.

        An event is a def…Vector, a set…Vector, a Message or a delProperty. An exception is logged,
        and the driver goes on.
        """

    @staticmethod
    def indi_number_to_float(value: Any) -> float:
        """Turn an INDI number into a float: text, decimal or sexagesimal, or a number already."""
        return to_reading(value)

    # What an author calls ----------------------------------------------------------------------

    @property
    def snoopall(self) -> bool:
        """Whether everything is snooped on."""
        return self._snooping.everything

    @snoopall.setter
    def snoopall(self, everything: bool) -> None:
        self._snooping.everything = everything

    @property
    def snoopdevices(self) -> set[str]:
        """Names of devices that are snooped on."""
        return self._snooping.devices

    @property
    def snoopvectors(self) -> set[tuple[str, str]]:
        """Pairs of device and vector name that are snooped on."""
        return self._snooping.vectors

    @property
    def running(self) -> bool:
        """Whether the driver can send and receive now."""
        return self._nursery is not None

    def start_soon(self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start a task in the driver's nursery, such as a long move begun by a handler.

        It is cancelled when the driver ends, and its exception ends the driver. RuntimeError: the
        driver is not running.
        """
        if self._nursery is None:
            raise RuntimeError("the driver is not running: start tasks from its handlers and tasks")
        self._nursery.start_soon(async_fn, *args)

    async def send_message(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Send a line about no device in particular to all clients.

        Without a level it gets ``[INFO]``. Never waits for a client. If cancelled, nothing was
        sent. RuntimeError: the driver is not running.
        """
        text = message_text(message)
        await self._send(Message(None, text, self.sink.stamp(timestamp, text)))

    async def send_getProperties(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> None:
        """Start to snoop: on everything, on a device, or on one of its vectors.

        The first answer is the definitions as they are. BLOBs come only after `send_enableBLOB`.
        Never waits for a peer. If cancelled, nothing was sent. ValueError: the device is one of the
        driver's own, or a vector is named without device. RuntimeError: the driver is not running.
        """
        await self._send(self._snooping.add(devicename, vectorname))

    async def send_enableBLOB(
        self, devicename: str, vectorname: str | None = None, policy: str = "Also"
    ) -> None:
        """Ask for the BLOBs of a device, or of a vector, that is snooped on (§5.4).

        Never waits for a peer. If cancelled, nothing was sent. ValueError: the device is one of the
        driver's own, or the policy is not Never, Also or Only. RuntimeError: the driver is not
        running.
        """
        await self._send(self._snooping.add_blobs(devicename, vectorname, policy))

    def snoop(self, devicename: str, vectorname: str, timeout: float = 30) -> None:
        """Snoop on a vector of another driver; ask again after each `timeout` seconds of silence.

        It may be called before the driver runs. Never blocks. ValueError: the device is one of the
        driver's own, or the timeout is not above 0.
        """
        self._snooping.watch(devicename, vectorname, timeout)

    # What runs the driver calls ------------------------------------------------------------------

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
        self._dispatcher.contain_errors = self._snooping.contain_errors = runtime.contain_errors
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._dispatcher.run)
                self._nursery = nursery
                self.sink.start(publisher)
                self._definitions.invalidate()
                self._snooping.start(nursery)
                task_status.started()
                nursery.start_soon(self.hardware)
                for task in self._tasks:
                    nursery.start_soon(task)
            raise RuntimeError("a task has cancelled the nursery that the driver runs in")
        finally:
            self._nursery = None
            self.sink.publisher = None
            self._snooping.stop()

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
            if not self.auto_send_def:
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
        return self._snooping.queue

    def hear(self, encoded: EncodedEvent) -> None:
        """Put an event of another driver into the snoop queue. Never blocks."""
        self._snooping.queue.put(encoded)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Speak INDI on standard input and output, as indiserver wants it.

        Returns when standard input ends, or on SIGTERM or SIGINT, with every task cancelled. While
        it runs, printed text goes to standard error. If cancelled, it ends at once. It raises what
        `serve` raises.
        """
        # By name: the host stands one floor above, and this floor must not depend on it.
        host = importlib.import_module("trindi.host")
        await host.run_on_stdio(self, task_status=task_status)

    async def _send(self, event: Event) -> None:
        await self.sink.ready()
        self.sink.publish(event)
        await self.sink.yield_if_due()


def _check_tasks(tasks: Any) -> list[Callable[[], Awaitable[object]]]:
    checked: list[Any] = [tasks] if inspect.iscoroutine(tasks) else list(tasks)
    for task in filter(inspect.iscoroutine, checked):
        task.close()  # Otherwise Python warns that it was never awaited.
    for task in checked:
        if inspect.iscoroutine(task):
            name = task.__qualname__.rpartition(".")[2]
            raise TypeError(
                "tasks are async functions, so that they can be started again: "
                f"write {name} without the call's parentheses"
            )
        if not callable(task):
            raise TypeError(f"tasks are async functions of no arguments, not {task!r}")
    return checked
