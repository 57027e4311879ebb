"""Recording a session: a stream that notes what passes through it.

Each direction is decoded a second time, so that neither end notices the recording. A line is
written and flushed at once, so that the recording of a killed program ends with its last item. What
may be a BLOB is decoded and written in a thread, unless time is virtual; the other direction waits
for it, so that all stands in the order in which it was said.
"""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import trio

from trindi.errors import ConfigurationError, ProtocolError
from trindi.protocol import Decoder, Span, format_timestamp
from trindi.recording.blobs import MAX_KEPT_BLOBS, BlobWriter
from trindi.recording.jsonl import FORMAT, VERSIONS, EndOfStream, Item, Side, Unparsed, to_json
from trindi.transport import DEFAULT_RUNTIME, contained, error_text
from trindi.visible import get_logger

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from trindi.transport import InThread

logger = get_logger("trindi.recording")

MAX_LINES_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of the lines of one recording; later items are not recorded."""

MAX_UNPARSED: Final = 4096
"""Bytes that are kept of an element that cannot be read."""


def record(
    stream: trio.abc.Stream,
    file: str | os.PathLike[str] | TextIO,
    *,
    side: str = Side.CLIENT,
    now: Callable[[], datetime] | None = None,
    max_bytes: int = MAX_LINES_BYTES,
    max_blob_bytes: int = MAX_KEPT_BLOBS,
) -> RecordedStream:
    """Record what passes through a stream; use the returned stream in its place.

    Call it while Trio runs: times are counted from the call. `file` is the path of the recording;
    an existing one and its larger payloads are replaced. Or it is an open text file, which is not
    closed, and keeps no larger payloads. `side` is the end of the connection: ``client``, or
    ``server``, which may be a driver. `now` tells the time of day where time is virtual. After
    `max_bytes` of lines recording stops; after `max_blob_bytes` of payloads only their sizes are
    kept.

    Raises:
        OSError: the file cannot be written.
        ValueError: there is no such side, or the first line is longer than `max_bytes`.
    """
    ours = Side(side)
    header = {
        FORMAT: VERSIONS[-1],
        "side": ours,
        "clock": "wall" if now is None else "virtual",
        "start": format_timestamp((now or DEFAULT_RUNTIME.now)()),
    }
    writer = _Writer(file, header, max_bytes, max_blob_bytes)
    return RecordedStream(stream, writer, ours, DEFAULT_RUNTIME.in_thread if now is None else None)


class StreamTap:
    """Decodes what one side sends; `note` gets each event, each unparsed element, and the end."""

    def __init__(self, note: Callable[[Item], None]) -> None:
        self._note = note
        self._decoder = Decoder()
        self._ended = False

    def may_take_long(self, data: bytes) -> bool:
        """Whether these bytes may end a BLOB."""
        return b">" in data and (self._decoder.held > 0 or b"BLOB" in data)

    def feed(self, data: bytes) -> None:
        self._note_spans(self._decoder.feed_spans(data))

    def end(self, *, broken: bool = False) -> None:
        """Note the end of this side, once, and the element that it leaves unfinished."""
        if not self._ended:
            self._ended = True
            self._note_spans(self._decoder.finish())
            self._note(EndOfStream(broken))

    def _note_spans(self, spans: Iterable[Span]) -> None:
        for span in spans:
            if isinstance(span.item, ProtocolError):
                self._note(Unparsed(span.item.reason, span.data[:MAX_UNPARSED], len(span.data)))
            elif span.item is not None:
                self._note(span.item)


def _line(written: dict[str, Any], *, ascii_only: bool = False) -> bytes:
    text = json.dumps(written, ensure_ascii=ascii_only, allow_nan=False)
    # A lone surrogate becomes \uXXXX, as in JSON.
    return text.encode("utf-8", "backslashreplace") + b"\n"


class _Writer:
    """Writes the lines of one recording, until it is closed, full or broken."""

    def __init__(self, file: Any, header: dict[str, Any], room: int, blob_room: int) -> None:
        # Checked before an existing recording is overwritten.
        if len(_line(header)) > room:
            raise ConfigurationError(f"max_bytes is at least {len(_line(header))}, not {room}")
        path = None if hasattr(file, "write") else Path(file)
        self._owned = path is not None
        self._file = path.open("w", encoding="utf-8", newline="\n") if path else file
        self._room = room
        self._blobs = BlobWriter(path, blob_room)
        self._start = trio.current_time()
        self._time = 0.0
        self.stopped = ""
        try:
            self._blobs.clear()
            self._write(header)
        except BaseException:
            self.close()
            raise

    def note_time(self) -> None:
        """Note the time of the next items: a thread that writes them has no clock."""
        self._time = round(trio.current_time() - self._start, 6)

    def write_item(self, source: Side, item: Item) -> None:
        """Write an item; a failure is logged and ends the recording only."""
        if self.stopped:
            return
        # The caller's own file may raise anything.
        with contained(self._stop):
            self._write({"time": self._time, "from": source, **to_json(item, self._blobs.keep)})

    def _stop(self, error: BaseException) -> bool:
        self.stopped = error_text(error) or type(error).__name__
        logger.error("recording stops: %s", self.stopped)
        return True

    def _write(self, written: dict[str, Any]) -> None:
        # The caller's own file may have any encoding; ASCII is part of each.
        line = _line(written, ascii_only=not self._owned)
        self._room -= len(line)
        if self._room < 0:
            raise RuntimeError("it has reached its bound")
        self._file.write(line.decode())
        self._file.flush()

    def close(self) -> None:
        self.stopped = self.stopped or "it is closed"
        if self._owned:
            # A failed write was reported when it failed.
            with contextlib.suppress(OSError):
                self._file.close()


class RecordedStream(trio.abc.HalfCloseableStream):
    """A stream that is recorded; made by `record`. Closing it ends the recording, too.

    A failure of the recording itself, such as a full disk, is logged and ends the recording only.
    """

    def __init__(
        self, stream: trio.abc.Stream, writer: _Writer, side: Side, in_thread: InThread | None
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._in_thread = in_thread
        self._lock = trio.Lock()
        self._arrived = b""  # received, but not recorded yet
        self._sent = StreamTap(partial(writer.write_item, side))
        self._received = StreamTap(partial(writer.write_item, side.other))

    @property
    def stopped(self) -> str:
        """Why nothing more is recorded, or ""."""
        return self._writer.stopped

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        # Recorded first, so that the answer comes after it in the recording too.
        await self._record(self._sent, bytes(data))
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            await self._end(self._received, broken=True)
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._end(self._sent)
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            # What a cancelled call has received is there for the next one.
            data = self._arrived or bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError:
            await self._end(self._received, broken=True)
            raise
        self._arrived = data
        if data:
            await self._record(self._received, data)
        else:
            await self._end(self._received)
        self._arrived = b""
        return data

    async def aclose(self) -> None:
        try:
            # A thread that is still writing cannot be cancelled either.
            with trio.CancelScope(shield=True):
                await self._end(self._sent)
        finally:
            self._writer.close()
            await self._stream.aclose()

    async def _record(self, tap: StreamTap, data: bytes) -> None:
        """Record bytes. If cancelled, none are recorded."""
        async with self._lock:
            self._writer.note_time()
            if self._in_thread is not None and tap.may_take_long(data):
                await self._in_thread(tap.feed, data)
            else:
                tap.feed(data)

    async def _end(self, tap: StreamTap, *, broken: bool = False) -> None:
        async with self._lock:
            self._writer.note_time()
            tap.end(broken=broken)
