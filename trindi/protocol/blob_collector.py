"""Payloads of BLOBs, decoded while they come, so that nobody holds their base64.

While an element is still coming, the text after a plain ``<oneBLOB …>`` is taken out of what is
held of it, once there is much, and so is what follows, up to the next ``<``. Nothing else changes:
what was taken out counts in every bound, and is found again by where it stood. This module knows
the decoder's buffer and its framer, and no events.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trindi.protocol.attributes import blob_details
from trindi.protocol.blobs import COMPRESSED, Incoming
from trindi.protocol.markup import ATTRIBUTES, BLANK, read_attributes

if TYPE_CHECKING:
    from trindi.protocol.blobs import Payloads
    from trindi.protocol.framing import Framer

__all__ = ["Collector"]

# Bytes of a tag and of the text after it that are held before the text is taken out: what is
# smaller is read faster as a whole.
_ENOUGH: Final = 32 * 1024

_START: Final = re.compile(f"<oneBLOB({ATTRIBUTES}){BLANK}*+>".encode())


class Collector:
    """Takes payloads out of the element that a decoder holds.

    Args:
        framer: looks for the end of that element.
        payloads: is given what was taken out.

    Attributes:
        compressed: bytes that were taken out and are still to be decompressed, in the end.
    """

    def __init__(self, framer: Framer, payloads: Payloads) -> None:
        self._framer = framer
        self._payloads = payloads
        self._coming: Incoming | None = None
        self._place = 0
        self._is_compressed = False
        self.compressed = 0

    def start(self, held: bytearray) -> None:
        """Take out the text with which `held` ends, if it is part of a long payload."""
        framer = self._framer
        if len(held) - framer.tag <= _ENOUGH:
            return
        tag = _START.match(held, framer.tag)
        # One try is enough: what does not match now will not do so later.
        framer.tag = 0
        if tag is not None:
            self._place = tag.end()
            self._coming = self._begin(tag[1])
            self._take(self._coming, held, self._place, len(held))
            del held[self._place :]

    def more(self, data: bytes | bytearray, held: bytearray) -> bytes | bytearray:
        """Take what more there is of a payload that is coming, and return the rest of `data`."""
        if self._coming is None:
            return data
        end = data.find(b"<")
        end = min(len(data) if end < 0 else end, self._framer.room(len(held)))
        self._take(self._coming, data, 0, end)
        if end < len(data):
            self._payloads.collected[self._place] = self._coming.finish()
            self._coming = None
        return data[end:]

    def clear(self) -> None:
        """Forget what was taken out: the element is done with."""
        self._coming = None
        self._payloads.collected = {}
        self.compressed = 0

    def _begin(self, attributes: bytes) -> Incoming:
        try:
            (size, suffix), _ = blob_details(read_attributes(attributes))
        except ValueError:
            size, suffix = 0, ""
        self._is_compressed = suffix.endswith(COMPRESSED)
        return Incoming(0 if self._is_compressed else min(size, self._payloads.max_bytes))

    def _take(self, coming: Incoming, data: bytes | bytearray, start: int, end: int) -> None:
        # A view that stayed alive would lock the buffer.
        with memoryview(data)[start:end] as text:
            coming.take(text)
        self._framer.took_out(end - start, self._place)
        self.compressed += end - start if self._is_compressed else 0
