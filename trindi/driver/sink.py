"""What a driver's vectors and devices send through, and when it lets other tasks run.

A send never waits for a peer. A driver that only sends would never let other tasks run, so after
some sends, or some time, it yields: after sending, never before. What an author does right before a
send, and the send, are one step, which no other task sees half done and no cancellation cuts. This
module knows neither peers nor properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

from trindi.protocol import to_utc
from trindi.transport import DEFAULT_RUNTIME, YieldBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from trindi.protocol import Event, setBLOBVector


class Publisher(Protocol):
    """What connects a running driver to its peers."""

    def publish(self, event: Event) -> None:
        """Send an event to every peer that wants it, without waiting."""

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        """Send BLOBs, waiting a bounded time for peers that keep up, or not at all."""


class DriverSink:
    """Sends to the publisher that the driver runs with: an `EventSink` of properties."""

    def __init__(self) -> None:
        self.publisher: Publisher | None = None  # None while the driver is not running.
        self.runtime = DEFAULT_RUNTIME  # Under which the driver runs, or ran last.
        self._budget = YieldBudget()

    def start(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._budget = YieldBudget()

    def stamp(self, timestamp: datetime | None, message: str = "") -> datetime:
        """Return the timestamp of an event: the given one as UTC, or else the present time.

        With a message it is in whole seconds: KStars looks for the level behind 19 characters.
        """
        time = self.runtime.now() if timestamp is None else to_utc(timestamp)
        return time.replace(microsecond=0) if message else time

    def ready(self) -> Awaitable[None]:
        """Raise RuntimeError if the driver is not running; awaited, Cancelled if cancelled."""
        if self.publisher is None:
            raise RuntimeError("the driver is not running: send from its handlers and tasks")
        return trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC105 - the caller awaits it

    async def yield_if_due(self) -> None:
        """Let other tasks run now and then; to be called after sending."""
        if self._budget.exhausted():
            await self._budget.checkpoint(done=True)

    def publish(self, event: Event) -> None:
        if self.publisher is not None:
            self.publisher.publish(event)

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        if self.publisher is not None:
            await self.publisher.publish_blob(event, wait=wait)

    async def in_thread(self, load: Callable[[], bytes]) -> bytes:
        data: bytes = await self.runtime.in_thread(load)
        return data
