"""One client's life: its connections one after another, and what is made of what they bring.

One task reads, and never waits for anybody: what it reads changes the picture, wakes those who wait
for that, and goes to the iterators over events and frames. There is no more than one `Link` at a
time. This module does not know what is asked of the devices.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import trio

from trindi.client.asking import Asking
from trindi.client.errors import NotConnected
from trindi.client.inbox import Events, Frames, Inboxes
from trindi.client.link import Link
from trindi.client.picture import Picture
from trindi.client.waiting import Waits
from trindi.protocol import BLOBPolicy, Decoder, SnoopEvent, setBLOBVector

if TYPE_CHECKING:
    from trindi.client.link import Mark
    from trindi.client.remote import RemoteVector
    from trindi.client.wishes import Wishes
    from trindi.protocol import Event, NewVector, enableBLOB, getProperties
    from trindi.transport import Runtime

__all__ = ["Connect", "Session", "open_tcp"]

logger = logging.getLogger("trindi.client")

RECONNECT_DELAY: Final = 1.0
"""Seconds before the first attempt to connect anew; each further one waits twice as long."""

MAX_RECONNECT_DELAY: Final = 60.0
"""Seconds that such an attempt waits at the most."""

PROVEN: Final = 10.0
"""Seconds that a connection must have held for the next attempt to wait the least time again."""

Inbox = TypeVar("Inbox", Events, Frames)
Connect: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]

_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    # Half a minute of silence, then three questions in half a minute more; where they are known.
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
)


async def open_tcp(host: str, port: int) -> trio.abc.Stream:
    """Connect to a port, in a way that notices when the other side is there no longer.

    Raises:
        OSError: it cannot connect.
    """
    stream = await trio.open_tcp_stream(host, port)
    for level, name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            stream.setsockopt(level, option, value)
    return stream


class Session:
    """The life of one client.

    Args:
        name: what the log calls the server.
        wishes: what is asked for on each connection.
        max_element_bytes: bound of one element without BLOBs.
        max_blob_bytes: bound of the BLOBs of one element, and of all newest frames together.
        max_picture_bytes: bound of all else that is kept.
        runtime: those of a test, or the usual ones.

    Attributes:
        link: the connection, or None while there is none.
        asking: asks its properties for something.
        picture: what the server has told.
        waits: what tasks wait for.
        inboxes: who listens.
    """

    def __init__(
        self,
        name: str,
        wishes: Wishes,
        *,
        max_element_bytes: int,
        max_blob_bytes: int,
        max_picture_bytes: int,
        runtime: Runtime,
    ) -> None:
        self._name = name
        self._wishes = wishes
        self._runtime = runtime
        self._make_decoder = partial(
            Decoder, max_element_bytes=max_element_bytes, max_blob_bytes=max_blob_bytes
        )
        self._running = False
        self._ended = ""
        self._errors = 0
        self._news = trio.lowlevel.ParkingLot()
        self.link: Link | None = None
        self.asking = Asking(self, wishes, runtime.in_thread)
        self.picture = Picture(
            self.asking,
            now=runtime.now,
            max_bytes=max_picture_bytes,
            max_frame_bytes=max_blob_bytes,
        )
        self.waits = Waits()
        self.inboxes = Inboxes()

    @property
    def errors(self) -> int:
        """How many elements were malformed or not legal, on all connections."""
        return self._errors + (self.link.errors if self.link is not None else 0)

    # Life --------------------------------------------------------------------------------------

    async def run(
        self, connect: Connect, started: Callable[[], None], *, delay: float | None = None
    ) -> None:
        """Be connected, once, or again and again.

        Args:
            connect: makes a stream.
            started: is called when the first connection is there.
            delay: seconds before the first attempt to connect anew; None for no such attempt.

        Raises:
            OSError: it cannot connect, and is not to try again.
            RuntimeError: it is running already.
        """
        if self._running:
            raise RuntimeError("the client is running already")
        self._running = True
        self._ended = ""
        try:
            if delay is None:
                await self._talk(await connect(), started)
            else:
                await self._talk_again_and_again(connect, started, delay)
        except OSError as error:
            self._ended = str(error)
            raise
        finally:
            self._running = False
            self._end()

    async def _talk_again_and_again(
        self, connect: Connect, started: Callable[[], None], first_delay: float
    ) -> None:
        delay = first_delay
        while True:
            try:
                stream = await connect()
            except OSError as error:
                logger.info("%s: %s", self._name, error)
            else:
                began = trio.current_time()
                await self._talk(stream, started)
                started = _nothing
                if trio.current_time() - began >= PROVEN:
                    delay = first_delay
            await trio.sleep(delay)
            delay = max(delay, min(2 * delay, MAX_RECONNECT_DELAY))

    async def _talk(self, stream: trio.abc.Stream, started: Callable[[], None]) -> None:
        """Be connected, from the first question to the end of the stream."""
        link = Link(
            stream,
            name=self._name,
            decoder=self._make_decoder(),
            hear=self._hear,
            arriving=self.inboxes.arriving,
            runtime=self._runtime,
        )
        try:
            self.link = link
            link.ask_nowait(*self._wishes.requests())
            self._news.unpark_all()
            started()
            await link.run()
        finally:
            self.link = None
            self._errors += link.errors
            self._ended = link.lost
            self.picture.make_stale()
            self.waits.lose(link.lost, final=False)
        logger.info("%s: %s", self._name, link.lost)

    def _end(self) -> None:
        self._ended = self._ended or "the client was stopped"
        self.waits.lose(self._ended, final=True)
        self.inboxes.close()
        self._news.unpark_all()

    # Hearing -----------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        """Take what the server says. Never blocks."""
        if not isinstance(event, SnoopEvent):
            # Servers show clients what is none of their business (§5.2).
            return
        if isinstance(event, setBLOBVector):
            event = self._wishes.filtered(event)
        changed = self.picture.apply(event)
        self.inboxes.hear(event)
        for vector in changed:
            self.waits.look(vector, event)

    def listen(self, inbox: Inbox) -> Inbox:
        """Let an iterator hear what is said from now on."""
        self.inboxes.add(inbox)
        if self._ended and not self._running:
            inbox.close()
        return inbox

    # Asking ------------------------------------------------------------------------------------

    async def ask(self, question: getProperties | enableBLOB) -> None:
        """Ask now, if there is a connection; `wishes` ask again on the next one."""
        if self.link is not None:
            await self.link.ask(question)
        else:
            await trio.lowlevel.checkpoint()

    async def send(
        self, vector: RemoteVector, request: NewVector, mark: Mark | None = None
    ) -> None:
        """Ask something of a vector, which is Busy from the moment in which that goes.

        Raises:
            NotConnected: there is no connection, or it is lost.
        """
        if self.link is None:
            reason = self._ended or "run it with nursery.start"
            raise NotConnected(f"the client is not connected: {reason}")
        # Of a device of which only BLOBs are wanted, definitions may not be sent again.
        if vector.stale and self._wishes.policy(vector.devicename) is not BLOBPolicy.ONLY:
            raise NotConnected(
                f"{vector.devicename} {vector.name} is of a connection that was lost: wait until it"
                " is defined again with wait_defined"
            )
        await self.link.send(request, partial(self._note_asked, vector), mark)

    def _note_asked(self, vector: RemoteVector) -> None:
        vector.ask()
        self.waits.look(vector)

    # The connection there is ---------------------------------------------------------------------

    async def wait_link(self) -> Link:
        """Wait for a connection, and return it.

        Raises:
            NotConnected: there will be none.
        """
        await trio.lowlevel.checkpoint()
        while self.link is None:
            self.check_going_on()
            await self._news.park()
        return self.link

    def check_going_on(self) -> None:
        """Say whether there is, or may yet be, a connection.

        Raises:
            NotConnected: there will be none.
        """
        if self._ended and not self._running:
            raise NotConnected(f"the client has ended: {self._ended}")


def _nothing() -> None:
    """Nobody waits for the start any more."""
