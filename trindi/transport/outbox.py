"""The queue of what is on its way to one peer, and why a slow peer harms nobody.

An outbox is bounded in bytes and has two marks. Below the high-water mark the peer gets every event
in order. Above it the peer is lagging: a newer set of a property takes the place of the older one
that still waits (the newest state wins, member by member), and so does a newer frame of a BLOB;
definitions, deletions and messages are never dropped. Above the bound the peer is given up.

Putting never waits. Only BLOBs wait for room, and only for peers that keep up (`put_when_room`).
This module knows events and tasks, but no streams.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trindi.protocol import (
    Event,
    delProperty,
    encode,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["BLOB_PATIENCE", "BOUND", "HIGH_WATER", "Outbox", "Parcel"]
__all__ += ["blob_parcel", "put_when_room"]

HIGH_WATER: Final = 8 * 1024 * 1024
"""Bytes that may wait beyond one BLOB before a peer is lagging."""

BOUND: Final = 64 * 1024 * 1024
"""Bytes that may wait beyond one BLOB before a peer is given up."""

BLOB_PATIENCE: Final = 5.0
"""Seconds that a BLOB waits for room, as long as libindi waits for its pings (§4.6)."""

# A guess at what an event takes that nobody has encoded; only snooping drivers are served so.
_UNENCODED_WEIGHT: Final = 512

_SETS: Final = (setSwitchVector, setTextVector, setNumberVector, setLightVector, setBLOBVector)
Key: TypeAlias = tuple[str | None, str | None]


class Parcel:
    """One event on its way to any number of peers, encoded at most once for all of them.

    Attributes:
        event: the event.
        blob: it carries payloads.
    """

    __slots__ = ("_data", "blob", "event")

    def __init__(self, event: Event, data: bytes | None = None) -> None:
        self.event = event
        self.blob = type(event) is setBLOBVector
        self._data = data

    @property
    def data(self) -> bytes:
        """The event as bytes."""
        if self._data is None:
            self._data = encode(self.event)
        return self._data

    @property
    def weight(self) -> int:
        """Bytes that the event takes in memory, or a guess at them."""
        if self._data is not None:
            return len(self._data)
        if isinstance(self.event, setBLOBVector):
            return _UNENCODED_WEIGHT + sum(map(len, self.event.values()))
        return _UNENCODED_WEIGHT


class _Waiting:
    """A place in the queue; a newer parcel may take it over."""

    __slots__ = ("parcel", "weight")

    def __init__(self, parcel: Parcel, weight: int) -> None:
        self.parcel = parcel
        self.weight = weight


class Outbox:
    """What waits for one peer.

    Args:
        high_water: bytes that may wait, beyond the largest BLOB seen, before the peer is lagging.
        bound: bytes that may wait, beyond the largest BLOB seen, before the peer is given up.
        on_overflow: called once, when the bound is passed; the outbox is empty and takes parcels
            again for a farewell.

    Attributes:
        lagging: the peer has been above the high-water mark and has not drained since.
        drops: how many events a newer one took the place of.
        taken: how many events the peer has been given.
    """

    def __init__(
        self,
        *,
        high_water: int = HIGH_WATER,
        bound: int = BOUND,
        on_overflow: Callable[[], None] = lambda: None,
    ) -> None:
        self._high_water = high_water
        self._bound = bound
        self._on_overflow = on_overflow
        self._queue: deque[_Waiting] = deque()
        self._index: dict[Key, _Waiting] | None = None
        self._waiting_bytes = 0
        self._leaving_bytes = 0
        self._largest = 0
        self._overflowed = False
        self._closed = False
        self._news = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self.lagging = False
        self.drops = 0
        self.taken = 0

    @property
    def size(self) -> int:
        """Bytes that wait, those being sent just now included."""
        return self._waiting_bytes + self._leaving_bytes

    def __len__(self) -> int:
        return len(self._queue)

    # In ----------------------------------------------------------------------------------------

    def put(self, parcel: Parcel) -> None:
        """Add an event to what waits. Never blocks; nothing is added to a closed outbox."""
        if self._closed:
            return
        weight = parcel.weight
        if parcel.blob and weight > self._largest:
            self._largest = weight
        size = self.size
        # One BLOB does not count, however large: what is published while it is on its way would
        # else be dropped for a peer that reads as fast as it can.
        over = size + weight > self._high_water + self._largest and size > 0
        if over:
            self.lagging = True
        if not (self.lagging and (over or parcel.blob) and self._take_place(parcel)):
            self._append(parcel, weight)
        self._news.unpark()
        if self.size > self._bound + self._largest and not self._overflowed:
            self._overflowed = True
            self.clear()
            self._on_overflow()

    def _append(self, parcel: Parcel, weight: int) -> None:
        waiting = _Waiting(parcel, weight)
        self._queue.append(waiting)
        self._waiting_bytes += weight
        if self._index is not None:
            _note(self._index, waiting)

    def _take_place(self, parcel: Parcel) -> bool:
        """Let the parcel replace an older set of its property that still waits, if there is one."""
        key = _key(parcel.event)
        if key is None:
            return False
        if self._index is None:
            self._index = {}
            for waiting in self._queue:
                _note(self._index, waiting)
        older = self._index.get(key)
        if older is None:
            return False
        self._waiting_bytes -= older.weight
        older.parcel = _merge(older.parcel, parcel)
        older.weight = older.parcel.weight
        self._waiting_bytes += older.weight
        self.drops += 1
        return True

    def has_room(self, weight: int) -> bool:
        """Whether a BLOB of this many bytes leaves the peer below its high-water mark."""
        mark = self._high_water + max(self._largest, weight)
        return self._closed or self.size == 0 or self.size + weight <= mark

    async def wait_room(self, weight: int) -> None:
        """Wait until `has_room`. If cancelled, nothing has changed."""
        while not self.has_room(weight):
            await self._progress.park()

    # Out ---------------------------------------------------------------------------------------

    async def wait_news(self) -> bool:
        """Wait for something to take; False where the outbox is closed and empty."""
        while not self._queue and not self._closed:
            await self._news.park()
        return bool(self._queue)

    def pop(self) -> Parcel:
        """Take the oldest parcel; it counts as waiting until `left` is called.

        Raises:
            IndexError: nothing waits.
        """
        waiting = self._queue.popleft()
        if self._index is not None:
            key = _key(waiting.parcel.event)
            if key is not None and self._index.get(key) is waiting:
                del self._index[key]
        self._waiting_bytes -= waiting.weight
        self._leaving_bytes += waiting.weight
        self.taken += 1
        return waiting.parcel

    def take(self, enough: int) -> bytes:
        """Take parcels until there are `enough` bytes, or no more; a large one is not copied."""
        parts = [self.pop().data]
        length = len(parts[0])
        while self._queue and length < enough:
            if length + self._queue[0].weight > 2 * enough:
                break
            parts.append(self.pop().data)
            length += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def left(self) -> None:
        """Say that what was taken is gone, and has freed its bytes."""
        self._leaving_bytes = 0
        if not self._queue:
            self.lagging = False
            self._index = None
        self._progress.unpark_all()

    async def wait_drained(self) -> None:
        """Wait until nothing waits and nothing is being sent."""
        while self.size:
            await self._progress.park()

    def clear(self) -> None:
        """Drop what waits, but for what is being sent just now."""
        self._queue.clear()
        self._index = None
        self._waiting_bytes = 0
        self._progress.unpark_all()

    def close(self) -> None:
        """Take nothing more; what waits can still be taken out."""
        self._closed = True
        self._news.unpark_all()
        self._progress.unpark_all()


async def blob_parcel(event: setBLOBVector) -> Parcel:
    """Make a parcel of a BLOB; what takes long to compress is encoded in a worker thread."""
    if any(about.format.endswith(".z") for about in event.sizeformat.values()):
        return Parcel(event, await trio.to_thread.run_sync(encode, event))
    return Parcel(event)


async def put_when_room(
    parcel: Parcel, outboxes: Iterable[Outbox], patience: float = BLOB_PATIENCE
) -> None:
    """Put a BLOB into each outbox as soon as it has room.

    Outboxes that lag already are not waited for; those that have no room after `patience` seconds,
    counted for all together, get it all the same and are lagging from then on. If cancelled, some
    have it and some have not.
    """
    weight = parcel.weight
    waited: list[Outbox] = []
    for outbox in outboxes:
        if outbox.lagging or outbox.has_room(weight):
            outbox.put(parcel)
        else:
            waited.append(outbox)
    with trio.move_on_after(patience):
        while waited:
            await waited[-1].wait_room(weight)
            waited.pop().put(parcel)
    for outbox in waited:
        outbox.put(parcel)


def _key(event: Any) -> Key | None:
    return (event.devicename, event.vectorname) if isinstance(event, _SETS) else None


def _note(index: dict[Key, _Waiting], waiting: _Waiting) -> None:
    """Keep the index of sets that a newer one may replace.

    What comes after a definition or a deletion must not move before it.
    """
    event: Any = waiting.parcel.event
    key = _key(event)
    if key is not None:
        index[key] = waiting
    elif isinstance(event, delProperty) and event.vectorname is None:
        for gone in [key for key in index if key[0] == event.devicename]:
            del index[gone]
    elif hasattr(event, "vectorname"):
        index.pop((event.devicename, event.vectorname), None)


def _merge(older: Parcel, newer: Parcel) -> Parcel:
    """Return the newer set, with what only the older one says."""
    old: Any = older.event
    new: Any = newer.event
    fields = [name for name in ("members", "limits", "sizeformat", "text") if hasattr(new, name)]
    says_all = all(getattr(new, name).keys() >= getattr(old, name).keys() for name in fields)
    if says_all and (new.state is not None or old.state is None):
        return newer
    merged = {name: {**getattr(old, name), **getattr(new, name)} for name in fields}
    return Parcel(replace(new, state=new.state or old.state, **merged))
