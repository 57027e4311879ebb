"""A second kind of upstream, for the tests of the server's seam: a driver behind a stream.

It is what an executable or a remote server will be: all that the server knows of the driver comes
as bytes, and its devices are learned from them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import trio
import trio.testing

from trindi.driver import core_of
from trindi.protocol import Decoder, Event, encode, getProperties, pingReply, pingRequest
from trindi.server import RelayedUpstream
from trindi.transport import Connection, EncodedEvent, EventQueue, pieces_of

if TYPE_CHECKING:
    from trindi import IPyDriver
    from trindi.errors import ProtocolError
    from trindi.protocol import setBLOBVector
    from trindi.server import Broker

Open: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]


class StreamUpstream(RelayedUpstream):
    """What is at the other end of a stream.

    Args:
        name: what the log calls it.
        open_stream: makes the stream, anew for each run.
    """

    def __init__(self, name: str, open_stream: Open, queue: EventQueue | None = None) -> None:
        super().__init__(name, queue)
        self._open_stream = open_stream
        self._running = False

    @property
    def running(self) -> bool:
        """Whether the stream is open."""
        return self._running

    async def run(
        self,
        broker: Broker,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Relay until the stream ends, which is a failure."""
        stream = await self._open_stream()
        try:
            async with stream, trio.open_nursery() as nursery:
                self._running = True
                self._ask(getProperties())
                nursery.start_soon(self._write, stream)
                task_status.started()
                await self._read(stream, broker)
        finally:
            self._running = False
            self.queue.clear()
            self.queue.task_done()
        raise OSError("the stream has ended")

    def _ask(self, event: Event) -> None:
        self.queue.put(EncodedEvent(event, encode(event)))

    async def _read(self, stream: trio.abc.Stream, broker: Broker) -> None:
        decoder = Decoder()
        while data := await stream.receive_some(65536):
            for span in decoder.feed_spans(data):
                if isinstance(span.item, pingRequest):
                    self._ask(pingReply(span.item.uid))
                elif isinstance(span.item, Event):
                    received = span.data if span.is_plain else encode(span.item)
                    broker.relay(self, EncodedEvent(span.item, received))
        raise OSError("the stream has ended")

    async def _write(self, stream: trio.abc.Stream) -> None:
        while await self.queue.wait_news():
            for data in pieces_of(self.queue.take(65536), 65536):
                await stream.send_all(data)
            self.queue.task_done()


class _Publisher:
    """All that a driver says goes to one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, event: Event) -> None:
        self._connection.reply(event)

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        self._connection.reply(event)


class Elsewhere:
    """A driver that runs on streams, as a program of its own would, again for each stream.

    Attributes:
        driver: the driver.
        streams: the server's ends of its streams.
    """

    def __init__(self, nursery: trio.Nursery, driver: IPyDriver) -> None:
        self.driver = driver
        self.streams: list[trio.abc.Stream] = []
        self._nursery = nursery

    async def open_stream(self) -> trio.abc.Stream:
        """Start the driver, and return a stream to it."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(ours)
        self._nursery.start_soon(self._run, theirs)
        return ours

    def upstream(self, name: str = "elsewhere") -> StreamUpstream:
        """Return an upstream for this driver."""
        return StreamUpstream(name, self.open_stream)

    async def kill(self) -> None:
        """Cut the newest stream, as the death of a program does."""
        await trio.aclose_forcefully(self.streams[-1])

    async def _run(self, stream: trio.abc.Stream) -> None:
        connection = Connection(stream, name="the server")

        def receive(item: Event | ProtocolError) -> Any:
            return core_of(self.driver).receive(item, connection)

        with contextlib.suppress(trio.BrokenResourceError):
            async with trio.open_nursery() as nursery:
                await nursery.start(core_of(self.driver).serve, _Publisher(connection))
                await connection.run(receive)
                nursery.cancel_scope.cancel()
