"""What members, vectors and devices use of what they belong to, as Protocols.

So each knows its owner without importing it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from trindi.protocol import Event, setBLOBVector


class VectorOfMember(Protocol):
    """What a member uses of the vector that it belongs to."""

    name: str

    def __setitem__(self, name: str, value: Any, /) -> None: ...

    def invalidate_definition(self) -> None:
        """Make the current definition anew when it is next asked for."""


class DeviceOfVector(Protocol):
    """What a vector uses of the device that it belongs to."""

    devicename: str
    driver: Any
    enable: bool
    revision: int

    def __getitem__(self, name: str, /) -> Any: ...


class EventSink(Protocol):
    """What a driver offers its vectors and devices for sending."""

    def stamp(self, timestamp: datetime | None) -> datetime:
        """Return the timestamp of an event: the given one as UTC, or else the present time."""

    def ready(self) -> Awaitable[None]:
        """Raise RuntimeError if nothing can be sent; awaited, raise Cancelled if cancelled."""

    async def yield_if_due(self) -> None:
        """Let other tasks run now and then; to be called after sending."""

    def publish(self, event: Event) -> None:
        """Send an event to every peer that wants it, without waiting."""

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for peers that keep up."""

    async def in_thread(self, load: Callable[[], bytes]) -> bytes:
        """Call a function that takes long in a worker thread."""


def no_driver(sender: str) -> RuntimeError:
    """Make the error for a sender that is not part of a driver."""
    return RuntimeError(
        f"{sender} cannot send yet: put its device into an IPyDriver, and send while that runs"
    )
