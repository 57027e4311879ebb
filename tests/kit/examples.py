"""Whole drivers with a client: over a socket to a server, or in memory to one driver.

In memory nothing is ever on its way outside the program, so that virtual time may run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.kit.driver import start_with
from tests.kit.peers import Client
from trindi.driver import core_of
from trindi.protocol import Event, SnoopEvent
from trindi.transport import Connection, EncodedEvent, EventQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trindi import IPyDriver, IPyServer, ProtocolError, setBLOBVector


class _Wire:
    """The link of a driver that has one client."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue

    def publish(self, event: Event) -> None:
        self._queue.put(EncodedEvent(event))

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        self._queue.put(EncodedEvent(event))


async def attach(nursery: trio.Nursery, driver: IPyDriver) -> Client:
    """Run a driver in the nursery, with one peer in memory: a client, and what it snoops on."""

    def take(item: Event | ProtocolError) -> Awaitable[None] | None:
        if isinstance(item, SnoopEvent):
            core_of(driver).hear(EncodedEvent(item))
            return None
        return core_of(driver).receive(item, connection)

    ours, theirs = trio.testing.memory_stream_pair()
    connection = Connection(theirs, name="the client")
    await start_with(nursery, driver, _Wire(connection.queue))
    nursery.start_soon(connection.run, take)
    return Client(ours)


async def connect(nursery: trio.Nursery, server: IPyServer, timeout: float | None = None) -> Client:
    """Connect to a server on this machine, until the nursery is cancelled."""
    host, port = server.addresses[0]
    stream = await trio.open_tcp_stream(host, port)
    nursery.start_soon(_close_at_the_end, stream)
    return Client(stream, timeout)


async def _close_at_the_end(stream: trio.abc.AsyncResource) -> None:
    async with stream:
        await trio.sleep_forever()
