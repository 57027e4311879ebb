"""An INDI client for tests of whole drivers: it keeps what it hears, and waits for what it wants.

It speaks over a socket to a server, or over a stream in memory to one driver. In memory nothing is
ever on its way outside the program, so that virtual time may run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import trio
import trio.testing

from trindi.protocol import Decoder, Event, SnoopEvent, encode, getProperties
from trindi.transport import Connection, EncodedEvent, EventQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from trindi import IPyDriver, IPyServer, ProtocolError, setBLOBVector

E = TypeVar("E")

PATIENCE = 30.0
"""Seconds that a client waits for what it wants, where the machine may be busy."""

VIRTUAL_PATIENCE = 3600.0
"""The same where time is virtual, and waiting costs nothing."""


class Client:
    """A client on a stream; `heard` is all that it was ever sent."""

    def __init__(self, stream: trio.abc.Stream, timeout: float) -> None:
        self.heard: list[Any] = []
        self._timeout = timeout
        self._stream = stream
        self._decoder = Decoder()
        self._seen = 0

    async def send(self, *events: Event) -> None:
        """Send these events in one write."""
        await self._stream.send_all(b"".join(map(encode, events)))

    async def expect(self, cls: type[E], vectorname: str | None = None, **wanted: Any) -> E:
        """Wait for the next event of a class, property and attributes; skip what comes before."""
        with trio.fail_after(self._timeout):
            while True:
                for event in self._unseen():
                    if isinstance(event, cls) and _fits(event, vectorname, wanted):
                        return event
                await self._read()

    async def read_for(self, seconds: float) -> None:
        """Take in whatever is sent for some time."""
        with trio.move_on_after(seconds):
            while True:
                await self._read()

    async def ask(self, devicename: str | None = None, vectorname: str | None = None) -> None:
        """Ask for definitions."""
        await self.send(getProperties(devicename, vectorname))

    def _unseen(self) -> Iterator[Any]:
        while self._seen < len(self.heard):
            self._seen += 1
            yield self.heard[self._seen - 1]

    async def _read(self) -> None:
        data = await self._stream.receive_some()
        assert data, f"the peer has closed the stream; heard so far: {self.heard}"
        self.heard += self._decoder.feed(bytes(data))


def _fits(event: Any, vectorname: str | None, wanted: dict[str, Any]) -> bool:
    if vectorname is not None and event.vectorname != vectorname:
        return False
    return all(getattr(event, name) == value for name, value in wanted.items())


class _Wire:
    """The link of a driver that has one client."""

    def __init__(self, outbox: EventQueue) -> None:
        self._outbox = outbox

    def publish(self, event: Event) -> None:
        self._outbox.put(EncodedEvent(event))

    async def publish_blob(self, event: setBLOBVector) -> None:
        self._outbox.put(EncodedEvent(event))


async def attach(nursery: trio.Nursery, driver: IPyDriver) -> Client:
    """Run a driver in the nursery, with one peer in memory: a client, and what it snoops on."""

    def take(item: Event | ProtocolError) -> Awaitable[None] | None:
        if isinstance(item, SnoopEvent):
            driver.hear(EncodedEvent(item))
            return None
        return driver.receive(item, connection)

    ours, theirs = trio.testing.memory_stream_pair()
    connection = Connection(theirs, name="the client")
    await nursery.start(driver.serve, _Wire(connection.outbox))
    nursery.start_soon(connection.run, take)
    return Client(ours, VIRTUAL_PATIENCE)


async def connect(nursery: trio.Nursery, server: IPyServer, timeout: float = PATIENCE) -> Client:
    """Connect to a server on this machine, until the nursery is cancelled."""
    host, port = server.addresses[0]
    stream = await trio.open_tcp_stream(host, port)
    nursery.start_soon(_close_at_the_end, stream)
    return Client(stream, timeout)


async def _close_at_the_end(stream: trio.abc.AsyncResource) -> None:
    async with stream:
        await trio.sleep_forever()
