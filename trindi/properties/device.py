"""Devices: what a client shows as one instrument, a mapping of vector name to vector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from trindi.errors import ConfigurationError
from trindi.properties.members import check_text
from trindi.properties.vector import EventSink, Vector
from trindi.protocol import ClientEvent, Message, SnoopEvent, check_name, delProperty, to_utc

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Device"]


# To a type checker the values are Any: an author's `self["Thermostat"]["temperature"]` may call
# what only one kind of vector has, such as `send_setVector`, without a cast.
class Device(Mapping[str, Any]):
    """One instrument: a mapping of vector name to vector.

    Args:
        devicename: printable ASCII, unique among all drivers of a server.
        properties: its vectors.
        **devicedata: anything the author wants to keep with the device.

    Attributes:
        devicename: its name.
        devicedata: what was given.
        driver: the driver it belongs to, once it does.
        changes: how often its definitions have become other ones; the vectors count.

    Raises:
        ValueError: the name is not legal, or two vectors have one name.
    """

    def __init__(
        self, devicename: str, properties: Iterable[Vector[Any, Any]], **devicedata: Any
    ) -> None:
        self.devicename = check_name(devicename, "device")
        self._enable = True
        self.changes = 0
        self.devicedata = devicedata
        self.driver: Any = None
        self._vectors: dict[str, Vector[Any, Any]] = {}
        for vector in properties:
            self._add(vector)

    def _add(self, vector: Vector[Any, Any]) -> None:
        if not isinstance(vector, Vector):
            raise TypeError(
                f"properties of device {self.devicename!r} are vectors, not {type(vector).__name__}"
            )
        if vector.name in self._vectors:
            raise ConfigurationError(
                f"device {self.devicename!r} has two vectors named {vector.name!r}"
            )
        if vector.device is not None:
            raise ConfigurationError(
                f"vector {vector.name!r} is part of device {vector.devicename!r}: make another"
            )
        vector.device = self
        self._vectors[vector.name] = vector

    def __repr__(self) -> str:
        return f"<Device {self.devicename}: {', '.join(self._vectors)}>"

    def __getitem__(self, name: str) -> Any:
        try:
            return self._vectors[name]
        except KeyError:
            known = ", ".join(self._vectors)
            raise KeyError(
                f"device {self.devicename!r} has no vector {name!r}, only {known}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def enable(self) -> bool:
        """False: neither the device nor its vectors send or receive anything."""
        return self._enable

    @enable.setter
    def enable(self, enable: bool) -> None:
        self._enable = enable
        self.changes += 1

    @property
    def sink(self) -> EventSink:
        """The driver, as what sends.

        Raises:
            RuntimeError: the device is not part of a driver.
        """
        if self.driver is None:
            raise RuntimeError(
                f"device {self.devicename!r} cannot send yet: put it into an IPyDriver, "
                "and send while that runs"
            )
        sink: EventSink = self.driver.sink
        return sink

    def _time(self, timestamp: datetime | None) -> datetime:
        return self.sink.now() if timestamp is None else to_utc(timestamp)

    async def send_device_message(self, message: str, timestamp: datetime | None = None) -> None:
        """Send a line about this device to whoever wants it.

        Never waits for a client. If cancelled, nothing was sent.

        Raises:
            RuntimeError: the driver is not running.
        """
        await self.sink.ready()
        if self.enable:
            time, text = self._time(timestamp), check_text(message, "a message")
            self.sink.publish(Message(self.devicename, text, time))
        await self.sink.yield_if_due()

    async def send_delProperty(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Tell clients that the device is gone, and disable it.

        Set `enable` to True and send the definitions of its vectors to bring it back. Never waits
        for a client. If cancelled, nothing was sent.

        Raises:
            RuntimeError: the driver is not running.
        """
        await self.sink.ready()
        if self.enable:
            time, text = self._time(timestamp), check_text(message, "a message")
            self.sink.publish(delProperty(self.devicename, None, time, text))
        self.enable = False
        await self.sink.yield_if_due()

    async def devclientevent(self, event: ClientEvent, *args: Any, **kwargs: Any) -> None:
        """A place for the device's part of `clientevent`; the driver's author calls it."""

    async def devsnoopevent(self, event: SnoopEvent, *args: Any, **kwargs: Any) -> None:
        """A place for the device's part of `snoopevent`; the driver's author calls it."""

    async def devhardware(self, *args: Any, **kwargs: Any) -> None:
        """A place for the device's part of `hardware`; the driver's author calls it."""
