"""Events as they travel: encoded at most once for all peers, payloads apart until they leave.

This module knows no queues, streams or peers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, get_args

from trindi.protocol import (
    COMPRESSED,
    Base64,
    DefVector,
    Event,
    NewVector,
    SetVector,
    defNumberVector,
    encode,
    encode_parts,
    newBLOBVector,
    pingReply,
    setBLOBVector,
)
from trindi.transport.runtime import DEFAULT_RUNTIME, InThread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# What the Python objects of an event take beyond the bytes of its texts, and for each member, as
# tracemalloc finds it for events that were decoded (a driver's own share their names); and whether
# it has payloads. Uploads have, too: they may be as large as frames.
_COSTS: Final[dict[type[Any], tuple[int, int, bool]]] = {
    **dict.fromkeys((*get_args(SetVector), *get_args(NewVector)), (600, 120, False)),
    **dict.fromkeys(get_args(DefVector), (1300, 150, False)),
    **dict.fromkeys((setBLOBVector, newBLOBVector), (600, 200, True)),
    defNumberVector: (1300, 400, False),
    pingReply: (400, 0, False),
}
_OTHERS: Final = (500, 0, False)

# From so many bytes on, a text is looked at: one wide character makes each of it take four bytes.
_LONG: Final = 4096


class EncodedEvent:
    """One event on its way to any number of peers.

    `data` is as `encode` makes it or, of an event that is relayed, as it was received. Without it
    the event is encoded when the first peer needs it.
    """

    __slots__ = ("_data", "blob", "event", "parts", "weight")

    is_reply = False  # whether it answers one peer alone

    def __init__(self, event: Event, data: bytes | None = None) -> None:
        about: Any = event
        base, of_member, self.blob = _COSTS.get(type(event), _OTHERS)
        self.event = event
        self._data = data
        # Its bytes in order; empty if it has no payloads, or before `prepare`.
        self.parts: Sequence[bytes | Base64] = ()
        size = _size_of_values(event) if data is None else len(data)
        # About what it takes in memory: encoded, each text is here twice.
        self.weight = base + (size if data is None else 2 * size)
        if of_member:
            self.weight += of_member * len(about.members)
            if size > _LONG:
                self.weight += _width(about)

    @property
    def size(self) -> int:
        """How many bytes it has on a stream; a guess, if it is not encoded."""
        if self._data is not None:
            return len(self._data)
        return sum(map(len, self.parts)) or _size_of_values(self.event)

    @property
    def data(self) -> bytes:
        if self._data is None:
            self._data = b"".join(self.pieces()) if self.parts else encode(self.event)
        return self._data

    async def prepare(self, in_thread: InThread = DEFAULT_RUNTIME.in_thread) -> None:
        """Encode all but the payloads, and weigh the event, before any queue has it."""
        event: Any = self.event
        if not self.blob:
            self.weight = EncodedEvent(event, self.data).weight
        elif _is_compressed(event):
            self.set_parts(await in_thread(encode_parts, event))
        else:
            self.set_parts(encode_parts(event))

    def set_parts(self, parts: Sequence[bytes | Base64]) -> None:
        base, of_member, _ = _COSTS[type(self.event)]
        event: Any = self.event
        self.parts = parts
        self.weight = base + of_member * len(event.members) + sum(map(len, parts))
        if _is_compressed(event):
            # Without compression, the parts refer to the payloads of the event.
            self.weight += _size_of_values(event)

    def pieces(self) -> Iterator[bytes]:
        """Yield the event as bytes, each payload in pieces of base64, as a byte stream needs it."""
        for part in self.parts or (self.data,):
            if isinstance(part, Base64):
                yield from part.pieces()
            else:
                yield part


class Reply(EncodedEvent):
    """The answer to one peer's request: no later report replaces it."""

    __slots__ = ()

    is_reply = True


class EncodedBatch:
    """Events that go together, in their order."""

    __slots__ = ("items", "weight")

    def __init__(self, items: Iterable[EncodedEvent]) -> None:
        self.items = tuple(items)
        self.weight = sum(encoded.weight for encoded in self.items)


def pieces_of(events: list[EncodedEvent], enough: int) -> Iterable[bytes]:
    """Return small events gathered into one piece, and large ones in pieces without a copy."""
    if len(events) > 1:
        return (b"".join([encoded.data for encoded in events]),)
    (encoded,) = events
    return encoded.pieces() if encoded.size >= enough else (encoded.data,)


def _size_of_values(event: Any) -> int:
    members = getattr(event, "members", {})
    sizes = (len(value) for value in members.values() if isinstance(value, (bytes, str)))
    labels = sum(len(str(label)) for label in getattr(event, "memberlabels", {}).values())
    texts = len(getattr(event, "message", "")) + len(getattr(event, "label", ""))
    return sum(sizes) + labels + texts


def _width(event: Any) -> int:
    """Return how much more than a byte the characters of an event's values take."""
    texts = (value for value in event.members.values() if isinstance(value, str))
    return sum(sys.getsizeof(text) - len(text) for text in texts)


def _is_compressed(event: Any) -> bool:
    return any(said.format.endswith(COMPRESSED) for said in event.sizeformat.values())
