"""The connections of one client, one after another; this module does not know what events mean."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from trindi.client.errors import NotConnected
from trindi.transport import check_trio, unblocked_log
from trindi.visible import get_logger

if TYPE_CHECKING:
    from trindi.client.server_connection import AnswerBarrier, Question, ServerConnection
    from trindi.protocol import Event

logger = get_logger("trindi.client")

RECONNECT_DELAY: Final = 1.0  # seconds before the first attempt; each further wait is twice as long
MAX_RECONNECT_DELAY: Final = 60.0  # seconds
PROVEN: Final = 10.0  # seconds that a connection must last to make the next delay the shortest
Connect: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]


class Connector:
    """Connects a client to its server, once or again and again."""

    def __init__(
        self,
        name: str,
        make_connection: Callable[[trio.abc.Stream], ServerConnection],
        requests: Callable[[], Iterable[Question]],  # those with which each connection begins
        on_lost: Callable[[str, bool], None],  # a reason; True: there will be no other
    ) -> None:
        self._name = name
        self._make_connection = make_connection
        self._requests = requests
        self._on_lost = on_lost
        self._running = False
        self._ended = ""
        self._errors = 0
        self._changed = trio.lowlevel.ParkingLot()
        self.connection: ServerConnection | None = None

    @property
    def errors(self) -> int:
        return self._errors + (self.connection.errors if self.connection is not None else 0)

    @property
    def lost(self) -> str:
        """Why the last connection has ended; "" while there is one, or was none yet."""
        return "" if self.connection is not None else self._ended

    @property
    def ended(self) -> str:
        """Why there will be no connection, or "" while there is or may be one."""
        return "" if self._running else self._ended

    async def run(
        self, connect: Connect, started: Callable[[], None], delays: tuple[float, float] | None
    ) -> None:
        """Connect, and call `started` once there is a connection; reconnect if there are delays.

        These are the seconds before the first attempt, and the most before any.
        """
        check_trio()
        if self._running:
            raise RuntimeError("the client is running already")
        self._running = True
        self._ended = ""
        try:
            with unblocked_log():
                if delays is None:
                    await self._serve(await connect(), started)
                else:
                    await self._reconnect(connect, started, *delays)
        except OSError as error:
            self._ended = _reason(error)
            raise
        finally:
            self._running = False
            self._ended = self._ended or "the client was stopped"
            self._on_lost(self._ended, True)
            self._changed.unpark_all()

    async def _reconnect(
        self,
        connect: Connect,
        started: Callable[[], None] | None,
        first_delay: float,
        max_delay: float,
    ) -> None:
        delay, warned = first_delay, False
        while True:
            try:
                stream = await connect()
            except OSError as error:
                self._ended = _reason(error)
                # Not each attempt of a night is worth a warning.
                level = logging.INFO if warned else logging.WARNING
                logger.log(level, "%s: %s", self._name, self._ended)
                warned = True
            else:
                began, warned = trio.current_time(), False
                await self._serve(stream, started)
                started = None
                if trio.current_time() - began >= PROVEN:
                    delay = first_delay
            await trio.sleep(delay)
            delay = min(2 * delay, max_delay)

    async def _serve(self, stream: trio.abc.Stream, started: Callable[[], None] | None) -> None:
        connection = self._make_connection(stream)
        try:
            self.connection = connection
            connection.ask_nowait(*self._requests())
            self._changed.unpark_all()
            if started is not None:
                started()
            await connection.run()
        finally:
            self.connection = None
            self._errors += connection.errors
            self._ended = connection.lost
            self._on_lost(connection.lost, False)
        logger.warning("%s: %s", self._name, connection.lost)

    async def wait_connected(self) -> ServerConnection:
        check_trio()
        await trio.lowlevel.checkpoint()
        while self.connection is None:
            self.check_not_ended()
            await self._changed.park()
        return self.connection

    def check_not_ended(self) -> None:
        if self.ended:
            raise NotConnected(f"the client has ended: {self.ended}")

    async def ask(self, question: Question) -> None:
        """Ask now if there is a connection; the next one begins with all that was asked."""
        if self.connection is not None:
            await self.connection.ask(question)
        else:
            await trio.lowlevel.checkpoint()

    async def send(
        self, request: Event, on_sent: Callable[[], None], barrier: AnswerBarrier | None = None
    ) -> None:
        if self.connection is None:
            reason = self._ended or "open it with async with"
            raise NotConnected(f"the client is not connected: {reason}")
        await self.connection.send(request, on_sent, barrier)


def _reason(error: OSError) -> str:
    """Return what an error says, without its number."""
    return error.strerror or str(error)
