"""A stream around another, which notes when bytes pass, and how much of a BLOB has arrived.

The decoder yields a BLOB only when it is whole. Until then its bytes are held there, and its name
and size are read here, from its first tags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import trio

from trindi.client.inbox import Progress
from trindi.protocol import Decoder, read_address
from trindi.transport import raw_io_of, unacknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES: Final = 2048  # at the start of a BLOB that are searched for its name and its size
PIECE_BYTES: Final = 8192  # of one write: so often it is noted what a stream has taken
_SIZE: Final = re.compile(rb"""<oneBLOB\s[^>]*?\bsize\s*=\s*["']([0-9]{1,18})["']([^>]*)>""")
_COMPRESSED: Final = re.compile(rb"""<oneBLOB\s[^>]*?\bformat\s*=\s*["'][^"'>]*\.z["']""")


class ProgressStream(trio.abc.Stream):
    """A stream whose bytes the decoder gets; `broken`: a write has failed."""

    def __init__(
        self, stream: trio.abc.Stream, decoder: Decoder, on_progress: Callable[[Progress], None]
    ) -> None:
        self._stream = stream
        self._io = raw_io_of(stream)
        self._decoder = decoder
        self._on_progress = on_progress
        self._last = b""
        self._head = b""
        self.last_read = trio.current_time()
        self.reads = 0
        self.broken = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive some bytes; first report what the decoder holds of those before."""
        self._look_at_held()
        data = bytes(await self._stream.receive_some(max_bytes))
        self.last_read = trio.current_time()
        self.reads += 1
        self._last = data
        return data

    @property
    def waiting(self) -> int:
        """Bytes that wait in this system for the peer's, as far as that is known."""
        return unacknowledged(self._stream)

    @property
    def acknowledged(self) -> int:
        """Bytes that the peer's system has, or, if that is not known, that the stream has taken.

        A socket may be writable once in minutes, while its large buffer empties into a slow line.
        """
        return self._io.acknowledged

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of the data, in pieces, which `acknowledged` counts."""
        try:
            with memoryview(data) as whole:
                for start in range(0, len(whole), PIECE_BYTES):
                    await self._io.send(whole[start : start + PIECE_BYTES])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.broken = True
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _look_at_held(self) -> None:
        held, last = self._decoder.held, self._last
        if held <= len(last):
            # The unfinished element began in the last bytes.
            self._head = last[len(last) - held :][:HEAD_BYTES]
        elif len(self._head) < HEAD_BYTES:
            self._head += last[: HEAD_BYTES - len(self._head)]
        if self._head.startswith(b"<setBLOBVector"):
            self._report_progress(held)

    def _report_progress(self, held: int) -> None:
        head = self._head
        size = _SIZE.search(head)
        address = read_address(head, 0, len(head))
        if size is None or not address.keys() >= {"device", "name"}:
            return
        total = None if _COMPRESSED.search(head) else int(size[1])
        # Base64 takes four bytes for three.
        received = max(0, held - size.end()) * 3 // 4
        if total is not None and received > total:
            # Line breaks make it a little longer. If it is much longer, it has further members.
            further = received > total + total // 32 + HEAD_BYTES
            received, total = (received, None) if further else (total, total)
        self._on_progress(Progress(address["device"], address["name"], received, total))
