"""Recording a session: a stream that notes what passes through it.

Each direction is decoded a second time, so that neither end notices the recording. A line is
written and flushed at once, so that the recording of a killed program ends with its last item. What
may be a BLOB is decoded and written in a thread, unless time is virtual; the other direction waits
for it, so that all stands in the order in which it was said.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import trio

from trindi.errors import ConfigurationError, ProtocolError
from trindi.protocol import Decoder, Span, format_timestamp
from trindi.recording.blobs import MAX_KEPT_BLOBS, BlobWriter
from trindi.recording.jsonl import (
    FORMAT,
    VERSIONS,
    EndOfStream,
    Item,
    RecordingError,
    Side,
    Unparsed,
    to_json,
)
from trindi.recording.reader import Recording
from trindi.transport import DEFAULT_RUNTIME, contained, error_text
from trindi.visible import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from trindi.protocol import Event
    from trindi.transport import InThread

logger = get_logger("trindi.recording")

MAX_LINES_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of the lines of one recording; later items are not recorded."""

MAX_HELD: Final = 1024
"""Requests that `trindi record` holds until it has heard something; later ones are not recorded."""

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
    an existing one and its larger payloads are replaced, but no other file is. Or it is an open
    text file, which is not closed, and keeps no larger payloads. `side` is the end of the
    connection: ``client``, or ``server``, which may be a driver. `now` tells the time of day where
    time is virtual. After `max_bytes` of lines recording stops; after `max_blob_bytes` of payloads
    only their sizes are kept.

    Raises:
        OSError: the file cannot be written.
        RecordingError: it is there, and is no recording.
        ValueError: there is no such side, or the first line is longer than `max_bytes`.
    """
    ours = Side(side)
    writer = _Writer(file, _header(ours, now), max_bytes, max_blob_bytes)
    writer.open()
    in_thread = DEFAULT_RUNTIME.in_thread if now is None else None
    return RecordedStream(stream, writer, ours, in_thread, is_owner=True)


def _header(side: Side, now: Callable[[], datetime] | None = None) -> dict[str, Any]:
    return {
        FORMAT: VERSIONS[-1],
        "side": side,
        "clock": "wall" if now is None else "virtual",
        "start": format_timestamp((now or DEFAULT_RUNTIME.now)()),
    }


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
        self._path = None if hasattr(file, "write") else Path(file)
        self._file: Any = None if self._path else file
        self._header = header
        self._room = room
        self._blobs = BlobWriter(self._path, blob_room)
        self._start = trio.current_time()
        self._time = 0.0
        self.stopped = ""

    def open(self) -> None:
        """Begin the recording, in the place of an older one."""
        if self._path is not None:
            _is_recording(self._path)
            self._file = self._path.open("w", encoding="utf-8", newline="\n")
        try:
            self._blobs.clear()
            self._write(self._header)
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
            self._write(self._entry(source, item))

    def _entry(self, source: Side, item: Item) -> dict[str, Any]:
        return {"time": self._time, "from": source, **to_json(item, self._blobs.keep)}

    def _stop(self, error: BaseException) -> bool:
        self.stopped = error_text(error) or type(error).__name__
        logger.error("recording stops: %s", self.stopped)
        return True

    def _write(self, written: dict[str, Any]) -> None:
        # The caller's own file may have any encoding; ASCII is part of each.
        line = _line(written, ascii_only=self._path is None)
        self._room -= len(line)
        if self._room < 0:
            raise RuntimeError("it has reached its bound")
        self._file.write(line.decode())
        self._file.flush()

    def close(self) -> None:
        self.stopped = self.stopped or "it is closed"
        if self._path is not None and self._file is not None:
            # A failed write was reported when it failed.
            with contextlib.suppress(OSError):
                self._file.close()


def _is_recording(path: Path) -> bool:
    """Whether there is a recording, and not just an empty file; RecordingError for another file."""
    if not path.is_file() or not path.stat().st_size:
        return False
    Recording(path)
    return True


class RecordingFile(_Writer):
    """Records the connections of a client, one after another, in one file.

    The file is made, or appended to, when something `is_news`; until then it stays as it is, and
    what the client sends is held. Nothing that is there is ever written over.

    Raises:
        OSError: the file cannot be written.
        RecordingError: it is there, and is no recording, or one that is not to be appended to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        is_news: Callable[[Event], bool],
        *,
        append: bool = False,
        max_bytes: int = MAX_LINES_BYTES,
    ) -> None:
        super().__init__(path, _header(Side.CLIENT), max_bytes, MAX_KEPT_BLOBS)
        self._is_news = is_news
        self._held: list[dict[str, Any]] = []
        path = Path(path)
        self._goes_on = _is_recording(path)
        if self._goes_on and not append:
            raise RecordingError(f"{path} is there already: append to it, or name another file")
        if self._goes_on:
            self._start -= _time_to_go_on(Recording(path))
        elif not os.access(path.parent, os.W_OK):
            code = errno.EACCES if path.parent.is_dir() else errno.ENOENT
            raise OSError(code, os.strerror(code), str(path))

    def record(self, stream: trio.abc.Stream) -> RecordedStream:
        """Record one more connection; use the returned stream in its place."""
        return RecordedStream(stream, self, Side.CLIENT, DEFAULT_RUNTIME.in_thread, is_owner=False)

    def open(self) -> None:
        assert self._path is not None
        there = self._path.stat().st_size if self._path.exists() else 0
        if there and not self._goes_on:
            raise RecordingError("it is there by now")
        self._file = self._path.open("a", encoding="utf-8", newline="\n")
        self._room -= there
        self._blobs.go_on()
        for written in self._held if there else [self._header, *self._held]:
            self._write(written)
        self._held.clear()

    def write_item(self, source: Side, item: Item) -> None:
        if self._file is None and not self.stopped:
            if source is Side.CLIENT or isinstance(item, Unparsed | EndOfStream):
                if source is Side.CLIENT and len(self._held) < MAX_HELD:
                    self._held.append(self._entry(source, item))
                return
            if not self._is_news(item):
                return
            with contained(self._stop):
                self.open()
        super().write_item(source, item)


def _time_to_go_on(recording: Recording) -> float:
    """Return the time at which a recording goes on now, which is not before its last entry."""
    if recording.side is not Side.CLIENT:
        raise RecordingError(f"{recording.path} was recorded at the end of a server")
    last = max((entry.time for entry in recording.without_blobs()), default=0.0)
    since = (DEFAULT_RUNTIME.now() - recording.start).total_seconds()
    return max(last, since) if recording.clock == "wall" else last


class RecordedStream(trio.abc.HalfCloseableStream):
    """A stream that is recorded; made by `record`. Closing it ends the recording, too.

    A failure of the recording itself, such as a full disk, is logged and ends the recording only.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        writer: _Writer,
        side: Side,
        in_thread: InThread | None,
        *,
        is_owner: bool,
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._is_owner = is_owner
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
            if self._is_owner:
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
