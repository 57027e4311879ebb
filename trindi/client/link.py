"""One connection to a server: what is sent, what is pinged, what is known of the server's ways.

A server that answers pings tells two things by it: that it is there, and where in its stream the
answer to a request can begin. Whether a ping that comes back also means that all definitions are
here is another matter: `indiserver` answers it before its drivers have said a word, `IPyServer`
after all that it was asked before. So it is learnt from what comes first. This module does not know
what the events mean.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Final

import trio

from trindi.client.inbox import Progress
from trindi.protocol import (
    Decoder,
    DefVector,
    enableBLOB,
    getProperties,
    pingReply,
    pingRequest,
)
from trindi.protocol.reading import read_address
from trindi.transport import Connection, Parcel

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.errors import ProtocolError
    from trindi.protocol import Event

__all__ = ["Link", "Ping"]

IDLE: Final = 30.0
"""Seconds in which nothing is heard of a server before it is pinged, if it answers pings."""

PING_DEADLINE: Final = 10.0
"""Seconds for a server that is pinged so, before it is given up."""

HEAD_BYTES: Final = 2048
"""Bytes of the start of a BLOB on its way that are looked at for its name and its size."""

NO_WORD: Final = 5
"""How many quiet periods a server may take to say its first word: its drivers may be starting."""

_SIZE: Final = re.compile(rb"""<oneBLOB\s[^>]*?\bsize\s*=\s*["']([0-9]{1,18})["']([^>]*)>""")
_COMPRESSED: Final = re.compile(rb"""<oneBLOB\s[^>]*?\bformat\s*=\s*["'][^"'>]*\.z["']""")


MAX_PINGS: Final = 1024
"""Pings that may be unanswered; of further ones the oldest is no longer waited for."""


class Ping:
    """A question whether the server is there, and how far it has read."""

    __slots__ = ("answered", "definitions", "probe", "request")

    def __init__(self, uid: str, definitions: int, probe: bool) -> None:
        self.request = pingRequest(uid)
        self.definitions = definitions
        self.probe = probe
        self.answered = False


class _Gauge(trio.abc.Stream):
    """A stream that notes when something was heard, and how much has come of a BLOB."""

    def __init__(
        self, stream: trio.abc.Stream, decoder: Decoder, arriving: Callable[[Progress], None]
    ) -> None:
        self._stream = stream
        self._decoder = decoder
        self._arriving = arriving
        self._last = b""
        self._head = b""
        self.heard = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._note()
        data = bytes(await self._stream.receive_some(max_bytes))
        self.heard = trio.current_time()
        self._last = data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
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
        received = received if total is None else min(received, total)
        self._arriving(Progress(address["device"], address["name"], received, total))


class Link:
    """One connection to a server.

    Args:
        stream: a stream to it.
        name: what the log calls it.
        decoder: reads its bytes.
        hear: is given all that the server says, but for pings.
        arriving: is told how much has come of a BLOB.

    Attributes:
        lost: why the connection has ended, or "" while it has not.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        name: str,
        decoder: Decoder,
        hear: Callable[[Event], None],
        arriving: Callable[[Progress], None],
    ) -> None:
        self._gauge = _Gauge(stream, decoder, arriving)
        # An honest server may be broken in some corner, and all the rest of it work.
        self._connection = Connection(self._gauge, name=name, decoder=decoder, max_errors=None)
        self._hear = hear
        self._numbers = itertools.count(1)
        self._pings: dict[str, Ping] = {}
        self._news = trio.lowlevel.ParkingLot()
        self._definitions = 0
        self._last_word = -math.inf
        self._asked = trio.current_time()
        self.lost = ""
        self.answers_pings = False
        self.in_order: bool | None = None

    @property
    def errors(self) -> int:
        """How many malformed elements the server has sent."""
        return self._connection.errors

    # Life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hear what the server says until the connection ends; `lost` then says why.

        If cancelled, the stream is closed at once.
        """
        lost = "the client was stopped"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._mind_silence, nursery.cancel_scope)
                await self._connection.run(self._receive)
                lost = self.lost or "the server has closed the connection"
                nursery.cancel_scope.cancel()
        finally:
            self.lost = self.lost or self._connection.sent_away or lost
            # Whoever waits until something has left would wait for ever.
            self._connection.outbox.clear()
            self._connection.outbox.left()
            self._news.unpark_all()

    async def _mind_silence(self, scope: trio.CancelScope) -> None:
        """End a connection to a server that is there no longer, though nobody said so."""
        while True:
            await trio.sleep_until(self._gauge.heard + IDLE)
            silent = trio.current_time() >= self._gauge.heard + IDLE
            if silent and self.answers_pings and not self._connection.outbox.size:
                ping = self.ping()
                await trio.sleep(PING_DEADLINE)
                if not ping.answered and self._gauge.heard + IDLE <= trio.current_time():
                    self.lost = f"the server was silent, and did not answer in {PING_DEADLINE:g} s"
                    scope.cancel()
            elif silent:
                await trio.sleep(IDLE)

    # Sending -----------------------------------------------------------------------------------

    def ask(self, *questions: getProperties | enableBLOB) -> None:
        """Ask for definitions or BLOBs, without waiting, and learn how the server answers."""
        for question in questions:
            self._connection.reply(question)
        self._asked = trio.current_time()
        # In the same write, so that a server that does not answer in order has no time to.
        if any(isinstance(question, getProperties) for question in questions):
            self.ping(probe=True)

    async def send(self, *events: Event) -> None:
        """Send events; returns when they are with the system, or the connection is lost.

        Waits while the server does not read. If cancelled, they may have been sent.
        """
        parcels = [Parcel(event) for event in events]
        for parcel in parcels:
            await parcel.encode()
        outbox = self._connection.outbox
        await outbox.wait_room(sum(parcel.weight for parcel in parcels))
        for parcel in parcels:
            outbox.put(parcel)
        self._asked = trio.current_time()
        await outbox.wait_drained()

    def ping(self, *, probe: bool = False) -> Ping:
        """Ask whether the server is there, without waiting."""
        ping = self.make_ping(probe=probe)
        self._connection.reply(ping.request)
        return ping

    def make_ping(self, *, probe: bool = False) -> Ping:
        """Make a ping whose request is still to be sent."""
        ping = Ping(f"trindi-{next(self._numbers)}", self._definitions, probe)
        self._pings[ping.request.uid] = ping
        if len(self._pings) > MAX_PINGS:
            del self._pings[next(iter(self._pings))]
        return ping

    # Hearing -----------------------------------------------------------------------------------

    def _receive(self, item: Event | ProtocolError) -> None:
        if isinstance(item, pingReply):
            self._note_reply(item)
        elif not isinstance(item, Exception):
            if isinstance(item, DefVector):
                self._note_definition()
            self._hear(item)

    def _note_definition(self) -> None:
        self._definitions += 1
        self._last_word = trio.current_time()
        if self.answers_pings and self.in_order is None:
            # It had answered the ping before it answered the question that came before.
            self.in_order = False

    def _note_reply(self, reply: pingReply) -> None:
        ping = self._pings.pop(reply.uid, None)
        if ping is None:
            return
        ping.answered = True
        self.answers_pings = True
        if ping.probe and self.in_order is None and self._definitions > ping.definitions:
            self.in_order = True
        self._news.unpark_all()

    # All definitions are here ------------------------------------------------------------------

    async def settle(self, quiet: float) -> bool:
        """Wait until all definitions that were asked for are here; True where a ping has told so.

        It is also over when the connection is lost.
        """
        ping = self.ping()
        while not self.lost and not (ping.answered and self.in_order):
            due = math.inf if self.in_order else self._quiet_at(quiet)
            if trio.current_time() >= due:
                return False
            with trio.move_on_at(due):
                await self._news.park()
        return not self.lost

    def _quiet_at(self, quiet: float) -> float:
        if self._definitions:
            return max(self._asked, self._last_word) + quiet
        return self._asked + NO_WORD * quiet
