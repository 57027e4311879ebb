"""The queue of events on their way to one peer, and why a slow peer harms nobody.

An `EventQueue` is bounded in bytes of memory and has two marks. Below the high-water mark the peer
gets every event in order. Above it the peer is lagging: a newer report of a property replaces the
one that waits (see `conflation`), and so does a newer frame of a BLOB; replies, Alerts, messages,
definitions and deletions are never dropped. Above the bound the overflow policy of the queue
decides. Definitions that have no room below the mark wait without counting (see `answers`).

Putting never waits. Only BLOBs wait for room, and only for peers that keep up (see `frames`).
This module knows events and tasks, but no streams.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from trindi.transport.answers import Uncounted, UncountedDefinitions, is_definition
from trindi.transport.conflation import Conflation, Queued, encoded_of
from trindi.transport.encoded import EncodedEvent
from trindi.transport.runtime import WaitingBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.transport.encoded import EncodedBatch

HIGH_WATER: Final = 8 * 1024 * 1024  # bytes before a peer is lagging; a larger BLOB does not count
BOUND: Final = 64 * 1024 * 1024  # bytes beyond one BLOB before the overflow policy is called
BLOB_TIMEOUT: Final = 5.0  # seconds that BLOBs wait for room, as in libindi for pings (§4.6)
PEER_SHARE: Final = 0.05  # of the time that passes is added again to what was spent of that

# From so many events on, they are not put one by one.
_MANY: Final = 3


def _send_nothing(_data: bytes) -> int:
    return 0


class EventQueue:
    """What waits for one peer.

    `at_bound`, the overflow policy, makes room, or closes the queue; by default all that waits is
    dropped. `send_nowait` sends the first bytes of some data at once, and returns how many.
    `counts_definitions`: also where they have no room, but for those of `put_all`; False where
    something else bounds how many properties there are.
    """

    def __init__(
        self,
        *,
        high_water: int = HIGH_WATER,
        bound: int = BOUND,
        at_bound: Callable[[EventQueue], object] = lambda queue: queue.drop_all(),
        send_nowait: Callable[[bytes], int] = _send_nothing,
        counts_definitions: bool = True,
    ) -> None:
        self._high_water = high_water
        self._bound = bound
        self._at_bound = at_bound
        self._send_nowait = send_nowait
        self._counts_definitions = counts_definitions
        # The end of an event whose start was sent at once.
        self._rest: EncodedEvent | None = None
        self._queue: deque[Queued] = deque()
        # Only while the peer lags: then sets stand in slots that newer ones may replace.
        self._conflation: Conflation | None = None
        self._uncounted = UncountedDefinitions()
        self._leaving_bytes = 0
        self._largest = 0  # the largest BLOB that waits or is being sent
        self._leaving_blob = 0  # the largest of those being sent
        self._overflowing = False
        self._closed = False
        # Up to this size an event is appended without a closer look; -1 while each needs one.
        self._quick_size = self._max_quick_size = min(high_water, bound)
        self._asleep = False
        self._news = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self.waiting_budget = WaitingBudget(BLOB_TIMEOUT, PEER_SHARE)  # for those who send it BLOBs
        self.size = 0  # bytes of memory that wait, those being sent just now included
        self.prompt = False  # the next event, if nothing waits before it, is sent at once
        self.lagging = False  # it was above the high-water mark and has not drained since
        self.drops = 0  # events that were replaced by a newer one, or dropped at the bound
        self.taken = 0  # events that the peer has been given

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, encoded: EncodedEvent) -> None:
        """Add an event. Never blocks; a closed queue takes nothing more."""
        if self.prompt and self._send_at_once(encoded):
            return
        size = self.size + encoded.weight
        if size > self._quick_size or encoded.blob:
            self._put_carefully(encoded)
        else:
            self._queue.append(encoded)
            self.size = size
        if self._asleep:
            self._wake()

    def put_all(self, batch: EncodedBatch) -> None:
        """Add the events of a batch as `put` does; if not all have room, no definition counts."""
        size = self.size + batch.weight
        if size > self._quick_size:
            for encoded in batch.items:
                if is_definition(encoded.event):
                    self._put_uncounted(encoded)
                else:
                    self.put(encoded)
        elif len(batch.items) < _MANY:
            for encoded in batch.items:
                self.put(encoded)
        else:
            self._queue.extend(batch.items)
            self.size = size
            self.prompt = False
            if self._asleep:
                self._wake()

    def _put_carefully(self, encoded: EncodedEvent) -> None:
        """Put an event that may pass the high-water mark or the bound."""
        if self._closed:
            return
        self.size += self._uncounted.supersede(encoded.event)
        weight = encoded.weight
        if encoded.blob and weight > self._largest:
            self._largest = weight
        over = self.size + weight > self._mark(self._largest) and self.size > 0
        if over and not self._counts_definitions and is_definition(encoded.event):
            self._put_uncounted(encoded)
            return
        if over:
            self.lagging = True
            self._quick_size = -1
        if not (self.lagging and (over or encoded.blob) and self._replace(encoded)):
            self.size += weight
            slots = self._conflation
            self._queue.append(encoded if slots is None else slots.add(encoded))
        self._check_bound()

    def _put_uncounted(self, definition: EncodedEvent) -> None:
        if self._closed:
            return
        self.size += self._uncounted.supersede(definition.event)
        item = self._uncounted.add(definition)
        self.size += item.weight
        # What follows is looked at: it may make this one count.
        self._quick_size = -1
        self.prompt = False
        slots = self._conflation
        self._queue.append(item if slots is None else slots.add(item))
        self._check_bound()
        if self._asleep:
            self._wake()

    def _check_bound(self) -> None:
        if self.size > self._bound + self._largest and not self._overflowing:
            # What the policy puts in place of what it drops is taken, however large.
            self._overflowing = True
            self._at_bound(self)
            self._overflowing = False

    def _mark(self, largest: int) -> int:
        # A larger BLOB does not count: what is published while it leaves would be too much.
        return self._high_water + (largest if largest > self._high_water else 0)

    def _replace(self, encoded: EncodedEvent) -> bool:
        if self._conflation is None:
            self._conflation = Conflation(self._queue)
        growth = self._conflation.replace(encoded)
        if growth is None:
            return False
        self.size += growth
        self.drops += 1
        return True

    def _wake(self) -> None:
        self._asleep = False
        self._news.unpark_all()

    def _send_at_once(self, encoded: EncodedEvent) -> bool:
        # Without a detour over the writer's task. Only the first event after each request goes so:
        # a system call for each of many would cost more than gathering them.
        self.prompt = False
        if self.size or encoded.blob or self._closed:
            return False
        data = encoded.data
        sent = self._send_nowait(data)
        if sent == 0:
            return False
        self.taken += 1
        if sent < len(data):
            self._rest = EncodedEvent(encoded.event, data[sent:])
            self.size = self._leaving_bytes = self._rest.weight
            self._wake()
        return True

    @property
    def has_uncounted(self) -> bool:
        """Whether definitions wait that do not count."""
        return bool(self._uncounted)

    def has_room(self, weight: int) -> bool:
        """Return whether a BLOB of this many bytes leaves the peer below its high-water mark."""
        mark = self._mark(max(self._largest, weight))
        return self._closed or self.size == 0 or self.size + weight <= mark

    async def wait_room(self, weight: int) -> None:
        """Wait until `has_room`. If cancelled, nothing has changed."""
        while not self.has_room(weight):
            await self._progress.park()

    async def wait_news(self) -> bool:
        """Wait for something to take; return False when the queue is closed and empty."""
        while not self._queue and self._rest is None and not self._closed:
            self._asleep = True
            await self._news.park()
        return bool(self._queue) or self._rest is not None

    def pop(self) -> EncodedEvent:
        """Take the oldest event; it counts as waiting until `task_done` is called."""
        item = self._queue.popleft()
        if self._conflation is not None:
            self._conflation.remove(item)
        encoded = encoded_of(item)
        self._leaving_bytes += encoded.weight
        if isinstance(encoded, Uncounted):
            self._uncounted.remove(encoded)
        if encoded.blob:
            self._leaving_blob = max(self._leaving_blob, encoded.weight)
        self.taken += 1
        return encoded

    def take(self, enough: int) -> list[EncodedEvent]:
        """Take events until there are `enough` bytes, or no more; a large one comes by itself."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return [rest]
        if self._conflation is None and self.size <= 2 * enough and not self._uncounted:
            # Without conflation nothing stands in slots; what it weighs in memory is always more.
            everything: list[EncodedEvent] = list(self._queue)  # type: ignore[arg-type]
            self._queue.clear()
            self._leaving_bytes = self.size
            self._leaving_blob = self._largest
            self.taken += len(everything)
            return everything
        taken = [self.pop()]
        length = taken[0].size
        while self._queue and length < enough:
            size = encoded_of(self._queue[0]).size
            if length + size > 2 * enough:
                break
            taken.append(self.pop())
            length += size
        return taken

    def task_done(self) -> None:
        """Free the bytes of all that was taken: it has been sent, or looked at."""
        self.size -= self._leaving_bytes
        self._leaving_bytes = 0
        if self._leaving_blob:
            self._forget_blobs_that_left()
        if self._quick_size < 0 and not self._queue:
            self.lagging = False
            self._conflation = None
            self._quick_size = -1 if self._closed else self._max_quick_size
        if self._progress:
            self._progress.unpark_all()

    def _forget_blobs_that_left(self) -> None:
        # The marks fall to where they are without them.
        if self._leaving_blob == self._largest:
            waiting = map(encoded_of, self._queue)
            self._largest = max((one.weight for one in waiting if one.blob), default=0)
        self._leaving_blob = 0

    async def wait_drained(self) -> None:
        """Wait until nothing waits and nothing is being sent."""
        while self.size:
            await self._progress.park()

    def clear(self) -> None:
        """Drop what waits, but for what is being sent just now."""
        self._queue.clear()
        self._conflation = None
        self._uncounted.clear()
        self.size = self._leaving_bytes
        self._largest = self._leaving_blob
        self._progress.unpark_all()

    def drop_all(self) -> None:
        """Clear the queue, and count each event as dropped."""
        self.drops += len(self._queue)
        self.clear()

    def close(self) -> None:
        """Take nothing more in; what waits can still be taken out."""
        self._closed = True
        self._quick_size = -1
        # Without them, what owns the queue is freed at once, and what waits with it.
        self._at_bound = EventQueue.drop_all
        self._send_nowait = _send_nothing
        self._wake()
        self._progress.unpark_all()
