"""Events as they travel: encoded at most once for all peers, payloads apart until they leave.

This module knows no queues, streams or peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trindi.protocol import (
    COMPRESSED,
    Base64,
    Event,
    encode,
    encode_parts,
    newBLOBVector,
    setBLOBVector,
)
from trindi.transport.runtime import DEFAULT_RUNTIME, InThread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A guess at what an event takes beyond its values if it is not encoded: a snooping driver gets the
# event itself.
_UNENCODED_WEIGHT: Final = 512

# Uploads too: they may be as large as frames.
_BLOBS: Final = (setBLOBVector, newBLOBVector)


class EncodedEvent:
    """One event on its way to any number of peers.

    `data` is as `encode` makes it or, of an event that is relayed, as it was received. Without it
    the event is encoded when the first peer needs it.
    """

    __slots__ = ("_data", "blob", "event", "parts", "weight")

    def __init__(self, event: Event, data: bytes | None = None) -> None:
        self.event = event
        self.blob = type(event) in _BLOBS
        self.weight = _guess_weight(event) if data is None else len(data)  # in bytes
        self._data = data
        # Its bytes in order; empty if it has no payloads, or before `prepare`.
        self.parts: list[bytes | Base64] = []

    @property
    def size(self) -> int:
        """How many bytes it has on a stream."""
        return len(self._data) if self._data is not None else self.weight

    @property
    def data(self) -> bytes:
        if self._data is None:
            self._data = b"".join(self.pieces()) if self.parts else encode(self.event)
        return self._data

    async def prepare(self, in_thread: InThread = DEFAULT_RUNTIME.in_thread) -> None:
        """Encode all but the payloads, and weigh the event, before any queue has it."""
        event: Any = self.event
        if not hasattr(event, "sizeformat"):
            self.weight = len(self.data)
        elif any(said.format.endswith(COMPRESSED) for said in event.sizeformat.values()):
            self.set_parts(await in_thread(encode_parts, event))
        else:
            self.set_parts(encode_parts(event))

    def set_parts(self, parts: list[bytes | Base64]) -> None:
        self.parts = parts
        self.weight = sum(map(len, parts))

    def pieces(self) -> Iterator[bytes]:
        """Yield the event as bytes, each payload in pieces of base64, as a byte stream needs it."""
        for part in self.parts or (self.data,):
            if isinstance(part, Base64):
                yield from part.pieces()
            else:
                yield part


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
    return encoded.pieces() if encoded.weight >= enough else (encoded.data,)


def _guess_weight(event: Any) -> int:
    members = getattr(event, "members", {})
    sizes = (len(value) for value in members.values() if isinstance(value, (bytes, str)))
    labels = sum(len(str(label)) for label in getattr(event, "memberlabels", {}).values())
    guess = _UNENCODED_WEIGHT * (1 + len(members)) + sum(sizes) + labels
    return guess + len(getattr(event, "message", "")) + len(getattr(event, "label", ""))
