"""Payloads of BLOBs decoded while they arrive, so that their base64 is never held as a whole.

While an element arrives, the texts of its ``<oneBLOB …>`` are taken out of the decoder's buffer,
and a text that goes on is taken as it comes, up to the next ``<``. Nothing else changes: the bytes
taken out count in every bound, and their payload is found by its offset. Of an element that is
refused all is taken out, and nothing kept. This module knows the decoder's buffer and framer, and
no events.
"""

import re
from typing import Any, Final

from trindi.errors import RefusedError
from trindi.protocol.attributes import blob_details
from trindi.protocol.blobs import COMPRESSED, MAX_BLOBS, TOO_MANY_BLOBS, Incoming, Payloads
from trindi.protocol.element_reader import read_address
from trindi.protocol.elements import ELEMENTS
from trindi.protocol.framing import Framer
from trindi.protocol.markup import PARTS, Buffer, read_attributes
from trindi.protocol.tag_reader import Malformed

# Texts are taken out once so many bytes are held, and again when so many more are: a smaller
# element is faster to read whole, and one that comes byte by byte must not be searched each time.
_MIN_BYTES: Final = 32 * 1024

# Bytes that zlib adds to a short payload, at most.
_ZLIB_FRAME: Final = 64

# The start tag of a member, as loosely as XML allows: the text behind it is a payload.
PAYLOAD_TAG: Final = (
    rf"""<oneBLOB(?=[\s>])(?:[^<>"'/]++|/(?!>)|"[^"<]*+"|'[^'<]*+'){PARTS}>""".encode()
)
_TAG: Final = re.compile(PAYLOAD_TAG)


def too_much_markup(bound: int) -> str:
    return f"it is larger than {bound} bytes beside its payloads"


class Collector:
    """Takes payloads out of the element that a decoder holds; `refusal`: why it is refused."""

    def __init__(self, framer: Framer, payloads: Payloads, max_markup: int) -> None:
        self._framer = framer
        self._payloads = payloads
        self._max_markup = max_markup
        self.clear()

    def clear(self) -> None:
        """Forget what was taken out: the element is read."""
        self._address: tuple[type[Any], str, str] | None = None
        self._searched = 0  # bytes of the buffer in which no further tag begins
        self._looked_at = 0  # bytes that were held when it was last searched
        self._name = ""
        self._claimed = 0  # bytes that the present payload is to have, if it is compressed
        self._offset = 0
        self._known = 0  # bytes of the payloads before it, as they are claimed
        self._members = 0
        self.refusal = ""
        self._forget()

    def _forget(self) -> None:
        self._incoming: Incoming | None = None
        self._kept = 0
        self._payloads.collected = {}

    @property
    def kept(self) -> int:
        """Bytes of memory that the payloads of an element that is not whole yet take."""
        return self._kept + (self._incoming.size if self._incoming is not None else 0)

    def collect(self, held: bytearray) -> None:
        """Take the payloads out of an element that is not whole yet."""
        if self._incoming is not None or not self._framer.body:
            return
        element = ELEMENTS.get(self._framer.name)
        if element is None or not element.has_blobs:
            return
        if not self.refusal and len(held) - self._looked_at > _MIN_BYTES:
            if self._address is None:
                found = read_address(held, 0, self._framer.body)
                self._address = element.cls, found.get("device", ""), found.get("name", "")
            self._take_out(held)
            self._looked_at = len(held)
            if len(held) > self._max_markup and not self.refusal:
                # It would be refused at its end: it can only grow.
                self._refuse(Malformed(too_much_markup(self._max_markup)))
        if self.refusal:
            self._drop(held)

    def resume(self, data: Buffer, held: bytearray) -> Buffer:
        """Take the rest of a payload that is arriving, and return what follows it in `data`."""
        if self._incoming is None:
            return data
        end = data.find(b"<")
        end = min(len(data) if end < 0 else end, self._framer.remaining(len(held)))
        self._framer.skipped(end)
        self._take(self._incoming, data, 0, end)
        if end < len(data):
            self._finish()
        return data[end:]

    def _take_out(self, held: bytearray) -> None:
        """Take out the texts of all members; the last one may go on."""
        kept, start = bytearray(), self._searched
        # The buffer is locked while it is searched.
        for tag in _TAG.finditer(held, start):
            kept += held[start : tag.end()]
            end = held.find(b"<", tag.end())
            start = len(held) if end < 0 else end
            self._begin(tag[0], self._searched + len(kept))
            if self._incoming is not None:
                self._take(self._incoming, held, tag.end(), start)
            if self.refusal:
                return
            if end >= 0:
                self._finish()
            self._members += 1
            if self._members > MAX_BLOBS:
                self._refuse(Malformed(TOO_MANY_BLOBS))
                return
        kept += held[start:]
        removed = len(held) - self._searched - len(kept)
        held[self._searched :] = kept
        self._framer.took_out(self._searched, removed)
        # A tag that is not complete begins at the last "<".
        self._searched = len(held) if self._incoming is not None else held.rfind(b"<")

    def _drop(self, held: bytearray) -> None:
        """Drop the body of an element that is refused, but what may be its end tag."""
        body = self._framer.body
        self._cut(held, body, self._framer.opening or len(held))
        # What is longer is no end tag of anybody's.
        self._cut(held, body + self._max_markup, len(held))

    def _cut(self, held: bytearray, start: int, end: int) -> None:
        count = max(0, end - start)
        del held[start : start + count]
        self._framer.took_out(start, count)

    def _begin(self, tag: bytes, offset: int) -> None:
        self._offset, self._name, self._claimed = offset, "", 0
        try:
            attributes = read_attributes(tag[len(b"<oneBLOB") : -1])
            self._name = attributes.get("name", "")
            (size, suffix), _ = blob_details(attributes)
            if suffix.endswith(COMPRESSED):
                self._claimed = size
        except ValueError:
            pass  # The element is refused when it is read.
        wanted = self._may_have(0)
        if not self.refusal:
            self._incoming = Incoming(wanted)

    def _take(self, incoming: Incoming, data: Buffer, start: int, end: int) -> None:
        # The buffer is locked while a view of it exists.
        with memoryview(data)[start:end] as text:
            incoming.take(text)
        if self._payloads.has_gate:
            self._may_have(incoming.size)

    def _may_have(self, size: int) -> bool:
        """Return whether the payload is wanted; refuse the element if it may not be so large."""
        assert self._address is not None, "its head is known"
        if self._claimed:
            # What cannot be compressed becomes a little longer.
            size = max(self._claimed, size - size // 1000 - _ZLIB_FRAME)
        try:
            return self._payloads.admit(*self._address, self._name, self._known + size)
        except RefusedError as refusal:
            self._refuse(str(refusal))
            return False

    def _finish(self) -> None:
        if self._incoming is not None:
            data = self._payloads.collected[self._offset] = self._incoming.finish()
            size = len(data or b"")
            self._kept += size
            self._known += max(size, self._claimed)
            self._incoming = None

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._forget()
