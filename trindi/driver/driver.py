"""IPyDriver: what a maker subclasses, and the nursery it lives in.

One nursery holds the hardware loop, the author's tasks, the dispatcher with its workers, and the
snooping. None outlives it, and an exception in the hardware loop or in a task ends them all; what
then happens is for whoever runs the driver. What the driver says goes through a `Link`, which
knows the peers; the driver does not.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVarTuple

import trio

from trindi.driver.dispatch import Dispatcher, Sender, matching
from trindi.driver.outlet import DriverOutlet, Link
from trindi.driver.stdio import run_on_stdio
from trindi.errors import ConfigurationError, ProtocolError
from trindi.properties import Device
from trindi.protocol import (
    BLOBPolicy,
    ClientEvent,
    DefVector,
    Event,
    Message,
    NewVector,
    SnoopEvent,
    check_name,
    delProperty,
    enableBLOB,
    getProperties,
    to_float,
    to_utc,
)
from trindi.transport import Outbox, Parcel

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["IPyDriver", "Link"]

logger = logging.getLogger("trindi.driver")

Ts = TypeVarTuple("Ts")


class IPyDriver(Mapping[str, Device]):
    """An instrument's driver; subclass it, and write `hardware` and `clientevent`.

    A mapping of device name to device.

    Args:
        devices: its devices.
        tasks: async functions of no arguments that run beside the hardware loop.
        **driverdata: anything the author's code needs.

    Attributes:
        driverdata: what was given.
        auto_send_def: answer getProperties with definitions; where False, `clientevent` gets one
            getProperties event for each vector, and answers with `event.vector.send_defVector()`.
        snoopall: everything is snooped on.
        snoopdevices: names of devices that are snooped on.
        snoopvectors: pairs of device and vector name that are snooped on.

    Raises:
        ValueError: two devices have one name, or a device is part of another driver.
        TypeError: a task is no async function.
    """

    auto_send_def: bool = True

    def __init__(
        self,
        devices: Iterable[Device],
        tasks: Iterable[Callable[[], Awaitable[object]]] = (),
        **driverdata: Any,
    ) -> None:
        self.driverdata = driverdata
        self.snoopall = False
        self.snoopdevices: set[str] = set()
        self.snoopvectors: set[tuple[str, str]] = set()
        self._devices: dict[str, Device] = {}
        for device in devices:
            self._add(device)
        self._tasks = [_check_task(task) for task in tasks]
        self._outlet = DriverOutlet()
        self._nursery: trio.Nursery | None = None
        self._dispatcher = Dispatcher(self._devices, self._clientevent, self._publish)
        self._inbox = Outbox()
        self._watched: dict[tuple[str, str], float] = {}
        self._heard: dict[tuple[str, str], float] = {}
        self._blobs_wanted: list[enableBLOB] = []

    def _add(self, device: Device) -> None:
        if not isinstance(device, Device):
            raise TypeError(f"devices are Device instances, not {type(device).__name__}")
        if device.devicename in self._devices:
            raise ConfigurationError(f"the driver has two devices named {device.devicename!r}")
        if device.driver is not None:
            raise ConfigurationError(f"device {device.devicename!r} is part of another driver")
        device.driver = self
        self._devices[device.devicename] = device

    # The mapping -------------------------------------------------------------------------------

    def __getitem__(self, devicename: str) -> Device:
        try:
            return self._devices[devicename]
        except KeyError:
            known = ", ".join(self._devices)
            raise KeyError(f"the driver has no device {devicename!r}, only {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._devices)

    def __len__(self) -> int:
        return len(self._devices)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self._devices)}>"

    # What an author writes ---------------------------------------------------------------------

    async def hardware(self) -> None:
        """Override: the loop that watches the instrument and sends what is new.

        It may return; the driver goes on without it. An exception ends the driver. It is cancelled
        when the driver ends: clean-up that must reach the instrument runs shielded and with a
        deadline.
        """

    async def clientevent(self, event: ClientEvent) -> None:
        """Override: act on what a client asks.

        Events of one property come one after another; those of different properties may be worked
        on at the same time. An exception is logged, and turns the property to Alert; the driver
        lives on.

        Args:
            event: a new…Vector that has passed all checks, an enableBLOB (for information) or,
                where `auto_send_def` is False, a getProperties. `event.vector` is the property.
        """

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Override: act on what a snooped device says, in order.

        An exception is logged, and the driver lives on.

        Args:
            event: a def…Vector, a set…Vector, a Message or a delProperty.
        """

    @staticmethod
    def indi_number_to_float(value: Any) -> float:
        """Turn an INDI number into a float: text, decimal or sexagesimal, or a number already.

        Raises:
            ValueError: the text is no INDI number.
        """
        return to_float(value)

    # What an author calls ----------------------------------------------------------------------

    @property
    def outlet(self) -> DriverOutlet:
        """What the driver's vectors and devices send through."""
        return self._outlet

    @property
    def running(self) -> bool:
        """Whether the driver can send and receive now."""
        return self._nursery is not None

    def start_soon(self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start a task in the driver's nursery, such as a long move begun by a handler.

        It is cancelled when the driver ends, and its exception ends the driver.

        Raises:
            RuntimeError: the driver is not running.
        """
        if self._nursery is None:
            raise RuntimeError("the driver is not running: start tasks from its handlers and tasks")
        self._nursery.start_soon(async_fn, *args)

    async def send_message(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Send a line about no device in particular to all clients.

        Never waits for a client. If cancelled, nothing was sent.

        Raises:
            RuntimeError: the driver is not running.
        """
        time = self._outlet.now() if timestamp is None else to_utc(timestamp)
        await self._outlet.send(Message(None, message, time))

    async def send_getProperties(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> None:
        """Start to snoop: on everything, on a device, or on one of its vectors.

        The first answer is the definitions as they are. BLOBs come only after `send_enableBLOB`.
        Never waits for a peer. If cancelled, nothing was sent.

        Raises:
            ValueError: the device is one of the driver's own, or a vector is named without device.
            RuntimeError: the driver is not running.
        """
        request = self._register(devicename, vectorname)
        await self._outlet.send(request)

    async def send_enableBLOB(
        self, devicename: str, vectorname: str | None = None, policy: str = "Also"
    ) -> None:
        """Ask for the BLOBs of a device, or of a vector, that is snooped on (§5.4).

        Never waits for a peer. If cancelled, nothing was sent.

        Raises:
            ValueError: the policy is not Never, Also or Only.
            RuntimeError: the driver is not running.
        """
        request = enableBLOB(devicename, vectorname, BLOBPolicy(policy))
        self._blobs_wanted.append(request)
        await self._outlet.send(request)

    def snoop(self, devicename: str, vectorname: str, timeout: float = 30) -> None:
        """Snoop on a vector, and ask again whenever nothing was heard of it for some time.

        It may be called before the driver runs. Never blocks.

        Args:
            devicename: a device of another driver.
            vectorname: one of its vectors.
            timeout: seconds of silence after which the request is repeated.

        Raises:
            ValueError: the device is one of the driver's own, or the timeout is not above 0.
        """
        if not timeout > 0:
            raise ConfigurationError(f"timeout is more than 0 seconds, not {timeout!r}")
        request = self._register(devicename, vectorname)
        new = (devicename, vectorname) not in self._watched
        self._watched[devicename, vectorname] = timeout
        if self._nursery is not None:
            self._publish(request)
            if new:
                self._nursery.start_soon(self._watch, devicename, vectorname)

    def _register(self, devicename: str | None, vectorname: str | None) -> getProperties:
        if devicename is None:
            if vectorname is not None:
                raise ConfigurationError("name the device of the vector to snoop on")
            self.snoopall = True
        elif devicename in self._devices:
            raise ConfigurationError(
                f"device {devicename!r} is the driver's own: its values are at hand"
            )
        elif vectorname is None:
            self.snoopdevices.add(check_name(devicename, "device"))
        else:
            name = check_name(devicename, "device")
            self.snoopvectors.add((name, check_name(vectorname, "vector")))
        return getProperties(devicename, vectorname)

    # What whoever runs the driver calls ----------------------------------------------------------

    async def serve(
        self, link: Link, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the driver on a link until it is cancelled or fails.

        Args:
            link: knows the peers.
            task_status: started as soon as requests are taken.

        Raises:
            ExceptionGroup: what the hardware loop or a task raised.
            RuntimeError: the driver is running already.
        """
        if self._nursery is not None:
            raise RuntimeError("the driver is running already")
        self._inbox = Outbox()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._dispatcher.run)
                self._nursery = nursery
                self._outlet.link = link
                self._ask_again()
                nursery.start_soon(self._snoop)
                task_status.started()
                nursery.start_soon(self.hardware)
                for task in self._tasks:
                    nursery.start_soon(task)
        finally:
            self._nursery = None
            self._outlet.link = None
            self._inbox.close()

    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        """Take what a client sent. Never blocks.

        Returns:
            None, or something to await where the queue it belongs into is full.
        """
        if isinstance(item, ProtocolError):
            self._dispatcher.refuse(item, sender)
        elif isinstance(item, NewVector):
            return self._dispatcher.take(item, sender)
        elif isinstance(item, enableBLOB):
            return self._dispatcher.ask(item, sender)
        elif isinstance(item, getProperties):
            if not self.auto_send_def:
                return self._dispatcher.ask(item, sender)
            for definition in self.definitions(item.devicename, item.vectorname):
                sender.reply(definition)
        return None

    def definitions(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> list[DefVector]:
        """The definitions of all that is enabled, or of one device or vector, as they are now."""
        return [v.definition() for v in matching(self._devices, devicename, vectorname)]

    def hear(self, parcel: Parcel) -> None:
        """Take what another driver said, if it is snooped on. Never blocks."""
        event: Any = parcel.event
        devicename: str = event.devicename or ""
        vectorname: str = getattr(event, "vectorname", None) or ""
        if devicename in self._devices:
            return
        if (devicename, vectorname) in self.snoopvectors:
            self._heard[devicename, vectorname] = trio.current_time()
        elif not (self.snoopall or devicename in self.snoopdevices):
            # The end of a whole device is the end of each vector that is snooped on.
            gone = isinstance(event, delProperty) and not vectorname
            if not (gone and any(name == devicename for name, _ in self.snoopvectors)):
                return
        self._inbox.put(parcel)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Speak INDI on standard input and output, as indiserver wants it.

        Returns when standard input ends, or on SIGTERM or SIGINT, with every task cancelled. What
        is printed meanwhile goes to standard error. If cancelled, it ends at once.

        Raises:
            ExceptionGroup: what the hardware loop or a task raised.
            RuntimeError: the driver is running already.
        """
        await run_on_stdio(self, task_status=task_status)

    # Within ------------------------------------------------------------------------------------

    def _publish(self, event: Event) -> None:
        if self._outlet.link is not None:
            self._outlet.link.publish(event)

    async def _clientevent(self, event: ClientEvent) -> None:
        await self.clientevent(event)

    def _ask_again(self) -> None:
        """Send all requests to snoop, those from before the driver ran, or failed, included."""
        if self.snoopall:
            self._publish(getProperties())
        for devicename in sorted(self.snoopdevices):
            self._publish(getProperties(devicename))
        for devicename, vectorname in sorted(self.snoopvectors):
            self._publish(getProperties(devicename, vectorname))
        for request in self._blobs_wanted:
            self._publish(request)

    async def _snoop(self) -> None:
        """Hand what is heard to `snoopevent`, in order; the newest state wins (see Outbox)."""
        async with trio.open_nursery() as nursery:
            for devicename, vectorname in self._watched:
                nursery.start_soon(self._watch, devicename, vectorname)
            while await self._inbox.wait_news():
                event: Any = self._inbox.pop().event
                try:
                    await self.snoopevent(event)
                except Exception:
                    logger.exception("snoopevent failed on %s", type(event).__name__)
                self._inbox.left()

    async def _watch(self, devicename: str, vectorname: str) -> None:
        """Ask for a vector again whenever nothing was heard of it for its timeout."""
        asked = trio.current_time()
        while True:
            last = max(asked, self._heard.get((devicename, vectorname), asked))
            due = last + self._watched[devicename, vectorname]
            if trio.current_time() >= due:
                asked = trio.current_time()
                self._publish(getProperties(devicename, vectorname))
            else:
                await trio.sleep_until(due)


def _check_task(task: Any) -> Callable[[], Awaitable[object]]:
    if inspect.iscoroutine(task):
        name = task.__qualname__
        task.close()
        raise TypeError(
            f"tasks are async functions, so that they can be started again: "
            f"write {name.rpartition('.')[2]} without the call's parentheses"
        )
    if not callable(task):
        raise TypeError(f"tasks are async functions of no arguments, not {task!r}")
    checked: Callable[[], Awaitable[object]] = task
    return checked
