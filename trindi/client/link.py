"""One connection to a server: what is sent, what is pinged, what is known of the server's ways.

A server that answers pings tells two things by it: that it is there, and where in its stream the
answer to a request can begin. That all definitions are here is another matter: `indiserver` answers
a ping whatever its drivers have said by then. So a ping may ask just this, and a server that knows
what is asked says so in its reply. This module does not know what the events mean.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from trindi.client.errors import NotConnected
from trindi.client.gauge import Gauge
from trindi.errors import ProtocolError
from trindi.protocol import (
    ELEMENT_OF,
    Decoder,
    DefVector,
    enableBLOB,
    getProperties,
    pingReply,
    pingRequest,
)
from trindi.transport import Connection, EncodedEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.client.inbox import Progress
    from trindi.protocol import Event
    from trindi.transport import Runtime

__all__ = ["Link", "Mark"]

Question: TypeAlias = getProperties | enableBLOB

IDLE: Final = 30.0
"""Seconds in which nothing is heard of a server before it is pinged, if it answers pings."""

PING_DEADLINE: Final = 30.0
"""Seconds for a server that is pinged so, before it is given up; and for one that something waits
for, to take some of it."""

NO_WORD: Final = 5
"""How many quiet periods a server may take to say its first word: its drivers may be starting."""

MAX_PINGS: Final = 1024
"""Pings that may be unanswered; of further ones the oldest is no longer waited for."""

_GET_PROPERTIES: Final = ELEMENT_OF[getProperties].xml


class Ping:
    """A question whether the server is there, and how far it has read.

    Attributes:
        request: what asks it.
        answered: the reply is here.
        all_sent: and it says that all definitions were sent before it.
    """

    __slots__ = ("all_sent", "answered", "request")

    def __init__(self, uid: str, after: str) -> None:
        self.request = pingRequest(uid, after)
        self.answered = False
        self.all_sent = False


class Mark:
    """The place in what a server says from which on it can answer a request; see `Link.send`."""

    def __init__(self) -> None:
        self._gauge: Gauge | None = None
        self._reads = 0
        self._ping: Ping | None = None

    def place(self, gauge: Gauge, ping: Ping | None) -> None:
        """Put it behind what has been read, or, where there is a ping, behind its reply."""
        self._gauge = gauge
        self._reads = gauge.reads
        self._ping = ping

    @property
    def passed(self) -> bool:
        """Whether what is heard now may be an answer."""
        if self._gauge is None:
            return False
        return self._gauge.reads > self._reads if self._ping is None else self._ping.answered


class Link:
    """One connection to a server.

    Args:
        stream: a stream to it.
        name: what the log calls it.
        decoder: reads its bytes.
        hear: is given all that the server says, but for pings.
        arriving: is told how much has come of a BLOB.
        runtime: those of a test, or the usual ones.

    Attributes:
        lost: why the connection has ended, or "" while it has not.
        errors: how many elements of the server were malformed or not legal.
        answers_pings: the server has answered one.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        name: str,
        decoder: Decoder,
        hear: Callable[[Event], None],
        arriving: Callable[[Progress], None],
        runtime: Runtime,
    ) -> None:
        self._gauge = Gauge(stream, decoder, arriving)
        # An honest server may be broken in some corner, and all the rest of it work.
        self._connection = Connection(
            self._gauge, name=name, decoder=decoder, max_errors=None, runtime=runtime
        )
        self._in_thread = runtime.in_thread
        self._hear = hear
        self._numbers = itertools.count(1)
        self._pings: dict[str, Ping] = {}
        self._news = trio.lowlevel.ParkingLot()
        self._last_word: float | None = None
        self._asked = trio.current_time()
        self.lost = ""
        self.errors = 0
        self.answers_pings = False

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
                lost = self.lost or (
                    "the connection to the server broke"
                    if self._connection.broken or self._gauge.broken
                    else "the server has closed the connection"
                )
                nursery.cancel_scope.cancel()
        finally:
            self.lost = self.lost or self._connection.disconnect_reason or lost
            # Whoever waits until something has left would wait for ever.
            self._connection.outbox.clear()
            self._connection.outbox.left()
            self._news.unpark_all()

    async def _mind_silence(self, scope: trio.CancelScope) -> None:
        """End a connection to a server that is there no longer, though nobody said so."""
        gauge, outbox = self._gauge, self._connection.outbox
        while True:
            await trio.sleep_until(gauge.heard + IDLE)
            if trio.current_time() < gauge.heard + IDLE:
                continue
            if not (outbox.size or self.answers_pings):
                await trio.sleep(IDLE)
                continue
            waiting = outbox.size
            if not waiting:
                self._ping()
            asked = trio.current_time()
            await trio.sleep(PING_DEADLINE)
            taking = gauge.taken > asked if outbox.size else waiting
            if taking or gauge.heard >= asked:
                continue
            did = "took nothing" if outbox.size else "did not answer"
            self.lost = f"the server was silent, and {did} in {PING_DEADLINE:g} s"
            scope.cancel()

    # Sending -----------------------------------------------------------------------------------

    def ask_nowait(self, *questions: Question) -> None:
        """Ask for definitions or BLOBs, without waiting."""
        for question in questions:
            self._connection.reply(question)
        if not (self.answers_pings or self._pings):
            # To learn whether it answers any.
            self._ping()
        self._asked = trio.current_time()

    async def ask(self, question: Question) -> None:
        """Ask for definitions or BLOBs; see `send`."""
        outbox = self._connection.outbox
        await outbox.wait_room(0)
        self.ask_nowait(question)
        await outbox.wait_drained()

    async def send(
        self, request: Event, note_sent: Callable[[], None], mark: Mark | None = None
    ) -> None:
        """Send a request; returns when it is with the system, or the connection is lost.

        Waits while the server does not read. If cancelled, it may have been sent.

        Args:
            request: the request.
            note_sent: is called at the moment in which it goes.
            mark: is put where its answer can begin. A server that answers pings is pinged right
                before the request: what comes before the reply was on its way already. Of another
                one only what was read before is known to be older.

        Raises:
            NotConnected: the connection is lost, or about to be.
        """
        encoded = EncodedEvent(request)
        await encoded.prepare(self._in_thread)
        outbox = self._connection.outbox
        await outbox.wait_room(encoded.weight)
        self._check()
        if mark is not None:
            mark.place(self._gauge, self._ping() if self.answers_pings else None)
        note_sent()
        outbox.put(encoded)
        self._asked = trio.current_time()
        await outbox.wait_drained()
        self._check()

    def _check(self) -> None:
        """Say whether the connection is there.

        Raises:
            NotConnected: it is lost, or about to be.
        """
        if self.lost or self._gauge.broken:
            raise NotConnected(self.lost or "the server does not take what is sent to it")

    def _ping(self, after: str = "") -> Ping:
        ping = Ping(f"trindi-{next(self._numbers)}", after)
        self._pings[ping.request.uid] = ping
        if len(self._pings) > MAX_PINGS:
            del self._pings[next(iter(self._pings))]
        self._connection.reply(ping.request)
        return ping

    # Hearing -----------------------------------------------------------------------------------

    def _receive(self, item: Event | ProtocolError) -> None:
        if isinstance(item, pingReply):
            self._note_reply(item)
        elif isinstance(item, ProtocolError):
            self.errors += 1
        else:
            if isinstance(item, DefVector):
                self._note_definition()
            self._hear(item)

    def _note_definition(self) -> None:
        if self._last_word is None:
            # For the first one more time was given.
            self._news.unpark_all()
        self._last_word = trio.current_time()

    def _note_reply(self, reply: pingReply) -> None:
        ping = self._pings.get(reply.uid)
        if ping is None:
            return
        passed = [ping]
        if not ping.request.after:
            # Plain ones are answered in order: a reply that has not come was lost on its way.
            older = itertools.takewhile(lambda one: one is not ping, self._pings.values())
            passed += [one for one in older if not one.request.after]
        for one in passed:
            one.answered = True
            del self._pings[one.request.uid]
        ping.all_sent = reply.answered == ping.request.after != ""
        self.answers_pings = True
        self._news.unpark_all()

    # All definitions are here ------------------------------------------------------------------

    async def settle(self, quiet: float) -> bool:
        """Wait until all definitions that were asked for are here; True where a ping has told so.

        It is also over when the connection is lost.
        """
        ping = self._ping(_GET_PROPERTIES)
        while not self.lost and not ping.all_sent:
            due = self._quiet_at(quiet)
            if self.answers_pings and not ping.answered:
                # It has more to say first.
                due = math.inf
            if trio.current_time() >= due:
                return False
            with trio.move_on_at(due):
                await self._news.park()
        return not self.lost

    def _quiet_at(self, quiet: float) -> float:
        if self._last_word is None:
            return self._asked + NO_WORD * quiet
        return max(self._asked, self._last_word) + quiet
