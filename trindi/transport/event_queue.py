"""The queue of what is on its way to one peer, and why a slow peer harms nobody.

An outbox is bounded in bytes and has two marks. Below the high-water mark the peer gets every event
in order. Above it the peer is lagging: a newer set of a property takes the place of the older one
that still waits (the newest state wins, member by member), and so does a newer frame of a BLOB;
definitions, deletions and messages are never dropped. Above the bound the peer is given up.

Putting never waits. Only BLOBs wait for room, and only for peers that keep up (`put_blob`).
This module knows events and tasks, but no streams.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trindi.protocol import (
    Base64,
    Event,
    delProperty,
    encode,
    encode_parts,
    newBLOBVector,
    replace,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from trindi.protocol.blobs import COMPRESSED
from trindi.transport.runtime import DEFAULT_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trindi.transport.runtime import InThread

__all__ = ["BLOB_TIMEOUT", "BOUND", "HIGH_WATER", "EncodedBatch", "EncodedEvent", "EventQueue"]
__all__ += ["put_blob"]

HIGH_WATER: Final = 8 * 1024 * 1024
"""Bytes that may wait before a peer is lagging; a BLOB that is larger does not count."""

BOUND: Final = 64 * 1024 * 1024
"""Bytes that may wait beyond one BLOB before a peer is given up."""

BLOB_TIMEOUT: Final = 5.0
"""Seconds that a BLOB waits for room, as long as libindi waits for its pings (§4.6)."""

# A guess at what an event takes beyond its values, where nobody has encoded it: a snooping driver
# gets the event itself.
_UNENCODED_WEIGHT: Final = 512

# Events that are looked through for sets to replace when a peer begins to lag: a few milliseconds.
_LOOK_BACK: Final = 4096

# From so many events on, they are not put one by one.
_MANY: Final = 3

_SETS: Final = (setSwitchVector, setTextVector, setNumberVector, setLightVector, setBLOBVector)
# Uploads too: what a client sends may be as large.
_BLOBS: Final = (setBLOBVector, newBLOBVector)
Key: TypeAlias = tuple[str | None, str | None]


class EncodedEvent:
    """One event on its way to any number of peers, encoded at most once for all of them.

    Only large payloads become base64 for each of them, as they leave.

    Attributes:
        event: the event.
        blob: it carries payloads.
        parts: what it is as bytes, payloads still to be encoded; empty before `prepare`.
        weight: bytes that the event takes, or a guess at them where it was not encoded.
    """

    __slots__ = ("_data", "blob", "event", "parts", "weight")

    def __init__(self, event: Event, data: bytes | None = None) -> None:
        self.event = event
        self.blob = type(event) in _BLOBS
        self.weight = _guess_weight(event) if data is None else len(data)
        self._data = data
        self.parts: list[bytes | Base64] = []

    @property
    def data(self) -> bytes:
        """The event as bytes."""
        if self._data is None:
            self._data = b"".join(self.pieces()) if self.parts else encode(self.event)
        return self._data

    async def prepare(self, in_thread: InThread = DEFAULT_RUNTIME.in_thread) -> None:
        """Make it ready, and weigh it, before anybody has it.

        Payloads that are to be compressed are, in a worker thread.
        """
        event: Any = self.event
        if not hasattr(event, "sizeformat"):
            self.weight = len(self.data)
        elif any(said.format.endswith(COMPRESSED) for said in event.sizeformat.values()):
            self.pack(await in_thread(encode_parts, event))
        else:
            self.pack(encode_parts(event))

    def pack(self, parts: list[bytes | Base64]) -> None:
        """Take what the event is as bytes, payloads still to be encoded."""
        self.parts = parts
        self.weight = sum(map(len, parts))

    def pieces(self) -> Iterator[bytes]:
        """The event as bytes, payloads encoded piece by piece."""
        for part in self.parts or (self.data,):
            if isinstance(part, Base64):
                yield from part.pieces()
            else:
                yield part


class EncodedBatch:
    """Parcels that go together.

    Attributes:
        items: in their order.
        weight: bytes that they take together.
    """

    __slots__ = ("items", "weight")

    def __init__(self, items: Iterable[EncodedEvent]) -> None:
        self.items = tuple(items)
        self.weight = sum(encoded.weight for encoded in self.items)


def _guess_weight(event: Any) -> int:
    members = getattr(event, "members", {})
    sizes = (len(value) for value in members.values() if isinstance(value, (bytes, str)))
    labels = sum(len(str(label)) for label in getattr(event, "memberlabels", {}).values())
    guess = _UNENCODED_WEIGHT * (1 + len(members)) + sum(sizes) + labels
    return guess + len(getattr(event, "message", "")) + len(getattr(event, "label", ""))


class _Place:
    """A place in the queue of a peer that lags; a newer encoded may take it over."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: EncodedEvent) -> None:
        self.encoded = encoded


class EventQueue:
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
        size: bytes that wait, those being sent just now included.
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
        send_nowait: Callable[[bytes], int] = lambda _data: 0,
    ) -> None:
        self._high_water = high_water
        self._bound = bound
        self._on_overflow = on_overflow
        self._send_nowait = send_nowait
        self._rest: bytes | memoryview = b""
        # While the peer lags, an event holds a place that a newer event can take.
        self._queue: deque[EncodedEvent | _Place] = deque()
        self._index: dict[Key, _Place] | None = None
        self._leaving_bytes = 0
        self._largest = 0
        self._overflowing = False
        self._closed = False
        # What waits may grow so far without a closer look.
        self._usual = self._most_usual = min(high_water, bound)
        self._asleep = False
        self._news = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self.size = 0
        self.prompt = False
        self.lagging = False
        self.drops = 0
        self.taken = 0

    def __len__(self) -> int:
        return len(self._queue)

    def _mark(self, largest: int) -> int:
        """The high-water mark; a BLOB that is larger does not count.

        What is published while it is on its way would else be dropped for a peer that reads as
        fast as it can.
        """
        return self._high_water + (largest if largest > self._high_water else 0)

    # In ----------------------------------------------------------------------------------------

    def put(self, encoded: EncodedEvent) -> None:
        """Add an event to what waits. Never blocks; nothing is added to a closed outbox."""
        if self.prompt and self._send_at_once(encoded):
            return
        size = self.size + encoded.weight
        if size > self._usual or encoded.blob:
            self._put_carefully(encoded)
        else:
            self._queue.append(encoded)
            self.size = size
        if self._asleep:
            self._wake()

    def put_all(self, batch: EncodedBatch) -> None:
        """Add the events of a batch, as `put` does with each; none of many is sent at once."""
        size = self.size + batch.weight
        if size > self._usual or len(batch.items) < _MANY:
            for encoded in batch.items:
                self.put(encoded)
        else:
            self._queue.extend(batch.items)
            self.size = size
            self.prompt = False
            if self._asleep:
                self._wake()

    def _put_carefully(self, encoded: EncodedEvent) -> None:
        """Put what the peer may be lagging with; see at which mark and bound."""
        if self._closed:
            return
        weight = encoded.weight
        if encoded.blob and weight > self._largest:
            self._largest = weight
        over = self.size + weight > self._mark(self._largest) and self.size > 0
        if over:
            self._lag()
        if not (self.lagging and (over or encoded.blob) and self._take_place(encoded)):
            self._append(encoded)
        if self.size > self._bound + self._largest and not self._overflowing:
            self._overflow()

    def _lag(self) -> None:
        self.lagging = True
        self._usual = -1

    def _wake(self) -> None:
        self._asleep = False
        self._news.unpark_all()

    def _send_at_once(self, encoded: EncodedEvent) -> bool:
        """Send what a peer waits for without a detour over the writer's task, if nothing waits.

        Only the first event after each request goes so: a system call for each of many would cost
        more than gathering them.
        """
        self.prompt = False
        if self.size or encoded.blob or self._closed:
            return False
        data = encoded.data
        sent = self._send_nowait(data)
        if sent == 0:
            return False
        self.taken += 1
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self.size = self._leaving_bytes = len(self._rest)
            self._wake()
        return True

    def _overflow(self) -> None:
        self._overflowing = True
        self.drops += len(self._queue)
        self.clear()
        self._on_overflow()
        self._overflowing = False

    def _append(self, encoded: EncodedEvent) -> None:
        self.size += encoded.weight
        if self._index is None:
            self._queue.append(encoded)
        else:
            place = _Place(encoded)
            self._queue.append(place)
            _note(self._index, place)

    def _take_place(self, encoded: EncodedEvent) -> bool:
        """Replace an older set of the same property that still waits, if there is one."""
        key = _key(encoded.event)
        if key is None:
            return False
        if self._index is None:
            self._index = _make_index(self._queue)
        older = self._index.get(key)
        if older is None:
            return False
        self.size -= older.encoded.weight
        older.encoded = _merge(older.encoded, encoded)
        self.size += older.encoded.weight
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
            self._asleep = True
            await self._news.park()
        return bool(self._queue or self._rest)

    def pop(self) -> EncodedEvent:
        """Take the oldest encoded; it counts as waiting until `left` is called.

        Raises:
            IndexError: nothing waits.
        """
        item = self._queue.popleft()
        encoded = _encoded_of(item)
        if self._index is not None:
            key = _key(encoded.event)
            if key is not None and self._index.get(key) is item:
                del self._index[key]
        self._leaving_bytes += encoded.weight
        self.taken += 1
        return encoded

    def take(self, enough: int) -> Iterable[bytes | memoryview]:
        """Take items until there are `enough` bytes, or no more.

        Returns:
            Pieces to send one after another. What is small is gathered into one; what is large is
            not copied, and BLOBs become base64 piece by piece.
        """
        if self._rest:
            rest, self._rest = self._rest, b""
            return (rest,)
        if self._index is None and self.size <= enough:
            return (self._take_all(),)
        first = self.pop()
        length = first.weight
        if length >= enough:
            return first.pieces()
        parts = [first.data]
        while self._queue and length < enough:
            weight = _encoded_of(self._queue[0]).weight
            if length + weight > 2 * enough:
                break
            parts.append(self.pop().data)
            length += weight
        return (b"".join(parts),)

    def _take_all(self) -> bytes:
        parts = [_encoded_of(item).data for item in self._queue]
        self._queue.clear()
        self._leaving_bytes = self.size
        self.taken += len(parts)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def left(self) -> None:
        """Say that what was taken is gone, and has freed its bytes."""
        self.size -= self._leaving_bytes
        self._leaving_bytes = 0
        if self.lagging and not self._queue:
            self.lagging = False
            self._index = None
            self._usual = -1 if self._closed else self._most_usual
        if self._progress:
            self._progress.unpark_all()

    async def wait_drained(self) -> None:
        """Wait until nothing waits and nothing is being sent."""
        while self.size:
            await self._progress.park()

    def clear(self) -> None:
        """Drop what waits, but for what is being sent just now."""
        self._queue.clear()
        self._index = None
        self.size = self._leaving_bytes
        self._progress.unpark_all()

    def close(self) -> None:
        """Take nothing more; what waits can still be taken out."""
        self._closed = True
        self._usual = -1
        self._wake()
        self._progress.unpark_all()


async def put_blob(
    encoded: EncodedEvent, outboxes: Iterable[EventQueue], timeout: float = BLOB_TIMEOUT
) -> None:
    """Put a BLOB into each outbox as soon as it has room.

    Outboxes that lag already are not waited for; those that have no room after `timeout` seconds
    get it all the same and are lagging from then on. If cancelled, some have it and some have not.
    """
    # In the order given, so that a test can foresee who gets it first.
    waited: dict[EventQueue, None] = {}
    for outbox in outboxes:
        if outbox.lagging or outbox.has_room(encoded.weight):
            outbox.put(encoded)
        else:
            waited[outbox] = None
    if waited:
        await _put_within(encoded, waited, timeout)


async def _put_within(
    encoded: EncodedEvent, waited: dict[EventQueue, None], timeout: float
) -> None:
    async def put(outbox: EventQueue) -> None:
        await outbox.wait_room(encoded.weight)
        del waited[outbox]
        outbox.put(encoded)

    with trio.move_on_after(timeout):
        async with trio.open_nursery() as nursery:
            for outbox in waited:
                nursery.start_soon(put, outbox)
    for outbox in waited:
        outbox.put(encoded)


def _encoded_of(item: EncodedEvent | _Place) -> EncodedEvent:
    return item.encoded if isinstance(item, _Place) else item


def _key(event: Any) -> Key | None:
    return (event.devicename, event.vectorname) if isinstance(event, _SETS) else None


def _make_index(queue: deque[EncodedEvent | _Place]) -> dict[Key, _Place]:
    """Give a place to the last set of each property, where a newer one may take it over.

    A set that stands far in front stays as it is; the newer one comes behind it.
    """
    index: dict[Key, _Place] = {}
    closed: set[Key] = set()
    found: list[tuple[int, _Place]] = []
    for back, item in enumerate(itertools.islice(reversed(queue), _LOOK_BACK), 1):
        encoded = _encoded_of(item)
        event: Any = encoded.event
        key = _key(event)
        if key is None:
            if isinstance(event, delProperty) and event.devicename is None:
                break
            if hasattr(event, "vectorname"):
                closed.add((event.devicename, event.vectorname))
        elif key not in index and key not in closed and (event.devicename, None) not in closed:
            index[key] = _Place(encoded)
            found.append((back, index[key]))
    for back, place in found:
        queue[-back] = place
    return index


def _note(index: dict[Key, _Place], place: _Place) -> None:
    """Keep the index of sets that a newer one may replace.

    What comes after a definition or a deletion must not move before it.
    """
    event: Any = place.encoded.event
    key = _key(event)
    if key is not None:
        index[key] = place
    elif isinstance(event, delProperty) and event.vectorname is None:
        # Without a device it would be the end of all (§2).
        for gone in [key for key in index if event.devicename in (None, key[0])]:
            del index[gone]
    elif hasattr(event, "vectorname"):
        index.pop((event.devicename, event.vectorname), None)


_MAPPINGS: Final = ("members", "limits", "sizeformat", "text")
_SCALARS: Final = ("state", "timeout", "message")


def _merge(older: EncodedEvent, newer: EncodedEvent) -> EncodedEvent:
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
    return _repack(replace(new, **kept), older, newer) if kept else newer


def _repack(event: Any, older: EncodedEvent, newer: EncodedEvent) -> EncodedEvent:
    """Merge two encoded events; payloads that are encoded already are kept."""
    encoded = EncodedEvent(event)
    if older.parts and newer.parts:
        # A start tag, three parts for each member, an end tag.
        first, last = encode_parts(replace(event, members={}))
        of_member: dict[str, list[bytes | Base64]] = {}
        for one in (older, newer):
            for place, name in enumerate(getattr(one.event, "members", ())):
                of_member[name] = one.parts[3 * place + 1 : 3 * place + 4]
        middle = itertools.chain.from_iterable(of_member[name] for name in event.members)
        encoded.pack([first, *middle, last])
    return encoded


def _says(event: Any, name: str) -> bool:
    return getattr(event, name, None) not in (None, "")
