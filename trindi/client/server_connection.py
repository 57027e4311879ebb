"""One connection to a server: requests, pings, and when all definitions have arrived.

A reply to a ping tells that the server is there, and where in its stream the answer to a request
can begin, but not that all definitions are sent: `indiserver` replies before its drivers have said
all. So a ping may ask for just that, and a server that understands it says so in its reply.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from trindi.client.errors import NotConnected
from trindi.client.progress_stream import ProgressStream
from trindi.errors import ProtocolError
from trindi.protocol import (
    ELEMENT_OF,
    Decoder,
    DefVector,
    Event,
    Message,
    enableBLOB,
    getProperties,
    pingReply,
    pingRequest,
)
from trindi.transport import Connection, EncodedEvent, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.client.inbox import Progress

Question: TypeAlias = getProperties | enableBLOB

IDLE: Final = 30.0  # seconds of silence after which a server that answers pings is pinged
PING_DEADLINE: Final = 30.0  # seconds to answer, or to take some of what is queued; then it is lost
QUIET_PERIOD: Final = 1.0  # seconds without a definition after which all are here, if no ping tells
FIRST_DEFINITION_FACTOR: Final = 5  # quiet periods: the drivers may be starting
MAX_PINGS: Final = 1024  # unanswered pings; beyond them the oldest is forgotten
CLOSED: Final = "the server has closed the connection"
BROKEN: Final = "the connection to the server broke"
_ERROR_LEVEL: Final = "[ERROR]"
_GET_PROPERTIES: Final = ELEMENT_OF[getProperties].xml


class Settled(StrEnum):
    """How `IPyClient.wait_settled` knew that all definitions are here."""

    PING = "ping"
    QUIET = "quiet period"


@dataclass(slots=True, eq=False)
class Ping:
    """A ping of the server; `all_sent`: the reply says that all definitions were sent before."""

    request: pingRequest
    answered: bool = False
    all_sent: bool = False


class AnswerBarrier:
    """The point in a server's stream behind which a report can answer a request."""

    def __init__(self) -> None:
        self._stream: ProgressStream | None = None
        self._reads = 0
        self._ping: Ping | None = None

    def place(self, stream: ProgressStream, ping: Ping | None) -> None:
        """Place it behind the reply to the ping, or without one, behind what has been read."""
        self._stream = stream
        self._reads = stream.reads
        self._ping = ping

    @property
    def passed(self) -> bool:
        if self._stream is None:
            return False
        return self._stream.reads > self._reads if self._ping is None else self._ping.answered


class ServerConnection:
    """One connection to a server; `on_event` is called with each event but replies to pings."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        name: str,
        decoder: Decoder,
        on_event: Callable[[Event], None],
        on_progress: Callable[[Progress], None],
        runtime: Runtime,
    ) -> None:
        self._stream = ProgressStream(stream, decoder, on_progress)
        # A server with one broken driver still serves the others.
        self._connection = Connection(
            self._stream, name=name, decoder=decoder, max_errors=None, runtime=runtime
        )
        self._queue = self._connection.queue
        self._in_thread = runtime.in_thread
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._pings: dict[str, Ping] = {}
        self._progress = trio.lowlevel.ParkingLot()
        self._last_definition: float | None = None
        self._last_request = trio.current_time()
        self.lost = ""  # why the connection has ended
        self._turned_away = ""  # what the server said was wrong, before it defined anything
        self.errors = 0  # elements that were malformed or not legal
        self.answers_pings = False

    async def run(self) -> None:
        """Read the server's events until the connection ends; if cancelled, close it at once."""
        lost = "the client was stopped"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_silence, nursery.cancel_scope)
                await self._connection.run(self._receive)
                broken = self._connection.broken or self._stream.broken
                lost = self._turned_away or (BROKEN if broken else CLOSED)
                nursery.cancel_scope.cancel()
        finally:
            self.lost = self.lost or self._connection.disconnect_reason or lost
            # Release the tasks that wait for the queue to drain.
            self._queue.clear()
            self._queue.task_done()
            self._progress.unpark_all()

    async def _watch_silence(self, scope: trio.CancelScope) -> None:
        """End a connection whose other side is gone without having closed it."""
        stream = self._stream
        while True:
            await trio.sleep_until(stream.last_read + IDLE)
            if trio.current_time() < stream.last_read + IDLE:
                continue
            waited = self._waiting
            if not (waited or self.answers_pings):
                await trio.sleep(IDLE)
                continue
            began, acknowledged = trio.current_time(), stream.acknowledged
            if not waited:
                self._ping()
            await trio.sleep(PING_DEADLINE)
            waits = self._waiting
            # Where only a ping was to be sent, to take it is no answer.
            taking = stream.acknowledged > acknowledged and (waited or waits)
            if taking or stream.last_read >= began:
                continue
            did = "took nothing" if waits else "did not answer"
            self.lost = f"the server was silent, and {did} in {PING_DEADLINE:g} s"
            scope.cancel()

    @property
    def _waiting(self) -> int:
        """Bytes that the server's system does not have yet, here or in this one."""
        return self._queue.size or self._stream.waiting

    def ask_nowait(self, *questions: Question) -> None:
        for question in questions:
            self._connection.reply(question)
        if not (self.answers_pings or self._pings):
            # Find out whether the server answers pings.
            self._ping()
        self._last_request = trio.current_time()

    async def ask(self, question: Question) -> None:
        await self._queue.wait_room(0)
        self.ask_nowait(question)
        await self._queue.wait_drained()

    async def send(
        self, request: Event, on_sent: Callable[[], None], barrier: AnswerBarrier | None = None
    ) -> None:
        """Send a request; returns when it is with the system, or the connection is lost.

        Waits while the server does not read. If cancelled, the request may have been sent.
        `on_sent` is called when it is queued. The barrier is placed where the answer can begin: a
        server that answers pings is pinged right before the request, and what arrives before the
        reply is older. Of another server's events, only those already read are known to be older.
        """
        encoded = EncodedEvent(request)
        await encoded.prepare(self._in_thread)
        await self._queue.wait_room(encoded.weight)
        self._check_connected()
        if barrier is not None:
            barrier.place(self._stream, self._ping() if self.answers_pings else None)
        on_sent()
        self._queue.put(encoded)
        self._last_request = trio.current_time()
        await self._queue.wait_drained()
        self._check_connected()

    def _check_connected(self) -> None:
        if self.lost or self._stream.broken:
            raise NotConnected(self.lost or "the server does not take what is sent to it")

    def _ping(self, after: str = "") -> Ping:
        ping = Ping(pingRequest(f"trindi-{next(self._numbers)}", after))
        self._pings[ping.request.uid] = ping
        if len(self._pings) > MAX_PINGS:
            del self._pings[next(iter(self._pings))]
        self._connection.reply(ping.request)
        return ping

    def _receive(self, item: Event | ProtocolError) -> None:
        if isinstance(item, pingReply):
            self._note_reply(item)
        elif isinstance(item, ProtocolError):
            self.errors += 1
        else:
            if isinstance(item, DefVector):
                if self._last_definition is None:
                    # From now on the quiet period is shorter.
                    self._progress.unpark_all()
                    self._turned_away = ""
                self._last_definition = trio.current_time()
            elif self._last_definition is None and isinstance(item, Message):
                self._note_error_message(item)
            self._on_event(item)

    def _note_error_message(self, item: Message) -> None:
        """Note why a server that has its number of clients, as ours says it, ends a connection."""
        if item.devicename is None and item.message.startswith(_ERROR_LEVEL):
            self._turned_away = " ".join(item.message.removeprefix(_ERROR_LEVEL).split())

    def _note_reply(self, reply: pingReply) -> None:
        ping = self._pings.get(reply.uid)
        if ping is None:
            return
        answered = [ping]
        if not ping.request.after:
            # Plain pings are answered in order: missing replies to earlier ones were lost.
            earlier = itertools.takewhile(lambda one: one is not ping, self._pings.values())
            answered += [one for one in earlier if not one.request.after]
        for one in answered:
            one.answered = True
            del self._pings[one.request.uid]
        ping.all_sent = reply.answered == ping.request.after != ""
        self.answers_pings = True
        self._progress.unpark_all()

    async def wait_settled(self, quiet: float) -> Settled | None:
        """Wait until all definitions are here; None if the connection is lost before."""
        ping = self._ping(_GET_PROPERTIES)
        while not self.lost and not ping.all_sent:
            due = self._quiet_at(quiet)
            if self.answers_pings and not ping.answered:
                # The server has not read the question yet.
                due = math.inf
            if trio.current_time() >= due:
                return Settled.QUIET
            with trio.move_on_at(due):
                await self._progress.park()
        return None if self.lost else Settled.PING

    def _quiet_at(self, quiet: float) -> float:
        if self._last_definition is None:
            return self._last_request + FIRST_DEFINITION_FACTOR * quiet
        return max(self._last_request, self._last_definition) + quiet
