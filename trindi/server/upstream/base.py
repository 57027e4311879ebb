"""The server's one seam: an upstream owns devices behind the server.

A driver in this process, a program on a socket pair and a server on another machine are upstreams.
Each says what its devices are, takes requests, hears what others say through one bounded queue, and
runs until it fails. This module knows neither the hub nor any kind of upstream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import trio

from trindi.server.statistics import DriverStatistics
from trindi.transport import DEFAULT_RUNTIME, FrameSender

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from trindi.driver import Sender
    from trindi.errors import ProtocolError
    from trindi.protocol import Event, SnoopEvent, setBLOBVector
    from trindi.transport import EncodedBatch, EncodedEvent, EventQueue


class Broker(Protocol):
    """What the server does for an upstream."""

    def publish(self, upstream: Upstream, event: Event) -> None:
        """Send what a driver of this process says to its receivers, without waiting."""

    async def publish_blob(
        self, upstream: Upstream, event: setBLOBVector, *, wait: bool = True
    ) -> None:
        """Send BLOBs of such a driver; wait a bounded time for receivers that keep up."""

    def relay(self, upstream: Upstream, encoded: EncodedEvent) -> None:
        """Pass on what a program or another server says, and learn its devices from it."""


class Upstream(ABC):
    """An owner of devices behind the server; `name` is what the log calls it."""

    devices: Collection[str] = ()  # names of those that it owns from the start
    learns_devices = True  # it may own others: what nobody owns is asked of it
    takes_bytes = True  # its queue is written to a stream, so that events in it are encoded

    def __init__(self, name: str) -> None:
        self.name = name
        self.restarts = 0
        self.events_in = 0  # requests that it has been given
        self.events_out = 0  # events that it has said
        self.dropped = 0  # events about devices or properties that it has not defined
        self.frames = FrameSender()
        self.runtime = DEFAULT_RUNTIME

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it can take requests now."""

    @property
    @abstractmethod
    def queue(self) -> EventQueue:
        """What others say, and, where it is a program or a server, what clients ask it."""

    @abstractmethod
    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        """Take a request, or what is wrong with one. Never blocks.

        Answers for its sender alone go to `sender`. Return something to await where there is no
        room, else None.
        """

    def admit(
        self, event: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> None:
        """Check an upload while it comes, with its bytes so far; RefusedError: it is not taken."""
        return

    @abstractmethod
    def definitions(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        """Return its definitions of all devices, of one, or of one property, as they are now."""

    @abstractmethod
    def defined_names(self) -> dict[str, list[str]]:
        """Return the names of its devices and of their properties, as receivers know them."""

    @abstractmethod
    async def run(
        self,
        broker: Broker,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until it fails or is cancelled; it has started once it takes requests."""

    def note(self, event: SnoopEvent) -> Collection[object] | None:
        """Note what it says; return the only receivers that it goes to, or None for all."""
        return None

    def defines(self, devicename: str) -> bool:
        """Whether receivers know a device of this name from it."""
        return devicename in self.defined_names()

    def forget_definitions(self) -> None:
        """Forget what it has defined: it has ended."""
        return

    def forget(self, client: Sender) -> None:
        """Forget what a client has asked: it has gone."""
        return

    def statistics(self) -> DriverStatistics:
        """Return its figures."""
        return DriverStatistics(
            devices=tuple(self.devices) or tuple(self.defined_names()),
            running=self.running,
            restarts=self.restarts,
            events_in=self.events_in,
            events_out=self.events_out,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
