"""Reading a recording, which may come from anybody: all that is wrong raises `RecordingError`."""

from __future__ import annotations

import json
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from trindi.recording.blobs import BlobReader
from trindi.recording.jsonl import (
    FORMAT,
    VERSIONS,
    EndOfStream,
    Entry,
    LoadBlob,
    RecordingError,
    Side,
    Unparsed,
    from_json,
    read_number,
    read_timestamp,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from trindi.protocol import Event

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one line: an element has at most 1 MiB, and JSON lengthens it by far less than this."""


class Recording:
    """A recorded session; iterating over it yields each `Entry`, in order.

    Attributes:
        side: the end of the connection at which it was recorded.
        clock: ``wall``, or ``virtual`` where a test recorded it.
        start: the time of day, in UTC, at which it begins.

    Raises:
        RecordingError: the file is not a recording, or a newer trindi wrote it; while iterating, a
            line cannot be read.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            first = file.readline(MAX_LINE_BYTES)
        try:
            header = json.loads(first)
            version = header[FORMAT]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RecordingError(f"{self.path} is not a recording made by trindi") from None
        if version not in VERSIONS:
            raise RecordingError(
                f"{self.path} is a recording of version {version!r}, "
                f"but this trindi reads none after {VERSIONS[-1]}: use a newer one"
            )
        try:
            self.side = Side(header["side"])
            self.clock = str(header["clock"])
            self.start = read_timestamp(header["start"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._error(1, error) from None

    def __repr__(self) -> str:
        return f"<Recording {self.path}>"

    def __iter__(self) -> Iterator[Entry]:
        return self._entries(BlobReader(self.path).load)

    def without_blobs(self) -> Iterator[Entry]:
        """Yield each entry, with empty payloads in all BLOBs."""
        return self._entries(lambda _kept: b"")

    def unloaded(self) -> Iterator[tuple[Entry, Callable[[], Entry] | None]]:
        """Yield each entry; where it has large payloads, without them, and what reads it whole.

        That may take long: a thread may do it.
        """
        blobs = BlobReader(self.path)
        left_out: list[object] = []

        def load(kept: Mapping[str, Any]) -> bytes:
            if blobs.is_small(kept):
                return blobs.load(kept)
            left_out.append(kept)
            return b""

        for number, line, entry in self._numbered(load):
            yield entry, partial(self._read, number, line, blobs.load) if left_out else None
            left_out.clear()

    def said_by(self, source: str) -> list[Event]:
        """Return all events of one side, ``client`` or ``server``, in order."""
        items = (entry.item for entry in self if entry.source == Side(source))
        return [item for item in items if not isinstance(item, (Unparsed, EndOfStream))]

    def _entries(self, load: LoadBlob) -> Iterator[Entry]:
        return (entry for _, _, entry in self._numbered(load))

    def _numbered(self, load: LoadBlob) -> Iterator[tuple[int, bytes, Entry]]:
        before = 0.0
        with self.path.open("rb") as file:
            for number, line in islice(enumerate(self._lines(file), start=1), 1, None):
                entry = self._read(number, line, load)
                if entry.time < before:
                    raise self._error(
                        number, ValueError(f"its time is {entry.time}, after {before}")
                    )
                before = entry.time
                yield number, line, entry

    def _read(self, number: int, line: bytes, load: LoadBlob) -> Entry:
        try:
            return _read(line, load)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise self._error(number, error) from None

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES), b""), start=1):
            if not line.endswith(b"\n"):
                reason = "it is cut short" if len(line) < MAX_LINE_BYTES else "it is too long"
                raise self._error(number, ValueError(reason))
            yield line

    def _error(self, number: int, error: Exception) -> RecordingError:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return RecordingError(f"{self.path}, line {number}: {reason}")


def _read(line: bytes, load: LoadBlob) -> Entry:
    written = json.loads(line)
    if not isinstance(written, dict):
        raise ValueError("it is not a JSON object")
    time, source = read_number(written.pop("time")), Side(written.pop("from"))
    if time < 0:
        raise ValueError(f"its time is {time}, before the recording began")
    return Entry(time, source, from_json(written, load))
