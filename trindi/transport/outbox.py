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
from trindi.transport.conditions import USUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trindi.transport.conditions import InThread

__all__ = ["BLOB_PATIENCE", "BOUND", "HIGH_WATER", "Outbox", "Parcel"]
__all__ += ["put_when_room"]

HIGH_WATER: Final = 8 * 1024 * 1024
"""Bytes that may wait before a peer is lagging; a BLOB that is larger does not count."""

BOUND: Final = 64 * 1024 * 1024
"""Bytes that may wait beyond one BLOB before a peer is given up."""

BLOB_PATIENCE: Final = 5.0
"""Seconds that a BLOB waits for room, as long as libindi waits for its pings (§4.6)."""

# A guess at what an event takes beyond its values, where nobody has encoded it: a snooping driver
# gets the event itself.
_UNENCODED_WEIGHT: Final = 512

_LONG: Final = 1024 * 1024
"""Bytes of a BLOB that are worth a worker thread to encode them."""

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
        """Bytes that the event takes, or a guess at them where it is not encoded yet."""
        if self._data is not None:
            return len(self._data)
        event: Any = self.event
        members = getattr(event, "members", {})
        sizes = (len(value) for value in members.values() if isinstance(value, (bytes, str)))
        labels = sum(len(str(label)) for label in getattr(event, "memberlabels", {}).values())
        guess = _UNENCODED_WEIGHT * (1 + len(members)) + sum(sizes) + labels
        return guess + len(getattr(event, "message", "")) + len(getattr(event, "label", ""))

    async def encode(self, in_thread: InThread = USUAL.in_thread) -> None:
        """Encode it now, in a worker thread where that takes long."""
        if self._data is None and self._takes_long():
            self._data = await in_thread(encode, self.event)
        self._data = self.data

    def _takes_long(self) -> bool:
        about = getattr(self.event, "sizeformat", {}).values()
        return self.weight >= _LONG or any(said.format.endswith(".z") for said in about)


class _Waiting:
    """A place in the queue; a newer parcel may take it over."""

    __slots__ = ("parcel", "weight")

    def __init__(self, parcel: Parcel, weight: int) -> None:
        self.parcel = parcel
        self.weight = weight


class Outbox:
    """What waits for one peer.

    Args:
        high_water: bytes that may wait before the peer is lagging; a BLOB that is larger does not
            count.
        bound: bytes that may wait, beyond the largest BLOB seen, before the peer is given up.
        on_overflow: called when the bound is passed, and all that waited has been dropped; it may
            put something in its place, such as a farewell.
        send_nowait: sends the first bytes of some data at once, and returns how many; for peers
            that wait for an answer.

    Attributes:
        prompt: the next event, if nothing waits before it, is sent at once.
        lagging: the peer has been above the high-water mark and has not drained since.
        drops: how many events a newer one took the place of, or went when the bound was passed.
        taken: how many events the peer has been given.
    """

    def __init__(
        self,
        *,
        high_water: int = HIGH_WATER,
        bound: int = BOUND,
        on_overflow: Callable[[], None] = lambda: None,
        send_nowait: Callable[[bytes], int] | None = None,
    ) -> None:
        self._high_water = high_water
        self._bound = bound
        self._on_overflow = on_overflow
        self._send_nowait = send_nowait
        self._rest: bytes | memoryview = b""
        self._queue: deque[_Waiting] = deque()
        self._index: dict[Key, _Waiting] | None = None
        self._waiting_bytes = 0
        self._leaving_bytes = 0
        self._largest = 0
        self._overflowing = False
        self._closed = False
        self._news = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self.prompt = False
        self.lagging = False
        self.drops = 0
        self.taken = 0

    @property
    def size(self) -> int:
        """Bytes that wait, those being sent just now included."""
        return self._waiting_bytes + self._leaving_bytes

    def __len__(self) -> int:
        return len(self._queue)

    def _mark(self, largest: int) -> int:
        """The high-water mark; a BLOB that is larger does not count.

        What is published while it is on its way would else be dropped for a peer that reads as
        fast as it can.
        """
        return self._high_water + (largest if largest > self._high_water else 0)

    # In ----------------------------------------------------------------------------------------

    def put(self, parcel: Parcel) -> None:
        """Add an event to what waits. Never blocks; nothing is added to a closed outbox."""
        if self._closed:
            return
        if self.prompt and self._send_at_once(parcel):
            return
        weight = parcel.weight
        if parcel.blob and weight > self._largest:
            self._largest = weight
        size = self.size
        over = size + weight > self._mark(self._largest) and size > 0
        if over:
            self.lagging = True
        if not (self.lagging and (over or parcel.blob) and self._take_place(parcel)):
            self._append(parcel, weight)
        self._news.unpark()
        if self.size > self._bound + self._largest and not self._overflowing:
            self._overflow()

    def _send_at_once(self, parcel: Parcel) -> bool:
        """Send what a peer waits for without a detour over the writer's task, if nothing waits.

        Only the first event after each request goes so: a system call for each of many would cost
        more than gathering them.
        """
        self.prompt = False
        if self._send_nowait is None or self.size or parcel.blob:
            return False
        data = parcel.data
        sent = self._send_nowait(data)
        if sent == 0:
            return False
        self.taken += 1
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._leaving_bytes = len(self._rest)
            self._news.unpark()
        return True

    def _overflow(self) -> None:
        self._overflowing = True
        self.drops += len(self._queue)
        self.clear()
        self._on_overflow()
        self._overflowing = False

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
        size = self.size
        mark = self._mark(max(self._largest, weight))
        return self._closed or size == 0 or size + weight <= mark

    async def wait_room(self, weight: int) -> None:
        """Wait until `has_room`. If cancelled, nothing has changed."""
        while not self.has_room(weight):
            await self._progress.park()

    # Out ---------------------------------------------------------------------------------------

    async def wait_news(self) -> bool:
        """Wait for something to take; False where the outbox is closed and empty."""
        while not self._queue and not self._rest and not self._closed:
            await self._news.park()
        return bool(self._queue or self._rest)

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

    def take(self, enough: int) -> bytes | memoryview:
        """Take parcels until there are `enough` bytes, or no more; a large one is not copied."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
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


async def put_when_room(
    parcel: Parcel, outboxes: Iterable[Outbox], patience: float = BLOB_PATIENCE
) -> None:
    """Put a BLOB into each outbox as soon as it has room.

    Outboxes that lag already are not waited for; those that have no room after `patience` seconds
    get it all the same and are lagging from then on. If cancelled, some have it and some have not.
    """
    # In the order given, so that a test can foresee who gets it first.
    waited: dict[Outbox, None] = {}
    for outbox in outboxes:
        if outbox.lagging or outbox.has_room(parcel.weight):
            outbox.put(parcel)
        else:
            waited[outbox] = None
    if waited:
        await _put_patiently(parcel, waited, patience)


async def _put_patiently(parcel: Parcel, waited: dict[Outbox, None], patience: float) -> None:
    async def put(outbox: Outbox) -> None:
        await outbox.wait_room(parcel.weight)
        del waited[outbox]
        outbox.put(parcel)

    with trio.move_on_after(patience):
        async with trio.open_nursery() as nursery:
            for outbox in waited:
                nursery.start_soon(put, outbox)
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
        # Without a device it would be the end of all (§2).
        for gone in [key for key in index if event.devicename in (None, key[0])]:
            del index[gone]
    elif hasattr(event, "vectorname"):
        index.pop((event.devicename, event.vectorname), None)


_MAPPINGS: Final = ("members", "limits", "sizeformat", "text")
_SCALARS: Final = ("state", "timeout", "message")


def _merge(older: Parcel, newer: Parcel) -> Parcel:
    """Return the newer set, with what only the older one says."""
    old: Any = older.event
    new: Any = newer.event
    if type(old) is not type(new):
        return newer
    kept: dict[str, Any] = {}
    for name in _MAPPINGS:
        if getattr(old, name, {}).keys() - getattr(new, name, {}).keys():
            kept[name] = {**getattr(old, name), **getattr(new, name)}
    for name in _SCALARS:
        if _says(old, name) and not _says(new, name):
            kept[name] = getattr(old, name)
    if "members" in kept and isinstance(new, setSwitchVector):
        # Those going Off stand first (§3.4).
        kept["members"] = dict(sorted(kept["members"].items(), key=lambda item: item[1] == "On"))
    return Parcel(replace(new, **kept)) if kept else newer


def _says(event: Any, name: str) -> bool:
    return getattr(event, name, None) not in (None, "")
