"""IPyDriver: the class that an author subclasses.

It has the names that an author needs, and few others, since each is one that no method of the
author's may have. What runs a driver uses its `DriverCore`.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVarTuple

import trio

from trindi.driver.core import DriverCore
from trindi.errors import ConfigurationError
from trindi.properties import (
    Device,
    NamedMapping,
    check_names_of,
    hidden_name,
    message_text,
    reserved_names,
)
from trindi.protocol import ClientEvent, Message, SnoopEvent, to_reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

Ts = TypeVarTuple("Ts")


_FOR_AUTHORS: Final = {
    "auto_send_def",
    "clientevent",
    "hardware",
    "indi_number_to_float",
    "snoopevent",
}
_ATTRIBUTES: Final = {"driverdata", "_core", "_sink"}


class IPyDriver(NamedMapping[Device]):
    """An instrument's driver; subclass it, and write `hardware` and `clientevent`.

    A mapping of device name to device. `tasks` are async functions of no arguments that run beside
    the hardware loop; `driverdata` is anything the author's code needs. With `auto_send_def` the
    driver answers getProperties with definitions; without, `clientevent` gets one getProperties
    event for each vector, and answers with `event.vector.send_defVector()`. A subclass may use any
    names but those of this class, which are few.

    Raises:
        ValueError: two devices have one name, or a device is part of another driver.
        TypeError: a task is a coroutine object, or cannot be called.
    """

    auto_send_def: bool = True
    _item_kind = "device"
    _core_class: ClassVar[type[DriverCore]] = DriverCore

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse names that would take the place of what trindi calls."""
        super().__init_subclass__(**kwargs)
        check_names_of(cls, IPyDriver, _FOR_AUTHORS, _ATTRIBUTES)

    def __init__(
        self,
        devices: Iterable[Device],
        tasks: Iterable[Callable[[], Awaitable[object]]] = (),
        **driverdata: Any,
    ) -> None:
        self.driverdata = driverdata
        checked_tasks = _check_tasks(tasks)
        self._by_name: dict[str, Device] = {}
        self._adopt(devices, Device, "driver", "devicename")
        self._core = self._core_class(self, self._by_name, checked_tasks)
        self._sink = self._core.sink

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
        return self._core.snooping.everything

    @snoopall.setter
    def snoopall(self, everything: bool) -> None:
        self._core.snooping.everything = everything

    @property
    def snoopdevices(self) -> set[str]:
        """Names of devices that are snooped on."""
        return self._core.snooping.devices

    @property
    def snoopvectors(self) -> set[tuple[str, str]]:
        """Pairs of device and vector name that are snooped on."""
        return self._core.snooping.vectors

    @property
    def running(self) -> bool:
        """Whether the driver can send and receive now."""
        return self._core.running

    def start_soon(self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start a task in the driver's nursery, such as a long move begun by a handler.

        It is cancelled when the driver ends. Where a handler has begun it, its exception is one of
        the handler: logged, and the property turns to Alert. Else it ends the driver. RuntimeError:
        the driver is not running.
        """
        self._core.start_soon(async_fn, *args)

    async def send_message(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Send a line about no device in particular to all clients.

        Without a level it gets ``[INFO]``. Never waits for a client. If cancelled, nothing was
        sent. RuntimeError: the driver is not running.
        """
        text = message_text(message)
        await self._core.send(Message(None, text, self._sink.stamp(timestamp, text)))

    async def send_getProperties(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> None:
        """Start to snoop: on everything, on a device, or on one of its vectors.

        The first answer is the definitions as they are. BLOBs come only after `send_enableBLOB`.
        Never waits for a peer. If cancelled, nothing was sent. ValueError: the device is one of the
        driver's own, or a vector is named without device. RuntimeError: the driver is not running.
        """
        await self._core.send(self._core.snooping.add(devicename, vectorname))

    async def send_enableBLOB(
        self, devicename: str, vectorname: str | None = None, policy: str = "Also"
    ) -> None:
        """Ask for the BLOBs of a device, or of a vector, that is snooped on (§5.4).

        Never waits for a peer. If cancelled, nothing was sent. ValueError: the device is one of the
        driver's own, or the policy is not Never, Also or Only. RuntimeError: the driver is not
        running.
        """
        await self._core.send(self._core.snooping.add_blobs(devicename, vectorname, policy))

    def snoop(self, devicename: str, vectorname: str, timeout: float = 30) -> None:
        """Snoop on a vector of another driver; ask again after each `timeout` seconds of silence.

        An answer that only repeats what is known has `event.repeated` set. It may be called before
        the driver runs. Never blocks. ValueError: the device is one of the driver's own, or the
        timeout is not above 0.
        """
        self._core.snooping.watch(devicename, vectorname, timeout)

    def stop_snooping(self, devicename: str | None = None, vectorname: str | None = None) -> None:
        """Take back what was snooped on with these names, and its BLOBs. Never blocks.

        A vector is still heard of where its device, or everything, is snooped on.
        """
        self._core.snooping.remove(devicename, vectorname)

    def silent_for(self, devicename: str, vectorname: str) -> float:
        """Return for how many seconds nothing new was heard of a vector that is snooped on.

        A report is new, and a definition that differs from what was known; a first definition, of
        values of any age, and one that repeats them, are not. `math.inf`: nothing new yet, or the
        vector is gone. Under indiserver, where a driver that was killed goes without a word, this
        tells of it as well.
        """
        return self._core.snooping.silent_for(devicename, vectorname)

    # What its programs call --------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Speak INDI on standard input and output, as indiserver wants it.

        Returns when standard input ends, or on SIGTERM or SIGINT, with every task cancelled. While
        it runs, printed text goes to standard error. If cancelled, it ends at once.

        Raises:
            ExceptionGroup: what the hardware loop or a task raised.
            RuntimeError: the driver is running already, or one of its tasks or handlers has
                cancelled the others.
        """
        # By name: the host stands one floor above, and this floor must not depend on it.
        host = importlib.import_module("trindi.host")
        await host.run_on_stdio(self, task_status=task_status)


def core_of(driver: IPyDriver) -> DriverCore:
    """Return what runs a driver and gives it requests; authors do not need it.

    ConfigurationError: its `__init__` has not called that of `IPyDriver`, or has put something
    else in the place of one of its methods.
    """
    len(driver)
    for name in sorted(vars(driver).keys() & _RESERVED):
        raise ConfigurationError(hidden_name(f"self.{name} of {type(driver).__name__}", name))
    return driver._core


_RESERVED: Final = reserved_names(IPyDriver, _FOR_AUTHORS) - {"_by_name"}


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
