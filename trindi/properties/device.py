"""Devices: what a client shows as one instrument, a mapping of vector name to vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trindi.errors import ConfigurationError
from trindi.properties.owners import EventSink, NamedMapping, check_names_of, no_driver
from trindi.properties.values import message_text
from trindi.properties.vector import Vector
from trindi.protocol import ClientEvent, Message, SnoopEvent, check_name, delProperty, is_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


_FOR_AUTHORS: Final = {"devclientevent", "devhardware", "devsnoopevent"}
_ATTRIBUTES: Final = {"devicedata", "devicename", "driver", "revision"}


# Values are Any: an author may call what only one kind of vector has, without a cast.
class Device(NamedMapping[Any]):
    """One instrument: a mapping of vector name to vector.

    Its name is printable ASCII, unique among all drivers of a server; ValueError if it is not
    legal, or if two vectors have one name. `devicedata` is anything the author keeps with it.
    `driver` is None before it has one. `revision` counts the changes of its definitions.
    """

    _item_kind = "vector"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse names that would take the place of what trindi calls."""
        super().__init_subclass__(**kwargs)
        check_names_of(cls, Device, _FOR_AUTHORS, _ATTRIBUTES)

    def __init__(
        self, devicename: str, properties: Iterable[Vector[Any, Any]], **devicedata: Any
    ) -> None:
        self.devicename = check_name(devicename, "device")
        if is_all(devicename):
            raise ConfigurationError(f"{devicename!r} means every device: give it another name")
        self._enable = True
        self.revision = 0
        self.devicedata = devicedata
        self.driver: Any = None
        self._by_name = {}
        self._adopt(properties, Vector, "device")

    @property
    def _error_name(self) -> str:
        return f"device {self.devicename!r}"

    def __repr__(self) -> str:
        return f"<Device {self.devicename}: {', '.join(self)}>"

    @property
    def enable(self) -> bool:
        """False: neither the device nor its vectors send or receive anything."""
        return self._enable

    @enable.setter
    def enable(self, enable: bool) -> None:
        self._enable = enable
        self.revision += 1

    @property
    def sink(self) -> EventSink:
        """What the device sends through; RuntimeError if it is not part of a driver."""
        if self.driver is None:
            raise no_driver(self._error_name)
        sink: EventSink = self.driver._sink
        return sink

    async def send_device_message(self, message: str, timestamp: datetime | None = None) -> None:
        """Send a line about this device to all clients that want it.

        Without a level it gets ``[INFO]``. Never waits for a client. If cancelled, nothing was
        sent. RuntimeError: the driver is not running.
        """
        sink = self.sink
        await sink.ready()
        if self.enable:
            text = message_text(message)
            sink.publish(Message(self.devicename, text, sink.stamp(timestamp, text)))
        await sink.yield_if_due()

    async def send_delProperty(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Tell clients that the device is gone, and disable it.

        Set `enable` to True and send the definitions of its vectors to bring it back. Never waits
        for a client. If cancelled, nothing was sent. RuntimeError: the driver is not running.
        """
        sink = self.sink
        await sink.ready()
        if self.enable:
            text = message_text(message)
            sink.publish(delProperty(self.devicename, None, sink.stamp(timestamp, text), text))
        self.enable = False
        await sink.yield_if_due()

    async def devclientevent(self, event: ClientEvent, *args: Any, **kwargs: Any) -> None:
        """Override: the device's part of `clientevent`; the driver's author calls it."""

    async def devsnoopevent(self, event: SnoopEvent, *args: Any, **kwargs: Any) -> None:
        """Override: the device's part of `snoopevent`; the driver's author calls it."""

    async def devhardware(self, *args: Any, **kwargs: Any) -> None:
        """Override: the device's part of `hardware`; the driver's author calls it."""
