"""How BLOBs reach the queues of their receivers, and how long their publisher waits for room.

A BLOB is data, not state: a peer that keeps up gets each of them, so its publisher waits for a peer
that has no room. Waiting for one throttles all the others, so it has a budget: a peer that is slow
for a moment loses nothing; one that is always slow gets the newest frame. `EventQueue` replaces the
frames of those. This module knows no streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trindi.protocol import ends
from trindi.transport.event_queue import BLOB_TIMEOUT
from trindi.transport.runtime import DEFAULT_RUNTIME, InThread, WaitingBudget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.protocol import delProperty, setBLOBVector
    from trindi.transport.encoded import EncodedEvent
    from trindi.transport.event_queue import EventQueue

PUBLISHER_CREDIT: Final = 2 * BLOB_TIMEOUT
"""Seconds that one publisher waits for all its receivers. So one that is always slow, whose own
budget is half of it, leaves some for the others."""

PUBLISHER_SHARE: Final = 0.1
"""Of the time that passes; so much is added again to what was spent of these seconds."""


class FrameSender:
    """Sends the BLOBs of one publisher.

    A publisher that has only one receiver throttles nobody else: its waits have no budget, and each
    takes `BLOB_TIMEOUT` at most.
    """

    def __init__(self, *, one_receiver: bool = False) -> None:
        self._one_receiver = one_receiver
        self._budget = WaitingBudget(PUBLISHER_CREDIT, PUBLISHER_SHARE)
        self._waiting: dict[EncodedEvent, trio.CancelScope] = {}

    async def send(
        self,
        encoded: EncodedEvent,
        queues: Iterable[EventQueue],
        *,
        wait: bool = True,
        in_thread: InThread | None = DEFAULT_RUNTIME.in_thread,
    ) -> None:
        """Put a BLOB into each queue as soon as it has room, but into those that lag at once.

        Queues that have no room once the budget is spent get the BLOB nevertheless, and lag from
        then on; without `wait` that is at once. If the property is deleted in the meantime, the
        BLOB is dropped. `in_thread` compresses; None: the receivers take no bytes. If cancelled,
        some have it and some have not.
        """
        with trio.CancelScope() as scope:
            self._waiting[encoded] = scope
            try:
                if in_thread is not None:
                    await encoded.prepare(in_thread)
                if not scope.cancel_called:
                    await self._put(encoded, queues, wait)
            finally:
                del self._waiting[encoded]

    def delete(self, event: delProperty) -> None:
        """Drop the BLOBs that wait for room, of what this deletes."""
        for encoded, scope in self._waiting.items():
            blob: setBLOBVector = encoded.event  # type: ignore[assignment]
            if ends(event, blob.devicename, blob.vectorname):
                scope.cancel()

    async def _put(self, encoded: EncodedEvent, queues: Iterable[EventQueue], wait: bool) -> None:
        # In the order given, so that a test can foresee which gets it first.
        full: dict[EventQueue, float] = {}
        for queue in queues:
            has_room = queue.lagging or queue.has_room(encoded.weight)
            limit = 0.0 if has_room or not wait else self._limit(queue)
            if limit > 0:
                full[queue] = limit
            else:
                queue.put(encoded)
        if full:
            began = trio.current_time()
            try:
                await self._wait(encoded, full, began)
            finally:
                self._budget.spend(trio.current_time() - began)

    def _limit(self, queue: EventQueue) -> float:
        if self._one_receiver:
            return BLOB_TIMEOUT
        return min(self._budget.left(), queue.waiting_budget.left())

    async def _wait(
        self, encoded: EncodedEvent, full: dict[EventQueue, float], began: float
    ) -> None:
        def put(queue: EventQueue) -> None:
            del full[queue]
            queue.waiting_budget.spend(trio.current_time() - began)
            # The end of its property and room for it may come in one moment.
            if not self._waiting[encoded].cancel_called:
                queue.put(encoded)

        async def put_with_room(queue: EventQueue) -> None:
            await queue.wait_room(encoded.weight)
            if queue in full:
                put(queue)
            if not full:
                nursery.cancel_scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                for queue in full:
                    nursery.start_soon(put_with_room, queue)
                for limit in sorted(set(full.values())):
                    await trio.sleep_until(began + limit)
                    for queue in [queue for queue, most in full.items() if most <= limit]:
                        put(queue)
                nursery.cancel_scope.cancel()
        finally:
            for queue in full:
                queue.waiting_budget.spend(trio.current_time() - began)
