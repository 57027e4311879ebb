"""What members, vectors and devices use of what they belong to, without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from trindi.protocol import Event, setBLOBVector


class VectorOfMember(Protocol):
    def __setitem__(self, name: str, value: Any, /) -> None: ...
    def invalidate_definition(self) -> None: ...


class DeviceOfVector(Protocol):
    devicename: str
    driver: Any
    enable: bool
    revision: int

    def __getitem__(self, name: str, /) -> Any: ...


class EventSink(Protocol):
    """What a driver offers its vectors and devices for sending; see `DriverSink`."""

    def stamp(self, timestamp: datetime | None) -> datetime: ...
    def ready(self) -> Awaitable[None]: ...
    async def yield_if_due(self) -> None: ...
    def publish(self, event: Event) -> None: ...
    async def publish_blob(self, event: setBLOBVector) -> None: ...
    async def in_thread(self, load: Callable[[], bytes]) -> bytes: ...


def no_driver(sender: str) -> RuntimeError:
    return RuntimeError(
        f"{sender} cannot send yet: put its device into an IPyDriver, and send while that runs"
    )
