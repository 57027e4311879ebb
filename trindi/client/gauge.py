"""A stream as another, which notes what goes by: when something has passed, and how far a BLOB is.

A BLOB comes whole from the decoder. Until then its bytes are held there, and what its first tags
say of its size is read here. This module changes nothing of what it lets through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import trio

from trindi.client.inbox import Progress
from trindi.protocol.element_reader import read_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.protocol import Decoder

__all__ = ["Gauge"]

HEAD_BYTES: Final = 2048
"""Bytes of the start of a BLOB on its way that are looked at for its name and its size."""

PIECE_BYTES: Final = 8192
"""Bytes of one write: a line that takes no more in half a minute is taken for dead."""

_SIZE: Final = re.compile(rb"""<oneBLOB\s[^>]*?\bsize\s*=\s*["']([0-9]{1,18})["']([^>]*)>""")
_COMPRESSED: Final = re.compile(rb"""<oneBLOB\s[^>]*?\bformat\s*=\s*["'][^"'>]*\.z["']""")


class Gauge(trio.abc.Stream):
    """A stream that notes when something has passed, and how much has come of a BLOB.

    Args:
        stream: the stream.
        decoder: is fed with what it brings.
        arriving: is told how much has come.

    Attributes:
        heard: when something was read for the last time.
        taken: when something that was sent was taken for the last time.
        reads: how often something was.
        broken: what was sent did not arrive.
    """

    def __init__(
        self, stream: trio.abc.Stream, decoder: Decoder, arriving: Callable[[Progress], None]
    ) -> None:
        self._stream = stream
        self._decoder = decoder
        self._arriving = arriving
        self._last = b""
        self._head = b""
        self.heard = self.taken = trio.current_time()
        self.reads = 0
        self.broken = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive some bytes, having looked at what became of those before."""
        self._note()
        data = bytes(await self._stream.receive_some(max_bytes))
        self.heard = trio.current_time()
        self.reads += 1
        self._last = data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of the data, piece by piece: so it shows that a slow line takes some of it."""
        try:
            with memoryview(data) as whole:
                for start in range(0, len(whole), PIECE_BYTES):
                    await self._stream.send_all(whole[start : start + PIECE_BYTES])
                    self.taken = trio.current_time()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.broken = True
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something can be sent."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def _note(self) -> None:
        """Look at what the decoder has made of the last bytes."""
        held, last = self._decoder.held, self._last
        if held <= len(last):
            # What is not whole yet has begun in these bytes.
            self._head = last[len(last) - held :][:HEAD_BYTES]
        elif len(self._head) < HEAD_BYTES:
            self._head += last[: HEAD_BYTES - len(self._head)]
        if self._head.startswith(b"<setBLOBVector"):
            self._tell(held)

    def _tell(self, held: int) -> None:
        head = self._head
        size = _SIZE.search(head)
        address = read_address(head, 0, len(head))
        if size is None or not address.keys() >= {"device", "name"}:
            return
        total = None if _COMPRESSED.search(head) else int(size[1])
        # Base64: four bytes for three.
        received = max(0, held - size.end()) * 3 // 4
        if total is not None and received > total:
            # Broken into lines it is a little longer; otherwise this is another member's.
            another = received > total + total // 32 + HEAD_BYTES
            received, total = (received, None) if another else (total, total)
        self._arriving(Progress(address["device"], address["name"], received, total))
