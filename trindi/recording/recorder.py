"""Recording a session: a stream that notes what passes through it.

What passes is read a second time by decoders of its own, so that neither end notices anything. The
first line of a recording says what it is; each further line is one thing that was said. Lines are
written, and flushed, as things are said: a recording of what was killed ends with what it last
said. This module does not know what anything means.
"""

from __future__ import annotations

import contextlib
import json
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import trio

from trindi.errors import ConfigurationError
from trindi.protocol import format_timestamp
from trindi.recording.blobs import MAX_KEPT_BLOBS, BlobWriter
from trindi.recording.entries import Ended, Garbled, Side, to_json
from trindi.recording.hearing import Ear
from trindi.transport import DEFAULT_RUNTIME

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from datetime import datetime

    from trindi.recording.entries import Item

__all__ = ["FORMAT", "VERSIONS", "RecordedStream", "record"]

logger = logging.getLogger("trindi.recording")

FORMAT: Final = "trindi recording"
"""The key of the first line that says so; its value is the version."""

VERSIONS: Final = (1,)
"""The versions of the format that are read; the last is written."""

MAX_LINES_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of the lines of one recording; what is said later is not recorded."""


def record(
    stream: trio.abc.Stream,
    file: str | os.PathLike[str] | TextIO,
    *,
    side: str = Side.CLIENT,
    now: Callable[[], datetime] | None = None,
    max_bytes: int = MAX_LINES_BYTES,
    max_blob_bytes: int = MAX_KEPT_BLOBS,
) -> RecordedStream:
    """Record what passes through a stream; use what is returned in its place.

    To be called while Trio runs: times are counted from here.

    Args:
        stream: one end of a connection.
        file: path of the recording, overwritten if it is there, its larger payloads included; or an
            open text file, which is not closed, and has no room for larger payloads.
        side: who is at this end: ``client``, or ``server``, which may be a driver.
        now: the time of day that the recording begins at, where time is virtual.
        max_bytes: bytes of lines, after which recording stops.
        max_blob_bytes: bytes of payloads of BLOBs, after which only their sizes are kept.

    Raises:
        OSError: the file cannot be written.
        ValueError: there is no such side, or not even the first line has room.
    """
    ours, began = Side(side), trio.current_time()
    first = {
        FORMAT: VERSIONS[-1],
        "side": ours,
        "clock": "wall" if now is None else "virtual",
        "start": format_timestamp((now or DEFAULT_RUNTIME.now)()),
    }
    # Before a recording that is there is overwritten.
    if len(_line(first)) > max_bytes:
        raise ConfigurationError(f"max_bytes is at least {len(_line(first))}, not {max_bytes}")
    path = Path(file) if not hasattr(file, "write") else None
    target: Any = file if path is None else path.open("w", encoding="utf-8", newline="\n")
    writer = _Writer(target, path, began, max_bytes, max_blob_bytes)
    writer.begin(first)
    return RecordedStream(stream, writer, ours)


def _line(written: dict[str, Any], *, ascii_only: bool = False) -> bytes:
    text = json.dumps(written, ensure_ascii=ascii_only, allow_nan=False)
    # What is no Unicode is written as JSON writes it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


class _Writer:
    """Writes the lines of one recording, until it is closed, full or broken."""

    def __init__(
        self, file: TextIO, path: Path | None, began: float, room: int, blob_room: int
    ) -> None:
        self._file = file
        self._owned = path is not None
        self._room = room
        self._blobs = BlobWriter(path, blob_room)
        self._began = began
        self.stopped = ""

    def begin(self, first: dict[str, Any]) -> None:
        """Write the first line.

        Raises:
            OSError: it cannot be written, or what another recording has left is in the way.
        """
        try:
            self._blobs.clear()
            self._write(first)
        except BaseException:
            self.close()
            raise

    def note(self, source: Side, item: Item) -> None:
        """Write what one side says now; a recording that fails harms nobody else."""
        if self.stopped:
            return
        time = round(trio.current_time() - self._began, 6)
        try:
            self._write({"time": time, "from": source, **self._describe(item)})
        # Whatever it is: a file that somebody else has opened may raise anything.
        except Exception as error:
            self.stopped = str(error) or type(error).__name__
            logger.error("recording stops: %s", self.stopped)

    def _describe(self, item: Item) -> dict[str, Any]:
        match item:
            case Ended(broken):
                return {"end": "broken" if broken else "closed"}
            case Garbled(reason, data, size):
                return {"garbled": data.decode("latin-1"), "size": size, "reason": reason}
        return to_json(item, self._blobs.keep)

    def _write(self, written: dict[str, Any]) -> None:
        # Of a file that somebody else has opened, nobody knows the encoding; ASCII is part of it.
        line = _line(written, ascii_only=not self._owned)
        self._room -= len(line)
        if self._room < 0:
            raise _FullError("it has reached its bound")
        self._file.write(line.decode())
        self._file.flush()

    def close(self) -> None:
        self.stopped = self.stopped or "it is closed"
        if self._owned:
            # What could not be written has been said already.
            with contextlib.suppress(OSError):
                self._file.close()


class _FullError(Exception):
    """No more lines are taken."""


class RecordedStream(trio.abc.HalfCloseableStream):
    """A stream that is recorded; made by `record`.

    Closing it ends the recording, and closes the stream within. What the recording itself runs
    into, such as a full disk, is logged, and ends the recording alone.
    """

    def __init__(self, stream: trio.abc.Stream, writer: _Writer, side: Side) -> None:
        self._stream = stream
        self._writer = writer
        self._ours = Ear(partial(writer.note, side))
        self._theirs = Ear(partial(writer.note, side.other))

    @property
    def stopped(self) -> str:
        """Why nothing more is recorded, or ""."""
        return self._writer.stopped

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, and note what is sent as it leaves."""
        # Before it is sent: the answer comes after it, in the recording too.
        self._ours.hear(bytes(data))
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._theirs.end(broken=True)
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending might be possible."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that no more will be sent, as far as the stream within can say so."""
        self._ours.end(broken=False)
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive, and note what was received."""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError:
            self._theirs.end(broken=True)
            raise
        if data:
            self._theirs.hear(data)
        else:
            self._theirs.end(broken=False)
        return data

    async def aclose(self) -> None:
        """End the recording, and close the stream."""
        self._ours.end(broken=False)
        self._writer.close()
        await self._stream.aclose()
