"""What a driver's vectors and devices send through, and whose turn it is.

A send never waits for a peer; but a driver that only sends would never let others run, so after
some sends, or some time, it gives them a turn. It does so before it sends: what comes after is one
step, which nobody sees half done and no cancellation cuts. This module knows neither peers nor
properties.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.protocol import Event, setBLOBVector

__all__ = ["DriverOutlet", "Link"]

STREAK: Final = 0.001
"""Seconds a driver may send without giving others a turn; each send looks at the clock."""

MAX_STREAK: Final = 64
"""Sends without giving others a turn, for a clock that stands still (a mock clock does)."""


class Link(Protocol):
    """What connects a running driver to whoever listens to it."""

    def publish(self, event: Event) -> None:
        """Send an event to whoever wants it, without waiting."""

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""


class DriverOutlet:
    """What vectors and devices send through; it also gives other tasks their turn."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self._streak_start = 0.0
        self._streak = 0

    def now(self) -> datetime:
        """The time that events are stamped with."""
        return datetime.now(UTC)

    def _linked(self) -> Link:
        if self.link is None:
            raise RuntimeError("the driver is not running: send from its handlers and tasks")
        return self.link

    async def turn(self) -> None:
        """Give others their turn now and then. If cancelled, nothing was sent.

        Raises:
            RuntimeError: the driver is not running.
        """
        self._linked()
        self._streak += 1
        long = trio.current_time() - self._streak_start >= STREAK
        if not long and self._streak < MAX_STREAK:
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        self._streak = 0
        await trio.lowlevel.checkpoint()
        self._streak_start = trio.current_time()

    def publish(self, event: Event) -> None:
        """Send an event, without waiting for anybody."""
        self._linked().publish(event)

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""
        await self._linked().publish_blob(event)

    async def in_thread(self, load: Callable[[], bytes]) -> bytes:
        """Call what takes long in a worker thread. If cancelled, it is waited for all the same."""
        return await trio.to_thread.run_sync(load)
