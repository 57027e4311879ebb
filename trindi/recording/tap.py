"""Decoding one direction of a connection, and keeping the bytes that the decoder refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trindi.errors import ProtocolError
from trindi.protocol import Decoder, Span
from trindi.recording.jsonl import EndOfStream, Item, Unparsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_UNPARSED: Final = 4096
"""Bytes that are kept of an element that cannot be read."""


class StreamTap:
    """Decodes what one side sends; `note` gets each event, each unparsed element, and the end."""

    def __init__(self, note: Callable[[Item], None]) -> None:
        self._note = note
        self._decoder = Decoder()
        self._ended = False

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
