"""Decoding one direction of a connection, and keeping the bytes that the decoder refuses.

A report from the field may be about just these bytes. This module does no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trindi.errors import ProtocolError
from trindi.protocol import Decoder
from trindi.recording.jsonl import EndOfStream, Unparsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trindi.protocol import Event
    from trindi.recording.jsonl import Item

__all__ = ["StreamTap"]

MAX_UNPARSED: Final = 4096
"""Bytes that are kept of an element that is no INDI."""


class StreamTap:
    """Reads what one side says.

    Args:
        note: is told of each event, of what is garbled, and of the end.
    """

    def __init__(self, note: Callable[[Item], None]) -> None:
        self._note = note
        self._decoder = Decoder()
        # The first bytes of an element that is not complete yet.
        self._head = b""
        self._held = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Read the next bytes of what it says."""
        decoder, begin = self._decoder, self._decoder.offset
        rest = data
        while True:
            try:
                events = decoder.feed(rest)
            except ProtocolError as error:
                self._tell(error.events)
                self._note(self._unparsed(error, data, begin))
                rest = b""
            else:
                self._tell(events)
                break
        if decoder.held <= len(data):
            self._head = data[len(data) - decoder.held :][:MAX_UNPARSED]
            self._held = decoder.held
        else:
            self._head = (self._head + data[:MAX_UNPARSED])[:MAX_UNPARSED]
            self._held += len(data)

    def _unparsed(self, error: ProtocolError, data: bytes, begin: int) -> Unparsed:
        """Say what is wrong; `begin` is where what was held before `data` begins in the stream."""
        first, last = error.offset - begin, self._decoder.offset - begin
        if first >= self._held:
            found = data[first - self._held : last - self._held]
        else:
            # Where not all that was held is known, the first bytes of it are enough.
            found = (self._head + data[:MAX_UNPARSED])[first:last]
        return Unparsed(error.reason, found[:MAX_UNPARSED], last - first)

    def end(self, *, broken: bool = False) -> None:
        """Note that this side has said its last, and what it did not finish."""
        if self._ended:
            return
        self._ended = True
        if self._held:
            self._note(Unparsed("it is cut short", self._head, self._held))
        self._note(EndOfStream(broken))

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._note(event)
