"""Payloads of BLOBs decoded while they arrive, so that their base64 is never held as a whole.

While an element arrives, a long text after a plain ``<oneBLOB …>`` is taken out of the decoder's
buffer, and so is what follows, up to the next ``<``. Nothing else changes: the bytes taken out
count in every bound, and their payload is found by its offset. This module knows the decoder's
buffer and framer, and no events.
"""

import re
from typing import Final

from trindi.protocol.attributes import blob_details
from trindi.protocol.blobs import COMPRESSED, Incoming, Payloads
from trindi.protocol.framing import Framer
from trindi.protocol.markup import ATTRIBUTES, BLANK, Buffer, read_attributes

# The text is taken out once it and its tag have more bytes: a smaller one is faster to read whole.
_MIN_BYTES: Final = 32 * 1024

_START: Final = re.compile(f"<oneBLOB({ATTRIBUTES}){BLANK}*+>".encode())


class Collector:
    """Takes payloads out of the element that a decoder holds."""

    def __init__(self, framer: Framer, payloads: Payloads) -> None:
        self._framer = framer
        self._payloads = payloads
        self._incoming: Incoming | None = None
        self._offset = 0
        self._is_compressed = False
        self.compressed = 0  # bytes taken out whose payloads are decompressed only at the end

    def start(self, held: bytearray) -> None:
        """Take out the text at the end of `held`, if it is part of a long payload."""
        framer = self._framer
        if len(held) - framer.tag <= _MIN_BYTES:
            return
        tag = _START.match(held, framer.tag)
        # One try is enough: a tag that does not match now does not match later.
        framer.tag = 0
        if tag is not None:
            self._offset = tag.end()
            self._incoming = self._begin(tag[1])
            self._take(self._incoming, held, self._offset, len(held))
            del held[self._offset :]

    def resume(self, data: Buffer, held: bytearray) -> Buffer:
        """Take the rest of a payload that is arriving, and return what follows it in `data`."""
        if self._incoming is None:
            return data
        end = data.find(b"<")
        end = min(len(data) if end < 0 else end, self._framer.remaining(len(held)))
        self._take(self._incoming, data, 0, end)
        if end < len(data):
            self._payloads.collected[self._offset] = self._incoming.finish()
            self._incoming = None
        return data[end:]

    def clear(self) -> None:
        """Forget what was taken out: the element is read."""
        self._incoming = None
        self._payloads.collected = {}
        self.compressed = 0

    def _begin(self, attributes: bytes) -> Incoming:
        try:
            (size, suffix), _ = blob_details(read_attributes(attributes))
        except ValueError:
            size, suffix = 0, ""
        self._is_compressed = suffix.endswith(COMPRESSED)
        return Incoming(0 if self._is_compressed else min(size, self._payloads.max_bytes))

    def _take(self, incoming: Incoming, data: Buffer, start: int, end: int) -> None:
        # The buffer is locked while a view of it exists.
        with memoryview(data)[start:end] as text:
            incoming.take(text)
        self._framer.took_out(end - start, self._offset)
        self.compressed += end - start if self._is_compressed else 0
