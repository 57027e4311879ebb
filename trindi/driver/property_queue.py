"""The requests that wait for one property: in order, bounded for each peer and for all together."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import trio

if TYPE_CHECKING:
    from trindi.properties import Vector
    from trindi.protocol import ClientEvent, Event
    from trindi.transport import EncodedBatch

PROPERTY_QUEUE: Final = 64
"""Requests of one peer that may wait for one property; if it sends more, it is not read, or, where
it speaks for many, they are refused."""

BLOB_QUEUE: Final = 2
"""The same for BLOBs, of all peers together: each of them may take a gigabyte."""

MAX_WAITING: Final = 1024
"""Requests of all peers together that may wait for one property; further ones are refused. Without
this bound, peers that ask, leave and return would get a new share each time."""


class Sender(Protocol):
    """The peer that a request came from, and that gets the answers to it.

    Attributes:
        waits: it asks for itself alone, so it is not read while a queue has no room for it. One
            that speaks for many, as indiserver does, is always read, and such a request is refused:
            the abort of another client must not wait behind it.
    """

    @property
    def waits(self) -> bool: ...

    def reply(self, event: Event) -> None:
        """Send an event to this peer alone, without waiting."""

    def forward(self, batch: EncodedBatch) -> None:
        """Send encoded events to this peer alone, without waiting."""

    def request_started(self, event: ClientEvent, /) -> None:
        """Note that a request of this peer is being worked on."""

    def request_finished(self, event: ClientEvent, /) -> None:
        """Note that a request is no longer being worked on."""


def bound_of(share: Sender | None) -> int:
    return BLOB_QUEUE if share is None else PROPERTY_QUEUE


class Request(NamedTuple):
    event: ClientEvent
    vector: Vector[Any, Any]
    sender: Sender
    queue: PropertyQueue
    share: Sender | None  # whose bound in the queue it counts for; None: that of all BLOBs


class PropertyQueue:
    """What waits for one property: a share for each peer, so that none holds up another.

    Only uploads of BLOBs are counted together, in the share None, for the memory they take.
    """

    __slots__ = ("_counts", "busy", "room", "waiting")

    def __init__(self) -> None:
        self._counts: dict[Sender | None, int] = {}
        self.busy = False  # a worker works on a request
        self.waiting: deque[Request] = deque()  # the requests behind that one
        self.room = trio.lowlevel.ParkingLot()  # tasks of peers whose share is full

    def is_full_for(self, share: Sender | None) -> bool:
        # One request is not waiting, but being worked on.
        return self._counts.get(share, 0) > bound_of(share)

    def acquire(self, share: Sender | None) -> None:
        self._counts[share] = self._counts.get(share, 0) + 1

    def release(self, share: Sender | None) -> None:
        left = self._counts.pop(share, 1) - 1
        if left:
            self._counts[share] = left
        if self.room:
            self.room.unpark_all()

    def release_all(self) -> None:
        """Wake all tasks that wait for room, so that they see that the driver has ended."""
        self._counts.clear()
        self.room.unpark_all()
