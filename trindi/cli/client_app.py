"""Runs the commands that are clients: connect, do the work, and turn errors into one line.

The work is one async function of a client. When it returns, the exit status is 0. An error that a
user can understand becomes one line and exit status 1. Ctrl-C and SIGTERM end a command quietly,
with the exit status that shells expect.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click
import trio

from trindi.client.server_connection import BROKEN, CLOSED
from trindi.errors import TrindiError
from trindi.transport import error_reason, host_and_port, open_tcp, unacknowledged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trindi.client import IPyClient

_SILENCE: Final = 1.0  # seconds after which a server is not expected to close the connection
_FAREWELL_TIMEOUT: Final = 10.0  # seconds in which a server must take some of what was sent


class Reconnecting:
    """Connects a client (as its argument `connect`), first with a stream that is open already.

    `wrap` makes of each further stream the one that is used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        wrap: Callable[[trio.abc.Stream], trio.abc.Stream] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._wrap = wrap
        self.first: trio.abc.Stream | None = None

    async def __call__(self) -> trio.abc.Stream:
        stream, self.first = self.first, None
        if stream is None:
            stream = await open_tcp(self._host, self._port)
            return stream if self._wrap is None else self._wrap(stream)
        return stream


def run_client(
    work: Callable[[IPyClient], Awaitable[None]],
    client: IPyClient,
    *,
    farewell: bool = False,
    wrap: Callable[[trio.abc.Stream], trio.abc.Stream] | None = None,
    reconnecting: Reconnecting | None = None,
) -> None:
    """Connect a client that is not running yet, do the work, and end.

    With `farewell`, make sure that the server has all that was sent. `wrap` makes of the connected
    stream the one that is used. `reconnecting` is how the client connects, where it is to do so
    again; the first connection must succeed in any case.
    """

    async def run() -> None:
        async with await connect(client.host, client.port) as stream:
            used: trio.abc.Stream = stream
            if farewell:
                # The client closes its own descriptor, and the connection stays open.
                used = trio.SocketStream(stream.socket.dup())
            elif wrap is not None:
                used = wrap(stream)
            async with trio.open_nursery() as nursery:
                if reconnecting is None:
                    await nursery.start(client.run_on, used)
                else:
                    reconnecting.first = used
                    await nursery.start(client.run)
                await work(client)
                nursery.cancel_scope.cancel()
            if farewell:
                await say_farewell(stream)

    run_until_signalled(run)


def run_until_signalled(work: Callable[[], Awaitable[None]]) -> None:
    """Do the work until it is done, or SIGINT or SIGTERM stops it."""
    try:
        signum = trio.run(_until_signalled, work)
    except ExceptionGroup as group:
        _raise_user_error(group)
    if signum:
        sys.exit(128 + signum)


async def _until_signalled(work: Callable[[], Awaitable[None]]) -> int:
    """Return the number of the signal that has stopped it, or 0."""
    signum = 0

    async def listen() -> None:
        nonlocal signum
        signum = await anext(aiter(signals))
        nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await work()
            nursery.cancel_scope.cancel()
    return signum


async def connect(host: str, port: int, *, timeout: float = 10.0) -> trio.SocketStream:
    """Connect to a server; ClickException if it cannot."""
    with trio.move_on_after(timeout):
        try:
            return await open_tcp(host, port)
        except OSError as error:
            raise click.ClickException(error.strerror or str(error)) from None
    reason = f"no answer within {timeout:g} s"
    raise click.ClickException(f"cannot connect to {host_and_port(host, port)}: {reason}")


async def say_farewell(stream: trio.abc.HalfCloseableStream) -> None:
    """Close our side, and wait until the server has all that was sent.

    A connection that is closed with unread data in it is reset, and a reset loses requests. A
    server that has read everything closes the connection. Another one stays silent; then its system
    must have acknowledged everything. What it sends until then is dropped. ClickException if it
    may not have everything.
    """
    try:
        await stream.send_eof()
        waits = unacknowledged(stream)
        with trio.move_on_after(_FAREWELL_TIMEOUT) as scope:
            while True:
                with trio.move_on_after(_SILENCE) as silence:
                    if not await stream.receive_some():
                        return
                before, waits = waits, unacknowledged(stream)
                if silence.cancelled_caught and not waits:
                    return
                if waits < before:
                    # The line is slow, and it moves.
                    scope.deadline = trio.current_time() + _FAREWELL_TIMEOUT
    except trio.BrokenResourceError:
        reason = "the connection broke before the server had taken everything"
        raise click.ClickException(f"{reason}: requests may be lost") from None
    if unacknowledged(stream):
        reason = f"the server has taken nothing more within {_FAREWELL_TIMEOUT:g} s"
        raise click.ClickException(f"{reason}: requests may be lost")


def closed_connection(client: IPyClient, more: str = "") -> click.ClickException:
    """Return the error of a command whose server has left, with the reason if it gave one."""
    return click.ClickException((reason_of_end(client) or CLOSED) + more)


def reason_of_end(client: IPyClient) -> str:
    """Return why the connection has ended, or "" if the server has just closed it.

    Whether it is closed or reset by a server that leaves is a matter of what was under way.
    """
    return "" if client.lost in (CLOSED, BROKEN) else client.lost


def _raise_user_error(group: ExceptionGroup) -> NoReturn:
    """Raise the first of an error group, if users understand all of them, or else the group."""
    _, others = group.split((click.ClickException, TrindiError, OSError))
    if others is not None:
        raise group
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, (click.ClickException, BrokenPipeError)):
        # At a broken pipe click ends the program quietly.
        raise error from None
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    reason = str(error) if isinstance(error, TrindiError) else error_reason(error)
    raise click.ClickException(where + reason) from None
