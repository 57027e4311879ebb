"""One peer on one stream: a reader, an event queue, a writer, and an orderly end.

The reader hands every event, and every `ProtocolError`, to a handler that cannot block. If the
handler returns an awaitable, the reader waits for it, and the stream pushes back on that peer
alone. The writer task writes to the stream, with one exception: the first event after each request
goes out at once, if nothing waits and nothing is being written. Pings are answered here, in stream
order; one that asks whether all definitions were sent, once they were. This module does not
route anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from trindi.errors import ProtocolError
from trindi.protocol import (
    ELEMENT_OF,
    ClientEvent,
    Decoder,
    Event,
    Message,
    UnloadedEvent,
    encode,
    getProperties,
    newBLOBVector,
    pingReply,
    pingRequest,
)
from trindi.transport.encoded import EncodedBatch, Reply, pieces_of
from trindi.transport.event_queue import BOUND, HIGH_WATER, EventQueue
from trindi.transport.rawio import raw_io_of
from trindi.transport.runtime import DEFAULT_RUNTIME, Runtime, YieldBudget, loading
from trindi.visible import get_logger

logger = get_logger("trindi.connection")

RECEIVE_BYTES: Final = 64 * 1024  # of one read; they are decoded in steps
RECEIVE_BLOB_BYTES: Final = 256 * 1024  # while a large element arrives, decoded as it is read
THREAD_BYTES: Final = 64 * 1024  # of BLOBs, decompressed or read from files; a thread loads more
SEND_BYTES: Final = 64 * 1024  # gathered into one write; a larger event goes out alone
MAX_ERRORS: Final = 100  # malformed elements that end a connection: honest peers make fewer (§9)
LINGER: Final = 2.0  # seconds for replies after a peer's last word, and for them to leave (§9)
MAX_HELD: Final = (
    64  # pings that wait until getProperties are answered; more are replied to at once
)
KEEPALIVE: Final = 10.0  # seconds between ping replies to a peer that is not read for want of room
ANSWER_TIMEOUT: Final = 60.0  # seconds in which a peer takes some of an answer that has no room
FAREWELL: Final = 1.0  # seconds for telling a peer why it is disconnected
_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_NO_PING: Final = "none"
_GET_PROPERTIES: Final = ELEMENT_OF[getProperties].xml

# It returns something to await if the receiver's queue is full.
Handler: TypeAlias = Callable[[Event | ProtocolError], Awaitable[None] | None]


class Connection:
    """One peer, with a name for the log, on one stream, which `run` closes at its end."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        name: str,
        decoder: Decoder | None = None,
        high_water: int = HIGH_WATER,
        bound: int = BOUND,
        max_errors: int | None = MAX_ERRORS,
        linger: float = LINGER,
        waits: bool = True,
        runtime: Runtime = DEFAULT_RUNTIME,
    ) -> None:
        self._stream = stream
        self._io = raw_io_of(stream)
        self._decoder = decoder or Decoder()
        self._max_errors = max_errors
        self._linger = linger
        self._runtime = runtime
        self._reading = trio.CancelScope()
        self._idle = trio.lowlevel.ParkingLot()
        self._read_budget = YieldBudget()
        self._write_budget = YieldBudget()
        self._unwritable = False
        self._pinged = False
        self._open_questions = 0  # getProperties that are being worked on
        self._held: list[pingRequest] = []
        self._nursery: trio.Nursery | None = None
        self._answer_watched = False
        # False once something was asked that does not say when it has defined all.
        self.knows_all_definitions = True
        self.disconnect_reason = ""
        self.broken = False  # the stream broke while it was being read; the peer did not end it
        self.name = name
        self.waits = waits  # it asks for itself alone: see Sender
        self.queue = EventQueue(
            high_water=high_water,
            bound=bound,
            # A peer that does not read gets the newest state, and is disconnected at the bound.
            at_bound=self._overflow,
            send_nowait=self._io.send_nowait,
            counts_definitions=False,
        )
        self.events_in = 0
        self.errors = 0  # malformed elements that the peer has sent
        self.in_flight = 0  # requests of the peer that are being worked on
        # Bytes of BLOBs that are being decompressed or read, or that are in such requests.
        self.blob_bytes = 0

    def reply(self, event: Event) -> None:
        # Encoded at once, so that the queue knows its weight, and errors are those of the sender.
        self.queue.put(Reply(event, encode(event)))

    def forward(self, batch: EncodedBatch) -> None:
        self.queue.put_all(batch)
        if self.queue.has_uncounted and not self._answer_watched and self._nursery is not None:
            self._answer_watched = True
            self._nursery.start_soon(self._watch_answer)

    async def _watch_answer(self) -> None:
        """End a peer that takes none of an answer whose definitions do not count in the queue."""
        before = None
        while self.queue.has_uncounted:
            # One definition may take a slow line minutes: what the peer's system took counts, too.
            now = self.queue.taken, self._io.acknowledged
            if now == before:
                self.disconnect(f"it has taken nothing of its answer in {ANSWER_TIMEOUT:g} s")
                break
            before = now
            await trio.sleep(ANSWER_TIMEOUT)
        self._answer_watched = False

    def request_started(self, event: ClientEvent) -> None:
        self.in_flight += 1
        if isinstance(event, getProperties):
            self._open_questions += 1
        elif isinstance(event, newBLOBVector):
            self.blob_bytes += sum(map(len, event.values()))

    def request_finished(self, event: ClientEvent) -> None:
        self.in_flight -= 1
        if isinstance(event, getProperties):
            self._open_questions -= 1
            self._reply_to_held()
        elif isinstance(event, newBLOBVector):
            self.blob_bytes -= sum(map(len, event.values()))
        self._idle.unpark_all()

    @property
    def has_spoken(self) -> bool:
        """Whether the peer has ever sent a valid element."""
        return self.events_in > 0 or self._pinged

    async def run(self, handler: Handler) -> None:
        """Talk to the peer until it has gone, its stream is broken, or it is disconnected."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write)
                with self._reading:
                    await self._read(handler)
                await self._finish()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self.queue.close()
            await trio.aclose_forcefully(self._stream)

    def disconnect(self, reason: str) -> None:
        """Drop what waits, tell the peer why, if possible, and end its connection."""
        if self.disconnect_reason:
            return
        logger.warning("%s is disconnected: %s", self.name, reason)
        self.disconnect_reason = reason
        self._linger = FAREWELL
        self.queue.clear()
        # In whole seconds: KStars looks for the level behind a time of 19 characters.
        now = self._runtime.now().replace(microsecond=0)
        self.reply(Message(None, f"[ERROR] {reason}", now))
        self.queue.close()
        self._reading.cancel()

    def _overflow(self, queue: EventQueue) -> None:
        queue.drop_all()
        self.disconnect("this client does not read fast enough: too much is waiting for it")

    async def _read(self, handler: Handler) -> None:
        while True:
            try:
                large = self._decoder.held > RECEIVE_BYTES
                data = await self._io.receive(RECEIVE_BLOB_BYTES if large else RECEIVE_BYTES)
            except _BROKEN:
                self.broken = True
                self._abandon()
                return
            if not data:
                return
            # The peer may be waiting for its answer: the first one goes out without delay.
            self.queue.prompt = True
            for number, read in enumerate(self._decoder.items(data)):
                # A peer that sends much must not keep others waiting, even where nothing comes of
                # it, and a peer that has just been disconnected is not served any more.
                if number and (self._read_budget.exhausted() or self._reading.cancel_called):
                    await self._read_budget.checkpoint()
                if read is None:
                    continue
                item = await self._load(read) if isinstance(read, UnloadedEvent) else read
                waiting = self._receive(item, handler)
                if waiting is not None:
                    await self._wait_with_keepalive(waiting)
                # It may hold a large BLOB, and the next read may take long.
                del item, read

    async def _wait_with_keepalive(self, waiting: Awaitable[None]) -> None:
        """Read nothing until there is room for a request; a peer must not take that for death."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keepalive)
            await waiting
            nursery.cancel_scope.cancel()

    async def _keepalive(self) -> None:
        while True:
            await trio.sleep(KEEPALIVE)
            if self._io.hung_up():
                self._leave()
            # Only a peer that has sent a ping knows the replies.
            elif self._pinged and not self.queue.size:
                self.reply(pingReply(_NO_PING))

    def _leave(self) -> None:
        """Note that the peer hears nothing more; what it has said is read for a while (§7)."""
        self._abandon()
        end = trio.current_time() + self._linger
        self._reading.deadline = min(self._reading.deadline, end)

    async def _load(self, unloaded: UnloadedEvent) -> Event | ProtocolError:
        """Decompress BLOBs, or read their files; large ones in a thread: other tasks must run."""
        if unloaded.size <= THREAD_BYTES:
            return unloaded.load()
        self.blob_bytes += unloaded.size
        try:
            async with loading():
                item: Event | ProtocolError = await self._runtime.in_thread(unloaded.load)
        finally:
            self.blob_bytes -= unloaded.size
        return item

    def _receive(self, item: Event | ProtocolError, handler: Handler) -> Awaitable[None] | None:
        if isinstance(item, pingRequest):
            self._answer(item)
            return None
        if isinstance(item, ProtocolError):
            self._note_error(item)
        else:
            self.events_in += 1
        return handler(item)

    def _answer(self, ping: pingRequest) -> None:
        """Reply to a ping at once, or when no getProperties is being worked on any more."""
        self._pinged = True
        if ping.after != _GET_PROPERTIES or len(self._held) >= MAX_HELD:
            self.reply(pingReply(ping.uid))
            return
        self._held.append(ping)
        self._reply_to_held()

    def _reply_to_held(self) -> None:
        if not self._open_questions:
            answered = _GET_PROPERTIES if self.knows_all_definitions else ""
            for ping in self._held:
                self.reply(pingReply(ping.uid, answered))
            self._held.clear()

    def _note_error(self, error: ProtocolError) -> None:
        if not error.malformed:
            # The driver refuses and answers such a request; it does not count.
            logger.debug("%s: %s", self.name, error)
            return
        self.errors += 1
        # The first one is told, all are counted: a peer may send as many as it likes.
        log = logger.info if self.errors == 1 else logger.debug
        log("%s: %s", self.name, error)
        if self.errors == self._max_errors:
            self.disconnect(f"it has sent {self.errors} malformed elements")

    async def _write(self) -> None:
        try:
            while await self.queue.wait_news():
                for number, data in enumerate(pieces_of(self.queue.take(SEND_BYTES), SEND_BYTES)):
                    if number and self._write_budget.exhausted():
                        await self._write_budget.checkpoint()
                    await self._io.send(data)
                self.queue.task_done()
                if self.queue and self._write_budget.exhausted():
                    await self._write_budget.checkpoint()
        except _BROKEN:
            self._leave()

    def _abandon(self) -> None:
        self._unwritable = True
        self.queue.clear()
        self.queue.close()
        self.queue.task_done()

    async def _finish(self) -> None:
        """Wait, for a limited time, until outstanding replies are made and have left."""
        if self._unwritable:
            return
        with trio.move_on_after(self._linger):
            while self.in_flight and not self.disconnect_reason:
                await self._idle.park()
        self.queue.close()
        with trio.move_on_after(self._linger):
            await self.queue.wait_drained()
            await self._half_close()

    async def _half_close(self) -> None:
        """End our side and read what is left: closing on unread bytes would reset the peer (§7)."""
        if not self.disconnect_reason or not isinstance(self._stream, trio.abc.HalfCloseableStream):
            return
        with contextlib.suppress(*_BROKEN):
            await self._stream.send_eof()
            while await self._stream.receive_some(RECEIVE_BYTES):
                pass
